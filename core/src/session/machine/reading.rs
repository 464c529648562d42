//! What is understood of what arrived, how much to read next, and what the end of the stream means.

use bytes::BytesMut;

use super::Session;
use crate::closing::Ending;
use crate::ended::EndedBy;
use crate::error::Code;
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::{Decoded, FrameLimits, Protection};

impl<P: Protection> Session<P> {
    /// Whether the application leaves room for what is read, and nothing waits before it.
    pub(super) fn has_room(&self) -> bool {
        !self.connection.state.understands()
            || (self.conversation.inbox.has_room() && !self.connection.held_back)
    }

    /// Whether the peer's silence tells anything: after its stream has ended it does not.
    pub(super) fn awaits_peer(&self) -> bool {
        self.connection.state.understands() && self.connection.eof.is_none()
    }

    pub(super) fn parse(&mut self, now: Instant, rx: &mut BytesMut) {
        while self.connection.state.understands() && self.conversation.inbox.has_room() {
            let limits = if self.connection.state.is_handshake() {
                let limit = self.config.handshake_frame_limit();
                FrameLimits { header: limit, content: limit }
            } else {
                FrameLimits { content: self.config.content_limit(), ..FrameLimits::PROTOCOL }
            };
            let result = match self.connection.link.decode(rx, limits) {
                Ok(None) => break,
                Ok(Some(frame)) => {
                    self.connection.liveness.handle_frame();
                    let stats = &mut self.conversation.stats;
                    stats.frames_received = stats.frames_received.saturating_add(1);
                    match frame {
                        Decoded::Again(content) => self.handle_message_again(content),
                        Decoded::Frame(frame) => self.handle_frame(now, frame),
                    }
                }
                Err(error) if self.connection.link.refused_an_error() => {
                    let ending = Ending::new(EndedBy::Local, error.code(), error.detail());
                    self.leave(now, ending);
                    break;
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                self.fail(now, &error);
            }
        }
        if !self.connection.state.understands() {
            self.discard(rx);
            return;
        }
        let parsed = self.conversation.inbox.has_room();
        self.connection.held_back = !parsed && !rx.is_empty();
        if parsed {
            self.connection.liveness.handle_parsed(now, !rx.is_empty());
            self.finish_stream(now, rx);
        }
        self.connection.missing = self.connection.link.missing(rx);
        self.connection.waiting = rx.len();
    }

    pub(super) fn discard(&mut self, rx: &mut BytesMut) {
        self.connection.closing.handle_discarded(rx.len());
        rx.clear();
        (self.connection.missing, self.connection.waiting) = (0, 0);
    }

    /// Everything received is understood: if the stream has ended, that counts now.
    pub(super) fn finish_stream(&mut self, now: Instant, rx: &mut BytesMut) {
        let Some(failure) = self.connection.eof.clone() else { return };
        if let Some(text) = failure {
            self.end(Ending::new(EndedBy::Transport, Code::TransportFailed, text), false);
        } else if let Err(error) = self.connection.link.finish(rx) {
            self.fail(now, &error);
        } else if self.connection.write_dead
            || !matches!(self.connection.state, State::Finishing | State::Flushing { .. })
        {
            let detail = "the peer's stream ended between frames, without a goodbye";
            self.end(Ending::new(EndedBy::Peer, Code::EndedWithoutDisconnect, detail), false);
        }
        rx.clear();
    }

    /// How much to read next.
    pub(super) fn read_wanted(&self) -> usize {
        let connection = &self.connection;
        if connection.eof.is_some() || connection.state == State::Ended || !self.has_room() {
            return 0;
        }
        let size = connection.read_size.within(connection.waiting, connection.missing);
        if connection.state == State::Draining { size.min(connection.closing.drain_left()) } else { size }
    }
}
