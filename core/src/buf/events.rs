//! Events that wait for the application, and whether there is room for more.

use alloc::collections::VecDeque;

/// What an event counts beside its content, in bytes.
const OVERHEAD: usize = 128;

/// How many events are handed over at once beside the first, and their bytes, at most.
const MORE: usize = 32;
const MORE_BYTES: usize = 16 * 1024;

/// What an event holds.
pub(crate) trait Weigh {
    /// The bytes of its contents.
    fn content_len(&self) -> usize;
}

#[derive(Debug)]
pub(crate) struct EventQueue<E> {
    events: VecDeque<E>,
    bytes: usize,
    max_events: usize,
    max_bytes: usize,
    /// A limit was reached: there is room again when half is taken. So the application takes many at once,
    /// and what comes in is understood many at once.
    full: bool,
}

impl<E: Weigh> EventQueue<E> {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, max_events, max_bytes, full: false }
    }

    /// Whether another event may be added. It may pass the limit in bytes, once.
    pub(crate) fn has_room(&self) -> bool {
        !self.full
    }

    /// Whether anything waits.
    pub(crate) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Events that wait, and their bytes.
    pub(crate) fn queued(&self) -> (usize, usize) {
        (self.events.len(), self.bytes)
    }

    /// The oldest event.
    pub(crate) fn front(&self) -> Option<&E> {
        self.events.front()
    }

    #[inline]
    pub(crate) fn push(&mut self, event: E) {
        self.bytes = self.bytes.saturating_add(weight(&event));
        self.events.push_back(event);
        self.full |= self.events.len() >= self.max_events || self.bytes >= self.max_bytes;
    }

    /// Takes the oldest event.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let event = self.events.pop_front()?;
        self.bytes = self.bytes.saturating_sub(weight(&event));
        self.note_room();
        Some(event)
    }

    /// Takes a few more of the oldest, as long as they are small together.
    pub(crate) fn pop_small(&mut self, into: &mut VecDeque<E>) {
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
fn weight(event: &impl Weigh) -> usize {
    event.content_len().saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for usize {
        fn content_len(&self) -> usize {
            *self
        }
    }

    #[test]
    fn room_is_counted_in_events_and_in_bytes() {
        let mut events = EventQueue::new(2, 10_000);
        events.push(1);
        assert!(events.has_room());
        events.push(1);
        assert!(!events.has_room());
        events.pop();
        assert!(events.has_room());
        events.push(20_000);
        events.pop();
        assert!(!events.has_room(), "one large event fills it");
        events.pop();
        assert_eq!(events.queued(), (0, 0));
    }

    #[test]
    fn only_what_is_small_is_handed_over_with_the_first() {
        let mut events = EventQueue::new(100, 1_000_000);
        [10, 10, 20_000, 10].into_iter().for_each(|len| events.push(len));
        let mut more = VecDeque::new();
        assert!(events.pop().is_some());
        events.pop_small(&mut more);
        assert_eq!((more.len(), events.queued().0), (1, 2));
        events.pop_small(&mut more);
        assert_eq!((more.len(), events.queued().0), (1, 2), "a large one stays");
        (0..60).for_each(|_| events.push(1));
        assert!(events.pop().is_some());
        more.clear();
        events.pop_small(&mut more);
        assert_eq!(more.len(), MORE);
    }
}
