//! Where a server listens, on any runtime.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::{Domain, Socket, Type};

use crate::address::Address;
use crate::handle::Endpoints;
use crate::registry::{accept_delay, accept_hint};
use crate::reset::ResetGuard;
use crate::runtime::Runtime;
use crate::service::Service;
use crate::sleep::sleep;

/// How many connections may wait to be accepted; the operating system may allow fewer. What a
/// runtime chooses by itself overflows when some hundreds come at once: those beyond believe that they are
/// connected, and wait in vain for the first frame.
const BACKLOG: i32 = 4096;

/// One listening socket.
pub(crate) enum Listener<R: Runtime> {
    Tcp(R::TcpListener, Address),
    /// The same, and what comes in is to be made secure.
    Tls(R::TcpListener, Address),
    /// The file goes before the listener does.
    #[cfg(unix)]
    Unix(crate::unix_socket::SocketFile, R::UnixListener),
}

/// An accepted connection.
pub(crate) enum Stream<R: Runtime> {
    Tcp(R::Tcp),
    Tls(R::Tcp),
    #[cfg(unix)]
    Unix(R::Unix),
}

impl<R: Runtime> Stream<R> {
    /// What has it reset where it is not ended in order, if these options ask for that.
    pub(crate) fn reset_guard(&self, options: &impl Service) -> io::Result<Option<ResetGuard>> {
        match self {
            Self::Tcp(stream) | Self::Tls(stream) => ResetGuard::wanted(options, || R::reset_guard(stream)),
            #[cfg(unix)]
            Self::Unix(stream) => ResetGuard::wanted(options, || R::unix_reset_guard(stream)),
        }
    }
}

impl<R: Runtime> Listener<R> {
    /// Listens here. Errors name the address.
    pub(crate) async fn bind(address: &Address) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
        match address {
            Address::Tcp { host, port } | Address::Tls { host, port } => {
                let (host, port) = (host.clone(), *port);
                // Looking a name up may take a moment.
                let listener = R::unblock(move || bind_tcp(&host, port)).await.map_err(named)?;
                let local = Address::from(listener.local_addr().map_err(named)?);
                let listener = R::tcp_listener(listener).map_err(named)?;
                Ok(match address {
                    Address::Tls { .. } => Self::Tls(listener, local.into_tls()),
                    _ => Self::Tcp(listener, local),
                })
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                let path = path.clone();
                // Telling a stale file from a live server may take a moment. Its own errors name the path already.
                let (listener, file) = R::unblock(move || crate::unix_socket::bind(path)).await?;
                Ok(Self::Unix(file, R::unix_listener(listener).map_err(named)?))
            }
            #[allow(unreachable_patterns)]
            _ => Err(named(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
        }
    }

    pub(crate) fn local_address(&self) -> Address {
        match self {
            Self::Tcp(_, address) | Self::Tls(_, address) => address.clone(),
            #[cfg(unix)]
            Self::Unix(file, _) => file.path().into(),
        }
    }

    async fn accept(&self) -> io::Result<(Stream<R>, Endpoints)> {
        match self {
            Self::Tcp(listener, _) => {
                let stream = R::accept_tcp(listener).await?;
                let endpoints = R::tcp_endpoints(&stream);
                Ok((Stream::Tcp(stream), endpoints))
            }
            Self::Tls(listener, _) => {
                let stream = R::accept_tcp(listener).await?;
                let endpoints = R::tcp_endpoints(&stream).into_tls();
                Ok((Stream::Tls(stream), endpoints))
            }
            #[cfg(unix)]
            Self::Unix(file, listener) => {
                let stream = R::accept_unix(listener).await?;
                let endpoints = Endpoints { local: Some(file.path().into()), peer: None };
                Ok((Stream::Unix(stream), endpoints))
            }
        }
    }
}

/// Listens on the first address of this host that can be listened on.
fn bind_tcp(host: &str, port: u16) -> io::Result<std::net::TcpListener> {
    let mut failed = None;
    for address in (host, port).to_socket_addrs()? {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    Err(failed.unwrap_or_else(nothing))
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted server need not wait for its old connections to be forgotten. Elsewhere than
    // on Unix the option means something else.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The next connection on one listener, to come.
type Accept<'a, R> = Pin<Box<dyn Future<Output = (Stream<R>, Endpoints)> + Send + 'a>>;

/// Accepts on several listeners. Each is asked first in turn, and waits out its own errors, so that none
/// keeps the others waiting.
pub(crate) struct Accepting<'a, R: Runtime> {
    listeners: &'a [Listener<R>],
    waiting: Vec<Accept<'a, R>>,
    first: usize,
}

impl<'a, R: Runtime> Accepting<'a, R> {
    pub(crate) fn new(listeners: &'a [Listener<R>]) -> Self {
        Self { listeners, waiting: listeners.iter().map(accept_one).collect(), first: 0 }
    }

    /// The next connection. None is lost.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Stream<R>, Endpoints)> {
        let count = self.waiting.len();
        for turn in 0..count {
            let at = (self.first + turn) % count;
            if let Poll::Ready(accepted) = self.waiting[at].as_mut().poll(cx) {
                self.waiting[at] = accept_one(&self.listeners[at]);
                self.first = (at + 1) % count;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// The next connection on one listener. Errors are waited out; the first of many in a row is logged.
fn accept_one<R: Runtime>(listener: &Listener<R>) -> Accept<'_, R> {
    Box::pin(async move {
        let mut said = false;
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    let delay = accept_delay(&error);
                    if !std::mem::replace(&mut said, !delay.is_zero()) {
                        let todo = accept_hint(&error);
                        tracing::warn!("accepting connections fails, and is tried again: {error}{todo}");
                    }
                    sleep::<R::Timer>(delay).await;
                }
            }
        }
    })
}
