//! Sessions over one connection.

use std::io;

use heartwire_core::session as core;
use heartwire_std::address::Address;
use heartwire_std::handle::{Commands, Endpoints, Events, start};
use heartwire_std::session::{ConnectError, Session, establish};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::driver::{Io, Sleep};
use crate::options::Options;

/// Connects to `address`, and makes a session: the client's side.
///
/// Making the connection and the handshake may take the handshake timeout each.
///
/// # Errors
///
/// [`ConnectError`]: nobody answered, or the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn connect(address: &Address, options: &Options) -> Result<Session, ConnectError> {
    let failed = |error| ConnectError::Io { address: address.clone(), error };
    let limit = options.config.handshake_timeout();
    let late = |_| {
        let text = format!("nobody answered within {limit:?}");
        failed(io::Error::new(io::ErrorKind::TimedOut, text))
    };
    match address {
        Address::Tcp { host, port } => {
            let connecting = TcpStream::connect((host.as_str(), *port));
            let stream = timeout(limit, connecting).await.map_err(late)?.map_err(failed)?;
            let endpoints = tcp_endpoints(&stream);
            make_client(stream, endpoints, options).await
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let connecting = tokio::net::UnixStream::connect(path);
            let stream = timeout(limit, connecting).await.map_err(late)?.map_err(failed)?;
            let endpoints = Endpoints { local: None, peer: Some(address.clone()) };
            make_client(stream, endpoints, options).await
        }
        _ => Err(failed(io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
    }
}

/// Makes a session over any connection: the client's side.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn connect_io<T>(io: T, options: &Options) -> Result<Session, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    make_client(io, Endpoints::default(), options).await
}

/// Makes a session over any connection: the server's side, for who accepts connections himself.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn accept_io<T>(io: T, options: &Options) -> Result<Session, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let seed = heartwire_std::seed::seed().map_err(ConnectError::Seed)?;
    let (commands, events) = spawn(io, Endpoints::default(), |now| {
        core::Session::server(options.config.clone(), options.keys.clone(), &seed, now)
    });
    establish(commands, events).await.map_err(ConnectError::Handshake)
}

async fn make_client<T>(io: T, endpoints: Endpoints, options: &Options) -> Result<Session, ConnectError>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (commands, events) =
        spawn(io, endpoints, |now| core::Session::client(options.config.clone(), options.keys.clone(), now));
    establish(commands, events).await.map_err(ConnectError::Handshake)
}

/// Puts a machine on a connection, and spawns its driver.
pub(crate) fn spawn<T>(
    io: T,
    endpoints: Endpoints,
    make: impl FnOnce(heartwire_core::time::Instant) -> core::Session,
) -> (Commands<core::Session>, Events<core::Session>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
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
