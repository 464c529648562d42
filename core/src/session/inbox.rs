//! Events that wait for the application, and whether there is room for more.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::event::{Event, PieceEnd};

/// What an event counts beside its content, in bytes.
const OVERHEAD: usize = 128;

#[derive(Debug)]
pub(crate) struct Inbox {
    events: VecDeque<Event>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// The latest round-trip time, told before what waits (only that the session is there comes first):
    /// one at most, so that an application that does not ask can't be filled up with them.
    round_trip: Option<Duration>,
    ended: bool,
}

impl Inbox {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, max_events, max_bytes, round_trip: None, ended: false }
    }

    /// Whether another event may be added. It may pass the limit in bytes, once.
    pub(crate) fn has_room(&self) -> bool {
        self.events.len() < self.max_events && self.bytes < self.max_bytes
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
            }
        }
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        if !matches!(self.events.front(), Some(Event::Established(_)))
            && let Some(time) = self.round_trip.take()
        {
            return Some(Event::RoundTrip(time));
        }
        let event = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight(&event));
        Some(event)
    }
}

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
    use crate::message::Message;

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
