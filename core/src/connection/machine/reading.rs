//! What is understood of what arrived, how much to read next, and what the end of the stream means.

use bytes::BytesMut;

use super::{Connection, State};
use crate::closing::Ending;
use crate::connection::event::Event;
use crate::ended::EndedBy;
use crate::error::Code;
use crate::rate::Throttle;
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

    /// Whether the peer is being listened to, as far as the application goes.
    pub(super) fn is_reading(&self) -> bool {
        !self.state.understands() || (self.has_room() && !self.held_back)
    }

    /// The rates, if there are any and they count: not on the way to the end, which is bounded in time.
    #[inline]
    pub(super) fn throttle(&self) -> Option<&Throttle> {
        match &self.throttle {
            Some(throttle) if !self.state.is_closing() => Some(throttle),
            _ => None,
        }
    }

    #[inline]
    pub(super) fn throttle_mut(&mut self) -> Option<&mut Throttle> {
        match &mut self.throttle {
            Some(throttle) if !self.state.is_closing() => Some(throttle),
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
        if !paused && self.write_dead {
            // What the peer said before it went is heard, but no faster.
            self.closing.begin_drain(now);
        }
        paused
    }

    /// Whether another item may be understood.
    #[inline]
    fn can_parse(&self) -> bool {
        self.has_room() && (self.throttle.is_none() || self.lets_parse())
    }

    #[cold]
    fn lets_parse(&self) -> bool {
        self.throttle().is_none_or(Throttle::lets_parse)
    }

    /// Whether anything may be understood now that could not be before, though nothing new came.
    pub(super) fn is_worth_parsing(&mut self, now: Instant) -> bool {
        let paused = self.throttle.is_some() && self.is_paused(now);
        if self.held_back { self.can_parse() } else { !paused }
    }

    /// Whether the peer's silence tells anything: after its stream has ended it does not.
    pub(super) fn awaits_peer(&self) -> bool {
        self.state.understands() && self.eof.is_none()
    }

    pub(super) fn parse(&mut self, now: Instant, rx: &mut BytesMut) {
        while self.state.understands() && self.can_parse() {
            let before = rx.len();
            match self.codec.decode(rx) {
                Ok(None) => break,
                Ok(Some(item)) => self.receive(now, item),
                Err(error) => self.refuse_input(now, &error),
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
        let parsed = self.can_parse();
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

    fn receive(&mut self, now: Instant, item: C::Item) {
        self.stats.frames_received = self.stats.frames_received.saturating_add(1);
        if C::completes(&item) {
            self.liveness.handle_frame();
            self.stats.messages_received = self.stats.messages_received.saturating_add(1);
            if let Some(throttle) = self.throttle_mut() {
                throttle.handle_message(now);
            }
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
                    self.receive(now, item);
                }
                self.peer_finished = true;
                if matches!(self.state, State::Open | State::Finishing) && !self.write_dead {
                    self.inbox.push(Event::Finished);
                }
            }
            Err(error) => self.refuse_input(now, &error),
        }
        rx.clear();
    }

    /// How much to read next.
    pub(super) fn read_wanted(&self, now: Instant) -> usize {
        if self.eof.is_some() || self.state == State::Ended || !self.is_reading() {
            return 0;
        }
        let size = self.read_size.within(self.waiting, self.missing);
        if let Some(throttle) = self.throttle() {
            return throttle.limit(now, size);
        }
        if self.state == State::Draining { size.min(self.closing.drain_left()) } else { size }
    }
}
