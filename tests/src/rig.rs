//! A machine that anything is done to, with what must hold whatever it is.

use std::collections::VecDeque;
use std::time::Duration;

use heartwire_core::buf::TransmitQueue;
use heartwire_core::config::{Config, Receive};
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::{Close, Cut, Interest, Protocol, Ticket};
use heartwire_core::pump::Pump;
use heartwire_core::rate::Rate;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Begin, Command, Ended, Event, Role, Session};
use heartwire_core::time::Instant;

use crate::peer::{FEATURES, unsigned};
use crate::unprotected::Unprotected;

/// Narrow limits, so that few operations reach them.
const EVENTS: usize = 4;
const EVENT_BYTES: usize = 2000;
const MESSAGE: u64 = 5000;
const UNFINISHED: usize = 3;
const OUTPUT: usize = 3000;
/// The largest message or piece that these operations send, and what all the open ones may add to a full
/// queue: each streamed message may always add one piece.
const LARGEST: usize = 4096;
const OVERSHOOT: usize = LARGEST * 9 + 64 * 1024 + 8192;

/// Rates of messages and of bytes that few operations reach, or none.
pub(crate) fn low_rates(set: bool) -> [Option<Rate>; 2] {
    [(1, 3), (900, 1500)].map(|(per_second, burst)| set.then(|| Rate::new(per_second, burst).unwrap()))
}

/// Something done to a machine.
#[derive(Clone, Debug)]
pub enum Op {
    /// Bytes arrive, whatever they are.
    Raw(Vec<u8>),
    /// Anything else: which, and two numbers that it takes what it needs of.
    Do(u8, u16, u16),
}

/// A machine under test.
#[derive(Debug)]
pub struct Rig {
    pump: Pump<Session<Unprotected>>,
    now: Instant,
    tickets: Vec<Ticket>,
    accepted: u64,
    aborted: u64,
    seen: u64,
    ended: Option<Ended>,
    /// The chunked messages that the peer has open, and the last it began.
    open: Vec<(u64, u64)>,
    begun: u64,
    /// It is driven without being held: bytes are lent while things happen, events taken several at once.
    lends: bool,
    tx: TransmitQueue,
    more: VecDeque<Event>,
}

impl Rig {
    /// A machine of either role, that receives whole messages or pieces.
    #[must_use]
    pub fn new(role: Role, receive: Receive) -> Self {
        Self::with_rates(role, receive, false)
    }

