//! Events that wait for the application, and whether there is room for more.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::event::{Event, PieceEnd};

/// What an event counts beside its content, in bytes.
const OVERHEAD: usize = 128;

/// How many events are handed over at once beside the first, and their bytes, at most.
const MORE: usize = 32;
const MORE_BYTES: usize = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Inbox {
    events: VecDeque<Event>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// A limit was reached: there is room again when half is taken. So the application takes many at once,
    /// and what comes in is understood many at once.
    full: bool,
    /// The latest round-trip time, told before what waits (only that the session is there comes first):
    /// one at most, so that an application that does not ask can't be filled up with them.
    round_trip: Option<Duration>,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        let events = VecDeque::new();
        Self { events, bytes: 0, max_events, max_bytes, full: false, round_trip: None, ended: false }
    }

    /// Whether another event may be added. It may pass the limit in bytes, once.
    pub(crate) fn has_room(&self) -> bool {
        !self.full
    }

    /// Whether anything waits.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty() || self.round_trip.is_some()
    }

    /// Events that wait, and their bytes.
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// Adds an event. After the last one nothing is added.
    #[inline]
    pub(crate) fn push(&mut self, event: Event) {
        if self.ended {
            return;
        }
        match event {
            Event::RoundTrip(time) => self.round_trip = Some(time),
            event => {
                self.ended = matches!(event, Event::Ended(_));
                self.bytes = self.bytes.saturating_add(weight(&event));
                self.events.push_back(event);
                self.full |= self.events.len() >= self.max_events || self.bytes >= self.max_bytes;
            }
        }
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        if let Some(event) = self.pop_round_trip() {
            return Some(event);
        }
        let event = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight(&event));
        self.note_room();
        Some(event)
    }

    /// The round-trip time, if it is its turn.
    fn pop_round_trip(&mut self) -> Option<Event> {
        if matches!(self.events.front(), Some(Event::Established(_))) {
            return None;
        }
        self.round_trip.take().map(Event::RoundTrip)
    }

    /// Takes a few more of the oldest, as long as they are small together.
    pub(crate) fn pop_small(&mut self, into: &mut VecDeque<Event>) {
        // It was not if the session began just now. What follows may be the last event.
        into.extend(self.pop_round_trip());
        let mut taken = 0_usize;
        while into.len() < MORE {
            let Some(next) = self.events.front() else { break };
            let weight = weight(next);
            if taken.saturating_add(weight) > MORE_BYTES {
                break;
            }
            taken = taken.saturating_add(weight);
            let Some(event) = self.events.pop_front() else { break };
            into.push_back(event);
        }
        self.bytes = self.bytes.saturating_sub(taken);
        self.note_room();
    }

    /// Where a limit was reached, there is room again when half is taken.
    fn note_room(&mut self) {
        self.full &= self.events.len() > self.max_events / 2 || self.bytes > self.max_bytes / 2;
    }

    /// Gives back what is not needed while nothing happens.
    pub(crate) fn trim(&mut self) {
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }
}

#[inline]
fn weight(event: &Event) -> usize {
    let content = match event {
        Event::Message(message) => {
            message.content.len() + message.content_type.len() + message.app.as_json().map_or(0, str::len)
        }
        Event::Piece(piece) => {
            let start = piece.start.as_ref();
            piece.content.len()
                + start.map_or(0, |s| s.content_type.len() + s.app.as_json().map_or(0, str::len))
        }
        Event::Abandoned { content_type, .. } => content_type.len(),
        _ => 0,
    };
    content.saturating_add(OVERHEAD)
}

impl Event {
    /// Whether this is a message, or the end of one.
    pub(crate) fn completes_message(&self) -> bool {
        match self {
            Self::Message(_) => true,
            Self::Piece(piece) => piece.end == PieceEnd::Last,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;
    use crate::message::Message;
    use crate::session::event::{Ended, EndedBy, Established};
    use crate::wire::envelope::PeerLimits;

    #[test]
    fn room_is_counted_in_events_and_in_bytes() {
        let mut inbox = Inbox::new(2, 10_000);
        inbox.push(Event::Message(Message::text("a")));
        assert!(inbox.has_room());
        inbox.push(Event::Message(Message::text("b")));
        assert!(!inbox.has_room());
        inbox.pop();
        assert!(inbox.has_room());
        inbox.push(Event::Message(Message::binary(std::vec![0; 20_000])));
        inbox.pop();
        assert!(!inbox.has_room(), "one large event fills it");
        inbox.pop();
        assert_eq!(inbox.queued(), (0, 0));
    }

    #[test]
    fn only_what_is_small_is_handed_over_with_the_first() {
        let mut inbox = Inbox::new(100, 1_000_000);
        for len in [10, 10, 20_000, 10] {
            inbox.push(Event::Message(Message::binary(std::vec![0; len])));
        }
        let mut more = VecDeque::new();
        assert!(inbox.pop().is_some());
        inbox.pop_small(&mut more);
        assert_eq!((more.len(), inbox.queued().0), (1, 2));
        inbox.pop_small(&mut more);
        assert_eq!((more.len(), inbox.queued().0), (1, 2), "a large one stays");
        (0..60).for_each(|_| inbox.push(Event::Message(Message::text("a"))));
        assert!(inbox.pop().is_some());
        more.clear();
        inbox.pop_small(&mut more);
        assert_eq!(more.len(), MORE);
    }

    #[test]
    fn nothing_follows_the_last_event_however_many_are_taken_at_once() {
        let mut inbox = Inbox::new(100, 1_000_000);
        inbox.push(Event::Established(Established {
            session_id: "s".into(),
            features: None,
            limits: PeerLimits::default(),
        }));
        inbox.push(Event::RoundTrip(Duration::from_millis(1)));
        let ended = Ended {
            by: EndedBy::Peer,
            code: Code::Disconnected,
            detail: "".into(),
            told: false,
            unsent: std::vec![],
        };
        inbox.push(Event::Ended(ended.clone()));
        let mut more = VecDeque::new();
        assert!(matches!(inbox.pop(), Some(Event::Established(_))));
        inbox.pop_small(&mut more);
        assert_eq!(more, [Event::RoundTrip(Duration::from_millis(1)), Event::Ended(ended)]);
        assert!(!inbox.has_events());
    }

    #[test]
    fn one_round_trip_waits_however_many_there_were() {
        let mut inbox = Inbox::new(1, 1);
        for ms in 1..100 {
            inbox.push(Event::RoundTrip(Duration::from_millis(ms)));
        }
        assert!(inbox.has_room());
        assert_eq!(inbox.pop(), Some(Event::RoundTrip(Duration::from_millis(99))));
        assert_eq!(inbox.pop(), None);
    }
}
