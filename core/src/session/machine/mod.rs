//! The machine: wires the parts of a session together and holds none of their logic.

mod clock;
mod commands;
mod ending;
mod frames;
mod output;
mod reading;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use bytes::BytesMut;
use core::time::Duration;

use crate::buf::{ReadSize, TransmitQueue};
use crate::closing::{Closing, Ending};
use crate::config::Config;
use crate::ended::{EndedBy, Unsent};
use crate::error::{Code, Error};
use crate::key::Keys;
use crate::liveness::Liveness;
use crate::message::Message;
use crate::protocol::{Close, Cut, Interest, Outcome, Protocol, Refused, Ticket, Why};
use crate::rate::Throttle;
use crate::seed::Seed;
use crate::session::command::{Begin, Command};
use crate::session::event::Event;
use crate::session::gather::Gatherer;
use crate::session::heartbeat::Heartbeat;
use crate::session::inbox::Inbox;
use crate::session::link::Link;
use crate::session::outbox::{Outbox, Terms};
use crate::session::reassembly::Reassembly;
use crate::session::state::State;
use crate::session::{Role, goodbye, handshake};
use crate::stats::Stats;
use crate::time::Instant;
use crate::timer::earliest;
use crate::wire::envelope::{CrcHmac, Hello, Protection};

/// How much is encoded ahead of the transport, in bytes: heartbeats wait behind that at most.
const ENCODE_AHEAD: usize = 64 * 1024;
/// What a header holds beside content type and entries, in bytes, at most: session id and keys. Within
/// it, nothing has to be counted exactly.
const HEADER_REST: usize = 2048;

/// A session over the envelope protocol, either side of it.
///
/// ```
/// use bytes::BytesMut;
/// use heartwire_core::config::Config;
/// use heartwire_core::key::{Key, Keys};
/// use heartwire_core::protocol::Protocol;
/// use heartwire_core::seed::Seed;
/// use heartwire_core::session::{Event, Session};
/// use heartwire_core::time::Instant;
///
/// let keys = Keys::new(Key::new(b"a key that both sides have").unwrap());
/// let now = Instant::ZERO;
/// let mut server = Session::server(Config::default(), keys.clone(), &Seed::new([7; 32]), now);
/// let mut client = Session::client(Config::default(), keys, now);
///
/// // What one side has to say, the other side is given.
/// fn carry(now: Instant, from: &mut Session, to: &mut Session) {
///     let mut rx = BytesMut::new();
///     while from.poll(now).write {
///         let mut out = [&[][..]; 8];
///         let used = from.transmit_slices(&mut out);
///         let bytes = out[..used].concat();
///         from.handle_transmitted(now, bytes.len());
///         rx.extend_from_slice(&bytes);
///         to.handle_input(now, &mut rx, bytes.len());
///     }
/// }
/// carry(now, &mut server, &mut client);
/// carry(now, &mut client, &mut server);
/// assert!(matches!(client.poll_event(), Some(Event::Established(_))));
/// assert!(matches!(server.poll_event(), Some(Event::Established(_))));
/// ```
#[derive(Debug)]
pub struct Session<P: Protection = CrcHmac> {
    config: Arc<Config>,
    role: Role,
    conversation: Conversation,
    connection: Connection<P>,
}

/// What could outlive a connection: the messages of both directions and what they are part of.
#[derive(Debug)]
struct Conversation {
    session_id: Option<Arc<str>>,
    peer: Hello,
    /// What sending has to keep to; none before the handshake.
    terms: Option<Terms>,
    outbox: Outbox,
    reassembly: Reassembly,
    gatherer: Gatherer,
    inbox: Inbox,
    /// Messages that closing gave up.
    given_up: Vec<Unsent>,
    stats: Stats,
}

