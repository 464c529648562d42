//! tokio, as the suite runs on it.

use std::future::Future;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use heartwire_tests::mock::Mock;
use heartwire_tests::suite::Adapter;
use tokio::runtime::Builder;
use tokio::time::timeout;

pub(crate) struct Tokio;

impl Adapter for Tokio {
    heartwire_tests::polled!(heartwire_tokio);

    const SIMULATED: bool = true;

    fn run<T>(case: impl Future<Output = T>) -> T {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let limited = async { timeout(Duration::from_secs(60), case).await.expect("it hangs") };
        runtime.expect("a runtime").block_on(limited)
    }

    fn run_paused<T>(case: impl Future<Output = T>) -> T {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build();
        let limited = async { timeout(Duration::from_secs(3600), case).await.expect("it hangs") };
        runtime.expect("a runtime").block_on(limited)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let task = tokio::spawn(task);
        async { task.await.expect("it does not panic") }
    }

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

heartwire_tests::over! {
    Tokio, heartwire_tokio;
    Mock, io => io;
    TcpStream, io => {
        io.set_nonblocking(true).expect("it can");
        tokio::net::TcpStream::from_std(io).expect("it is one")
    };
}

#[cfg(unix)]
heartwire_tests::over! {
    Tokio, heartwire_tokio;
    UnixStream, io => {
        io.set_nonblocking(true).expect("it can");
        tokio::net::UnixStream::from_std(io).expect("it is one")
    };
}
