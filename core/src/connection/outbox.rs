//! What is sent next, and what the transport has whole.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::buf::TransmitQueue;
use crate::ended::Unsent;
use crate::error::{Code, Error};
use crate::protocol::Ticket;
use crate::wire::codec::Codec;

/// What a queued message counts beside its content, in bytes.
const OVERHEAD: usize = 64;
/// The most messages that are encoded ahead of the transport: each is remembered until it has left, which may take
/// more than its bytes.
const MESSAGES_AHEAD: usize = 1024;

/// Accepted messages: queued as they are, encoded late, kept until the transport has them.
#[derive(Debug)]
pub(super) struct Outbox<C: Codec> {
    queue: VecDeque<Entry<C>>,
    queued: usize,
    /// The message whose body is being given.
    open: Option<Open>,
    last: u64,
    /// Encoded messages that the transport has not taken whole.
    leaving: VecDeque<Leaving<C::Message>>,
    transmit: TransmitQueue,
}

#[derive(Debug)]
enum Entry<C: Codec> {
    Whole(Ticket, C::Message),
    Head(Ticket, C::Head),
    Piece(Bytes),
    End,
}

#[derive(Debug)]
struct Open {
    ticket: Ticket,
    /// How much of the body is still to be given.
    left: u64,
}

#[derive(Debug)]
struct Leaving<M> {
    ticket: Ticket,
    message: Option<M>,
    /// Where its first byte stands, and the position behind its last one, once that is encoded.
    start: u64,
    end: Option<u64>,
}

impl<C: Codec> Outbox<C> {
    pub(super) fn new() -> Self {
        Self {
            queue: VecDeque::new(),
            queued: 0,
            open: None,
            last: 0,
            leaving: VecDeque::new(),
            transmit: TransmitQueue::new(),
        }
    }

    /// Bytes accepted that the transport has not taken.
    pub(super) fn queued(&self) -> usize {
        self.queued.saturating_add(self.transmit.pending())
    }

