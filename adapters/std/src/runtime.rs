//! What an adapter tells of its runtime, so that everything else is written once.

use std::future::Future;
use std::io;
use std::panic::AssertUnwindSafe;
#[cfg(unix)]
use std::path::Path;

use futures_util::FutureExt;
use heartwire_core::protocol::Protocol;
use heartwire_core::time::Instant;

use crate::driver::{Timer, Transport};
use crate::handle::{Commands, Endpoints, Events, start};
use crate::reset::{Guarded, ResetGuard};

/// A runtime: tasks, a timer, listening sockets. All that a [`Server`](crate::server::Server) needs.
///
/// An adapter implements it for a type without values, and [`AsyncRuntime`] if tasks are polled; the rest are types
/// and functions of this crate with that type filled in.
pub trait Runtime: Sized + Send + Sync + 'static {
    /// The clock, and one alarm on it.
    type Timer: Timer + Default + Send + Unpin + 'static;
    /// A TCP connection.
    type Tcp: Drive<Self>;
    /// What accepts TCP connections.
    type TcpListener: Send + Sync + 'static;
    /// A connection over a Unix socket.
    #[cfg(unix)]
    type Unix: Drive<Self>;
    /// What accepts connections over a Unix socket.
    #[cfg(unix)]
    type UnixListener: Send + Sync + 'static;

    /// Whether a task can be ended where it waits. Where it can't, a server that has stopped does not wait for its
    /// handlers.
    const ENDS_TASKS: bool = true;

    /// Runs a task beside the present one, whatever becomes of that.
    fn spawn(task: impl Future<Output = ()> + Send + 'static);

    /// Runs what may take a moment where it keeps nobody waiting.
    fn unblock<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;

    /// Takes a listening socket over. It blocks.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn tcp_listener(listener: std::net::TcpListener) -> io::Result<Self::TcpListener>;

    /// The next TCP connection.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    fn accept_tcp(listener: &Self::TcpListener) -> impl Future<Output = io::Result<Self::Tcp>> + Send;

    /// Where a TCP connection leads. Sees to it that small frames don't wait for acknowledgements.
    fn tcp_endpoints(stream: &Self::Tcp) -> Endpoints;

    /// What has a TCP connection reset where it is not ended in order.
    ///
    /// # Errors
    ///
    /// As those of [`ResetGuard::new`].
    fn reset_guard(stream: &Self::Tcp) -> io::Result<ResetGuard>;

    /// The same of a connection over a Unix socket.
    ///
    /// # Errors
    ///
    /// As those of [`ResetGuard::new`].
    #[cfg(unix)]
    fn unix_reset_guard(stream: &Self::Unix) -> io::Result<ResetGuard>;

    /// Takes a listening socket over. It blocks.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    #[cfg(unix)]
    fn unix_listener(listener: std::os::unix::net::UnixListener) -> io::Result<Self::UnixListener>;

    /// The next connection over a Unix socket.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    #[cfg(unix)]
    fn accept_unix(listener: &Self::UnixListener) -> impl Future<Output = io::Result<Self::Unix>> + Send;
}

/// A runtime whose transports are polled.
pub trait AsyncRuntime: Runtime {
    /// Makes a TCP connection.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn connect_tcp(host: &str, port: u16) -> impl Future<Output = io::Result<Self::Tcp>> + Send;

    /// Makes a connection over a Unix socket.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    #[cfg(unix)]
    fn connect_unix(path: &Path) -> impl Future<Output = io::Result<Self::Unix>> + Send;
}

/// A transport that a runtime can run a machine over.
pub trait Drive<R: Runtime>: Sized + Send + 'static {
    /// Puts a machine on the transport, and sets its driver going. `guard` is that of the TCP connection below, if it
    /// is to be reset unless it ends in order: released just before the writing half is closed, dropped together with
    /// the transport.
    fn drive<P>(
        self,
        endpoints: Endpoints,
        guard: Option<ResetGuard>,
        make: impl FnOnce(Instant) -> P,
    ) -> (Commands<P>, Events<P>)
    where
        P: Protocol<Command: Send, Event: Send> + Send + 'static;
}

impl<R, T> Drive<R> for T
where
    R: AsyncRuntime,
    T: Transport + Send + Unpin + 'static,
{
    fn drive<P>(
        self,
        endpoints: Endpoints,
        guard: Option<ResetGuard>,
        make: impl FnOnce(Instant) -> P,
    ) -> (Commands<P>, Events<P>)
    where
        P: Protocol<Command: Send, Event: Send> + Send + 'static,
    {
        let transport = Guarded::new(self, guard);
        let (commands, events, driver) = start(transport, R::Timer::default(), endpoints, make);
        R::spawn(driver);
        (commands, events)
    }
}

/// Where a TCP connection leads, of what the operating system says of it.
#[must_use]
pub fn tcp_endpoints(
    local: io::Result<std::net::SocketAddr>,
    peer: io::Result<std::net::SocketAddr>,
) -> Endpoints {
    Endpoints { local: local.ok().map(Into::into), peer: peer.ok().map(Into::into) }
}

/// Runs a handler. One that panics, even before it waits for anything, ends its connection, not the server; nobody
/// shall have to guess.
pub(crate) async fn caught(handler: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(handler).catch_unwind().await {
        tracing::error!("a connection's handler panicked: {}", said(&*panic));
    }
}

/// What a panic said.
#[must_use]
pub fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it did not say why")
}
