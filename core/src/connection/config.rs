//! Limits and timeouts of a connection without a session.

use core::time::Duration;

use crate::config::{ConfigError, MS, YEAR, config, in_range};
use crate::rate::Rate;

config! {
    /// Every limit and timeout of a connection without a session. What its protocol limits (a line, a
    /// packet, a message) stands in the codec's settings.
    ///
    /// ```
    /// use core::time::Duration;
    /// use heartwire_core::connection::Config;
    ///
    /// let config = Config::builder().idle_timeout(Some(Duration::from_secs(30))).build()?;
    /// assert_eq!(config.progress_timeout(), None);
    /// # Ok::<(), heartwire_core::config::ConfigError>(())
    /// ```
    Config, ConfigBuilder;
    plain {
        /// How long nothing at all may be received or sent; none by default. It stands still while we do not read
        /// (the application is behind or owes an answer, a rate is used up) and nothing waits to be sent.
        idle_timeout: Option<Duration> = None;
        /// The time in which something that has begun must grow by `progress_bytes`, or end; none by default.
        progress_timeout: Option<Duration> = None;
        /// How many messages are received a second, and at once; none by default: as many as come. Above it reading
        /// pauses. A message counts when it ends.
        message_rate: Option<Rate> = None;
        /// How many bytes are received a second, and at once; none by default: as many as come. Above it reading
        /// pauses. Bytes are those on the wire.
        byte_rate: Option<Rate> = None;
        /// Whether the end of our stream tells the peer that everything it sent was dealt with: false by default. For
        /// who receives in a protocol that has no other acknowledgement, as files with JSON headers.
        ///
        /// With it our stream ends only because the application [finishes](super::Command::Finish) or
        /// [closes](super::Command::Close), which it does when it has dealt with everything; or because the peer's own is
        /// refused or cut short, after which there is nothing left to confirm. Whatever else ends the connection (a time
        /// that runs out, a dropped handle, a newcomer too many) ends it at once: nothing that is queued leaves, and
        /// [`told`](super::Ended::told) is false. [`Stop`](super::Command::Stop) waits for the application.
        ///
        /// The machine can't keep a transport from ending the stream when it is dropped. heartwire's adapters have TCP
        /// connections that they accept or make themselves, those under TLS too, reset instead, also when the process
        /// is killed; that takes one more file descriptor for each. Unix sockets have no reset: there they write the
        /// byte `0xff` before the stream ends, which no protocol begins with. That is not done for a process that is
        /// killed: over a Unix socket it can't be told from one that has confirmed. Nor is a transport covered that the
        /// application made itself.
        end_confirms: bool = false;
    }
    ranged {
        /// See `progress_timeout`, and `flush_timeout`, in bytes: 4 KiB by default.
        progress_bytes: usize = 4096, 1, 10 * 1024 * 1024;
        /// Queued output, in bytes: 1 MiB by default. A message is accepted while the queue is below it, so it is
        /// passed by one message at most.
        queued_output: usize = 1024 * 1024, 1, usize::MAX / 4;
        /// Queued events: 256 by default. At this number, or at `queued_event_bytes`, reading pauses.
        queued_events: usize = 256, 1, 1 << 20;
        /// Bytes in queued events: 1 MiB by default, passed by one event at most.
        queued_event_bytes: usize = 1024 * 1024, 1, usize::MAX / 4;
        /// The time in which what is queued must move by `progress_bytes`, or be gone, when the connection is
        /// closing: 2 s by default.
        flush_timeout: Duration = Duration::from_secs(2), MS, YEAR;
        /// How long the peer's end of stream is awaited then: 2 s by default.
        drain_timeout: Duration = Duration::from_secs(2), MS, YEAR;
        /// How many bytes are read and discarded meanwhile: 64 KiB by default. The connection stays until the end
        /// of `drain_timeout` then, or an early end would destroy what was sent last.
        drain_bytes: usize = 64 * 1024, 1, 1 << 30;
    }
}

impl Config {
    fn check(self) -> Result<Self, ConfigError> {
        let times = [("idle_timeout", self.idle_timeout), ("progress_timeout", self.progress_timeout)];
        for (name, time) in times {
            if let Some(time) = time {
                in_range(name, &time, &MS, &YEAR)?;
            }
        }
        Ok(self)
    }
}