    /// Whether the body of a message is being given.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether something waits to be encoded.
    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether everything that was accepted has left.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.transmit.pending() == 0
    }

    pub(super) fn transmit(&self) -> &TransmitQueue {
        &self.transmit
    }

    pub(super) fn transmit_mut(&mut self) -> &mut TransmitQueue {
        &mut self.transmit
    }

    pub(super) fn push(&mut self, message: C::Message) -> Ticket {
        let ticket = self.next_ticket();
        self.put(Entry::Whole(ticket, message));
        ticket
    }

    pub(super) fn begin(&mut self, head: C::Head) -> Ticket {
        let ticket = self.next_ticket();
        self.open = Some(Open { ticket, left: C::body_len(&head) });
        self.put(Entry::Head(ticket, head));
        ticket
    }

    /// Whether so much more of this message's body can be given.
    pub(super) fn check_piece(&self, ticket: Ticket, len: usize) -> Result<(), Code> {
        match &self.open {
            Some(open) if open.ticket == ticket => {
                if len as u64 > open.left {
                    Err(Code::ChunkOverrun)
                } else {
                    Ok(())
                }
            }
            _ => Err(Code::UnknownTicket),
        }
    }

    pub(super) fn piece(&mut self, content: Bytes) {
        if let Some(open) = &mut self.open {
            open.left = open.left.saturating_sub(content.len() as u64);
        }
        if !content.is_empty() {
            self.put(Entry::Piece(content));
        }
    }

    /// Whether this message has all of its body.
    pub(super) fn check_end(&self, ticket: Ticket) -> Result<(), Code> {
        self.check_piece(ticket, 0)?;
        if self.open.as_ref().is_some_and(|open| open.left > 0) { Err(Code::ChunkOverrun) } else { Ok(()) }
    }

    /// Ends the message whose body is being given.
    pub(super) fn end(&mut self) {
        self.open = None;
        self.put(Entry::End);
    }

    /// No more of an open message will come.
    pub(super) fn give_up_open(&mut self) {
        self.open = None;
    }

    fn next_ticket(&mut self) -> Ticket {
        self.last = self.last.saturating_add(1);
        Ticket::new(self.last)
    }

    fn put(&mut self, entry: Entry<C>) {
        self.queued = self.queued.saturating_add(weight(&entry));
        self.queue.push_back(entry);
    }

    /// Encodes what is queued, until so much waits for the transport. Gives the number of messages that left
    /// whole by that: a body may turn out to end with what had left already.
    pub(super) fn encode(&mut self, codec: &mut C, ahead: usize) -> Result<usize, Error> {
        while self.transmit.pending() < ahead && self.leaving.len() < MESSAGES_AHEAD {
            let Some(entry) = self.queue.pop_front() else { break };
            self.queued = self.queued.saturating_sub(weight(&entry));
            let start = self.transmit.end();
            match entry {
                Entry::Whole(ticket, message) => {
                    let kept = Some(message.clone());
                    let encoded = codec.encode(message, &mut self.transmit);
                    let end = encoded.is_ok().then_some(self.transmit.end());
                    self.leaving.push_back(Leaving { ticket, message: kept, start, end });
                    encoded?;
                }
                Entry::Head(ticket, head) => {
                    codec.encode_head(head, &mut self.transmit);
                    self.leaving.push_back(Leaving { ticket, message: None, start, end: None });
                }
                Entry::Piece(content) => self.transmit.push(content),
                Entry::End => {
                    if let Some(last) = self.leaving.back_mut() {
                        last.end = Some(start);
                    }
                }
            }
        }
        Ok(self.take_whole())
    }

    /// The transport took `n` more bytes. Gives the number of messages that it has whole now.
    pub(super) fn handle_transmitted(&mut self, n: usize) -> usize {
        self.transmit.advance(n);
        self.take_whole()
    }

    fn take_whole(&mut self) -> usize {
        let taken = self.transmit.taken();
        let mut whole = 0_usize;
        while self.leaving.front().is_some_and(|front| front.end.is_some_and(|end| end <= taken)) {
            self.leaving.pop_front();
            whole = whole.saturating_add(1);
        }
        whole
    }

    /// Every message that the transport does not have whole, in the order of their tickets.
    pub(super) fn take_unsent(&mut self) -> Vec<Unsent<C::Message>> {
        // What was lent may be with the peer, though nobody said so yet.
        let offered = self.transmit.offered();
        let leaving = self.leaving.drain(..).map(|Leaving { ticket, message, start, .. }| Unsent {
            ticket,
            message,
            begun: start < offered,
        });
        let mut unsent: Vec<_> = leaving.collect();
        unsent.extend(self.queue.drain(..).filter_map(|entry| match entry {
            Entry::Whole(ticket, message) => Some(Unsent { ticket, message: Some(message), begun: false }),
            Entry::Head(ticket, _) => Some(Unsent { ticket, message: None, begun: false }),
            Entry::Piece(_) | Entry::End => None,
        }));
        self.queued = 0;
        self.open = None;
        unsent
    }

    /// Gives back what is not needed while nothing happens.
    pub(super) fn trim(&mut self) {
        self.transmit.trim();
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        if self.leaving.is_empty() {
            self.leaving = VecDeque::new();
        }
    }
}

fn weight<C: Codec>(entry: &Entry<C>) -> usize {
    let content = match entry {
        Entry::Whole(_, message) => C::message_len(message),
        Entry::Piece(content) => content.len(),
        Entry::Head(_, head) => C::head_len_in_memory(head),
        Entry::End => 0,
    };
    content.saturating_add(OVERHEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::lines::{Line, Lines, Settings};

    #[test]
    fn what_is_remembered_of_short_messages_is_bounded_and_all_of_them_leave() {
        const COUNT: usize = 10 * MESSAGES_AHEAD;
        let mut codec = Lines::with_settings(Settings::default());
        let mut outbox = Outbox::<Lines>::new();
        for _ in 0..COUNT {
            outbox.push(Line::new("").unwrap());
        }
        // queued, each counts more than its bytes
        assert!(outbox.queued() >= COUNT * OVERHEAD);
        let mut left = 0;
        while !outbox.is_empty() {
            assert_eq!(outbox.encode(&mut codec, 64 * 1024), Ok(0));
            assert!(outbox.leaving.len() <= MESSAGES_AHEAD);
            left += outbox.handle_transmitted(700);
        }
        assert_eq!(left, COUNT);
    }

    #[test]
    fn what_a_head_holds_counts_however_its_message_is_given() {
        use crate::wire::body::Whole;
        use crate::wire::json_header::{Head, JsonHeader, Kind};
        let head = Head { kind: Kind::Unknown, size: 0, filename: "n".repeat(10_000) };
        let (mut whole, mut pieces) = (Outbox::<JsonHeader>::new(), Outbox::<JsonHeader>::new());
        whole.push(Whole { head: head.clone(), body: Bytes::new() });
        pieces.begin(head);
        assert_eq!(pieces.queued(), whole.queued());
    }
}
