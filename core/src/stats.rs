//! What is known of a session while it lives.

use crate::time::Instant;

/// Counters of one session. Bytes are those on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Since when there is this connection.
    pub since: Instant,
    /// When bytes last arrived.
    pub last_heard: Instant,
    /// Bytes received.
    pub bytes_received: u64,
    /// Bytes that the transport took.
    pub bytes_sent: u64,
    /// Frames received that passed every check of the wire.
    pub frames_received: u64,
    /// Frames encoded.
    pub frames_sent: u64,
    /// Messages received whole.
    pub messages_received: u64,
    /// Messages that the transport took whole.
    pub messages_sent: u64,
}

impl Stats {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            since: now,
            last_heard: now,
            bytes_received: 0,
            bytes_sent: 0,
            frames_received: 0,
            frames_sent: 0,
            messages_received: 0,
            messages_sent: 0,
        }
    }
}
