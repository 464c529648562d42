//! Events that wait for the application, and whether there is room for more.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::event::{Event, PieceEnd};
use crate::buf::{EventQueue, Weigh};

#[derive(Debug)]
pub(crate) struct Inbox {
    events: EventQueue<Event>,
    /// The latest round-trip time, told before what waits (only that the session is there comes first):
    /// one at most, so that an application that does not ask can't be filled up with them.
    round_trip: Option<Duration>,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: EventQueue::new(max_events, max_bytes), round_trip: None, ended: false }
    }

    /// Whether another event may be added. It may pass the limit in bytes, once.
    pub(crate) fn has_room(&self) -> bool {
        self.events.has_room()
    }

    /// Whether anything waits.
    pub(crate) fn has_events(&self) -> bool {
        self.events.has_events() || self.round_trip.is_some()
    }

    /// Events that wait, and their bytes.
    pub(crate) fn queued(&self) -> (usize, usize) {
        self.events.queued()
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
                self.events.push(event);
            }
        }
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        self.pop_round_trip().or_else(|| self.events.pop())
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
        self.events.pop_small(into);
    }

    /// Gives back what is not needed while nothing happens.
    pub(crate) fn trim(&mut self) {
        self.events.trim();
    }
}

impl Weigh for Event {
    #[inline]
    fn content_len(&self) -> usize {
        match self {
            Self::Message(message) => {
                message.content.len() + message.content_type.len() + message.app.as_json().map_or(0, str::len)
            }
            Self::Piece(piece) => {
                let start = piece.start.as_ref();
                piece.content.len()
                    + start.map_or(0, |s| s.content_type.len() + s.app.as_json().map_or(0, str::len))
            }
            Self::Abandoned { content_type, .. } => content_type.len(),
            _ => 0,
        }
    }
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

    /// Whether this is a message, or the end of one, or of one that is not to be.
    pub(crate) fn ends_message(&self) -> bool {
        match self {
            Self::Message(_) | Self::Abandoned { .. } => true,
            Self::Piece(piece) => piece.end != PieceEnd::More,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ended::{Ended, EndedBy};
    use crate::error::Code;
    use crate::session::event::Established;
    use crate::wire::envelope::PeerLimits;

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
