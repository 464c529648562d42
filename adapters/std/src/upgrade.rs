//! A transport that is still being made: TLS over a connection that was accepted.

use std::future::Future;
use std::io::{self, IoSlice};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt;

use crate::driver::{Timer, Transport};
use crate::runtime::said;

/// A transport that is made where it is used first, so that its making is a part of the connection's own time
/// and counts among the connections that are being made. It has a limit of its own, since not every protocol has one.
pub struct Upgrading<T, S> {
    state: State<T>,
    timer: S,
    limit: Duration,
}

enum State<T> {
    Making(Pin<Box<dyn Future<Output = io::Result<T>> + Send>>),
    Made(T),
    /// What was said of it was said once.
    Failed,
}

impl<T: Transport, S: Timer> Upgrading<T, S> {
    /// What `making` comes to, within this limit.
    pub fn new(
        making: impl Future<Output = io::Result<T>> + Send + 'static,
        limit: Duration,
        mut timer: S,
    ) -> Self {
        if let Some(at) = S::now().checked_add(limit) {
            timer.arm(at);
        }
        let panicked = |panic: Box<dyn std::any::Any + Send>| {
            Err(io::Error::other(format!("what makes the connection secure panicked: {}", said(&*panic))))
        };
        // It is the application's; the log has to say of which connection it was.
        let making = AssertUnwindSafe(making).catch_unwind().map(move |made| made.unwrap_or_else(panicked));
        Self { state: State::Making(Box::pin(making)), timer, limit }
    }

    fn poll_made(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut T>> {
        if let State::Making(making) = &mut self.state {
            let made = match making.as_mut().poll(cx) {
                Poll::Ready(made) => made,
                Poll::Pending => {
                    ready!(self.timer.poll_elapsed(cx));
                    let text = format!("the connection was not made secure within {:?}", self.limit);
                    Err(io::Error::new(io::ErrorKind::TimedOut, text))
                }
            };
            match made {
                Ok(transport) => self.state = State::Made(transport),
                Err(error) => {
                    self.state = State::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        match &mut self.state {
            State::Made(transport) => Poll::Ready(Ok(transport)),
            _ => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<T: Transport, S: Timer> Transport for Upgrading<T, S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        ready!(self.poll_made(cx))?.poll_read(cx, rx, max)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        ready!(self.poll_made(cx))?.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_made(cx))?.poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_made(cx))?.poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Instant;

    use super::*;

    struct Never;

    impl Transport for Never {
        fn poll_read(&mut self, _: &mut Context<'_>, _: &mut BytesMut, _: usize) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_write(&mut self, _: &mut Context<'_>, _: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }

        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    impl Timer for Never {
        fn now() -> Instant {
            Instant::now()
        }

        fn arm(&mut self, _: Instant) {}

        fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    #[test]
    fn a_panic_of_what_makes_it_is_an_error_that_says_so() {
        let making = async { panic!("there is no certificate") };
        let mut upgrading = Upgrading::<Never, _>::new(making, Duration::from_secs(1), Never);
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Err(error)) = upgrading.poll_read(&mut cx, &mut BytesMut::new(), 1) else { panic!() };
        assert!(error.to_string().ends_with("panicked: there is no certificate"), "{error}");
    }
}
