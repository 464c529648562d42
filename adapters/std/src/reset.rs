//! Connections whose peers are not to take any other end for one in order: over TCP that is a reset.

use std::fmt;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use socket2::{SockRef, Socket};

use crate::driver::Transport;
use crate::service::Service;

/// Begins nothing in any protocol: whoever reads it before the end of a stream knows that it is none in order.
#[cfg(unix)]
const NOTHING: u8 = 0xff;

/// Has a TCP connection reset when it is closed, whoever closes it: also when the process is killed. Until it is
/// [released](Self::release): then the end of the stream is one in order again.
///
/// A Unix socket has no reset. Over one, a byte that nothing begins with is written when the guard is dropped; nobody
/// does that for a process that is killed.
///
/// It holds the connection open: drop it together with the transport.
pub struct ResetGuard {
    socket: Socket,
    released: bool,
}

impl ResetGuard {
    /// A guard of this connection.
    ///
    /// # Errors
    ///
    /// The system has no file descriptor left, or something else against it. As far as it can be had, the
    /// connection will be reset all the same.
    pub fn new<'a, S>(stream: &'a S) -> io::Result<Self>
    where
        SockRef<'a>: From<&'a S>,
    {
        let socket = SockRef::from(stream);
        // To a Unix socket it does nothing.
        socket.set_linger(Some(Duration::ZERO))?;
        Ok(Self { socket: socket.try_clone()?, released: false })
    }

    /// One that is made so, if the end of the stream confirms something.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), which say what could not be done.
    pub fn wanted(
        options: &impl Service,
        make: impl FnOnce() -> io::Result<Self>,
    ) -> io::Result<Option<Self>> {
        let guard = options.end_confirms().then(make).transpose();
        guard.map_err(|error| io::Error::new(error.kind(), format!("no reset can be prepared: {error}")))
    }

    /// Lets the stream end in order.
    pub fn release(mut self) {
        self.released = true;
        // Where it fails the connection is gone already.
        let _ = self.socket.set_linger(None);
    }
}

#[cfg(unix)]
impl Drop for ResetGuard {
    fn drop(&mut self) {
        use rustix::net::{SendFlags, send};

        if !self.released && self.socket.local_addr().is_ok_and(|address| address.is_unix()) {
            // Where there is no room for it, the peer has not read what came before, and waits for nothing.
            let _ = send(&self.socket, &[NOTHING], SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
    }
}

impl fmt::Debug for ResetGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResetGuard").finish_non_exhaustive()
    }
}

/// A transport, and what has the connection below it reset unless its writing half is closed in order.
pub struct Guarded<T> {
    transport: T,
    guard: Option<ResetGuard>,
}

impl<T> Guarded<T> {
    pub(crate) fn new(transport: T, guard: Option<ResetGuard>) -> Self {
        Self { transport, guard }
    }
}

impl<T: Transport> Transport for Guarded<T> {
    fn poll_read(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        self.transport.poll_read(cx, rx, max)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.transport.poll_write(cx, slices)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_flush(cx)
    }

    /// The driver calls it only for an end in order.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(guard) = self.guard.take() {
            guard.release();
        }
        self.transport.poll_close(cx)
    }
}
