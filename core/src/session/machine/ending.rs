//! The way from a goodbye, a refusal or a cut to the last event.

use alloc::string::String;

use super::{ENCODE_AHEAD, Session};
use crate::closing::Ending;
use crate::ended::{Ended, EndedBy};
use crate::error::{Code, Error};
use crate::message::ContentType;
use crate::protocol::Outcome;
use crate::session::event::Event;
use crate::session::goodbye;
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::{Header, Kind, Protection};

impl<P: Protection> Session<P> {
    /// We close: what is queued leaves first, then our `disconnect`.
    pub(super) fn finish(&mut self, now: Instant, reason: String) {
        self.connection.state = State::Finishing;
        self.connection.ending = Some(Ending::new(EndedBy::Local, Code::Disconnected, reason));
        let given_up = self.conversation.outbox.abandon_open_streams();
        self.conversation.given_up.extend(given_up);
        self.connection.closing.extend_flush(now);
        self.connection.flush_mark = self.connection.link.taken();
    }

    /// The peer said its last frame: it gets no answer, only our half of the close.
    pub(super) fn leave(&mut self, now: Instant, ending: Ending) {
        self.begin_flush(now, ending, false);
    }

    /// Something is refused: the session ends with an `error` frame, unless a goodbye was said already.
    pub(super) fn fail(&mut self, now: Instant, error: &Error) {
        let state = self.connection.state;
        if !state.understands() {
            return;
        }
        let ending = Ending::new(EndedBy::Local, error.code(), error.detail());
        let said = matches!(state, State::Flushing { .. });
        // A server that was not answered yet says nothing after its init; that it was is seen from
        // what it received.
        let mute = state == State::AwaitAck
            && self.conversation.session_id.is_some()
            && self.conversation.stats.bytes_received == 0;
        if !said && !mute {
            let header = Header {
                kind: Kind::Error { code: Some(error.code().as_str().into()) },
                content_type: ContentType::PLAIN,
                session_id: self.conversation.session_id.clone(),
            };
            self.send_frame(&header, &goodbye::error_content(error), false);
        }
        self.begin_flush(now, ending, false);
    }

    /// The last frame is encoded, or there is none.
    pub(super) fn begin_flush(&mut self, now: Instant, ending: Ending, open: bool) {
        self.connection.state = State::Flushing { open };
        self.connection.ending = Some(ending);
        self.connection.heartbeat.stop();
        self.connection.handshake_deadline = None;
        self.connection.close_reason = None;
        self.connection.closing.extend_flush(now);
    }

    /// Goes on with the ending as far as it can go now.
    #[inline]
    pub(super) fn advance_ending(&mut self, now: Instant) {
        // As it mostly is: nothing ends.
        if !matches!(self.connection.state, State::Established) || self.connection.write_dead {
            self.advance_begun_ending(now);
        }
    }

    fn advance_begun_ending(&mut self, now: Instant) {
        if self.connection.write_dead {
            // The goodbye can't leave; what the peer said before is still understood.
            if matches!(self.connection.state, State::Flushing { open: false }) {
                self.end(Ending::new(EndedBy::Transport, Code::TransportFailed, ""), false);
            }
            return;
        }
        if self.connection.state == State::Finishing
            && self.conversation.outbox.is_empty()
            && self.connection.link.pending() < ENCODE_AHEAD
        {
            let ending = self.connection.ending.take();
            let ending =
                ending.unwrap_or_else(|| Ending::new(EndedBy::Local, Code::Disconnected, String::new()));
            let header = Header {
                kind: Kind::Disconnect,
                content_type: ContentType::JSON,
                session_id: self.conversation.session_id.clone(),
            };
            self.send_frame(&header, &goodbye::disconnect_content(&ending.detail), false);
            self.begin_flush(now, ending, true);
        }
        if matches!(self.connection.state, State::Flushing { .. }) && self.connection.link.pending() == 0 {
            self.tell_end(true);
            if self.connection.eof.is_some() {
                self.cut();
            } else {
                self.connection.state = State::Draining;
                self.connection.closing.begin_drain(now);
            }
        }
    }

    /// Ends without waiting for anything. What was known of the end before stays the reason.
    pub(super) fn end(&mut self, ending: Ending, told: bool) {
        if self.connection.ending.is_none() {
            self.connection.ending = Some(ending);
        }
        self.tell_end(told);
        self.cut();
    }

    /// The last event, once: what comes after it changes nothing about how it ended.
    pub(super) fn tell_end(&mut self, told: bool) {
        if self.connection.outcome.is_some() {
            return;
        }
        let Some(Ending { by, code, detail }) = self.connection.ending.take() else { return };
        let mut unsent = core::mem::take(&mut self.conversation.given_up);
        unsent.extend(self.conversation.outbox.take_unsent());
        unsent.sort_by_key(|unsent| unsent.ticket);
        let in_order = code == Code::Disconnected && (told || by == EndedBy::Peer);
        self.connection.outcome = Some(Outcome { code, in_order, unsent: unsent.len() });
        self.conversation.inbox.push(Event::Ended(Ended { by, code, detail, told, unsent }));
    }

    pub(super) fn cut(&mut self) {
        self.connection.state = State::Ended;
        self.connection.closing.finish();
        self.connection.heartbeat.stop();
        self.connection.handshake_deadline = None;
        self.connection.stall_deadline = None;
    }
}
