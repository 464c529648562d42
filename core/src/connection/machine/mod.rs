//! The machine: a codec with queues, timeouts and an ending.

mod commands;
mod ending;
mod reading;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use bytes::BytesMut;

use super::command::CommandOf;
use super::config::Config;
use super::event::Event;
use super::outbox::Outbox;
use super::state::State;
use crate::buf::{EventQueue, ReadSize, TransmitQueue};
use crate::closing::{Closing, Ending};
use crate::ended::EndedBy;
use crate::error::{Code, Error};
use crate::liveness::Liveness;
use crate::protocol::{Close, Cut, Interest, Outcome, Protocol, Refused, Ticket};
use crate::rate::Throttle;
use crate::role::Role;
use crate::seed::Seed;
use crate::stats::Stats;
use crate::time::Instant;
use crate::timer::earliest;
use crate::wire::codec::Codec;

/// How much is encoded ahead of the transport, in bytes.
const ENCODE_AHEAD: usize = 64 * 1024;

/// A connection without a session, either side of it.
///
/// ```
/// use bytes::BytesMut;
/// use heartwire_core::connection::{Command, Config, Connection, Event};
/// use heartwire_core::protocol::Protocol;
/// use heartwire_core::role::Role;
/// use heartwire_core::seed::Seed;
/// use heartwire_core::time::Instant;
/// use heartwire_core::wire::lines::{Line, Lines, Settings};
///
/// let now = Instant::ZERO;
/// let seed = Seed::new([7; 32]); // lines need none
/// let mut client: Connection<Lines> =
///     Connection::new(Config::default(), &Settings::default(), Role::Client, &seed, now);
/// client.handle_command(now, Command::Send(Line::new("hello").unwrap())).unwrap();
/// assert!(client.poll(now).write);
/// let mut out = [&[][..]; 1];
/// assert_eq!(client.transmit_slices(&mut out), 1);
/// assert_eq!(out[0], b"hello\n");
///
/// client.handle_input(now, &mut BytesMut::from("hello\n"), 6);
/// assert!(matches!(client.poll_event(), Some(Event::Received(line)) if line.as_str() == "hello"));
/// ```
#[derive(Debug)]
pub struct Connection<C: Codec> {
    config: Arc<Config>,
    codec: C,
    state: State,
    inbox: EventQueue<Event<C>>,
    outbox: Outbox<C>,
    liveness: Liveness,
    /// What the peer may send, if that is limited.
    throttle: Option<Box<Throttle>>,
    closing: Closing,
    stats: Stats,
    read_size: ReadSize,
    /// Why it ends, known before the last event.
    ending: Option<Ending>,
    /// How it ended, once the last event is there.
    outcome: Option<Outcome>,
    /// The peer's stream has ended: why, if it was not in order.
    eof: Option<Option<alloc::string::String>>,
    /// Everything that came before it is understood, and the application was told.
    peer_finished: bool,
    /// It is to close when no answer is owed.
    stopping: bool,
    /// This side was the first to finish.
    finished_first: bool,
    /// Writing failed: nothing leaves any more.
    write_dead: bool,
    /// Something waits for the application to make room, or for the next messages to be let pass: nothing more is
    /// read before that is understood.
    held_back: bool,
    /// Bytes received and not understood yet, and how many what has begun misses.
    waiting: usize,
    missing: usize,
    /// When output that waits must have moved, while the peer's silence tells nothing.
    stall_deadline: Option<Instant>,
    /// Position of the transport when the time to flush was last extended.
    flush_mark: u64,
}

impl<C: Codec> Connection<C> {
    /// A machine for a connection that is there. `seed` is this connection's alone.
    pub fn new(
        config: impl Into<Arc<Config>>,
        settings: &C::Settings,
        role: Role,
        seed: &Seed,
        now: Instant,
    ) -> Self {
        let config = config.into();
        Self {
            codec: C::new(settings, role, seed),
            state: State::Open,
            inbox: EventQueue::new(config.queued_events(), config.queued_event_bytes()),
            outbox: Outbox::new(),
            liveness: Liveness::new(
                now,
                config.idle_timeout(),
                config.progress_timeout(),
                config.progress_bytes(),
            ),
            throttle: Throttle::new(config.message_rate(), config.byte_rate(), now),
            closing: Closing::new(config.flush_timeout(), config.drain_timeout(), config.drain_bytes()),
            stats: Stats::new(now),
            read_size: ReadSize::new(),
            ending: None,
            outcome: None,
            eof: None,
            peer_finished: false,
            stopping: false,
            finished_first: false,
            write_dead: false,
            held_back: false,
            waiting: 0,
            missing: 0,
            stall_deadline: None,
            flush_mark: 0,
            config,
        }
    }

    /// A machine that only closes a connection, for this reason: there is no word for it in these protocols.
    pub fn refusing(
        config: impl Into<Arc<Config>>,
        settings: &C::Settings,
        seed: &Seed,
        error: &Error,
        now: Instant,
    ) -> Self {
        let mut connection = Self::new(config, settings, Role::Server, seed, now);
        connection.refuse(now, error);
        connection
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> &C {
        &self.codec
    }

    /// Counters. A frame is what the codec gives at once; a message may have several.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Bytes accepted that the transport has not taken.
    #[must_use]
    pub fn queued_output(&self) -> usize {
        self.outbox.queued()
    }

    /// Events that wait to be taken, and their bytes.
    #[must_use]
    pub fn queued_events(&self) -> (usize, usize) {
        self.inbox.queued()
    }

    /// Whether reading pauses because a rate is used up.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.throttle().is_some_and(|throttle| !throttle.lets_read())
    }

