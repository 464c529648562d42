//! What stands still and what has run out.

use alloc::format;

use super::Session;
use crate::closing::Ending;
use crate::ended::EndedBy;
use crate::error::{Code, Error};
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::Protection;

impl<P: Protection> Session<P> {
    /// Notes whether we read, and what stands still while we do not.
    pub(super) fn settle(&mut self, now: Instant) {
        let paused = self.connection.throttle.is_some() && self.is_paused(now);
        let reading = self.has_room() && !paused;
        self.connection.liveness.set_reading(now, reading);
        let stuck = !reading && !paused && !self.connection.write_dead && self.connection.link.pending() > 0;
        match (stuck, self.connection.stall_deadline) {
            (true, None) => self.connection.stall_deadline = Some(now + self.config.stall_timeout()),
            (false, Some(_)) => self.connection.stall_deadline = None,
            _ => {}
        }
        self.advance_ending(now);
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if passed(self.connection.handshake_deadline) {
            self.connection.handshake_deadline = None;
            let detail = format!("the handshake was not done in {:?}", self.config.handshake_timeout());
            self.fail(now, &Error::new(Code::HandshakeTimeout, detail));
        } else if self.connection.closing.expired(now) {
            self.expire_closing(now);
        } else if passed(self.connection.stall_deadline) {
            self.connection.stall_deadline = None;
            let detail =
                format!("output waited for {:?} without a byte leaving", self.config.stall_timeout());
            self.fail(now, &Error::new(Code::TooSlow, detail));
        } else if self.awaits_peer() {
            if let Some(error) = self.connection.liveness.expired(now) {
                self.fail(now, &error);
            }
        }
        self.connection.heartbeat.handle_timeout(now);
    }

    pub(super) fn expire_closing(&mut self, now: Instant) {
        let state = self.connection.state;
        if self.connection.write_dead && state.understands() && (!self.has_room() || self.is_throttled()) {
            // The application has not taken what came before, or may not yet: the peer's reason may be behind it.
            self.connection.closing.begin_drain(now);
        } else if state == State::AwaitAck {
            let reason = self.connection.close_reason.take().unwrap_or_default();
            self.end(Ending::new(EndedBy::Local, Code::Disconnected, reason), false);
        } else if self.connection.write_dead {
            self.end(Ending::new(EndedBy::Transport, Code::TransportFailed, ""), false);
        } else {
            self.end(Ending::new(EndedBy::Local, Code::Disconnected, ""), false);
        }
    }
}
