//! Calls that are dropped: right after they said that they are pending, or when they were woken and before they are
//! polled again, so that the wake-up itself is what gets lost.

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// Where a call is dropped.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// After so many polls.
    pub polls: usize,
    /// When it was woken again, not at once.
    pub woken: bool,
}

/// Polls `call` until the cut; none: it was dropped.
pub async fn cut<F: Future>(at: Cut, call: F) -> Option<F::Output> {
    let (mut call, mut polls) = (Some(Box::pin(call)), 0);
    let result = poll_fn(move |cx| {
        if polls == at.polls {
            call = None;
            return Poll::Ready(None);
        }
        let Some(future) = &mut call else { return Poll::Ready(None) };
        if let Poll::Ready(done) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(done));
        }
        polls += 1;
        if polls == at.polls && !at.woken {
            call = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await;
    if result.is_none() {
        // Time does not pass for a task that is never idle; the others get their turn.
        tokio::task::yield_now().await;
    }
    result
}

/// Calls again and again, each time until the cut, until one comes through.
///
/// # Panics
///
/// If none ever does.
pub async fn again<T>(at: Cut, dropped: &AtomicUsize, mut call: impl AsyncFnMut() -> T) -> T {
    loop {
        if let Some(done) = cut(at, call()).await {
            return done;
        }
        // Who never comes through would go on for ever: time stands still while calls are made.
        assert!(dropped.fetch_add(1, Ordering::Relaxed) < 10_000_000, "it never comes through");
    }
}
