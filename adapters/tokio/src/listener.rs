//! Where a server listens.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use heartwire_std::address::Address;
use heartwire_std::handle::Endpoints;
use heartwire_std::registry::{accept_delay, accept_hint};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

use crate::connect::tcp_endpoints;

/// How many connections may wait to be accepted; the operating system may allow fewer. What a
/// runtime chooses by itself overflows when some hundreds come at once: those beyond believe that they are
/// connected, and wait in vain for the first frame.
const BACKLOG: u32 = 4096;

/// One listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    /// The file goes before the listener does.
    #[cfg(unix)]
    Unix(heartwire_std::unix_socket::SocketFile, tokio::net::UnixListener),
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Listener {
    /// Listens here. Errors begin with the address.
    pub(crate) async fn bind(address: &Address) -> io::Result<Self> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{address}: {error}"));
        match address {
            Address::Tcp { host, port } => bind_tcp(host, *port).await.map(Self::Tcp).map_err(named),
            #[cfg(unix)]
            Address::Unix(path) => {
                let path = path.clone();
                // Telling a stale file from a live server may take a moment.
                let bound = tokio::task::spawn_blocking(move || heartwire_std::unix_socket::bind(path));
                // Its own errors name the path already.
                let (listener, file) = bound.await.map_err(|error| named(io::Error::other(error)))??;
                listener.set_nonblocking(true).map_err(named)?;
                let listener = tokio::net::UnixListener::from_std(listener).map_err(named)?;
                Ok(Self::Unix(file, listener))
            }
            _ => Err(named(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
        }
    }

    pub(crate) fn local_address(&self) -> io::Result<Address> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Into::into),
            #[cfg(unix)]
            Self::Unix(file, _) => Ok(file.path().into()),
        }
    }

    pub(crate) async fn accept(&self) -> io::Result<(Stream, Endpoints)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let endpoints = tcp_endpoints(&stream);
                Ok((Stream::Tcp(stream), endpoints))
            }
            #[cfg(unix)]
            Self::Unix(file, listener) => {
                let (stream, _) = listener.accept().await?;
                let endpoints = Endpoints { local: Some(file.path().into()), peer: None };
                Ok((Stream::Unix(stream), endpoints))
            }
        }
    }
}

/// Listens on the first address of this host that can be listened on.
async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    let mut failed = None;
    for address in lookup_host((host, port)).await? {
        let bind = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A restarted server need not wait for its old connections to be forgotten. Elsewhere than
            // on Unix the option means something else.
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match bind() {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = Some(error),
        }
    }
    let nothing = || io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    Err(failed.unwrap_or_else(nothing))
}

/// The next connection on one listener, to come.
type Accept<'a> = Pin<Box<dyn Future<Output = (Stream, Endpoints)> + Send + 'a>>;

/// Accepts on several listeners. Each is asked first in turn, and waits out its own errors, so that none
/// keeps the others waiting.
pub(crate) struct Accepting<'a> {
    listeners: &'a [Listener],
    waiting: Vec<Accept<'a>>,
    first: usize,
}

impl<'a> Accepting<'a> {
    pub(crate) fn new(listeners: &'a [Listener]) -> Self {
        Self { listeners, waiting: listeners.iter().map(accept_one).collect(), first: 0 }
    }

    /// The next connection. Dropping the future loses none.
    pub(crate) async fn next(&mut self) -> (Stream, Endpoints) {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Stream, Endpoints)> {
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
fn accept_one(listener: &Listener) -> Accept<'_> {
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
                    tokio::time::sleep(delay).await;
                }
            }
        }
    })
}
