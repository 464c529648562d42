//! A timer made of futures.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use heartwire_std::driver::Timer;

/// A clock, and futures that wait for a time on it.
pub trait Clock {
    /// Done when its time has come.
    type Sleep: Future;

    /// What time it is.
    #[must_use]
    fn now() -> Instant {
        Instant::now()
    }

    /// Waits for this time.
    fn sleep_until(at: Instant) -> Self::Sleep;
}

/// One alarm on a clock.
pub struct Sleep<C: Clock>(Option<Pin<Box<C::Sleep>>>);

impl<C: Clock> Timer for Sleep<C> {
    fn now() -> Instant {
        C::now()
    }

    fn arm(&mut self, at: Instant) {
        self.0 = Some(Box::pin(C::sleep_until(at)));
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = &mut self.0 else { return Poll::Pending };
        let elapsed = sleep.as_mut().poll(cx).map(drop);
        if elapsed.is_ready() {
            self.0 = None;
        }
        elapsed
    }
}

impl<C: Clock> Default for Sleep<C> {
    fn default() -> Self {
        Self(None)
    }
}

impl<C: Clock> fmt::Debug for Sleep<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("armed", &self.0.is_some()).finish()
    }
}
