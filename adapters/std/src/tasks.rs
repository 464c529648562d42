//! The tasks of a server, to be ended together.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::{Poll, Waker};

use futures_util::future::{AbortHandle, abortable};
use parking_lot::Mutex;

use crate::runtime::Runtime;

/// Tasks that are under way. When this is dropped they are ended, wherever they wait.
#[derive(Default)]
pub(crate) struct Tasks(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    tasks: BTreeMap<u64, AbortHandle>,
    last: u64,
    /// Who waits for the last of them.
    waiting: Option<Waker>,
}

impl Tasks {
    /// Runs one more.
    pub(crate) fn spawn<R: Runtime>(&self, task: impl Future<Output = ()> + Send + 'static) {
        let (task, handle) = abortable(task);
        let mut running = self.0.lock();
        running.last += 1;
        let number = running.last;
        running.tasks.insert(number, handle);
        drop(running);
        let place = Place { running: Arc::clone(&self.0), number };
        R::spawn(async move {
            let _place = place;
            // Dropped before its place is given up.
            let _ = task.await;
        });
    }

    /// Ends them all, and waits until they are gone.
    pub(crate) async fn end(&self) {
        self.abort();
        poll_fn(|cx| {
            let mut running = self.0.lock();
            if running.tasks.is_empty() {
                return Poll::Ready(());
            }
            running.waiting = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn abort(&self) {
        // Without the lock: who is woken may run at once.
        let handles: Vec<_> = self.0.lock().tasks.values().cloned().collect();
        handles.iter().for_each(AbortHandle::abort);
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.abort();
    }
}

/// A task's place among those that are under way.
struct Place {
    running: Arc<Mutex<Running>>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        running.tasks.remove(&self.number);
        let waker = if running.tasks.is_empty() { running.waiting.take() } else { None };
        drop(running);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
