//! Two machines wired together under a simulated clock, for tests without sockets and without
//! waiting.
//!
//! ```
//! use core::time::Duration;
//! use heartwire_core::config::Config;
//! use heartwire_core::key::{Key, Keys};
//! use heartwire_core::message::Message;
//! use heartwire_core::session::{Command, Event};
//! use heartwire_core::testing::Pair;
//!
//! let keys = Keys::new(Key::new(b"a key that both sides have").unwrap());
//! let mut pair = Pair::sessions(Config::default(), Config::default(), keys);
//! pair.run();
//! pair.a.command(pair.now, Command::Send(Message::text("hello"))).unwrap();
//! pair.run();
//! assert!(pair.b.events.contains(&Event::Message(Message::text("hello"))));
//! pair.advance(Duration::from_secs(5)); // a heartbeat
//! assert!(pair.a.pump.machine().round_trip().is_some());
//! ```

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::BufMut;
use core::fmt;
use core::time::Duration;

use crate::config::Config;
use crate::key::Keys;
use crate::protocol::{Close, Interest, Protocol, Refused, Ticket};
use crate::pump::Pump;
use crate::seed::Seed;
use crate::session::Session;
use crate::time::Instant;

/// More turns than any test needs: beyond them, the machines do not come to rest.
const TURNS: usize = 1_000_000;

/// Sizes for reads and writes, from a seed that a failing test prints.
#[derive(Clone, Debug)]
pub struct Chunker {
    state: u64,
    largest: usize,
}

impl Chunker {
    /// Everything at once.
    #[must_use]
    pub fn whole() -> Self {
        Self { state: 0, largest: usize::MAX }
    }

    /// Always this many bytes, at least one.
    #[must_use]
    pub fn fixed(size: usize) -> Self {
        Self { state: 0, largest: size.max(1) }
    }

    /// Between one byte and `largest`, by `seed`.
    #[must_use]
    pub fn random(seed: u64, largest: usize) -> Self {
        Self { state: seed | 1, largest: largest.max(1) }
    }

    /// The next size.
    pub fn next_size(&mut self) -> usize {
        if self.state == 0 {
            return self.largest;
        }
        // xorshift64*: good enough to vary sizes.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        (usize::try_from(random).unwrap_or(0) % self.largest).saturating_add(1)
    }
}

/// One end of a [`Pair`].
#[derive(Debug)]
pub struct Side<P: Protocol> {
    /// The machine, with its buffer.
    pub pump: Pump<P>,
    /// The events it gave, unless `hold_events` is set.
    pub events: Vec<P::Event>,
    /// The application is behind: events stay in the machine.
    pub hold_events: bool,
    /// The peer's transport takes nothing: what this side writes stays.
    pub hold_output: bool,
    /// Bytes on their way to this side.
    pub inbound: VecDeque<u8>,
    /// The other side's stream has ended, behind `inbound`.
    pub inbound_ended: bool,
    /// Everything this side wrote.
    pub written: Vec<u8>,
    /// This side closed its stream.
    pub half_closed: bool,
    /// This side closed the connection.
    pub closed: bool,
    eof_given: bool,
}

impl<P: Protocol> Side<P> {
    /// A side with this machine.
    pub fn new(machine: P) -> Self {
        Self {
            pump: Pump::new(machine),
            events: Vec::new(),
            hold_events: false,
            hold_output: false,
            inbound: VecDeque::new(),
            inbound_ended: false,
            written: Vec::new(),
            half_closed: false,
            closed: false,
            eof_given: false,
        }
    }

    /// Gives the machine a command.
    ///
    /// # Errors
    ///
    /// As [`Protocol::handle_command`].
    pub fn command(&mut self, now: Instant, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        self.pump.handle_command(now, command)
    }

    /// Bytes for this side to receive, as if the peer had written them.
    pub fn inject(&mut self, bytes: &[u8]) {
        self.inbound.extend(bytes);
    }

    /// One turn: reads and writes what the machine wants, in sizes of the chunker. Gives what was
    /// written, and whether anything happened.
    pub fn turn(&mut self, now: Instant, chunker: &mut Chunker) -> (Vec<u8>, bool) {
        let mut written = Vec::new();
        if self.closed {
            // The connection is gone; what it left behind is still to be taken.
            return (written, self.take_events(now));
        }
        let interest = self.pump.poll(now);
        let mut busy = false;
        if interest.write && !self.hold_output {
            let mut slices = [&[][..]; 16];
            let (_, machine) = self.pump.io();
            let used = machine.transmit_slices(&mut slices);
            let offered: Vec<u8> = slices.iter().take(used).flat_map(|slice| slice.iter().copied()).collect();
            let n = offered.len().min(chunker.next_size());
            written.extend(offered.into_iter().take(n));
            self.pump.handle_transmitted(now, n);
            self.written.extend_from_slice(&written);
            busy = n > 0;
        }
        if interest.read > 0 && !self.inbound.is_empty() {
            let n = self.inbound.len().min(interest.read).min(chunker.next_size());
            let (rx, _) = self.pump.io();
            rx.reserve(n);
            for byte in self.inbound.drain(..n) {
                rx.put_u8(byte);
            }
            self.pump.handle_read(now, n);
            busy = true;
        } else if interest.read > 0 && self.inbound_ended && !self.eof_given {
            self.eof_given = true;
            self.pump.handle_read(now, 0);
            busy = true;
        }
        busy |= self.take_events(now);
        let interest = self.pump.poll(now);
        busy |= self.apply_close(&interest);
        (written, busy)
    }

