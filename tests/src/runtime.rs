//! tokio, as the suites of its adapter run on it.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::time::timeout;

/// Runs a case on two threads, for a minute at most.
///
/// # Panics
///
/// If it takes longer.
pub fn run<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let limited = async { timeout(Duration::from_secs(60), case).await.expect("it hangs") };
    runtime.expect("a runtime").block_on(limited)
}

/// Runs a case under a clock that goes on when there is nothing to do, for an hour of it at most.
///
/// # Panics
///
/// If it takes longer.
pub fn run_paused<T>(case: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
    let limited = async { timeout(Duration::from_secs(3600), case).await.expect("it hangs") };
    runtime.expect("a runtime").block_on(limited)
}

/// Spawns a task, and gives what it comes to.
///
/// # Panics
///
/// If the task does.
pub fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let task = tokio::spawn(task);
    async { task.await.expect("it does not panic") }
}
