//! Waiting, on any runtime's timer.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::driver::Timer;

/// Waits this long.
///
/// # Cancel safety
///
/// Nothing is lost.
pub async fn sleep<T: Timer + Default>(time: Duration) {
    let mut timer = T::default();
    // What the clock can't represent never comes.
    let Some(at) = T::now().checked_add(time) else { return std::future::pending().await };
    timer.arm(at);
    poll_fn(|cx| timer.poll_elapsed(cx)).await;
}

/// Waits for the future for so long at most; none: it was late, and is dropped.
///
/// # Cancel safety
///
/// As that of the future.
pub async fn timeout<T: Timer + Default, F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    let (mut future, mut late) = (pin!(future), pin!(sleep::<T>(limit)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}
