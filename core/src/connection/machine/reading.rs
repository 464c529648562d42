//! What is understood of what arrived, how much to read next, and what the end of the stream means.

use bytes::BytesMut;

use super::{Connection, State};
use crate::closing::Ending;
use crate::connection::event::Event;
use crate::ended::EndedBy;
use crate::error::Code;
use crate::time::Instant;
use crate::wire::codec::Codec;

/// What takes more than this off the receive buffer was received in a block of its own, in bytes.
const LARGE: usize = 256 * 1024;

impl<C: Codec> Connection<C> {
    /// Whether there is room for what is received, and somebody wants it.
    pub(super) fn has_room(&self) -> bool {
        self.inbox.has_room() && !self.owes()
    }

    /// Whether an answer is owed that can still be given. Where it can't, what comes next is not kept back for it:
    /// the end of the peer's stream would never be noticed.
    pub(super) fn owes(&self) -> bool {
        let can_answer = !self.write_dead && (self.state == State::Open || self.outbox.has_queued());
        !self.codec.wants_input() && can_answer
    }

    /// Whether the peer is being listened to.
    pub(super) fn is_reading(&self) -> bool {
        !self.state.understands() || (self.has_room() && !self.held_back)
    }

    /// Whether the peer's silence tells anything: after its stream has ended it does not.
    pub(super) fn awaits_peer(&self) -> bool {
        self.state.understands() && self.eof.is_none()
    }

    pub(super) fn parse(&mut self, now: Instant, rx: &mut BytesMut) {
        while self.state.understands() && self.has_room() {
            let before = rx.len();
            match self.codec.decode(rx) {
                Ok(None) => break,
                Ok(Some(item)) => self.receive(item),
                Err(error) => self.refuse(now, &error),
            }
            if before.saturating_sub(rx.len()) > LARGE {
                // What follows must not keep its block alive.
                *rx = BytesMut::from(rx.as_ref());
            }
        }
        if !self.state.understands() {
            self.closing.handle_discarded(rx.len());
            rx.clear();
            (self.missing, self.waiting, self.held_back) = (0, 0, false);
            return;
        }
        let parsed = self.has_room();
        // Without room something may wait that needs no more bytes, too: the end of a body.
        let nothing_waits = rx.is_empty() && self.inbox.has_room();
        self.held_back = !parsed && !nothing_waits;
        if parsed {
            self.liveness.handle_parsed(now, self.codec.missing(rx) > 0);
            self.finish_stream(now, rx);
        }
        self.missing = self.codec.missing(rx);
        self.waiting = rx.len();
    }

    fn receive(&mut self, item: C::Item) {
        self.stats.frames_received = self.stats.frames_received.saturating_add(1);
        if C::completes(&item) {
            self.liveness.handle_frame();
            self.stats.messages_received = self.stats.messages_received.saturating_add(1);
        }
        self.inbox.push(Event::Received(item));
    }

    /// Everything received is understood: if the stream has ended, that counts now.
    fn finish_stream(&mut self, now: Instant, rx: &mut BytesMut) {
        if let Some(text) = self.eof.clone().flatten() {
            return self.end(Ending::new(EndedBy::Transport, Code::TransportFailed, text), false);
        }
        if self.eof.is_none() || self.peer_finished {
            return;
        }
        match self.codec.finish(rx) {
            Ok(last) => {
                if let Some(item) = last {
                    self.receive(item);
                }
                self.peer_finished = true;
                if matches!(self.state, State::Open | State::Finishing) && !self.write_dead {
                    self.inbox.push(Event::Finished);
                }
            }
            Err(error) => self.refuse(now, &error),
        }
        rx.clear();
    }

    /// How much to read next.
    pub(super) fn read_wanted(&self) -> usize {
        if self.eof.is_some() || self.state == State::Ended || !self.is_reading() {
            return 0;
        }
        let size = self.read_size.within(self.waiting, self.missing);
        if self.state == State::Draining { size.min(self.closing.drain_left()) } else { size }
    }
}
