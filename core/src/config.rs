//! Limits and intervals: one [`Config`], finite by default, checked when built.

use core::fmt;
use core::time::Duration;

use crate::wire::envelope::FrameLimits;

/// How large messages reach the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receive {
    /// Gathered and handed over whole, within [`Config::message_limit`] of memory.
    Whole,
    /// Piece by piece as they arrive, in memory that does not grow with the message.
    Pieces,
}

/// The largest integer the wire carries: 2⁵³ − 1.
pub const MAX_WIRE_INTEGER: u64 = (1 << 53) - 1;

macro_rules! config {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $min:expr, $max:expr;)+) => {
        /// Every limit and interval of a session. There is no value that means "unlimited".
        ///
        /// ```
        /// use core::time::Duration;
        /// use heartwire_core::config::Config;
        ///
        /// let config = Config::builder().heartbeat_interval(Duration::from_secs(1)).build()?;
        /// assert_eq!(config.heartbeat_interval(), Duration::from_secs(1));
        /// assert_eq!(config.silence_timeout(), Duration::from_secs(30));
        /// # Ok::<(), heartwire_core::config::ConfigError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Config { receive: Receive, accept_chunks: bool, $($name: $type,)+ }

        impl Default for Config {
            fn default() -> Self {
                Self { receive: Receive::Whole, accept_chunks: true, $($name: $default,)+ }
            }
        }

        impl Config {
            /// The defaults, to be changed one by one.
            #[must_use]
            pub fn builder() -> ConfigBuilder {
                ConfigBuilder(Self::default())
            }

            /// How large messages reach the application: whole by default.
            #[must_use]
            pub fn receive(&self) -> Receive {
                self.receive
            }

            /// Whether the peer is told that it may send large messages in chunks: true by default.
            #[must_use]
            pub fn accept_chunks(&self) -> bool {
                self.accept_chunks
            }

            $($(#[$doc])* #[must_use] pub fn $name(&self) -> $type { self.$name })+
        }

        /// Builds a [`Config`], starting from the defaults.
        #[derive(Clone, Debug)]
        pub struct ConfigBuilder(Config);

        impl ConfigBuilder {
            /// How large messages reach the application: whole by default.
            #[must_use]
            pub fn receive(mut self, receive: Receive) -> Self {
                self.0.receive = receive;
                self
            }

            /// Whether the peer is told that it may send large messages in chunks: true by default.
            #[must_use]
            pub fn accept_chunks(mut self, accept: bool) -> Self {
                self.0.accept_chunks = accept;
                self
            }

            $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $type) -> Self {
                self.0.$name = value;
                self
            })+

            /// The configuration, if every value is in its range and they fit one another.
            ///
            /// # Errors
            ///
            /// [`ConfigError`] names the value that does not fit, and what would.
            pub fn build(self) -> Result<Config, ConfigError> {
                let config = self.0;
                $(if config.$name < $min || config.$name > $max {
                    return Err(ConfigError {
                        name: stringify!($name),
                        reason: alloc::format!("{:?} is not between {:?} and {:?}", config.$name, $min, $max),
                    });
                })+
                config.check()
            }
        }
    };
}

const MS: Duration = Duration::from_millis(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

config! {
    /// The largest content of a frame accepted, in bytes: 10 MiB by default, the most there is.
    /// Below that, frames are refused that the protocol allows; heartwire's own hold 64 KiB at most,
    /// towards a peer that takes chunks.
    content_limit: usize = FrameLimits::PROTOCOL.content, 64 * 1024, FrameLimits::PROTOCOL.content;
    /// The largest header and content accepted before the handshake is done, in bytes each: 4 KiB by default.
    handshake_frame_limit: usize = 4096, 1024, FrameLimits::PROTOCOL.header;
    /// The largest message accepted, in bytes: 64 MiB by default. For messages gathered whole it is
    /// one budget over all unfinished ones of the session. It is announced to the peer.
    message_limit: u64 = 64 * 1024 * 1024, 1, MAX_WIRE_INTEGER;
    /// How many messages the peer may have begun and not ended: 8 by default. It is announced to the peer.
    unfinished_limit: usize = 8, 1, 1024;
    /// Queued output, in bytes: 1 MiB by default. A message is accepted while the queue is below
    /// it, so it is passed by one message at most. A large message that passes it is not counted for the
    /// small ones behind it, which shall not wait for it.
    queued_output: usize = 1024 * 1024, 1, usize::MAX / 4;
    /// Queued events: 256 by default. At this number, or at `queued_event_bytes`, reading pauses.
    queued_events: usize = 256, 1, 1 << 20;
    /// Bytes in queued events: 1 MiB by default, passed by one event at most.
    queued_event_bytes: usize = 1024 * 1024, 1, usize::MAX / 4;
    /// Messages above this size, in bytes, are sent in chunks of it: 8 KiB by default. Heartbeats and
    /// small messages wait behind a few chunks at most.
    chunk_size: usize = 8 * 1024, 1, 64 * 1024;
    /// The time between heartbeats: 5 s by default.
    heartbeat_interval: Duration = Duration::from_secs(5), MS, YEAR;
    /// How long nothing at all may be received: 30 s by default.
    silence_timeout: Duration = Duration::from_secs(30), MS, YEAR;
    /// How long output may wait without a byte leaving while we do not read either, so that the peer's
    /// silence tells nothing: 2 min by default.
    stall_timeout: Duration = Duration::from_secs(120), MS, YEAR;
    /// The time the handshake may take, in all: 10 s by default.
    handshake_timeout: Duration = Duration::from_secs(10), MS, YEAR;
    /// The time in which a frame that has begun must grow by `progress_bytes`, or end: 10 s by default.
    progress_timeout: Duration = Duration::from_secs(10), MS, YEAR;
    /// See `progress_timeout`, in bytes: 4 KiB by default.
    progress_bytes: usize = 4096, 1, 10 * 1024 * 1024;
    /// The time the last frame has to leave: 2 s by default. Messages queued before it must move by
    /// `progress_bytes` in that time.
    flush_timeout: Duration = Duration::from_secs(2), MS, YEAR;
    /// How long the peer's end of stream is awaited after the goodbye: 2 s by default.
    drain_timeout: Duration = Duration::from_secs(2), MS, YEAR;
    /// How many bytes are read and discarded after the goodbye: 64 KiB by default. The connection stays
    /// until the end of `drain_timeout` then, or an early end would destroy the goodbye.
    drain_bytes: usize = 64 * 1024, 1, 1 << 30;
}

impl Config {
    fn check(self) -> Result<Self, ConfigError> {
        let clash = |name, reason: &str| Err(ConfigError { name, reason: reason.into() });
        if self.silence_timeout <= self.heartbeat_interval {
            return clash(
                "silence_timeout",
                "it must be longer than heartbeat_interval, or healthy peers are cut",
            );
        }
        if self.receive == Receive::Whole && usize::try_from(self.message_limit).is_err() {
            return clash("message_limit", "messages received whole must fit into memory");
        }
        Ok(self)
    }
}

/// A configuration that can't be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    name: &'static str,
    reason: alloc::string::String,
}

impl ConfigError {
    /// The name of the value that does not fit.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl core::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::builder().build(), Ok(Config::default()));
    }

    #[test]
    fn a_value_out_of_range_is_named_with_its_range() {
        let error = Config::builder().unfinished_limit(0).build().unwrap_err();
        assert_eq!(error.to_string(), "unfinished_limit: 0 is not between 1 and 1024");
        let error = Config::builder().silence_timeout(Duration::from_secs(5)).build().unwrap_err();
        assert_eq!(error.name(), "silence_timeout");
    }
}