/// What is gone with the connection.
#[derive(Debug)]
struct Connection<P: Protection> {
    state: State,
    link: Link<P>,
    heartbeat: Heartbeat,
    liveness: Liveness,
    /// What the peer may send, if that is limited.
    throttle: Option<Box<Throttle>>,
    closing: Closing,
    handshake_deadline: Option<Instant>,
    /// When output that waits must have moved, while we do not read.
    stall_deadline: Option<Instant>,
    /// A close was asked for before the handshake was done.
    close_reason: Option<String>,
    /// Why it ends, known before the last event.
    ending: Option<Ending>,
    /// How it ended, once the last event is there.
    outcome: Option<Outcome>,
    /// The peer's stream has ended: why, if it was not in order.
    eof: Option<Option<String>>,
    /// Writing failed: nothing leaves any more, and the peer may have said why.
    write_dead: bool,
    /// The frame at the front of what was received has begun; how many bytes it misses.
    missing: usize,
    /// Bytes received and not understood yet.
    waiting: usize,
    /// The application left no room for what is received, or the messages of this time are used up: nothing more
    /// is read before that is understood.
    held_back: bool,
    read_size: ReadSize,
    /// Position of the transport when the flush deadline was last moved.
    flush_mark: u64,
}

impl Session {
    /// The side that accepted a connection. It speaks first; `seed` makes its session id.
    pub fn server(config: impl Into<Arc<Config>>, keys: Keys, seed: &Seed, now: Instant) -> Self {
        Self::server_with(config, CrcHmac::new(keys), seed, now)
    }

    /// The side that connected.
    pub fn client(config: impl Into<Arc<Config>>, keys: Keys, now: Instant) -> Self {
        Self::client_with(config, CrcHmac::new(keys), now)
    }

    /// A server's side that only says why there will be no session, in place of `session_init`, and
    /// closes.
    pub fn refusing(config: impl Into<Arc<Config>>, keys: Keys, error: &Error, now: Instant) -> Self {
        let mut session = Self::new(config.into(), Role::Server, CrcHmac::new(keys), now);
        session.connection.link.set_legacy(false);
        session.fail(now, &goodbye::short_error(error));
        session
    }
}

impl<P: Protection> Session<P> {
    /// As [`Session::server`], with a protection of the caller's.
    pub fn server_with(config: impl Into<Arc<Config>>, protection: P, seed: &Seed, now: Instant) -> Self {
        let mut session = Self::new(config.into(), Role::Server, protection, now);
        let id: Arc<str> = seed.session_id().into();
        let (header, content) = handshake::init(&session.config, &id);
        session.conversation.session_id = Some(id);
        // The first frame is not padded: the peer takes its first read for it.
        session.connection.link.set_legacy(false);
        session.send_frame(&header, &content, false);
        // Nor does anything leave in one write with it, should it have to wait.
        session.connection.link.end_write();
        session.connection.link.set_legacy(true);
        session
    }

    /// As [`Session::client`], with a protection of the caller's.
    pub fn client_with(config: impl Into<Arc<Config>>, protection: P, now: Instant) -> Self {
        Self::new(config.into(), Role::Client, protection, now)
    }

    fn new(config: Arc<Config>, role: Role, protection: P, now: Instant) -> Self {
        let mut link = Link::new(protection);
        // Until it announces features, the peer may be one without.
        link.set_legacy(true);
        let connection = Connection {
            state: if role == Role::Client { State::AwaitInit } else { State::AwaitAck },
            link,
            heartbeat: Heartbeat::new(role, config.heartbeat_interval()),
            liveness: Liveness::new(
                now,
                Some(config.silence_timeout()),
                Some(config.progress_timeout()),
                config.progress_bytes(),
            ),
            throttle: Throttle::new(config.message_rate(), config.byte_rate(), now),
            closing: Closing::new(config.flush_timeout(), config.drain_timeout(), config.drain_bytes()),
            handshake_deadline: Some(now + config.handshake_timeout()),
            stall_deadline: None,
            close_reason: None,
            ending: None,
            outcome: None,
            eof: None,
            write_dead: false,
            missing: 0,
            waiting: 0,
            held_back: false,
            read_size: ReadSize::new(),
            flush_mark: 0,
        };
        let conversation = Conversation {
            session_id: None,
            peer: Hello::default(),
            terms: None,
            outbox: Outbox::default(),
            reassembly: Reassembly::new(config.unfinished_limit(), config.message_limit()),
            gatherer: Gatherer::new(config.message_limit()),
            inbox: Inbox::new(config.queued_events(), config.queued_event_bytes()),
            given_up: Vec::new(),
            stats: Stats::new(now),
        };
        Self { config, role, conversation, connection }
    }

