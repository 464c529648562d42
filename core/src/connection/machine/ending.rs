//! What stands still and what has run out, and the way to the last event.

use alloc::format;

use super::{Connection, ENCODE_AHEAD, State};
use crate::closing::Ending;
use crate::connection::event::Event;
use crate::ended::{Ended, EndedBy};
use crate::error::{Code, Error};
use crate::protocol::Outcome;
use crate::time::Instant;
use crate::wire::codec::Codec;

impl<C: Codec> Connection<C> {
    /// Encodes what is queued, until enough waits for the transport.
    pub(super) fn encode(&mut self, now: Instant) {
        if self.write_dead || !self.state.encodes() {
            return;
        }
        match self.outbox.encode(&mut self.codec, ENCODE_AHEAD) {
            Ok(whole) => self.stats.messages_sent = self.stats.messages_sent.saturating_add(whole as u64),
            Err(error) => self.refuse(now, &error),
        }
    }

    /// Closes if that was asked for and no answer is owed, or none can be given.
    fn stop_if_answered(&mut self, now: Instant) {
        if !self.stopping || self.state.is_closing() || self.write_dead || self.owes() {
            return;
        }
        if self.state != State::Open || !self.config.end_confirms() {
            self.close(now);
        } else if self.stats.bytes_received == 0 {
            self.stop_unheard(now);
        }
    }

    /// Nothing was received. Something may be on its way, though, and the end of our stream would confirm that.
    fn stop_unheard(&mut self, now: Instant) {
        if self.eof.is_some() {
            self.close(now);
        } else {
            let detail = "this side stopped before anything was received";
            self.end(Ending::new(EndedBy::Local, Code::Aborted, detail), false);
        }
    }

    /// Notes whether we read, and what stands still while we do not; goes on with the ending as far as it can.
    pub(super) fn settle(&mut self, now: Instant) {
        self.stop_if_answered(now);
        let paused = self.throttle.is_some() && self.is_paused(now);
        let reading = self.is_reading() && !paused;
        self.liveness.set_reading(now, reading);
        let unheard = !paused && (!reading || self.eof.is_some());
        let writes = !self.write_dead && self.state != State::Ended;
        let stuck = unheard && writes && self.outbox.transmit().pending() > 0;
        match (stuck, self.stall_deadline, self.config.idle_timeout()) {
            (true, None, Some(idle)) => self.stall_deadline = Some(now + idle),
            (false, Some(_), _) => self.stall_deadline = None,
            _ => {}
        }
        self.advance(now);
    }

    fn advance(&mut self, now: Instant) {
        if self.write_dead {
            // Nothing can leave; what the peer sent before is still understood.
            if self.peer_finished || !self.state.understands() {
                self.end(Ending::new(EndedBy::Transport, Code::TransportFailed, ""), false);
            }
            return;
        }
        match self.state {
            State::Finishing if self.outbox.is_empty() => {
                self.state = State::Finished;
                self.advance(now);
            }
            State::Finished if self.peer_finished => {
                let ending = in_order(!self.finished_first);
                self.end(ending, true);
            }
            State::Closing { heard } => {
                let left = if heard { self.outbox.is_empty() } else { self.outbox.transmit().pending() == 0 };
                if left {
                    self.tell_end(true);
                    if self.eof.is_some() {
                        self.cut();
                    } else {
                        self.state = State::Draining;
                        self.closing.begin_drain(now);
                    }
                }
            }
            _ => {}
        }
    }

    /// We close: what is queued leaves first.
    pub(super) fn close(&mut self, now: Instant) {
        self.outbox.give_up_open();
        let ending = in_order(self.peer_finished);
        self.begin_closing(now, ending, true);
    }

    /// Something has run out, or can't go on: the connection ends without a word about it.
    pub(super) fn refuse(&mut self, now: Instant, error: &Error) {
        if !self.state.understands() {
            return;
        }
        if self.config.end_confirms() {
            // The end of our stream would say that everything was dealt with.
            let ending = self.refusal(error);
            self.ending = None;
            self.end(ending, false);
        } else {
            self.refuse_input(now, error);
        }
    }

    /// What arrived is refused: the connection ends without a word about it. Who sent that is not at the end of what it
    /// had to send, and takes the end of our stream for nothing else.
    pub(super) fn refuse_input(&mut self, now: Instant, error: &Error) {
        if self.state.understands() {
            let ending = self.refusal(error);
            self.begin_closing(now, ending, false);
        }
    }

    fn refusal(&mut self, error: &Error) -> Ending {
        // Where writing failed, that is why it ends, whatever was still to be read.
        let known = if self.write_dead { self.ending.take() } else { None };
        known.unwrap_or_else(|| Ending::new(EndedBy::Local, error.code(), error.detail()))
    }

    fn begin_closing(&mut self, now: Instant, ending: Ending, heard: bool) {
        self.state = State::Closing { heard };
        self.ending = Some(ending);
        self.closing.extend_flush(now);
        self.flush_mark = self.outbox.transmit().taken();
    }

    pub(super) fn expire(&mut self, now: Instant) {
        if self.closing.expired(now) {
            self.expire_closing(now);
        } else if self.stall_deadline.is_some_and(|deadline| deadline <= now) {
            self.stall_deadline = None;
            let idle = self.config.idle_timeout().unwrap_or_default();
            let detail = format!("output waited for {idle:?} without a byte leaving");
            self.refuse(now, &Error::new(Code::TooSlow, detail));
        } else if self.awaits_peer() {
            if let Some(error) = self.liveness.expired(now) {
                self.refuse(now, &error);
            }
        }
    }

    fn expire_closing(&mut self, now: Instant) {
        if self.write_dead && self.state.understands() && (!self.is_reading() || self.is_throttled()) {
            // The application has not taken what came before, or may not yet.
            self.closing.begin_drain(now);
        } else {
            self.end(Ending::new(EndedBy::Local, Code::Disconnected, ""), false);
        }
    }

    /// Ends without waiting for anything. What was known of the end before stays the reason.
    pub(super) fn end(&mut self, ending: Ending, told: bool) {
        if self.ending.is_none() {
            self.ending = Some(ending);
        }
        self.tell_end(told);
        self.cut();
    }

    /// The last event, once: what comes after it changes nothing about how it ended.
    fn tell_end(&mut self, told: bool) {
        if self.outcome.is_some() {
            return;
        }
        let Some(Ending { by, code, detail }) = self.ending.take() else { return };
        let unsent = self.outbox.take_unsent();
        let told = told && unsent.is_empty();
        let in_order = code == Code::Disconnected && told;
        self.outcome = Some(Outcome { code, in_order, unsent: unsent.len() });
        self.inbox.push(Event::Ended(Ended { by, code, detail, told, unsent }));
    }

    pub(super) fn cut(&mut self) {
        self.state = State::Ended;
        self.closing.finish();
        self.stall_deadline = None;
    }
}

/// An end as it should be.
fn in_order(by_peer: bool) -> Ending {
    let (by, detail) = match by_peer {
        true => (EndedBy::Peer, "the end of its stream"),
        false => (EndedBy::Local, "nothing more to send"),
    };
    Ending::new(by, Code::Disconnected, detail)
}
