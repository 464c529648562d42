//! Connections of any protocol.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use heartwire_core::role::Role;
use heartwire_std::address::Address;
use heartwire_std::connect::make;
use heartwire_std::handle::Endpoints;
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{Drive, Runtime};
use heartwire_std::session::ConnectError;

use crate::driver::Io;
use crate::park::block_on;
use crate::runtime::Threads;
use crate::service::Blocking;
use crate::socket::Socket;

/// What a `tls://` address needs.
pub(crate) const NO_TLS: &str =
    "TLS needs one thread for both directions; use an async adapter such as heartwire-tokio";

/// Connects to `address`: the client's side. [`Options`](crate::Options) make a [`Session`](crate::Session),
/// [`ConnectionOptions`](crate::ConnectionOptions) a [`Connection`](crate::connection::Connection).
///
/// Making the connection and the handshake of a session may take the handshake timeout each; without a session,
/// making the connection may take the connect timeout. All addresses of a name share that time. Looking the name up
/// takes as long as the operating system lets it.
///
/// # Errors
///
/// [`ConnectError`]: nobody answered, or the handshake did not come to its end; it says why.
pub fn connect<V: Blocking>(address: &Address, options: &V) -> Result<V::BlockingHandle, ConnectError> {
    let limit = options.connect_timeout();
    let failed = |error: io::Error| {
        let error = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                io::Error::new(io::ErrorKind::TimedOut, format!("nobody answered within {limit:?}"))
            }
            _ => error,
        };
        ConnectError::Io { address: address.clone(), error }
    };
    match address {
        Address::Tcp { host, port } => {
            let stream = Io(connect_tcp(host, *port, limit).map_err(failed)?);
            let endpoints = Threads::tcp_endpoints(&stream);
            let guard = ResetGuard::wanted(options, || Threads::reset_guard(&stream));
            over(stream, endpoints, guard.map_err(failed)?, Role::Client, options)
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = Io(connect_unix(path, limit).map_err(failed)?);
            let endpoints = Endpoints { local: None, peer: Some(address.clone()) };
            let guard = ResetGuard::wanted(options, || Threads::unix_reset_guard(&stream));
            over(stream, endpoints, guard.map_err(failed)?, Role::Client, options)
        }
        Address::Tls { .. } => Err(failed(io::Error::new(io::ErrorKind::Unsupported, NO_TLS))),
        #[allow(unreachable_patterns)]
        _ => Err(failed(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
    }
}

/// The client's side over a socket that is connected.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
pub fn connect_io<S: Socket, V: Blocking>(socket: S, options: &V) -> Result<V::BlockingHandle, ConnectError> {
    over(Io(socket), Endpoints::default(), None, Role::Client, options)
}

/// The server's side over a socket that is connected, for who accepts connections himself.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
pub fn accept_io<S: Socket, V: Blocking>(socket: S, options: &V) -> Result<V::BlockingHandle, ConnectError> {
    over(Io(socket), Endpoints::default(), None, Role::Server, options)
}

fn over<V: Blocking>(
    transport: impl Drive<Threads>,
    endpoints: Endpoints,
    guard: Option<ResetGuard>,
    role: Role,
    options: &V,
) -> Result<V::BlockingHandle, ConnectError> {
    block_on(make::<Threads, _, V>(transport, endpoints, guard, role, options)).map(V::wrap)
}

fn connect_tcp(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let deadline = Instant::now().checked_add(limit);
    let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.map_or(limit, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // One that does not answer leaves the others their share.
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match TcpStream::connect_timeout(address, (left / others).max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A listener whose queue is full makes a connection wait; the timeout for sending ends that.
#[cfg(unix)]
fn connect_unix(path: &std::path::Path, limit: Duration) -> io::Result<std::os::unix::net::UnixStream> {
    use socket2::{Domain, SockAddr, Socket, Type};

    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(limit.max(Duration::from_millis(1))))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(std::os::fd::OwnedFd::from(socket).into())
}