    /// Which side this is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The session's id, once there is one.
    #[must_use]
    pub fn session_id(&self) -> Option<&Arc<str>> {
        self.conversation.session_id.as_ref()
    }

    /// What the peer said of itself in the handshake.
    #[must_use]
    pub fn peer(&self) -> &Hello {
        &self.conversation.peer
    }

    /// The last round-trip time.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.connection.heartbeat.round_trip()
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.conversation.stats
    }

    /// Bytes accepted or encoded that the transport has not taken.
    #[must_use]
    pub fn queued_output(&self) -> usize {
        self.conversation.outbox.queued().saturating_add(self.connection.link.pending())
    }

    /// Events that wait to be taken, and their bytes.
    #[must_use]
    pub fn queued_events(&self) -> (usize, usize) {
        self.conversation.inbox.queued()
    }

    /// Messages the peer has begun and not ended, and the bytes gathered of them.
    #[must_use]
    pub fn unfinished(&self) -> (usize, u64) {
        (self.conversation.reassembly.unfinished(), self.conversation.gatherer.held())
    }

    /// Whether [`Command::Send`] would be accepted now with this message.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn can_send(&self, message: &Message) -> Result<(), Why> {
        self.check_send(message).map(drop)
    }

    /// Whether [`Command::Begin`] would be accepted now.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn can_begin(&self, begin: &Begin) -> Result<(), Why> {
        self.check_begin(begin).map(drop)
    }

    /// Whether reading pauses because a rate is used up.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.throttle().is_some_and(|throttle| !throttle.lets_read())
    }

    /// Whether messages can be sent: the handshake is done, and nobody closes.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.connection.state == State::Established && !self.connection.write_dead
    }

    /// Whether the session is closing or has ended.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        !self.is_established() && !self.connection.state.is_handshake()
    }
}

impl<P: Protection> Protocol for Session<P> {
    type Command = Command;
    type Event = Event;

    fn handle_input(&mut self, now: Instant, rx: &mut BytesMut, fresh: usize) {
        if fresh == 0 && !self.is_worth_parsing(now) {
            return;
        }
        if fresh > 0 {
            let stats = &mut self.conversation.stats;
            stats.last_heard = now;
            stats.bytes_received = stats.bytes_received.saturating_add(fresh as u64);
            self.connection.liveness.handle_received(now, fresh);
            if self.connection.throttle.is_none() {
                self.connection.heartbeat.handle_received(now);
            } else if let Some(throttle) = self.throttle_mut() {
                throttle.handle_received(now, fresh);
            }
            self.connection.read_size.adapt(fresh);
        }
        self.parse(now, rx);
        // Time passes in `handle_timeout` alone: more may wait to be read, which counts before the clock.
        self.settle(now);
    }

    fn handle_eof(&mut self, now: Instant, rx: &mut BytesMut) {
        if self.connection.eof.is_none() {
            self.connection.eof = Some(None);
        }
        if self.connection.state == State::Draining {
            self.cut();
        }
        self.parse(now, rx);
        self.settle(now);
    }

    fn handle_command(&mut self, now: Instant, command: Command) -> Result<Ticket, Refused<Command>> {
        match command {
            Command::Send(message) => self.send(message),
            Command::Begin(begin) => self.begin(begin),
            Command::Piece { ticket, content } => self.piece(ticket, content),
            Command::End { ticket } => self.about(ticket, Command::End { ticket }, Outbox::end),
            Command::Abort { ticket } => self.about(ticket, Command::Abort { ticket }, Outbox::abort),
            Command::Close { reason } => self.close(now, reason),
            Command::Fail { code, detail } => {
                if self.is_closing() {
                    return Err(Refused { command: Command::Fail { code, detail }, why: Why::Closed });
                }
                self.fail(now, &Error::new(code, detail));
                self.settle(now);
                Ok(Ticket::NONE)
            }
        }
    }

    fn needs_time(command: &Command) -> bool {
        !matches!(command, Command::Send(_) | Command::Piece { .. })
    }

