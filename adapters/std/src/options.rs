//! What connections and servers are made with.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::connection as core_connection;
use heartwire_core::error::Error;
use heartwire_core::key::Keys;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::server::{Limits, Unit};
use heartwire_core::session::{self as core, Command, Ended};
use heartwire_core::time::Instant;
use heartwire_core::wire::codec::Codec;

use crate::connection::Connection;
use crate::handle::{Commands, Events};
use crate::service::Service;
use crate::session::{Session, establish};

/// What a stopping server says.
const GOODBYE: &str = "Server shutting down";
/// How long a stop may take, by default.
const GRACE: Duration = Duration::from_secs(3);
/// How long making a connection may take, by default.
const CONNECT: Duration = Duration::from_secs(10);

/// For sessions: keys, limits and intervals. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Options {
    keys: Keys,
    config: Arc<Config>,
    limits: Limits,
    grace: Duration,
}

impl Options {
    /// These keys, and the defaults for everything else.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys, config: Arc::default(), limits: Limits::default(), grace: GRACE }
    }

    /// The limits and intervals of each session.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// For a server: how many sessions and handshakes it holds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// For a server: how long a stop may take before what is left is cut, 3 s by default.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }
}

impl Service for Options {
    type Machine = core::Session;
    type Handle = Session;

    const UNIT: Unit = Unit::Session;

    fn limits(&self) -> Limits {
        self.limits
    }

    fn grace(&self) -> Duration {
        self.grace
    }

    fn connect_timeout(&self) -> Duration {
        self.config.handshake_timeout()
    }

    fn machine(&self, role: Role, seed: &Seed, now: Instant) -> core::Session {
        let (config, keys) = (self.config.clone(), self.keys.clone());
        match role {
            Role::Client => core::Session::client(config, keys, now),
            Role::Server => core::Session::server(config, keys, seed, now),
        }
    }

    fn refusing(&self, error: &Error, _: &Seed, now: Instant) -> core::Session {
        core::Session::refusing(self.config.clone(), self.keys.clone(), error, now)
    }

    fn goodbye() -> Command {
        Command::Close { reason: Some(GOODBYE.into()) }
    }

    fn fail(error: &Error) -> Command {
        Command::Fail { code: error.code(), detail: error.detail().into() }
    }

    fn establish(
        commands: Commands<core::Session>,
        events: Events<core::Session>,
    ) -> impl Future<Output = Result<Session, Box<Ended>>> + Send {
        establish(commands, events)
    }
}

/// For a protocol without a session: the codec's settings, limits and timeouts. Cloning is cheap.
pub struct ConnectionOptions<C: Codec> {
    settings: C::Settings,
    config: Arc<core_connection::Config>,
    limits: Limits,
    grace: Duration,
    connect_timeout: Duration,
}

impl<C: Codec> ConnectionOptions<C> {
    /// These settings, and the defaults for everything else.
    #[must_use]
    pub fn new(settings: C::Settings) -> Self {
        Self {
            settings,
            config: Arc::default(),
            limits: Limits::default(),
            grace: GRACE,
            connect_timeout: CONNECT,
        }
    }

    /// The limits and timeouts of each connection.
    #[must_use]
    pub fn config(mut self, config: impl Into<Arc<core_connection::Config>>) -> Self {
        self.config = config.into();
        self
    }

    /// For a server: how many connections it holds (its limit of sessions; there are no handshakes). Those above
    /// are closed without a word.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// For a server: how long a stop may take before what is left is cut, 3 s by default.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// For a client: how long making a connection may take, 10 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }
}

impl<C: Codec> Clone for ConnectionOptions<C> {
    fn clone(&self) -> Self {
        Self { settings: self.settings.clone(), config: Arc::clone(&self.config), ..*self }
    }
}

impl<C: Codec> fmt::Debug for ConnectionOptions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionOptions").field("config", &self.config).finish_non_exhaustive()
    }
}

impl<C: Codec> Service for ConnectionOptions<C> {
    type Machine = core_connection::Connection<C>;
    type Handle = Connection<C>;

    const UNIT: Unit = Unit::Connection;

    fn limits(&self) -> Limits {
        self.limits
    }

    fn grace(&self) -> Duration {
        self.grace
    }

    fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    fn end_confirms(&self) -> bool {
        self.config.end_confirms()
    }

    fn machine(&self, role: Role, seed: &Seed, now: Instant) -> Self::Machine {
        core_connection::Connection::new(Arc::clone(&self.config), &self.settings, role, seed, now)
    }

    fn refusing(&self, error: &Error, seed: &Seed, now: Instant) -> Self::Machine {
        core_connection::Connection::refusing(Arc::clone(&self.config), &self.settings, seed, error, now)
    }

    fn goodbye() -> core_connection::CommandOf<C> {
        core_connection::Command::Stop
    }

    fn fail(error: &Error) -> core_connection::CommandOf<C> {
        core_connection::Command::Fail { code: error.code(), detail: error.detail().into() }
    }

    async fn establish(
        commands: Commands<Self::Machine>,
        events: Events<Self::Machine>,
    ) -> Result<Connection<C>, Box<Ended>> {
        Ok(Connection::new(commands, events))
    }
}
