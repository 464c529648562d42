//! One connection without a session under arbitrary operations, with everything that must hold checked after each,
//! and held against a plain model: what the codec makes of all that came, and what was asked for in order.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use heartwire_core::buf::TransmitQueue;
use heartwire_core::connection::{Command, CommandOf, Config, Connection, Ended, Event};
use heartwire_core::error::{Code, Fault};
use heartwire_core::protocol::{Close, Cut, Interest, Protocol, Ticket, Why};
use heartwire_core::pump::Pump;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::time::Instant;
use heartwire_core::wire::body::{BodyHead, Part, Whole};
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::lines::{self, Line, Lines};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};

pub use crate::rig::Op;
use crate::rig::low_rates;
use crate::streams::{Stream, codec, decode, encode_with};

/// Narrow limits, so that few operations reach them.
const EVENTS: usize = 4;
const EVENT_BYTES: usize = 2000;
const OUTPUT: usize = 3000;
/// The largest message or piece that these operations send, and receive.
const LARGEST: usize = 4096;
/// What an event counts beside its content, and a command in the queue.
const OVERHEAD: usize = 128;

/// What a rig has to know of a protocol.
pub trait Subject: Stream {
    /// Limits, keys.
    fn settings() -> Self::Settings;
    /// A message of about so many bytes.
    fn message(len: usize, salt: u8) -> Self::Message;
    /// A head of a message with so many bytes; none where there are none.
    fn head(size: u64) -> Option<Self::Head>;
    /// How many bytes a message has on the wire.
    fn wire_len(message: &Self::Message) -> u64;
    /// How many bytes a head has on the wire.
    fn head_len(head: &Self::Head) -> u64;
    /// Writes an item so that those of a stream are always the same bytes, and of more of it more bytes.
    fn trace(item: &Self::Item, out: &mut Vec<u8>);
    /// A message as the item or items that it is received as.
    fn items(message: &Self::Message) -> Vec<Self::Item>;
}

fn body(len: usize, salt: u8) -> Bytes {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ salt).collect::<Vec<_>>().into()
}

fn trace_part<H: std::fmt::Debug>(part: &Part<H>, out: &mut Vec<u8>) {
    match part {
        Part::Head(head) => {
            out.push(b'H');
            out.extend_from_slice(format!("{head:?}").as_bytes());
        }
        Part::Piece(piece) => out.extend_from_slice(piece),
        Part::End => out.push(b'E'),
    }
}

fn whole_items<H: BodyHead>(message: &Whole<H>) -> Vec<Part<H>> {
    crate::streams::parts(message.head.clone(), &message.body)
}

impl Subject for JsonHeader {
    fn settings() -> JsonFormat {
        JsonFormat::new()
    }

    fn message(len: usize, salt: u8) -> Self::Message {
        let filename = if salt & 1 == 0 { String::new() } else { "é/".repeat(usize::from(salt) / 8) };
        let kind = if salt & 2 == 0 { Kind::Text } else { Kind::Csv };
        Whole { head: json_header::Head { kind, size: len as u64, filename }, body: body(len, salt) }
    }

    fn head(size: u64) -> Option<Self::Head> {
        Some(json_header::Head::text(size))
    }

    fn wire_len(message: &Self::Message) -> u64 {
        Self::head_len(&message.head) + message.head.size
    }

    fn head_len(head: &Self::Head) -> u64 {
        crate::peers::json_header::Header::new(head.kind.as_str(), head.size, &head.filename).bytes().len()
            as u64
    }

    fn trace(item: &Self::Item, out: &mut Vec<u8>) {
        trace_part(item, out);
    }

    fn items(message: &Self::Message) -> Vec<Self::Item> {
        whole_items(message)
    }
}

impl Subject for LengthPrefixed {
    fn settings() -> Format {
        Format::with_limit(1 << 20)
    }

    fn message(len: usize, salt: u8) -> Self::Message {
        body(len, salt).into()
    }

    fn head(size: u64) -> Option<Self::Head> {
        Some(length_prefixed::Head { size })
    }

    fn wire_len(message: &Self::Message) -> u64 {
        4 + message.head.size
    }

    fn head_len(_: &Self::Head) -> u64 {
        4
    }

    fn trace(item: &Self::Item, out: &mut Vec<u8>) {
        trace_part(item, out);
    }

