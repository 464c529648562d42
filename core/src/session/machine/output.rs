//! What is encoded next.

use bytes::Bytes;

use super::{ENCODE_AHEAD, Session};
use crate::message::ContentType;
use crate::session::outbox::Next;
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::{Header, Kind, PING, PONG, Protection};

impl<P: Protection> Session<P> {
    pub(super) fn send_frame(&mut self, header: &Header, content: &Bytes, completes: bool) {
        self.conversation.stats.frames_sent = self.conversation.stats.frames_sent.saturating_add(1);
        self.connection.link.send(header, content, completes);
    }

    /// Encodes what is due, until enough waits for the transport.
    pub(super) fn encode(&mut self, now: Instant) {
        if self.connection.write_dead
            || !matches!(self.connection.state, State::Established | State::Finishing)
        {
            return;
        }
        while self.connection.link.pending() < ENCODE_AHEAD {
            if self.connection.heartbeat.is_due() {
                self.encode_heartbeat(now);
                continue;
            }
            let Some(terms) = self.conversation.terms else { return };
            let conversation = &mut self.conversation;
            let Some(next) = conversation.outbox.next(&terms) else { return };
            let (link, session_id) = (&mut self.connection.link, conversation.session_id.as_ref());
            match next {
                Next::Message(message) => link.send_message(message, session_id),
                Next::Chunk { chunk, content_type, content, completes } => {
                    let (kind, session_id) = (Kind::Chunk(chunk), session_id.cloned());
                    link.send(&Header { kind, content_type, session_id }, &content, completes);
                }
            }
            conversation.stats.frames_sent = conversation.stats.frames_sent.saturating_add(1);
        }
    }

    pub(super) fn encode_heartbeat(&mut self, now: Instant) {
        let (seq, content) = match self.connection.heartbeat.take_pong() {
            Some(seq) => (seq, PONG),
            None => (self.connection.heartbeat.take_ping(now), PING),
        };
        let header = Header {
            kind: Kind::Heartbeat { seq },
            content_type: ContentType::BINARY,
            session_id: self.conversation.session_id.clone(),
        };
        self.send_frame(&header, &Bytes::from_static(content), false);
    }
}
