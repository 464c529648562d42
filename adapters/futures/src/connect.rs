//! Connections on any executor: the driver is handed over instead of spawned.

use std::future::Future;
use std::pin::Pin;

use futures_io::{AsyncRead, AsyncWrite};
use heartwire_core::role::Role;
use heartwire_std::driver::{Driver, Timer};
use heartwire_std::handle::{Endpoints, start};
use heartwire_std::service::Service;
use heartwire_std::session::ConnectError;

use crate::Io;

/// The client's side over any transport, by a timer for this connection. Gives what waits for the handshake, if there
/// is one, and the driver, which is to be spawned or awaited beside it: nothing happens without.
///
/// # Errors
///
/// [`ConnectError::Seed`]; later, from the first future: the handshake did not come to its end; it says why.
///
/// # Cancel safety
///
/// Dropping either future closes the connection.
pub fn connect_io<T, S, V>(io: T, timer: S, options: &V) -> Result<Driven<V, T, S>, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Timer + Unpin,
    V: Service,
{
    make(io, timer, Role::Client, options)
}

/// The server's side over any transport. Otherwise as [`connect_io`].
///
/// # Errors
///
/// As those of [`connect_io`].
///
/// # Cancel safety
///
/// Dropping either future closes the connection.
pub fn accept_io<T, S, V>(io: T, timer: S, options: &V) -> Result<Driven<V, T, S>, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Timer + Unpin,
    V: Service,
{
    make(io, timer, Role::Server, options)
}

/// Waits until a connection can be used, and gives its handle.
pub type Establishing<V> = Pin<Box<dyn Future<Output = Result<<V as Service>::Handle, ConnectError>> + Send>>;

/// What waits for the handshake, and the driver that it takes.
pub type Driven<V, T, S> = (Establishing<V>, Driver<<V as Service>::Machine, Io<T>, S>);

fn make<T, S, V>(io: T, timer: S, role: Role, options: &V) -> Result<Driven<V, T, S>, ConnectError>
where
    T: AsyncRead + AsyncWrite + Unpin,
    S: Timer + Unpin,
    V: Service,
{
    let seed = heartwire_std::seed::seed().map_err(ConnectError::Seed)?;
    let machine = |now| options.machine(role, &seed, now);
    let (commands, events, driver) = start(Io(io), timer, Endpoints::default(), machine);
    let establishing = async { V::establish(commands, events).await.map_err(ConnectError::Handshake) };
    Ok((Box::pin(establishing), driver))
}