    /// Whether nothing more can be sent: it is finished, closing, or has ended.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state != State::Open || self.write_dead
    }
}

impl<C: Codec> Protocol for Connection<C> {
    type Command = CommandOf<C>;
    type Event = Event<C>;

    fn handle_input(&mut self, now: Instant, rx: &mut BytesMut, fresh: usize) {
        if fresh == 0 && !self.is_worth_parsing(now) {
            return;
        }
        if self.eof.is_some() {
            // Nothing follows the end of a stream.
            rx.truncate(rx.len().saturating_sub(fresh));
        } else if fresh > 0 {
            self.stats.last_heard = now;
            self.stats.bytes_received = self.stats.bytes_received.saturating_add(fresh as u64);
            self.liveness.handle_received(now, fresh);
            self.read_size.adapt(fresh);
            if let Some(throttle) = self.throttle_mut() {
                throttle.handle_received(now, fresh);
            }
        }
        self.parse(now, rx);
        self.settle(now);
    }

    fn handle_eof(&mut self, now: Instant, rx: &mut BytesMut) {
        if self.eof.is_none() {
            self.eof = Some(None);
        }
        if self.state == State::Draining {
            self.cut();
        }
        self.parse(now, rx);
        self.settle(now);
    }

    fn handle_command(
        &mut self,
        now: Instant,
        command: CommandOf<C>,
    ) -> Result<Ticket, Refused<CommandOf<C>>> {
        // Where the time does not matter it is not known either.
        let timed = Self::needs_time(&command);
        let done = self.command(now, command);
        if timed {
            self.settle(now);
        }
        done
    }

    fn handle_transmitted(&mut self, now: Instant, n: usize) {
        if n == 0 || self.outbox.transmit().pending() == 0 || self.state == State::Ended {
            return;
        }
        let whole = self.outbox.handle_transmitted(n);
        let taken = self.outbox.transmit().taken();
        self.stats.messages_sent = self.stats.messages_sent.saturating_add(whole as u64);
        self.stats.bytes_sent = taken;
        self.liveness.handle_sent(now);
        self.stall_deadline = None;
        let moved = taken.saturating_sub(self.flush_mark);
        if matches!(self.state, State::Closing { .. }) && moved >= self.config.progress_bytes() as u64 {
            self.flush_mark = taken;
            self.closing.extend_flush(now);
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        self.settle(now);
        self.inbox.trim();
        self.outbox.trim();
    }

    fn handle_cut(&mut self, now: Instant, rx: &mut BytesMut, cut: Cut) {
        let transport = |text| Ending::new(EndedBy::Transport, Code::TransportFailed, text);
        let ours = |text: &str| Ending::new(EndedBy::Local, Code::Aborted, text);
        match cut {
            Cut::ReadFailed(text) => {
                if self.eof.is_none() {
                    self.eof = Some(Some(text.clone()));
                }
                if !self.state.understands() {
                    self.end(transport(text), false);
                }
                self.parse(now, rx);
            }
            Cut::WriteFailed(text) => {
                if self.write_dead {
                    return;
                }
                self.write_dead = true;
                if self.state.understands() {
                    // What the peer sent before it went is still to be read.
                    self.ending = Some(transport(text));
                    self.closing.begin_drain(now);
                } else {
                    self.end(transport(text), false);
                }
                self.parse(now, rx);
            }
            Cut::Dropped => match self.state {
                // Nothing more would come: what is queued leaves, and nobody waits for the peer.
                State::Finishing | State::Finished if !self.write_dead => self.close(now),
                state if state.is_closing() && !self.write_dead => {}
                _ => self.end(ours("the application let go of the connection"), false),
            },
            Cut::Aborted => self.end(ours("the application gave the connection up"), false),
            Cut::Stopped => self.end(ours("this side stopped before everything had left"), false),
            Cut::Crowded => self.end(ours("too many connections were being made"), false),
        }
        self.settle(now);
    }

    fn needs_time(command: &CommandOf<C>) -> bool {
        use super::command::Command::{Piece, Send};
        !matches!(command, Send(_) | Piece { .. })
    }

    fn poll_event(&mut self) -> Option<Event<C>> {
        self.inbox.pop()
    }

    fn poll_events(&mut self, more: &mut VecDeque<Event<C>>) -> Option<Event<C>> {
        let event = self.inbox.pop()?;
        self.inbox.pop_small(more);
        Some(event)
    }

    fn ended(&self) -> Option<Outcome> {
        self.outcome
    }

    fn poll(&mut self, now: Instant) -> Interest {
        self.encode(now);
        self.settle(now);
        let read = self.read_wanted(now);
        let mut deadline = earliest([
            if self.awaits_peer() { self.liveness.deadline() } else { None },
            self.stall_deadline,
            self.closing.deadline(),
        ]);
        if let Some(throttle) = self.throttle() {
            deadline = earliest([deadline, throttle.deadline()]);
        }
        Interest {
            read: self.read_size.ask(read),
            write: self.state != State::Ended && !self.write_dead && self.outbox.transmit().pending() > 0,
            commands: !self.is_closing() && !self.is_full() && !self.outbox.is_open(),
            closed: self.is_closing(),
            events: self.inbox.has_events(),
            deadline,
            close: match self.state {
                State::Ended => Close::Now,
                State::Finished | State::Draining => Close::AfterFlush,
                _ => Close::Open,
            },
        }
    }

    fn transmit_slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        if self.write_dead || self.state == State::Ended {
            return 0;
        }
        self.outbox.transmit().slices(out)
    }

    fn lend_transmit(&mut self, to: &mut TransmitQueue) {
        if !self.write_dead && self.state != State::Ended {
            self.outbox.transmit_mut().lend(to);
        }
    }
}
