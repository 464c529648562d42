//! What a session or a server is made with.

use std::sync::Arc;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::key::Keys;
use heartwire_core::server::Limits;

/// Keys, limits and intervals. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) keys: Keys,
    pub(crate) config: Arc<Config>,
    pub(crate) limits: Limits,
    pub(crate) grace: Duration,
}

impl Options {
    /// These keys, and the defaults for everything else.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { keys, config: Arc::default(), limits: Limits::default(), grace: Duration::from_secs(3) }
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