    fn take_events(&mut self, now: Instant) -> bool {
        let before = self.events.len();
        while !self.hold_events {
            let Some(event) = self.pump.poll_event(now) else { break };
            self.events.push(event);
        }
        self.events.len() > before
    }

    /// Fires a deadline that has passed; says whether there was one.
    fn fire(&mut self, now: Instant) -> bool {
        let due = |interest: Interest| interest.deadline.is_some_and(|deadline| deadline <= now);
        if self.closed || !due(self.pump.poll(now)) {
            return false;
        }
        self.pump.handle_timeout(now);
        let again = self.pump.poll(now);
        assert!(!due(again) || again.close == Close::Now, "a timer fired and is still due: {again:?}");
        true
    }

    fn apply_close(&mut self, interest: &Interest) -> bool {
        match interest.close {
            Close::Open => false,
            Close::AfterFlush => !interest.write && !core::mem::replace(&mut self.half_closed, true),
            Close::Now => {
                self.half_closed = true;
                !core::mem::replace(&mut self.closed, true)
            }
        }
    }
}

/// Two machines wired together.
#[allow(missing_debug_implementations)]
pub struct Pair<A: Protocol, B: Protocol> {
    /// One side: for [`sessions`](Pair::sessions), the client.
    pub a: Side<A>,
    /// The other: for [`sessions`](Pair::sessions), the server.
    pub b: Side<B>,
    /// What time it is.
    pub now: Instant,
    /// The sizes of reads and writes.
    pub chunker: Chunker,
}

impl Pair<Session, Session> {
    /// A client and a server with the same keys.
    #[must_use]
    pub fn sessions(client: Config, server: Config, keys: Keys) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        Self::new(
            Session::client(client, keys.clone(), now),
            Session::server(server, keys, &Seed::new([7; 32]), now),
            now,
        )
    }
}

impl<A: Protocol, B: Protocol> Pair<A, B>
where
    A::Event: fmt::Debug,
    B::Event: fmt::Debug,
{
    /// Two machines, at this time.
    pub fn new(a: A, b: B, now: Instant) -> Self {
        Self { a: Side::new(a), b: Side::new(b), now, chunker: Chunker::whole() }
    }

    /// Lets bytes flow until nothing moves any more. Time stands still.
    ///
    /// # Panics
    ///
    /// If the machines do not come to rest, or one asks for a timeout that has passed and does
    /// nothing about it.
    pub fn run(&mut self) {
        for _ in 0..TURNS {
            let (from_a, busy_a) = self.a.turn(self.now, &mut self.chunker);
            self.b.inbound.extend(from_a);
            self.b.inbound_ended |= self.a.half_closed;
            let (from_b, busy_b) = self.b.turn(self.now, &mut self.chunker);
            self.a.inbound.extend(from_b);
            self.a.inbound_ended |= self.b.half_closed;
            if !busy_a && !busy_b && !self.fire() {
                return;
            }
        }
        panic!("the machines do not come to rest: {:?} / {:?}", self.a.events.last(), self.b.events.last());
    }

    /// Lets time pass, deadline by deadline, with everything that happens on the way.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        for _ in 0..TURNS {
            self.run();
            match self.deadline() {
                Some(deadline) if deadline <= until => self.now = deadline.max(self.now),
                _ => {
                    self.now = until;
                    self.run();
                    return;
                }
            }
        }
        panic!("more deadlines than any test needs");
    }

    /// The earliest deadline of both sides.
    pub fn deadline(&mut self) -> Option<Instant> {
        let a = if self.a.closed { None } else { self.a.pump.poll(self.now).deadline };
        let b = if self.b.closed { None } else { self.b.pump.poll(self.now).deadline };
        a.into_iter().chain(b).min()
    }

    /// Fires the deadlines that have passed; says whether there was one.
    fn fire(&mut self) -> bool {
        let fired = self.a.fire(self.now);
        self.b.fire(self.now) || fired
    }
}