    fn items(message: &Self::Message) -> Vec<Self::Item> {
        whole_items(message)
    }
}

impl Subject for Sealed {
    fn settings() -> sealed::Settings {
        sealed::Settings::new(SecretKey::new([7; 32])).limit(1 << 20)
    }

    fn message(len: usize, salt: u8) -> Bytes {
        body(len, salt)
    }

    fn head(_: u64) -> Option<Self::Head> {
        None
    }

    fn wire_len(message: &Bytes) -> u64 {
        (9 + 24 + 16 + message.len()) as u64
    }

    fn head_len(head: &Self::Head) -> u64 {
        match *head {}
    }

    fn trace(item: &Bytes, out: &mut Vec<u8>) {
        out.put_u64(item.len() as u64);
        out.extend_from_slice(item);
    }

    fn items(message: &Bytes) -> Vec<Bytes> {
        vec![message.clone()]
    }
}

impl Subject for Lines {
    fn settings() -> lines::Settings {
        lines::Settings::with_limit(LARGEST)
    }

    fn message(len: usize, salt: u8) -> Line {
        let text: String =
            (0..len).map(|at| if (at ^ usize::from(salt)) % 5 == 0 { '\r' } else { 'x' }).collect();
        Line::new(text).expect("it is a line")
    }

    fn head(_: u64) -> Option<Self::Head> {
        None
    }

    fn wire_len(line: &Line) -> u64 {
        (line.as_bytes().len() + if line.as_str().ends_with('\r') { 2 } else { 1 }) as u64
    }

    fn head_len(head: &Self::Head) -> u64 {
        match *head {}
    }

    fn trace(item: &Line, out: &mut Vec<u8>) {
        out.put_u64(item.as_bytes().len() as u64);
        out.extend_from_slice(item.as_bytes());
    }

    fn items(message: &Line) -> Vec<Line> {
        vec![message.clone()]
    }
}

/// A message that was accepted.
#[derive(Debug)]
struct Accepted {
    ticket: Ticket,
    /// How many bytes of it were given so far, its head among them, on the wire.
    len: u64,
    /// How much of its body is to be given, if that is not all yet.
    open: Option<u64>,
}

/// A machine under test.
pub struct ConnectionRig<C: Subject> {
    pump: Pump<Connection<C>>,
    now: Instant,
    role: Role,
    /// The peer's codec, and everything it said.
    peer: C,
    fed: Vec<u8>,
    /// What was received, as a trace; and everything that was written.
    received: Vec<u8>,
    items: u64,
    written: Vec<u8>,
    /// The traces of what was asked for, and what they are of.
    asked: Vec<u8>,
    accepted: Vec<Accepted>,
    stream_ended: bool,
    peer_finished: bool,
    ended: Option<Ended<C::Message>>,
    lends: bool,
    tx: TransmitQueue,
    more: VecDeque<Event<C>>,
    /// The end of the stream confirms something, and the application has not asked for it.
    unconfirmed: bool,
}

impl<C: Subject> ConnectionRig<C> {
    /// A machine of either role; `timed`: with the timeouts that are off by default.
    #[must_use]
    pub fn new(role: Role, timed: bool) -> Self {
        Self::with_rates(role, timed, false, false)
    }

    /// The same; `rates`: of messages and of bytes, so low that few operations reach them; `confirms`: the end of the
    /// stream does.
    #[must_use]
    pub fn with_rates(role: Role, timed: bool, rates: bool, confirms: bool) -> Self {
        let [message_rate, byte_rate] = low_rates(rates);
        let time = |seconds| timed.then_some(Duration::from_secs(seconds));
        let config = Config::builder()
            .queued_events(EVENTS)
            .queued_event_bytes(EVENT_BYTES)
            .queued_output(OUTPUT)
            .message_rate(message_rate)
            .byte_rate(byte_rate)
            .idle_timeout(time(30))
            .progress_timeout(time(10))
            .end_confirms(confirms)
            .build()
            .expect("a configuration");
        let now = Instant::ZERO + Duration::from_secs(10_000);
        let machine = Connection::new(config, &C::settings(), role, &Seed::new([5; 32]), now);
        let other = if role == Role::Client { Role::Server } else { Role::Client };
        Self {
            pump: Pump::new(machine),
            now,
            role,
            peer: codec(&C::settings(), other),
            fed: Vec::new(),
            received: Vec::new(),
            items: 0,
            written: Vec::new(),
            asked: Vec::new(),
            accepted: Vec::new(),
            stream_ended: false,
            peer_finished: false,
            ended: None,
            lends: false,
            tx: TransmitQueue::new(),
            more: VecDeque::new(),
            unconfirmed: confirms,
        }
    }

