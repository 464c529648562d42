//! Limits and intervals: one [`Config`], finite by default, checked when built.

use core::fmt;
use core::time::Duration;

use crate::rate::Rate;
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

/// Makes a configuration and its builder: values that may be anything of their type, and values in a range. The
/// configuration has a method `check`, for how they fit one another.
macro_rules! config {
    (
        $(#[$config_doc:meta])* $config:ident, $builder:ident;
        plain { $($(#[$plain_doc:meta])* $plain:ident: $plain_type:ty = $plain_default:expr;)* }
        ranged { $($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, $min:expr, $max:expr;)+ }
    ) => {
        $(#[$config_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $config { $($plain: $plain_type,)* $($name: $type,)+ }

        impl Default for $config {
            fn default() -> Self {
                Self { $($plain: $plain_default,)* $($name: $default,)+ }
            }
        }

        impl $config {
            /// The defaults, to be changed one by one.
            #[must_use]
            pub fn builder() -> $builder {
                $builder(Self::default())
            }

            $($(#[$plain_doc])* #[must_use] pub fn $plain(&self) -> $plain_type { self.$plain })*
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> $type { self.$name })+
        }

        #[doc = concat!("Builds a [`", stringify!($config), "`], starting from the defaults.")]
        #[derive(Clone, Debug)]
        pub struct $builder($config);

        impl $builder {
            $($(#[$plain_doc])* #[must_use] pub fn $plain(mut self, value: $plain_type) -> Self {
                self.0.$plain = value;
                self
            })*

            $($(#[$doc])* #[must_use] pub fn $name(mut self, value: $type) -> Self {
                self.0.$name = value;
                self
            })+

            /// The configuration, if every value is in its range and they fit one another.
            ///
            /// # Errors
            ///
            /// [`ConfigError`] names the value that does not fit, and what would.
            pub fn build(self) -> Result<$config, ConfigError> {
                let config = self.0;
                $($crate::config::in_range(stringify!($name), &config.$name, &$min, &$max)?;)+
                config.check()
            }
        }
    };
}
pub(crate) use config;

/// Whether a value is in its range.
pub(crate) fn in_range<T: PartialOrd + fmt::Debug>(
    name: &'static str,
    value: &T,
    min: &T,
    max: &T,
) -> Result<(), ConfigError> {
    if value < min || value > max {
        let reason = alloc::format!("{value:?} is not between {min:?} and {max:?}");
        return Err(ConfigError { name, reason });
    }
    Ok(())
}

/// The shortest and the longest time that can be configured.
pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

config! {
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
    Config, ConfigBuilder;
    plain {
    /// How large messages reach the application: whole by default.
    receive: Receive = Receive::Whole;
    /// Whether the peer is told that it may send large messages in chunks: true by default.
    accept_chunks: bool = true;
    /// How many messages are received a second, and at once; none by default: as many as come. Above it reading
    /// pauses. A message counts when it ends, also one that is given up.
    message_rate: Option<Rate> = None;
    /// How many bytes are received a second, and at once, once the handshake is done; none by default: as many as
    /// come. Above it reading pauses. Bytes are those on the wire: heartbeats, headers and contents.
    byte_rate: Option<Rate> = None;
    }
    ranged {
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
    /// silence tells nothing: 2 min by default. A pause for a rate is none of it.
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
