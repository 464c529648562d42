//! tokio's connections and clock, as the driver knows them.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

use bytes::{BufMut, BytesMut};
use heartwire_std::driver::{Timer, Transport};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::Instant;

/// Anything of tokio's that reads and writes.
#[derive(Debug)]
pub struct Io<T>(pub T);

impl<T: AsyncRead + AsyncWrite + Unpin> Transport for Io<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        // The future keeps nothing between polls, so it can be made anew for each.
        let mut room = rx.limit(max);
        pin!(self.0.read_buf(&mut room)).poll(cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// tokio's clock, which tests can pause, and one sleep on it.
#[derive(Debug, Default)]
pub struct Sleep(Option<Pin<Box<tokio::time::Sleep>>>);

impl Timer for Sleep {
    fn now() -> StdInstant {
        Instant::now().into_std()
    }

    fn arm(&mut self, at: StdInstant) {
        let at = Instant::from_std(at);
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