    /// The same, driven as the adapters' driver does: without holding the machine while it reads and writes.
    #[must_use]
    pub fn lending(mut self, lends: bool) -> Self {
        self.lends = lends;
        self
    }

    /// Does it, and checks what must hold.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::Raw(bytes) => self.input(bytes),
            Op::Do(code, a, b) => self.act(*code, *a, *b),
        }
        self.check();
    }

    fn act(&mut self, code: u8, a: u16, b: u16) {
        let ticket = self.accepted.get(usize::from(a) % (self.accepted.len() + 1));
        let named = ticket.map_or(Ticket::NONE, |accepted| accepted.ticket);
        let open = self.accepted.last().filter(|last| last.open.is_some()).map(|last| last.ticket);
        let size = usize::from(b) % LARGEST;
        match code % 20 {
            0..=2 => self.peer_says(size / (1 + usize::from(a) % 8), a as u8, None),
            3 => self.peer_says(size, a as u8, Some(usize::from(a >> 4))),
            4 if a.is_multiple_of(8) => {
                let mut bytes = encode_with(&mut self.peer, C::message(size % 200, b as u8));
                let at = usize::from(a >> 3) % bytes.len();
                bytes[at] ^= (b >> 8) as u8 | 1;
                self.input(&bytes);
            }
            4..=6 => self.send(C::message(size, a as u8)),
            7 => {
                if let Some(head) = C::head(u64::from(b % 6000)) {
                    self.begin(head);
                }
            }
            8 | 9 => self.piece(open.unwrap_or(named), &body(size / (1 + usize::from(a) % 4), a as u8)),
            10 => {
                // As much as is missing, so that it can be ended.
                if let Some(left) = self.accepted.last().and_then(|last| last.open) {
                    self.piece(open.unwrap_or(named), &body(left as usize, a as u8));
                }
                self.command(Command::End { ticket: open.unwrap_or(named) });
            }
            11 if a.is_multiple_of(8) => self.command(Command::Abort { ticket: open.unwrap_or(named) }),
            11 => self.command(Command::End { ticket: named }),
            12 if a.is_multiple_of(8) => self.command(Command::Finish),
            13 if a.is_multiple_of(8) => self.command(Command::Close),
            13 if a % 8 == 2 => self.command(Command::Stop),
            13 if a % 64 == 1 => self.command(Command::Fail { code: Code::TooSlow, detail: "late".into() }),
            14 if !self.lends && a.is_multiple_of(64) => {
                // More than there is counts as all of it.
                self.transmit(usize::MAX);
                if self.pump.machine().queued_output() == 0 {
                    self.pump.handle_transmitted(self.now, usize::from(b));
                }
            }
            // Up to a byte or two before the end, now and then.
            14 if a.is_multiple_of(4) => {
                let waiting = self.pump.machine().queued_output();
                self.transmit(waiting.saturating_sub(usize::from(b % 3)).max(1));
            }
            14 | 15 => drop(self.transmit(usize::from(a))),
            16 => self.timeout(),
            17 => {
                // Now and then a clock that goes back.
                let by = Duration::from_millis(u64::from(a));
                self.now = if b.is_multiple_of(16) {
                    Instant::from_nanos(self.now.as_nanos() - by.as_nanos() as u64)
                } else {
                    self.now + by
                };
            }
            18 => {
                for _ in 0..=a % 4 {
                    self.take();
                }
            }
            19 if a.is_multiple_of(16) => self.eof(),
            19 if a % 16 == 1 => {
                let cut = match b % 6 {
                    0 => {
                        self.stream_ended = true;
                        Cut::ReadFailed("reset".into())
                    }
                    1 | 2 => Cut::WriteFailed("broken".into()),
                    3 => Cut::Dropped,
                    4 => Cut::Stopped,
                    _ => Cut::Aborted,
                };
                self.pump.handle_cut(self.now, cut);
            }
            _ => {}
        }
    }

    /// The peer sends a message; in two reads, if it says where to split it.
    fn peer_says(&mut self, len: usize, salt: u8, split: Option<usize>) {
        let bytes = encode_with(&mut self.peer, C::message(len, salt));
        match split {
            None => self.input(&bytes),
            Some(at) => {
                let (front, back) = bytes.split_at(at % bytes.len());
                self.input(front);
                self.check();
                self.input(back);
            }
        }
    }

    fn input(&mut self, bytes: &[u8]) {
        // A driver reads what is wanted. One in two breaks that, as a read under way would.
        let wanted = self.pump.poll(self.now).read;
        if bytes.is_empty() || (wanted == 0 && bytes.len().is_multiple_of(2)) {
            return;
        }
        if self.lends {
            let mut rx = self.pump.lend_rx();
            self.meanwhile(bytes.len());
            rx.extend_from_slice(bytes);
            self.meanwhile(bytes.len() / 8);
            self.pump.return_rx(rx);
        } else {
            self.pump.io().0.extend_from_slice(bytes);
        }
        if !self.stream_ended {
            self.fed.extend_from_slice(bytes);
        }
        self.pump.handle_read(self.now, bytes.len());
    }

    fn eof(&mut self) {
        self.stream_ended = true;
        self.pump.handle_read(self.now, 0);
    }

    /// What handles do while the driver has the bytes.
    fn meanwhile(&mut self, code: usize) {
        match code % 8 {
            0 | 1 => drop(self.take()),
            2 | 3 => self.send(C::message(code % LARGEST, code as u8)),
            4 => drop(self.pump.poll(self.now)),
            5 if code.is_multiple_of(3) => self.pump.handle_cut(self.now, Cut::Dropped),
            _ => {}
        }
    }

    fn send(&mut self, message: C::Message) {
        let room = self.pump.machine().can_send(&message);
        let (len, items) = (C::wire_len(&message), C::items(&message));
        let taken = self.give(Command::Send(message));
        assert_eq!(taken.map(drop), room, "what is said beforehand holds");
        if let Ok(ticket) = taken {
            items.iter().for_each(|item| C::trace(item, &mut self.asked));
            self.accept(ticket, len, None);
        }
    }

    fn begin(&mut self, head: C::Head) {
        let room = self.pump.machine().can_begin(&head);
        let (len, size) = (C::head_len(&head), C::body_len(&head));
        let mut trace = Vec::new();
        trace_head::<C>(&head, &mut trace);
        let taken = self.give(Command::Begin(head));
        assert_eq!(taken.map(drop), room, "what is said beforehand holds");
        if let Ok(ticket) = taken {
            self.asked.extend_from_slice(&trace);
            self.accept(ticket, len, Some(size));
        }
    }

    fn piece(&mut self, ticket: Ticket, content: &Bytes) {
        if self.give(Command::Piece { ticket, content: content.clone() }).is_ok() {
            self.asked.extend_from_slice(content);
            let last = self.accepted.last_mut().expect("one is open");
            last.len += content.len() as u64;
            let left = last.open.as_mut().expect("it is open");
            *left = left.checked_sub(content.len() as u64).expect("no more than was announced");
        }
    }

    fn command(&mut self, command: CommandOf<C>) {
        let end = matches!(command, Command::End { .. });
        if self.give(command).is_ok() && end {
            let last = self.accepted.last_mut().expect("one is open");
            assert_eq!(last.open.take(), Some(0), "no less than was announced");
            self.asked.push(b'E');
        }
    }

    fn accept(&mut self, ticket: Ticket, len: u64, open: Option<u64>) {
        assert_eq!(ticket.get(), self.accepted.len() as u64 + 1, "tickets rise by one");
        self.accepted.push(Accepted { ticket, len, open });
    }

    fn give(&mut self, command: CommandOf<C>) -> Result<Ticket, Why> {
        let kept = command.clone();
        let done = self.pump.handle_command(self.now, command).map_err(|refused| {
            assert_eq!(refused.command, kept, "handed back whole");
            refused.why
        });
        self.unconfirmed &= done.is_err() || !matches!(kept, Command::Finish | Command::Close);
        done
    }

    fn transmit(&mut self, most: usize) -> usize {
        let interest = self.pump.poll(self.now);
        if self.lends {
            return if interest.write { self.transmit_lent(most) } else { 0 };
        }
        let mut slices = [&[][..]; 8];
        let used = self.pump.io().1.transmit_slices(&mut slices);
        let offered: Vec<u8> = slices[..used].concat();
        assert_eq!(!offered.is_empty(), interest.write, "what is offered is what is announced");
        let n = offered.len().min(most);
        self.written.extend_from_slice(&offered[..n]);
        self.pump.handle_transmitted(self.now, n);
        n
    }

    fn transmit_lent(&mut self, most: usize) -> usize {
        self.pump.lend_transmit(&mut self.tx);
        let mut slices = [&[][..]; 8];
        let used = self.tx.slices(&mut slices);
        let offered: Vec<u8> = slices[..used].concat();
        assert!(!offered.is_empty(), "what was announced is lent");
        let n = offered.len().min(most);
        self.tx.advance(n);
        self.written.extend_from_slice(&offered[..n]);
        // It has left, and the machine does not know yet.
        self.meanwhile(most);
        self.pump.handle_transmitted(self.now, n);
        n
    }

    fn timeout(&mut self) {
        self.pump.handle_timeout(self.now);
        let after = self.pump.poll(self.now);
        let later = after.deadline.is_none_or(|deadline| deadline > self.now);
        assert!(later || after.close == Close::Now, "a timer fired and is still due: {after:?}");
    }

    fn take(&mut self) -> bool {
        let event = match self.more.pop_front() {
            None if self.lends => self.pump.poll_events(|| self.now, &mut self.more),
            None => self.pump.poll_event(self.now),
            more => more,
        };
        let Some(event) = event else { return false };
        assert!(self.ended.is_none(), "{event:?} follows the last event");
        match event {
            Event::Received(item) => {
                assert!(!self.peer_finished, "{item:?} from a peer that has finished");
                C::trace(&item, &mut self.received);
                self.items += 1;
            }
            Event::Finished => {
                assert!(!std::mem::replace(&mut self.peer_finished, true), "it finished twice");
                self.all_received();
            }
            Event::Ended(ended) => self.ended = Some(ended),
            _ => {}
        }
        true
    }

    /// What the plain codec makes of all that came.
    fn model(&self) -> (Vec<u8>, Option<Code>) {
        let (items, end) = decode::<C>(&C::settings(), [&self.fed[..]]);
        let mut trace = Vec::new();
        items.iter().for_each(|item| C::trace(item, &mut trace));
        (trace, end.err().map(|error| error.code()))
    }

    fn all_received(&self) {
        let (trace, code) = self.model();
        assert_eq!(code, None, "it did not end in order");
        assert!(trace == self.received, "something was lost");
    }

    fn check(&mut self) -> Interest {
        let interest = self.pump.poll(self.now);
        assert_eq!(self.pump.poll(self.now), interest, "asking changes nothing");
        let unparsed = self.pump.unparsed();
        assert!(interest.read <= unparsed.max(64 * 1024), "{interest:?}");
        let machine = self.pump.machine();
        assert_eq!(interest.closed, machine.is_closing());
        assert!(!interest.commands || !interest.closed);
        let (events, bytes) = machine.queued_events();
        assert_eq!(interest.events, events > 0);
        // The last line, that the peer finished and the end have a place always.
        assert!(events <= EVENTS + 3, "{events} events");
        assert!(bytes <= EVENT_BYTES + 64 * 1024 + 4 * OVERHEAD, "{bytes} bytes of events");
        let queued = machine.queued_output();
        assert!(queued <= OUTPUT + LARGEST + 6000 + 4 * OVERHEAD, "{queued} bytes of output");
        if C::NAME == Sealed::NAME && self.role == Role::Server && !interest.closed {
            let seen = machine.stats().messages_received;
            assert!(
                seen <= self.accepted.len() as u64 + 1,
                "{seen} requests, {} answers",
                self.accepted.len()
            );
        }
        // What the peer sent wrong ends as ever: there is nothing to confirm.
        let refused = machine.ended().is_some_and(|ended| ended.code.fault() == Fault::Peer);
        assert!(
            interest.close != Close::AfterFlush || !self.unconfirmed || refused,
            "nobody asked for the end of the stream"
        );
        if interest.close == Close::Now {
            assert_eq!((interest.read, interest.write, interest.deadline), (0, false, None), "{interest:?}");
        }
        interest
    }

    /// Lets the machine come to its end by itself, or cuts it; then everything must add up.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn finish(&mut self, cut: bool) {
        if cut {
            self.pump.handle_cut(self.now, Cut::Stopped);
        } else {
            self.eof();
        }
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 10_000, "it does not come to rest");
            let interest = self.check();
            if (interest.write && self.transmit(usize::MAX) > 0) | self.take() {
                continue;
            }
            if interest.close == Close::Now {
                break;
            }
            match interest.deadline {
                Some(deadline) => {
                    self.now = self.now.max(deadline);
                    self.timeout();
                }
                // Without a timeout only we can end what the peer has ended.
                None => self.give(Command::Close).map(drop).expect("nothing will ever happen"),
            }
        }
        self.adds_up();
        for code in 0..20 {
            self.act(code, 1, 1);
            self.check();
            assert!(!self.take(), "something follows the last event");
        }
    }

    fn adds_up(&mut self) {
        let ended = self.ended.take().expect("it ended without saying so");
        let (trace, code) = self.model();
        assert!(trace.starts_with(&self.received), "what was received is not what came");
        if ended.by == heartwire_core::connection::EndedBy::Local
            && ended.fault() == Fault::Peer
            && ended.code != Code::TooSlow
        {
            assert!(trace == self.received, "something before what was refused was lost");
            assert_eq!(Some(ended.code), code, "{ended}");
        }
        let machine = self.pump.machine();
        assert_eq!(machine.queued_events(), (0, 0));
        let written = self.written.len() as u64;
        let (mut unsent, mut at) = (ended.unsent.iter(), 0);
        let mut sent = 0;
        for Accepted { ticket, len, open } in &self.accepted {
            let (start, end) = (at, at + len);
            at = end;
            if open.is_none()
                && end <= written
                && unsent.as_slice().first().is_none_or(|next| next.ticket != *ticket)
            {
                sent += 1;
                continue;
            }
            let next =
                unsent.next().unwrap_or_else(|| panic!("{ticket:?} was not sent, and is not handed back"));
            assert_eq!(next.ticket, *ticket, "in the order of tickets");
            assert!(next.begun || start >= written, "{ticket:?} was begun");
            // Only what was lent is handed back though it left.
            assert!(end > written || open.is_some() || self.lends, "{ticket:?} was sent, and is handed back");
            assert!(self.lends || next.begun == (start < written), "{ticket:?} was not begun");
        }
        assert!(unsent.next().is_none());
        assert_eq!(sent, machine.stats().messages_sent, "{ended:?}");
        assert!(!ended.told || ended.unsent.is_empty());
        // Who sent nothing has nothing to be told.
        let refused = ended.code.fault() == Fault::Peer;
        assert!(!ended.told || !self.unconfirmed || self.fed.is_empty() || refused, "{ended}");
        // What was written is what was asked for, in this order.
        let (items, _) = decode::<C>(&C::settings(), [&self.written[..]]);
        let mut trace = Vec::new();
        let cut_line = C::NAME == Lines::NAME && !self.written.ends_with(b"\n");
        let items = &items[..items.len() - usize::from(cut_line && !items.is_empty())];
        items.iter().for_each(|item| C::trace(item, &mut trace));
        if self.accepted.last().is_some_and(|last| last.open == Some(0)) && trace.len() > self.asked.len() {
            // Its body is there whole, though nobody said that it has ended.
            assert_eq!(trace.pop(), Some(b'E'));
        }
        assert!(self.asked.starts_with(&trace), "something else was written than was asked for");
        self.ended = Some(ended);
    }
}

/// The trace of a message that is given in pieces: its head, its body, its end.
///
/// # Panics
///
/// If there are none in this protocol.
#[must_use]
pub fn trace_streamed<C: Subject>(size: u64, content: &[u8]) -> Vec<u8> {
    let mut trace = Vec::new();
    trace_head::<C>(&C::head(size).expect("there are heads"), &mut trace);
    trace.extend_from_slice(content);
    trace.push(b'E');
    trace
}

/// The trace of a head: of what the codec makes of it, without the end that it has at once where no body follows.
fn trace_head<C: Subject>(head: &C::Head, out: &mut Vec<u8>) {
    let mut tx = TransmitQueue::new();
    codec::<C>(&C::settings(), Role::Client).encode_head(head.clone(), &mut tx);
    let bytes = crate::streams::taken(&mut tx);
    let (items, _) = decode::<C>(&C::settings(), [&bytes[..]]);
    items.iter().take(1).for_each(|item| C::trace(item, out));
}
