//! What a session runs over: sockets that two threads use at once.

use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A socket that one thread reads from while another writes to it, where both can be called back: a timeout ends
/// a read or a write that comes to nothing, and a shutdown ends both at once.
///
/// Implemented for TCP and Unix sockets. A transport of your own can implement it if it keeps all of these promises;
/// a session over one that does not can't be closed while its peer is silent.
pub trait Socket: Send + Sync + 'static {
    /// Called once, before anything else: sees to it that reading and writing wait.
    ///
    /// # Errors
    ///
    /// What the operating system has against it. The connection is given up then.
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    /// Waits for bytes, and reads some; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut) if none came within the timeout.
    fn read(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Waits until bytes are taken, and says how many of the first.
    ///
    /// # Errors
    ///
    /// What the operating system says; [`WouldBlock`](io::ErrorKind::WouldBlock) or
    /// [`TimedOut`](io::ErrorKind::TimedOut) if none were taken within the timeout.
    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Passes on what is held back.
    ///
    /// # Errors
    ///
    /// As for writing.
    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    /// How long reading waits at most, from the next read on; none: for ever. Never zero.
    ///
    /// # Errors
    ///
    /// What the operating system has against it. The connection is given up then.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// How long writing waits at most, from the next write on; none: for ever. Never zero.
    ///
    /// # Errors
    ///
    /// What the operating system has against it. The connection is given up then.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Ends a direction, or both. What waits in a direction that is ended returns at once.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

macro_rules! socket {
    ($stream:ty) => {
        impl Socket for $stream {
            fn prepare(&self) -> io::Result<()> {
                // Some systems hand that on from the listening socket; or it was used elsewhere before.
                self.set_nonblocking(false)
            }

            fn read(&self, into: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, into)
            }

            fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                Write::write_vectored(&mut &*self, slices)
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$stream>::set_read_timeout(self, timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                <$stream>::set_write_timeout(self, timeout)
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                <$stream>::shutdown(self, how)
            }
        }
    };
}

socket!(TcpStream);
#[cfg(unix)]
socket!(UnixStream);