    fn handle_transmitted(&mut self, now: Instant, n: usize) {
        // After the end, what left is told already: a late report must not count it twice.
        if n == 0 || self.connection.link.pending() == 0 || self.connection.state == State::Ended {
            return;
        }
        let whole = self.connection.link.handle_transmitted(n);
        self.conversation.outbox.release(whole);
        let taken = self.connection.link.taken();
        let stats = &mut self.conversation.stats;
        stats.messages_sent = stats.messages_sent.saturating_add(whole as u64);
        stats.bytes_sent = taken;
        if self.connection.stall_deadline.is_some() {
            self.connection.stall_deadline = Some(now + self.config.stall_timeout());
        }
        let moved = taken.saturating_sub(self.connection.flush_mark);
        if self.connection.state == State::Finishing && moved >= self.config.progress_bytes() as u64 {
            self.connection.flush_mark = taken;
            self.connection.closing.extend_flush(now);
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.expire(now);
        self.settle(now);
        self.connection.link.trim();
        self.conversation.inbox.trim();
        self.conversation.outbox.trim();
    }

    fn handle_cut(&mut self, now: Instant, rx: &mut BytesMut, cut: Cut) {
        let transport = |text| Ending::new(EndedBy::Transport, Code::TransportFailed, text);
        let ours = |text: &str| Ending::new(EndedBy::Local, Code::Aborted, text);
        match cut {
            Cut::ReadFailed(text) => {
                if self.connection.eof.is_none() {
                    self.connection.eof = Some(Some(text.clone()));
                }
                if !self.connection.state.understands() {
                    self.end(transport(text), false);
                }
                self.parse(now, rx);
            }
            Cut::WriteFailed(text) => {
                if self.connection.write_dead {
                    return;
                }
                self.connection.write_dead = true;
                self.connection.heartbeat.stop();
                if !self.connection.state.understands() {
                    self.end(transport(text), false);
                } else {
                    // What the peer sent before it went is still to be read; often it says why.
                    self.connection.ending = Some(transport(text));
                    self.connection.handshake_deadline = None;
                    self.connection.closing.begin_drain(now);
                }
                self.parse(now, rx);
            }
            Cut::Dropped => {
                let closing = self.is_closing() || self.connection.close_reason.is_some();
                if !closing || self.connection.write_dead {
                    self.end(ours("the application let go of the session"), false);
                }
            }
            Cut::Aborted => self.end(ours("the application gave the connection up"), false),
            Cut::Stopped => self.end(ours("this side stopped before the goodbye had left"), false),
            Cut::Crowded => self.end(ours("too many handshakes were in progress"), false),
        }
        self.settle(now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.conversation.inbox.pop()
    }

    fn poll_events(&mut self, more: &mut VecDeque<Event>) -> Option<Event> {
        let event = self.conversation.inbox.pop()?;
        self.conversation.inbox.pop_small(more);
        Some(event)
    }

    fn ended(&self) -> Option<Outcome> {
        self.connection.outcome
    }

    fn poll(&mut self, now: Instant) -> Interest {
        self.settle(now);
        self.encode(now);
        self.advance_ending(now);
        let read = self.read_wanted(now);
        let read = self.connection.read_size.ask(read);
        let connection = &self.connection;
        let ended = connection.state == State::Ended;
        let terms = self.terms();
        let liveness = if self.awaits_peer() { connection.liveness.deadline() } else { None };
        let mut deadline = earliest([
            connection.handshake_deadline,
            liveness,
            connection.heartbeat.deadline(),
            connection.stall_deadline,
            connection.closing.deadline(),
        ]);
        if let Some(throttle) = self.throttle() {
            deadline = earliest([deadline, throttle.deadline()]);
        }
        Interest {
            read,
            write: !ended && !connection.write_dead && connection.link.pending() > 0,
            events: self.conversation.inbox.has_events(),
            closed: matches!(terms, Err(Why::Closed)),
            commands: terms.is_ok() && !self.is_full_beside_excess(),
            deadline,
            close: match connection.state {
                State::Ended => Close::Now,
                State::Draining => Close::AfterFlush,
                _ => Close::Open,
            },
        }
    }

    fn transmit_slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        if self.connection.write_dead || self.connection.state == State::Ended {
            return 0;
        }
        self.connection.link.slices(out)
    }

    fn lend_transmit(&mut self, to: &mut TransmitQueue) {
        if !self.connection.write_dead && self.connection.state != State::Ended {
            self.connection.link.lend(to);
        }
    }
}
