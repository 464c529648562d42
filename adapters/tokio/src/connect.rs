//! Connections of any protocol.

use std::io;

use heartwire_core::protocol::Protocol;
use heartwire_core::role::Role;
use heartwire_core::time::Instant;
use heartwire_std::address::Address;
use heartwire_std::handle::{Commands, Endpoints, Events, start};
use heartwire_std::service::Service;
use heartwire_std::session::ConnectError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::driver::{Io, Sleep};

/// Connects to `address`: the client's side. [`Options`](crate::Options) make a
/// [`Session`](crate::Session), [`ConnectionOptions`](crate::ConnectionOptions) a
/// [`Connection`](crate::connection::Connection).
///
/// Making the connection and the handshake of a session may take the handshake timeout each; without a session,
/// making the connection may take the connect timeout.
///
/// # Errors
///
/// [`ConnectError`]: nobody answered, or the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn connect<V: Service>(address: &Address, options: &V) -> Result<V::Handle, ConnectError> {
    let failed = |error| ConnectError::Io { address: address.clone(), error };
    let limit = options.connect_timeout();
    let late = |_| {
        let text = format!("nobody answered within {limit:?}");
        failed(io::Error::new(io::ErrorKind::TimedOut, text))
    };
    match address {
        Address::Tcp { host, port } => {
            let connecting = TcpStream::connect((host.as_str(), *port));
            let stream = timeout(limit, connecting).await.map_err(late)?.map_err(failed)?;
            let endpoints = tcp_endpoints(&stream);
            make(stream, endpoints, Role::Client, options).await
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let connecting = tokio::net::UnixStream::connect(path);
            let stream = timeout(limit, connecting).await.map_err(late)?.map_err(failed)?;
            let endpoints = Endpoints { local: None, peer: Some(address.clone()) };
            make(stream, endpoints, Role::Client, options).await
        }
        _ => Err(failed(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
    }
}

/// The client's side over any transport.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn connect_io<T, V>(io: T, options: &V) -> Result<V::Handle, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    V: Service,
{
    make(io, Endpoints::default(), Role::Client, options).await
}

/// The server's side over any transport, for who accepts connections himself.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn accept_io<T, V>(io: T, options: &V) -> Result<V::Handle, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    V: Service,
{
    make(io, Endpoints::default(), Role::Server, options).await
}

async fn make<T, V>(io: T, endpoints: Endpoints, role: Role, options: &V) -> Result<V::Handle, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    V: Service,
{
    let seed = heartwire_std::seed::seed().map_err(ConnectError::Seed)?;
    let (commands, events) = spawn(io, endpoints, |now| options.machine(role, &seed, now));
    V::establish(commands, events).await.map_err(ConnectError::Handshake)
}

/// Puts a machine on a connection, and spawns its driver.
pub(crate) fn spawn<T, P>(
    io: T,
    endpoints: Endpoints,
    make: impl FnOnce(Instant) -> P,
) -> (Commands<P>, Events<P>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    P: Protocol<Event: Send> + Send + 'static,
{
    let (commands, events, driver) = start(Io(io), Sleep::default(), endpoints, make);
    tokio::spawn(driver);
    (commands, events)
}

pub(crate) fn tcp_endpoints(stream: &TcpStream) -> Endpoints {
    // Small frames must not wait for acknowledgements; that it fails is no reason to fail.
    let _ = stream.set_nodelay(true);
    Endpoints {
        local: stream.local_addr().ok().map(Into::into),
        peer: stream.peer_addr().ok().map(Into::into),
    }
}
