//! Connections of any protocol, on any runtime.

use std::future::Future;
use std::io;

use heartwire_core::role::Role;

use crate::address::Address;
use crate::driver::Transport;
use crate::handle::Endpoints;
use crate::reset::ResetGuard;
use crate::runtime::{AsyncRuntime, Drive, Runtime};
use crate::service::Service;
use crate::session::ConnectError;
use crate::sleep::timeout;

/// Connects to `address`: the client's side.
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
pub async fn connect<R: AsyncRuntime, V: Service>(
    address: &Address,
    options: &V,
) -> Result<V::Handle, ConnectError> {
    match address {
        Address::Tcp { host, port } => {
            let stream = in_time::<R, _>(address, options, R::connect_tcp(host, *port)).await?;
            let endpoints = R::tcp_endpoints(&stream);
            let guard = ResetGuard::wanted(options, || R::reset_guard(&stream))
                .map_err(|error| failed(address, error))?;
            make::<R, _, _>(stream, endpoints, guard, Role::Client, options).await
        }
        #[cfg(unix)]
        Address::Unix(path) => {
            let stream = in_time::<R, _>(address, options, R::connect_unix(path)).await?;
            let endpoints = Endpoints { local: None, peer: Some(address.clone()) };
            let guard = ResetGuard::wanted(options, || R::unix_reset_guard(&stream));
            let guard = guard.map_err(|error| failed(address, error))?;
            make::<R, _, _>(stream, endpoints, guard, Role::Client, options).await
        }
        Address::Tls { .. } => Err(failed(address, io::Error::new(io::ErrorKind::Unsupported, NEEDS_TLS))),
        #[allow(unreachable_patterns)]
        _ => Err(failed(address, io::Error::new(io::ErrorKind::Unsupported, "not to be had on this system"))),
    }
}

/// What a `tls://` address needs.
const NEEDS_TLS: &str = "TLS is made by a function of yours; give it to connect_tls";

/// Connects to `tls://HOST:PORT` (or to the same as `tcp://`): `secure` makes TLS, or what else there is, of the TCP
/// connection. It takes its part of the time that making the connection may take.
///
/// # Errors
///
/// As [`connect`]; what `secure` says is a [`ConnectError::Io`].
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn connect_tls<R, V, F, T>(
    address: &Address,
    options: &V,
    secure: impl FnOnce(R::Tcp) -> F,
) -> Result<V::Handle, ConnectError>
where
    R: AsyncRuntime,
    V: Service,
    F: Future<Output = io::Result<T>>,
    T: Transport + Send + Unpin + 'static,
{
    let (Address::Tls { host, port } | Address::Tcp { host, port }) = address else {
        let text = "TLS is made over TCP: give an address that begins with tls://";
        return Err(failed(address, io::Error::new(io::ErrorKind::InvalidInput, text)));
    };
    let connecting = async {
        let stream = R::connect_tcp(host, *port).await?;
        let mut endpoints = R::tcp_endpoints(&stream);
        if matches!(address, Address::Tls { .. }) {
            endpoints = endpoints.into_tls();
        }
        let guard = ResetGuard::wanted(options, || R::reset_guard(&stream))?;
        Ok((secure(stream).await?, endpoints, guard))
    };
    let (transport, endpoints, guard) = in_time::<R, _>(address, options, connecting).await?;
    make::<R, _, _>(transport, endpoints, guard, Role::Client, options).await
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
pub async fn client<R, T, V>(transport: T, options: &V) -> Result<V::Handle, ConnectError>
where
    R: Runtime,
    T: Drive<R>,
    V: Service,
{
    make(transport, Endpoints::default(), None, Role::Client, options).await
}

/// The server's side over any transport.
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn server<R, T, V>(transport: T, options: &V) -> Result<V::Handle, ConnectError>
where
    R: Runtime,
    T: Drive<R>,
    V: Service,
{
    make(transport, Endpoints::default(), None, Role::Server, options).await
}

/// Puts a machine on a transport that leads there, and waits for the handshake, if there is one. `guard`: see
/// [`Drive::drive`].
///
/// # Errors
///
/// [`ConnectError`]: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping the future closes the connection.
pub async fn make<R, T, V>(
    transport: T,
    endpoints: Endpoints,
    guard: Option<ResetGuard>,
    role: Role,
    options: &V,
) -> Result<V::Handle, ConnectError>
where
    R: Runtime,
    T: Drive<R>,
    V: Service,
{
    let seed = crate::seed::seed().map_err(ConnectError::Seed)?;
    let (commands, events) = transport.drive(endpoints, guard, |now| options.machine(role, &seed, now));
    V::establish(commands, events).await.map_err(ConnectError::Handshake)
}

async fn in_time<R: Runtime, T>(
    address: &Address,
    options: &impl Service,
    connecting: impl Future<Output = io::Result<T>>,
) -> Result<T, ConnectError> {
    let limit = options.connect_timeout();
    let done = timeout::<R::Timer, _>(limit, connecting).await;
    let late = || {
        let text = format!("nobody answered within {limit:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    };
    done.unwrap_or_else(late).map_err(|error| failed(address, error))
}

fn failed(address: &Address, error: io::Error) -> ConnectError {
    ConnectError::Io { address: address.clone(), error }
}
