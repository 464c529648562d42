//! The end of a connection: what is queued has some time to leave, then our side is closed, and the
//! peer's end of stream is awaited: closing with unread input would reset the connection and destroy
//! the goodbye.

use alloc::string::String;
use core::time::Duration;

use crate::ended::EndedBy;
use crate::error::Code;
use crate::time::Instant;

/// Why it ends, to be told by the last event.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) by: EndedBy,
    pub(crate) code: Code,
    pub(crate) detail: String,
}

impl Ending {
    pub(crate) fn new(by: EndedBy, code: Code, detail: impl Into<String>) -> Self {
        Self { by, code, detail: detail.into() }
    }
}

#[derive(Debug)]
pub(crate) struct Closing {
    flush_timeout: Duration,
    drain_timeout: Duration,
    drain_bytes: usize,
    /// When the connection is cut, with or without the goodbye.
    deadline: Option<Instant>,
    discarded: usize,
}

impl Closing {
    pub(crate) fn new(flush_timeout: Duration, drain_timeout: Duration, drain_bytes: usize) -> Self {
        Self { flush_timeout, drain_timeout, drain_bytes, deadline: None, discarded: 0 }
    }

    /// We are to close, or bytes left while we are: there is time for the next ones.
    pub(crate) fn extend_flush(&mut self, now: Instant) {
        self.deadline = Some(now + self.flush_timeout);
    }

    /// Everything left: the peer's end of stream is awaited.
    pub(crate) fn begin_drain(&mut self, now: Instant) {
        self.deadline = Some(now + self.drain_timeout);
        self.discarded = 0;
    }

    /// Bytes came and were discarded.
    pub(crate) fn handle_discarded(&mut self, n: usize) {
        self.discarded = self.discarded.saturating_add(n);
    }

    /// How much more is read and discarded. When it is nothing, the connection still stays until the
    /// deadline: who sends that much has not read the goodbye yet, and an early end would destroy it.
    pub(crate) fn drain_left(&self) -> usize {
        self.drain_bytes.saturating_sub(self.discarded)
    }

    pub(crate) fn finish(&mut self) {
        self.deadline = None;
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }
}
