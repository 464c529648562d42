//! What is spoken over a connection, and within which limits: all that connecting and serving have to know of a
//! protocol, on any runtime.

use std::future::Future;
use std::time::Duration;

use heartwire_core::error::Error;
use heartwire_core::protocol::Protocol;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::server::{Limits, Unit};
use heartwire_core::session::Ended;
use heartwire_core::time::Instant;

use crate::handle::{Commands, Events};

/// A protocol with its options, on either side: [`Options`](crate::options::Options) for sessions,
/// [`ConnectionOptions`](crate::options::ConnectionOptions) for the protocols without one.
pub trait Service: Clone + Send + Sync + 'static {
    /// The machine of one connection.
    type Machine: Protocol<Command: Send, Event: Send> + Send + 'static;
    /// What the application gets of a connection.
    type Handle: Send + 'static;

    /// What a server holds. Sessions begin with a handshake; a connection without one counts from the start.
    const UNIT: Unit;

    /// How many of them it holds.
    fn limits(&self) -> Limits;

    /// How long the stop of a server may take.
    fn grace(&self) -> Duration;

    /// How long making a connection may take.
    fn connect_timeout(&self) -> Duration;

    /// Whether the end of our stream tells the peer that everything it sent was dealt with. A TCP connection is reset
    /// then where it is not ended in order.
    fn end_confirms(&self) -> bool {
        false
    }

    /// A machine for a connection that is there.
    fn machine(&self, role: Role, seed: &Seed, now: Instant) -> Self::Machine;

    /// A machine that turns a newcomer away.
    fn refusing(&self, error: &Error, seed: &Seed, now: Instant) -> Self::Machine;

    /// What closes a connection when its server stops.
    fn goodbye() -> <Self::Machine as Protocol>::Command;

    /// What ends a connection for this reason.
    fn fail(error: &Error) -> <Self::Machine as Protocol>::Command;

    /// Waits until the connection can be used.
    ///
    /// # Errors
    ///
    /// How it ended instead.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handles, and with them the connection.
    fn establish(
        commands: Commands<Self::Machine>,
        events: Events<Self::Machine>,
    ) -> impl Future<Output = Result<Self::Handle, Box<Ended>>> + Send;
}
