//! Messages accepted and not yet encoded: queued as messages, encoded late.
//!
//! Messages begin in the order they were accepted (a streamed one in the order of its first piece).
//! Large ones go out in chunks, in turns with each other and with the messages behind them.
//!
//! Nothing at the head of the queue can wait for the application: a streamed message is accepted only
//! while a slot stays free of them, and a large one only if it fits the peer's budget beside the
//! streamed ones. What is in memory ends by itself.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use bytes::Bytes;

use super::command::Begin;
use crate::ended::Unsent;
use crate::error::Code;
use crate::message::{App, ContentType, Message};
use crate::protocol::{Ticket, Why};
use crate::wire::envelope::Chunk;

/// What an entry counts beside its content, in bytes, so that many small ones are bounded too.
const OVERHEAD: usize = 256;

/// What a piece counts beside its content, in bytes.
const PIECE: usize = 64;

/// What the peer takes, as far as sending depends on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Whether the peer takes chunks.
    pub(crate) chunk: bool,
    /// Our chunk size.
    pub(crate) chunk_size: usize,
    /// Messages the peer lets us have unfinished.
    pub(crate) unfinished: usize,
    /// The largest message to the peer, and its budget for all that are unfinished, in bytes.
    pub(crate) message: u64,
}

/// What to encode next.
#[derive(Debug)]
pub(crate) enum Next<'a> {
    /// A message in one frame.
    Message(&'a Message),
    /// A chunk; `completes`: with it its message is encoded whole.
    Chunk { chunk: Chunk, content_type: ContentType, content: Bytes, completes: bool },
}

/// A message whose last frame is encoded.
#[derive(Debug)]
struct Done {
    ticket: Ticket,
    message: Option<Message>,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    last_ticket: u64,
    /// The last chunked message begun; they count up from 1.
    last_message_id: u64,
    /// Not begun, in order.
    ready: VecDeque<Entry>,
    /// Begun in chunks and not ended, in turns.
    active: VecDeque<Active>,
    /// Contents of streamed messages, ready or active or still without a first piece.
    streams: BTreeMap<Ticket, Stream>,
    /// Content bytes (and overhead) not encoded yet.
    queued: usize,
    /// Encoded whole, in that order: they are kept until the transport has them.
    awaiting: VecDeque<Done>,
    /// What active messages take of the peer's budget.
    active_bytes: u64,
    /// What streamed messages that are not ended take of it, or will.
    streams_bytes: u64,
    /// Chunks have the next turn.
    chunks_turn: bool,
    /// The large message that passed the queue's limit, and how much of it is not encoded yet.
    excess: Option<(Ticket, usize)>,
}

#[derive(Debug)]
enum Entry {
    Whole(Ticket, Message),
    Stream(Ticket),
}

#[derive(Debug)]
struct Active {
    entry: Entry,
    message_id: u64,
    index: u64,
    /// Bytes of the content encoded so far.
    encoded: u64,
    /// What it takes of the peer's budget.
    reserved: u64,
}

#[derive(Debug)]
struct Stream {
    begin: Begin,
    pieces: VecDeque<Bytes>,
    /// Bytes given so far.
    given: u64,
    /// What it takes of the peer's budget: its size, or if that is not known its share, and what it
    /// grew beyond it.
    reserved: u64,
    /// A first piece or the end came: it has its place in the order.
    ready: bool,
    ended: bool,
    aborted: bool,
}

impl Stream {
    fn new(begin: Begin, reserved: u64) -> Self {
        let pieces = VecDeque::new();
        Self { begin, pieces, given: 0, reserved, ready: false, ended: false, aborted: false }
    }

    fn has_work(&self) -> bool {
        !self.pieces.is_empty() || self.ended || self.aborted
    }
}

impl Outbox {
    /// Bytes queued, overhead included.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    /// Bytes queued but for the large message that passed the limit: it is let pass once, and small ones
    /// behind it shall not wait for it.
    pub(crate) fn queued_beside_excess(&self) -> usize {
        self.queued.saturating_sub(self.excess.map_or(0, |(_, left)| left))
    }