    /// The same; `rates`: of messages and of bytes, so low that few operations reach them.
    #[must_use]
    pub fn with_rates(role: Role, receive: Receive, rates: bool) -> Self {
        let [message_rate, byte_rate] = low_rates(rates);
        let config = Config::builder()
            .message_rate(message_rate)
            .byte_rate(byte_rate)
            .receive(receive)
            .queued_events(EVENTS)
            .queued_event_bytes(EVENT_BYTES)
            .message_limit(MESSAGE)
            .unfinished_limit(UNFINISHED)
            .queued_output(OUTPUT)
            .chunk_size(100)
            .build()
            .unwrap();
        let now = Instant::ZERO + Duration::from_secs(10_000);
        let machine = match role {
            Role::Client => Session::client_with(config, Unprotected, now),
            Role::Server => Session::server_with(config, Unprotected, &Seed::new([5; 32]), now),
        };
        let (tickets, open) = (Vec::new(), Vec::new());
        let pump = Pump::new(machine);
        let (tx, more) = (TransmitQueue::new(), VecDeque::new());
        Self {
            pump,
            now,
            tickets,
            accepted: 0,
            aborted: 0,
            seen: 0,
            ended: None,
            open,
            begun: 0,
            lends: false,
            tx,
            more,
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
        let ticket = self.tickets.get(usize::from(a) % self.tickets.len().max(1)).copied();
        let ticket = ticket.unwrap_or(Ticket::NONE);
        let content = || vec![b as u8; usize::from(b) % LARGEST];
        match code % 20 {
            0 => self.frame(0, a, b),
            1..=5 => self.frame(a as u8, b, a.rotate_left(5) ^ b),
            6 => {
                let mut bytes = self.make(a as u8, b, a);
                let at = usize::from(b) % bytes.len();
                bytes[at] ^= (a >> 8) as u8 | 1;
                self.input(&bytes);
            }
            7 | 8 => self.command(Command::Send(Message::binary(content()))),
            9 => {
                let begin = Begin::new(ContentType::TEXT);
                let begin = if a & 1 == 0 { begin } else { begin.total_size(u64::from(b)) };
                self.command(Command::Begin(begin));
            }
            10 => self.command(Command::Piece { ticket, content: content().into() }),
            11 => self.command(Command::End { ticket }),
            12 => self.command(Command::Abort { ticket }),
            13 if a.is_multiple_of(4) => self.command(Command::Close { reason: None }),
            13 if a % 64 == 1 => self.command(Command::Fail { code: Code::TooSlow, detail: "late".into() }),
            14 if self.lends => {
                self.transmit(usize::from(b));
            }
            14 => self
                .pump
                .handle_transmitted(self.now, if a.is_multiple_of(8) { usize::MAX } else { usize::from(b) }),
            15 => {
                self.transmit(usize::from(a));
            }
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
            19 if a.is_multiple_of(16) => self.pump.handle_read(self.now, 0),
            19 if a % 16 == 1 => {
                let cut = match b % 5 {
                    0 => Cut::ReadFailed("reset".into()),
                    1 => Cut::WriteFailed("broken".into()),
                    2 => Cut::Dropped,
                    3 => Cut::Stopped,
                    _ => Cut::Crowded,
                };
                self.pump.handle_cut(self.now, cut);
            }
            _ => {}
        }
    }

    /// What a peer could say, more or less.
    fn make(&mut self, kind: u8, a: u16, b: u16) -> Vec<u8> {
        let machine = self.pump.machine();
        let role = machine.role();
        let id = machine.session_id().map_or("s".into(), ToString::to_string);
        let frame = |kind: &str, keys: &str, content: &[u8]| {
            let header =
                format!(r#"{{"type": "{kind}", "content_type": "a/b", "session_id": "{id}"{keys}}}"#);
            unsigned(&header, content)
        };
        let hello = if role == Role::Client { "session_init" } else { "session_ack" };
        let content = vec![a as u8; usize::from(a) % 2000 + 1];
        match kind % 16 {
            0 => frame(hello, if a % 8 == 7 { "" } else { FEATURES }, b"hello"),
            1 => frame("heartbeat", &format!(r#", "seq": {a}"#), b"ping"),
            2 => frame("heartbeat", &format!(r#", "seq": {}"#, a % 4), b"pong"),
            3 => frame("heartbeat", "", if a & 1 == 0 { b"pong" } else { b"ping" }),
            4..=6 => frame("message", r#", "app": {"a": [1]}"#, &content),
            7..=11 => {
                // The next chunk of a message that is open, or the first of another one.
                let at = usize::from(b) % (self.open.len() + 1);
                let (id, index) = match self.open.get(at) {
                    Some(open) => *open,
                    None => {
                        self.begun += 1;
                        (self.begun, 0)
                    }
                };
                let (last, aborted) = (a.is_multiple_of(3), a.is_multiple_of(12));
                self.open.retain(|(open, _)| *open != id);
                if !last {
                    self.open.push((id, index + 1));
                }
                let keys = format!(
                    r#", "message_id": {id}, "index": {index}, "last": {last}, "aborted": {aborted}"#
                );
                frame("chunk", &keys, &content)
            }
            12 if b.is_multiple_of(8) => frame("error", r#", "code": "chunk-gap""#, b"chunk-gap: x"),
            12 if b % 8 == 1 => frame("disconnect", "", b"{}"),
            12 if b % 8 == 2 => {
                let keys = format!(r#", "message_id": {}, "index": {}, "last": false"#, a % 4, b % 4);
                frame("chunk", &keys, b"x")
            }
            12 if b % 8 == 3 => frame(["session_init", "session_ack"][usize::from(a % 2)], "", b"x"),
            _ => frame("message", "", b"small"),
        }
    }

    fn frame(&mut self, kind: u8, a: u16, b: u16) {
        let bytes = self.make(kind, a, b);
        self.input(&bytes);
    }

    fn input(&mut self, bytes: &[u8]) {
        // A driver reads what is wanted. One in two breaks that, as a read under way would.
        let wanted = self.pump.poll(self.now).read;
        let bytes = if wanted == 0 && bytes.len().is_multiple_of(2) { &[] } else { bytes };
        if bytes.is_empty() {
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
        self.pump.handle_read(self.now, bytes.len());
    }

    /// What handles do while the driver has the bytes.
    fn meanwhile(&mut self, code: usize) {
        match code % 8 {
            0 | 1 => drop(self.take()),
            2 | 3 => self.command(Command::Send(Message::binary(vec![7; code % LARGEST]))),
            4 => drop(self.pump.poll(self.now)),
            5 if code.is_multiple_of(3) => self.pump.handle_cut(self.now, Cut::Dropped),
            _ => {}
        }
    }

    fn command(&mut self, command: Command) {
        let kept = command.clone();
        let is_abort = matches!(command, Command::Abort { .. });
        let is_new = matches!(command, Command::Send(_) | Command::Begin(_));
        match self.pump.handle_command(self.now, command) {
            Ok(ticket) if is_new => {
                assert_eq!(ticket.get(), self.accepted + 1, "tickets rise by one");
                self.accepted += 1;
                self.tickets.push(ticket);
            }
            Ok(_) => self.aborted += u64::from(is_abort),
            Err(refused) if matches!(kept, Command::Close { .. }) => {
                assert!(matches!(refused.command, Command::Close { .. }));
            }
            Err(refused) => assert_eq!(refused.command, kept, "handed back whole"),
        }
    }

    fn transmit(&mut self, most: usize) -> usize {
        let interest = self.pump.poll(self.now);
        if self.lends {
            return if interest.write { self.transmit_lent(most) } else { 0 };
        }
        let mut slices = [&[][..]; 8];
        let used = self.pump.io().1.transmit_slices(&mut slices);
        let len: usize = slices[..used].iter().map(|slice| slice.len()).sum();
        assert_eq!(len > 0, interest.write, "what is offered is what is announced");
        let n = len.min(most);
        self.pump.handle_transmitted(self.now, n);
        n
    }

    fn transmit_lent(&mut self, most: usize) -> usize {
        self.pump.lend_transmit(&mut self.tx);
        self.meanwhile(most);
        let mut slices = [&[][..]; 8];
        let used = self.tx.slices(&mut slices);
        let len: usize = slices[..used].iter().map(|slice| slice.len()).sum();
        assert!(len > 0, "what was announced is lent");
        let n = len.min(most);
        self.tx.advance(n);
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
        assert_eq!(self.ended, None, "{event:?} follows the last event");
        let first = self.seen == 0;
        self.seen += 1;
        assert_eq!(first && !matches!(event, Event::Ended(_)), matches!(event, Event::Established(_)));
        if let Event::Ended(ended) = event {
            self.ended = Some(ended);
        }
        true
    }

    fn check(&mut self) -> Interest {
        let interest = self.pump.poll(self.now);
        assert_eq!(self.pump.poll(self.now), interest, "asking changes nothing");
        let unparsed = self.pump.unparsed();
        assert!(interest.read <= unparsed.max(64 * 1024), "{interest:?}");
        let machine = self.pump.machine();
        let (events, bytes) = machine.queued_events();
        assert!(events <= EVENTS + 1, "{events} events");
        assert!(bytes <= EVENT_BYTES + MESSAGE as usize + 1024, "{bytes} bytes of events");
        let (count, gathered) = machine.unfinished();
        assert!(count <= UNFINISHED && gathered <= MESSAGE, "{count} unfinished, {gathered} bytes");
        let queued = machine.queued_output();
        assert!(queued <= OUTPUT + OVERSHOOT, "{queued} bytes of output");
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
            self.pump.handle_read(self.now, 0);
        }
        let mut turns = 0;
        loop {
            turns += 1;
            assert!(turns < 10_000, "it does not come to rest");
            let interest = self.check();
            let moved = (interest.write && self.transmit(usize::MAX) > 0) | self.take();
            if moved {
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
                None => panic!("nothing will ever happen: {interest:?}"),
            }
        }
        let Some(ended) = &self.ended else { panic!("it ended without saying so") };
        let mut tickets: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
        tickets.dedup();
        assert!(tickets.is_sorted() && tickets.len() == ended.unsent.len(), "{tickets:?}");
        let sent = self.pump.machine().stats().messages_sent;
        assert_eq!(sent + tickets.len() as u64 + self.aborted, self.accepted, "{ended:?}");
        let machine = self.pump.machine();
        assert_eq!(machine.queued_events(), (0, 0));
        for code in 0..20 {
            self.act(code, 1, 1);
            self.check();
            assert!(!self.take(), "something follows the last event");
        }
    }
}
