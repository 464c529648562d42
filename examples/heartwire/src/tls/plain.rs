//! A client's connection without TLS, to a server that may speak it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What the server turns out to be.
const SPEAKS_TLS: &str = "what listens there speaks TLS; connect to tls://HOST:PORT";

/// A connection on which the first that a server says is looked at: if that is TLS that refuses what it was sent, reading
/// fails and says so. No protocol without TLS begins so by itself: to one it would be the length of a message of 336 MiB, and
/// three bytes of that, all that came at first.
#[derive(Debug)]
pub struct Plain<T> {
    io: T,
    heard: bool,
}

impl<T> Plain<T> {
    pub fn new(io: T) -> Self {
        Self { io, heard: false }
    }
}

/// Whether it is one alert of TLS: a record of that type, of a version 3.x, with a level and a description.
fn is_alert(bytes: &[u8]) -> bool {
    matches!(bytes, [0x15, 3, 0..=4, 0, 2, 1 | 2, _])
}

impl<T: AsyncRead + Unpin> AsyncRead for Plain<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if !std::mem::replace(&mut self.heard, true) && is_alert(&buf.filled()[before..]) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, SPEAKS_TLS)));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Plain<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_told_from_what_protocols_begin_with() {
        assert!(is_alert(&[0x15, 3, 3, 0, 2, 2, 50]) && is_alert(&[0x15, 3, 1, 0, 2, 1, 0]));
        for other in
            [&b""[..], &[0x15, 3, 3, 0, 2, 2], &[0x15, 3, 3, 0, 2, 2, 50, 0], &[0x15, 3, 3, 0, 2, 3, 50]]
        {
            assert!(!is_alert(other), "{other:?}");
        }
    }
}
