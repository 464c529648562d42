//! A connection with faults to order: a bit that flips, a direction that falls silent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The switches of a [`Faulty`] connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    corrupt: AtomicBool,
    silent: AtomicBool,
}

impl Faults {
    /// From the next write on, the last byte of each is changed.
    pub(super) fn corrupt(&self) {
        self.0.corrupt.store(true, Ordering::Relaxed);
    }

    /// From here on nothing that is written arrives, as if a cable had been pulled.
    pub(super) fn fall_silent(&self) {
        self.0.silent.store(true, Ordering::Relaxed);
    }
}

/// A connection with faults.
#[derive(Debug)]
pub(super) struct Faulty<T> {
    pub(super) io: T,
    pub(super) faults: Faults,
}

impl<T: AsyncRead + Unpin> AsyncRead for Faulty<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Faulty<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.faults.0.silent.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bytes.len()));
        }
        if !self.faults.0.corrupt.load(Ordering::Relaxed) {
            return Pin::new(&mut self.io).poll_write(cx, bytes);
        }
        let mut changed = bytes.to_vec();
        if let Some(last) = changed.last_mut() {
            *last ^= 0x20;
        }
        Pin::new(&mut self.io).poll_write(cx, &changed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
