//! What is understood of what arrived, how much to read next, and what the end of the stream means.

use bytes::BytesMut;

use super::{Connection, Session};
use crate::closing::Ending;
use crate::ended::EndedBy;
use crate::error::Code;
use crate::rate::Throttle;
use crate::session::state::State;
use crate::time::Instant;
use crate::wire::envelope::{Decoded, FrameLimits, Protection};

impl<P: Protection> Session<P> {
    /// Whether the application leaves room for what is read, and nothing waits before it.
    pub(super) fn has_room(&self) -> bool {
        !self.connection.state.understands()
            || (self.conversation.inbox.has_room() && !self.connection.held_back)
    }

    /// The rates, if there are any and they count: not in the handshake, which must not wait, nor on the way to the
    /// end, which is bounded in time.
    #[inline]
    pub(super) fn throttle(&self) -> Option<&Throttle> {
        match &self.connection.throttle {
            Some(throttle) if self.connection.state == State::Established => Some(throttle),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn throttle_mut(&mut self) -> Option<&mut Throttle> {
        let Connection { throttle, state, .. } = &mut self.connection;
        match throttle {
            Some(throttle) if *state == State::Established => Some(throttle),
            _ => None,
        }
    }

    /// Whether reading pauses for a rate; a pause that is over ends.
    #[cold]
    pub(super) fn is_paused(&mut self, now: Instant) -> bool {
        if !self.is_throttled() {
            return false;
        }
        if let Some(throttle) = self.throttle_mut() {
            throttle.handle_time(now);
        }
        let paused = self.is_throttled();
        if !paused && self.connection.write_dead {
            // What the peer said before it went is heard, but no faster.
            self.connection.closing.begin_drain(now);
        }
        paused
    }

    /// Whether another frame may be understood.
    #[inline]
    fn can_parse(&self) -> bool {
        self.conversation.inbox.has_room() && (self.connection.throttle.is_none() || self.lets_parse())
    }

    #[cold]
    fn lets_parse(&self) -> bool {
        self.throttle().is_none_or(Throttle::lets_parse)
    }

    /// Whether anything may be understood now that could not be before, though nothing new came.
    pub(super) fn is_worth_parsing(&mut self, now: Instant) -> bool {
        let paused = self.connection.throttle.is_some() && self.is_paused(now);
        if self.connection.held_back { self.can_parse() } else { !paused }
    }

    /// Whether the peer's silence tells anything: after its stream has ended it does not.
    pub(super) fn awaits_peer(&self) -> bool {
        self.connection.state.understands() && self.connection.eof.is_none()
    }

    pub(super) fn parse(&mut self, now: Instant, rx: &mut BytesMut) {
        while self.connection.state.understands() && self.can_parse() {
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
                        Decoded::Again(content) => self.handle_message_again(now, content),
                        Decoded::Frame(frame) => {
                            let handshake = self.connection.state.is_handshake();
                            let result = self.handle_frame(now, frame);
                            match self.throttle_mut() {
                                // What came at once with its end.
                                Some(throttle) if handshake => throttle.handle_received(now, rx.len()),
                                _ => {}
                            }
                            result
                        }
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
        let parsed = self.can_parse();
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
    pub(super) fn read_wanted(&self, now: Instant) -> usize {
        let connection = &self.connection;
        if connection.eof.is_some() || connection.state == State::Ended || !self.has_room() {
            return 0;
        }
        let size = connection.read_size.within(connection.waiting, connection.missing);
        if let Some(throttle) = self.throttle() {
            return throttle.limit(now, size);
        }
        if connection.state == State::Draining { size.min(connection.closing.drain_left()) } else { size }
    }
}