    /// The large message with this ticket passed the queue's limit.
    pub(crate) fn set_excess(&mut self, ticket: Ticket, content: usize) {
        self.excess = Some((ticket, content));
    }

    /// Nothing is left to encode: no message, and no streamed one that can go on.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.active.is_empty()
    }

    fn ticket(&mut self) -> Ticket {
        self.last_ticket = self.last_ticket.saturating_add(1);
        Ticket::new(self.last_ticket)
    }

    /// Whether a message goes out in chunks.
    pub(crate) fn is_large(message: &Message, terms: &Terms) -> bool {
        !fits_one_frame(message, terms)
    }

    /// Whether a whole message can be queued beside the streamed ones that are open.
    pub(crate) fn has_room_for(&self, message: &Message, terms: &Terms) -> bool {
        let size = message.content.len() as u64;
        self.streams.is_empty()
            || fits_one_frame(message, terms)
            || (terms.unfinished > 1 && self.streams_bytes.saturating_add(size) <= terms.message)
    }

    /// Whether another streamed message can begin beside those that are open.
    pub(crate) fn has_room_to_begin(&self, begin: &Begin, terms: &Terms) -> bool {
        self.streams.is_empty()
            || (self.streams.len() < terms.unfinished.saturating_sub(1)
                && self.streams_bytes.saturating_add(reservation(begin, terms)) <= terms.message)
    }

    /// Whether a streamed message has nothing queued: its next piece is always accepted, so that what
    /// others have queued can't keep it from ending.
    pub(crate) fn is_drained(&self, ticket: Ticket) -> bool {
        self.streams.get(&ticket).is_none_or(|stream| stream.pieces.is_empty())
    }

    /// Queues a whole message. Whether the peer takes it was checked.
    pub(crate) fn push(&mut self, message: Message) -> Ticket {
        let ticket = self.ticket();
        self.grow(weight(&message));
        self.ready.push_back(Entry::Whole(ticket, message));
        ticket
    }

    /// Accepts a message whose pieces are to come.
    pub(crate) fn begin(&mut self, begin: Begin, terms: &Terms) -> Ticket {
        let ticket = self.ticket();
        self.grow(begin_weight(&begin));
        let reserved = reservation(&begin, terms);
        self.streams_bytes = self.streams_bytes.saturating_add(reserved);
        self.streams.insert(ticket, Stream::new(begin, reserved));
        ticket
    }

    /// Adds a piece to a streamed message.
    pub(crate) fn piece(
        &mut self,
        ticket: Ticket,
        content: Bytes,
        terms: &Terms,
    ) -> Result<(), (Why, Bytes)> {
        let Some(stream) = self.streams.get_mut(&ticket).filter(|s| !s.ended && !s.aborted) else {
            return Err((Why::Never(Code::UnknownTicket), content));
        };
        let given = stream.given.saturating_add(content.len() as u64);
        if stream.begin.total_size.is_some_and(|total| given > total) {
            return Err((Why::Never(Code::ChunkOverrun), content));
        }
        // One of unknown size takes more of the peer's budget when it grows beyond its share.
        let more = given.saturating_sub(stream.reserved);
        if more > 0 {
            if self.streams_bytes.saturating_add(more) > terms.message {
                return Err((Why::Never(Code::MessageTooLarge), content));
            }
            let active = self.active.iter_mut().find(|active| active.entry.ticket() == ticket);
            // What is in memory ends by itself, and gives its part back.
            if active.is_some() && self.active_bytes.saturating_add(more) > terms.message {
                return Err((Why::Full, content));
            }
            if let Some(active) = active {
                active.reserved = active.reserved.saturating_add(more);
                self.active_bytes = self.active_bytes.saturating_add(more);
            }
            stream.reserved = given;
            self.streams_bytes = self.streams_bytes.saturating_add(more);
        }
        if content.is_empty() {
            return Ok(());
        }
        stream.given = given;
        let (len, first) = (content.len(), !stream.ready);
        stream.ready = true;
        stream.pieces.push_back(content);
        self.queued = self.queued.saturating_add(len).saturating_add(PIECE);
        if first {
            self.ready.push_back(Entry::Stream(ticket));
        }
        Ok(())
    }

    /// A streamed message has all its pieces.
    pub(crate) fn end(&mut self, ticket: Ticket) -> Result<(), Code> {
        let Some(stream) = self.streams.get_mut(&ticket).filter(|s| !s.ended && !s.aborted) else {
            return Err(Code::UnknownTicket);
        };
        if stream.begin.total_size.is_some_and(|total| stream.given != total) {
            return Err(Code::ChunkOverrun);
        }
        stream.ended = true;
        if !stream.ready {
            stream.ready = true;
            self.ready.push_back(Entry::Stream(ticket));
        }
        Ok(())
    }

    /// Gives a message up: takes it out of the queue, or has the peer told.
    pub(crate) fn abort(&mut self, ticket: Ticket) -> Result<(), Code> {
        self.excess = self.excess.filter(|(excess, _)| *excess != ticket);
        if let Some(at) = self.ready.iter().position(|entry| entry.ticket() == ticket) {
            if let Some(Entry::Whole(_, message)) = self.ready.remove(at) {
                self.shrink(weight(&message));
            } else {
                self.drop_stream(ticket);
            }
            return Ok(());
        }
        if let Some(active) = self.active.iter_mut().find(|active| active.entry.ticket() == ticket) {
            if let Entry::Whole(_, message) = &active.entry {
                // From here on it is a stream that was given up: one way out for both.
                let begin = Begin::new(message.content_type.clone());
                let left = (message.content.len() as u64).saturating_sub(active.encoded);
                let left = usize::try_from(left).unwrap_or(usize::MAX);
                let beside = weight(message)
                    .saturating_sub(message.content.len())
                    .saturating_sub(begin_weight(&begin));
                self.queued = self.queued.saturating_sub(left).saturating_sub(beside);
                active.entry = Entry::Stream(ticket);
                let mut stream = Stream::new(begin, 0);
                (stream.ready, stream.aborted) = (true, true);
                self.streams.insert(ticket, stream);
            } else if let Some(stream) = self.streams.get_mut(&ticket) {
                if stream.aborted {
                    return Err(Code::UnknownTicket);
                }
                stream.aborted = true;
                let dropped: usize =
                    stream.pieces.drain(..).map(|piece| piece.len().saturating_add(PIECE)).sum();
                self.queued = self.queued.saturating_sub(dropped);
            }
            return Ok(());
        }
        if self.streams.contains_key(&ticket) {
            self.drop_stream(ticket);
            return Ok(());
        }
        Err(Code::UnknownTicket)
    }

    /// The application closes: streamed messages that it has not ended can't go on. The peer is told
    /// of those that began.
    pub(crate) fn abandon_open_streams(&mut self) -> Vec<Unsent> {
        let open: Vec<Ticket> =
            self.streams.iter().filter(|(_, s)| !s.ended && !s.aborted).map(|(ticket, _)| *ticket).collect();
        let mut unsent = Vec::new();
        for ticket in open {
            let begun = self.active.iter().any(|active| active.entry.ticket() == ticket);
            if self.abort(ticket).is_ok() {
                unsent.push(Unsent { ticket, message: None, begun });
            }
        }
        unsent
    }

    /// What to encode next, if anything can go now.
    pub(crate) fn next(&mut self, terms: &Terms) -> Option<Next<'_>> {
        if self.active.is_empty() {
            // As it mostly is: no large message is under way.
            self.chunks_turn = true;
            return self.begin_next(terms);
        }
        if self.chunks_turn {
            if let Some(chunk) = self.next_chunk(terms) {
                self.chunks_turn = false;
                return Some(chunk);
            }
        }
        if self.can_begin(terms) {
            self.chunks_turn = true;
            return self.begin_next(terms);
        }
        self.next_chunk(terms)
    }

    /// Gives back what is not needed while nothing happens.
    pub(crate) fn trim(&mut self) {
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
        if self.active.is_empty() {
            self.active = VecDeque::new();
        }
        if self.awaiting.is_empty() {
            self.awaiting = VecDeque::new();
        }
    }

    /// The transport has the next `n` messages of those encoded whole.
    pub(crate) fn release(&mut self, n: usize) {
        for _ in 0..n.min(self.awaiting.len()) {
            self.awaiting.pop_front();
        }
    }

    /// Takes everything that the transport does not have whole, in the order of the tickets.
    pub(crate) fn take_unsent(&mut self) -> Vec<Unsent> {
        let mut unsent = Vec::new();
        let take_done = |unsent: &mut Vec<Unsent>, done: Done| {
            unsent.push(Unsent { ticket: done.ticket, message: done.message, begun: true });
        };
        let take = |unsent: &mut Vec<Unsent>, entry: Entry, begun, streams: &mut BTreeMap<Ticket, Stream>| {
            match entry {
                Entry::Whole(ticket, message) => {
                    unsent.push(Unsent { ticket, message: Some(message), begun });
                }
                Entry::Stream(ticket) => {
                    // One that was given up was not to be sent.
                    if streams.remove(&ticket).is_some_and(|stream| !stream.aborted) {
                        unsent.push(Unsent { ticket, message: None, begun });
                    }
                }
            }
        };
        for done in self.awaiting.drain(..) {
            take_done(&mut unsent, done);
        }
        for active in self.active.drain(..) {
            take(&mut unsent, active.entry, true, &mut self.streams);
        }
        for entry in self.ready.drain(..) {
            take(&mut unsent, entry, false, &mut self.streams);
        }
        for (ticket, stream) in core::mem::take(&mut self.streams) {
            if !stream.aborted {
                unsent.push(Unsent { ticket, message: None, begun: false });
            }
        }
        self.queued = 0;
        self.excess = None;
        self.active_bytes = 0;
        self.streams_bytes = 0;
        unsent.sort_by_key(|unsent| unsent.ticket);
        unsent
    }

    fn grow(&mut self, content: usize) {
        self.queued = self.queued.saturating_add(content).saturating_add(OVERHEAD);
    }

    fn shrink(&mut self, content: usize) {
        self.queued = self.queued.saturating_sub(content).saturating_sub(OVERHEAD);
    }

    fn drop_stream(&mut self, ticket: Ticket) {
        if let Some(stream) = self.streams.remove(&ticket) {
            self.streams_bytes = self.streams_bytes.saturating_sub(stream.reserved);
            let pieces: usize = stream.pieces.iter().map(|piece| piece.len().saturating_add(PIECE)).sum();
            self.shrink(pieces.saturating_add(begin_weight(&stream.begin)));
        }
    }

    /// Whether the oldest message that has not begun may begin now.
    fn can_begin(&self, terms: &Terms) -> bool {
        let Some(entry) = self.ready.front() else { return false };
        let size = match entry {
            Entry::Whole(_, message) if fits_one_frame(message, terms) => return true,
            Entry::Whole(_, message) => message.content.len() as u64,
            Entry::Stream(ticket) => self.streams.get(ticket).map_or(0, |stream| stream.reserved),
        };
        self.active.is_empty()
            || (self.active.len() < terms.unfinished
                && self.active_bytes.saturating_add(size) <= terms.message)
    }

    fn begin_next(&mut self, terms: &Terms) -> Option<Next<'_>> {
        let entry = self.ready.pop_front()?;
        let reserved = match entry {
            Entry::Whole(ticket, message) if fits_one_frame(&message, terms) => {
                self.shrink(weight(&message));
                self.awaiting.push_back(Done { ticket, message: Some(message) });
                return self.awaiting.back()?.message.as_ref().map(Next::Message);
            }
            Entry::Whole(_, ref message) => message.content.len() as u64,
            Entry::Stream(ticket) => self.streams.get(&ticket).map_or(0, |stream| stream.reserved),
        };
        self.last_message_id = self.last_message_id.saturating_add(1);
        self.active_bytes = self.active_bytes.saturating_add(reserved);
        let active = Active { entry, message_id: self.last_message_id, index: 0, encoded: 0, reserved };
        self.active.push_front(active);
        self.next_chunk(terms)
    }

    /// The next chunk of the next active message that has one.
    fn next_chunk(&mut self, terms: &Terms) -> Option<Next<'static>> {
        let at = self.active.iter().position(|active| match &active.entry {
            Entry::Whole(..) => true,
            Entry::Stream(ticket) => self.streams.get(ticket).is_some_and(Stream::has_work),
        })?;
        let mut active = self.active.remove(at)?;
        let first = active.index == 0;
        let mut chunk = Chunk {
            message_id: active.message_id,
            index: active.index,
            last: false,
            aborted: false,
            total_size: None,
            app: App::NONE,
        };
        let (content_type, content) = match &active.entry {
            Entry::Whole(_, message) => {
                let from = usize::try_from(active.encoded).unwrap_or(usize::MAX).min(message.content.len());
                let to = from.saturating_add(terms.chunk_size).min(message.content.len());
                chunk.last = to == message.content.len();
                if first {
                    chunk.total_size = Some(message.content.len() as u64);
                    chunk.app = message.app.clone();
                }
                (message.content_type.clone(), message.content.slice(from..to))
            }
            Entry::Stream(ticket) => {
                let stream = self.streams.get_mut(ticket)?;
                let content = match stream.pieces.front_mut() {
                    Some(piece) if piece.len() > terms.chunk_size => piece.split_to(terms.chunk_size),
                    Some(_) => {
                        self.queued = self.queued.saturating_sub(PIECE);
                        stream.pieces.pop_front().unwrap_or_default()
                    }
                    None => Bytes::new(),
                };
                chunk.aborted = stream.aborted;
                chunk.last = stream.aborted || (stream.ended && stream.pieces.is_empty());
                if first {
                    chunk.total_size = stream.begin.total_size;
                    chunk.app = stream.begin.app.clone();
                }
                (stream.begin.content_type.clone(), content)
            }
        };
        self.queued = self.queued.saturating_sub(content.len());
        self.excess = match self.excess {
            Some((ticket, _)) if ticket == active.entry.ticket() && chunk.last => None,
            Some((ticket, left)) if ticket == active.entry.ticket() => {
                Some((ticket, left.saturating_sub(content.len())))
            }
            other => other,
        };
        active.index = active.index.saturating_add(1);
        active.encoded = active.encoded.saturating_add(content.len() as u64);
        let mut completes = false;
        if chunk.last {
            self.active_bytes = self.active_bytes.saturating_sub(active.reserved);
            match active.entry {
                Entry::Whole(ticket, message) => {
                    self.shrink(weight(&message).saturating_sub(message.content.len()));
                    self.awaiting.push_back(Done { ticket, message: Some(message) });
                    completes = true;
                }
                Entry::Stream(ticket) => {
                    self.drop_stream(ticket);
                    if !chunk.aborted {
                        self.awaiting.push_back(Done { ticket, message: None });
                        completes = true;
                    }
                }
            }
        } else {
            self.active.push_back(active);
        }
        Some(Next::Chunk { chunk, content_type, content, completes })
    }
}

impl Entry {
    fn ticket(&self) -> Ticket {
        match self {
            Self::Whole(ticket, _) | Self::Stream(ticket) => *ticket,
        }
    }
}

/// What a message counts in the queue beside [`OVERHEAD`], in bytes.
fn weight(message: &Message) -> usize {
    let app = message.app.as_json().map_or(0, str::len);
    message.content.len().saturating_add(message.content_type.len()).saturating_add(app)
}

/// The same of a streamed message, without its pieces.
fn begin_weight(begin: &Begin) -> usize {
    begin.content_type.len().saturating_add(begin.app.as_json().map_or(0, str::len))
}

/// What a streamed message takes of the peer's budget to begin with: its size, or a fair share where that
/// is not known.
fn reservation(begin: &Begin, terms: &Terms) -> u64 {
    let share = terms.message / (terms.unfinished.max(1) as u64);
    begin.total_size.unwrap_or(share)
}

/// Whether a message goes out in one frame. An empty one does not: a frame of type `message` must have
/// content, a last chunk need not.
fn fits_one_frame(message: &Message, terms: &Terms) -> bool {
    !terms.chunk || (message.content.len() <= terms.chunk_size && !message.content.is_empty())
}

#[cfg(test)]
mod tests;
