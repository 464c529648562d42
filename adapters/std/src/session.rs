//! A session as an application holds it: send, receive, close, split. The same in every adapter.

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use bytes::Bytes;
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::{Cut, Outcome, Refused, Ticket, Why};
use heartwire_core::session::{self as core, Begin, Command, Ended, Established, Event, Stats};

use crate::address::Address;
use crate::handle::{Commands, Events};

/// A message or a piece that was not accepted, handed back.
pub type SendError<T = Message> = Refused<T>;

/// A session: sends, receives, closes.
///
/// Dropping it (with its [`Sender`]s) without closing cuts the connection: what is queued is lost.
pub struct Session {
    sender: Sender,
    receiver: Receiver,
}

impl Session {
    /// A session of these handles, whose handshake is done. For adapters.
    #[must_use]
    pub fn new(
        commands: Commands<core::Session>,
        events: Events<core::Session>,
        established: Established,
    ) -> Self {
        let established = Arc::new(established);
        Self { sender: Sender { commands, established }, receiver: Receiver { events, ended: None } }
    }

    /// The next event. See [`Receiver::recv`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        self.receiver.recv().await
    }

    /// The next message. See [`Receiver::recv_message`].
    ///
    /// # Errors
    ///
    /// How the session ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv_message(&mut self) -> Result<Message, Arc<Ended>> {
        self.receiver.recv_message().await
    }

    /// Says goodbye, and waits until the connection is closed. Queued messages are sent first; what
    /// arrives meanwhile is discarded. To have that too, use [`Sender::start_close`] and go on
    /// receiving until the last event.
    ///
    /// # Cancel safety
    ///
    /// The session goes on closing by itself.
    pub async fn close(self, reason: impl Into<Option<String>>) -> Arc<Ended> {
        let Self { sender, mut receiver } = self;
        sender.start_close(reason);
        let ended = loop {
            if let Err(ended) = receiver.recv_message().await {
                break ended;
            }
        };
        sender.closed().await;
        ended
    }

    /// The two halves, to be used from different tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// A handle to send with.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The half that receives.
    #[must_use]
    pub fn receiver(&mut self) -> &mut Receiver {
        &mut self.receiver
    }
}

impl std::ops::Deref for Session {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Sends over a session, and knows all about it. Cloning is cheap.
#[derive(Clone)]
pub struct Sender {
    commands: Commands<core::Session>,
    established: Arc<Established>,
}

impl Sender {
    /// Sends a message: waits while the queue is full, and is done when the message is queued. What is
    /// queued is sent, or handed back by the last event.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted: the session is closing, or the peer does not take
    /// such a message.
    ///
    /// # Cancel safety
    ///
    /// A message is queued as a whole or not at all. If the future is dropped before it is done, the message was
    /// not queued and is dropped with it; to keep it, await [`ready_for`](Self::ready_for) it and use
    /// [`try_send`](Self::try_send).
    pub async fn send(&self, message: Message) -> Result<Ticket, SendError> {
        // Mostly there is room, and nothing to wait for.
        match self.try_send(message) {
            Err(Refused { command: message, why: Why::Full }) => {
                self.commands.command(Command::Send(message)).await.map_err(message_back)
            }
            done => done,
        }
    }

    /// Sends a message, if the queue has room for it now.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted; [`Why::Full`]: there is no room now.
    #[inline]
    pub fn try_send(&self, message: Message) -> Result<Ticket, SendError> {
        self.commands.try_command(Command::Send(message)).map_err(message_back)
    }

    /// Waits until the queue has room for a small message (one that is not sent in chunks), or the
    /// session is closing.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn ready(&self) {
        self.commands.room().await;
    }

    /// Waits until [`try_send`](Self::try_send) would not answer [`Why::Full`] to this message. Another task
    /// may be faster then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn ready_for(&self, message: &Message) {
        self.commands.room_for(|session| session.can_send(message) != Err(Why::Full)).await;
    }

    /// Begins a message whose content comes piece by piece; waits while the queue is full, or the peer
    /// takes no more such messages at once.
    ///
    /// Open ones take of what the peer takes unfinished: of its count (by default 8; one is left for
    /// messages sent whole), and of its budget (by default 64 MiB): their size, or where that is not
    /// known an equal share and what they outgrow it by. What does not fit beside them waits until they
    /// end: a task that keeps one open should not wait to send a larger message than is left.
    ///
    /// # Errors
    ///
    /// The beginning, and why it was not accepted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is done, nothing was begun.
    pub async fn begin(&self, begin: Begin) -> Result<Outgoing, SendError<Begin>> {
        let begun = self.commands.command(Command::Begin(begin)).await;
        begun.map(|ticket| self.outgoing(ticket)).map_err(begin_back)
    }

    /// Begins a message whose content comes piece by piece, if that can be done now.
    ///
    /// # Errors
    ///
    /// The beginning, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_begin(&self, begin: Begin) -> Result<Outgoing, SendError<Begin>> {
        let begun = self.commands.try_command(Command::Begin(begin));
        begun.map(|ticket| self.outgoing(ticket)).map_err(begin_back)
    }

    fn outgoing(&self, ticket: Ticket) -> Outgoing {
        Outgoing { commands: self.commands.clone(), ticket, open: true }
    }

    /// Gives up a message that is not sent whole.
    ///
    /// # Errors
    ///
    /// [`Why::Never`] if it is sent, or was never accepted.
    pub fn abort(&self, ticket: Ticket) -> Result<(), Why> {
        match self.commands.try_command(Command::Abort { ticket }) {
            Ok(_) => {
                self.commands.room_made();
                Ok(())
            }
            Err(refused) => Err(refused.why),
        }
    }

    /// Says goodbye when what is queued is sent. Receiving goes on until the last event. Nothing
    /// happens if the session is closing already.
    pub fn start_close(&self, reason: impl Into<Option<String>>) {
        let _ = self.commands.try_command(Command::Close { reason: reason.into() });
    }

    /// Ends the session at once with an `error` frame. Nothing happens if it is closing already.
    pub fn fail(&self, code: Code, detail: impl Into<String>) {
        let _ = self.commands.try_command(Command::Fail { code, detail: detail.into() });
    }

    /// Cuts the connection without a goodbye, also one that is closing.
    pub fn abort_connection(&self) {
        self.commands.cut(Cut::Aborted);
    }

    /// Waits until the connection is closed, and says how it ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) -> Option<Outcome> {
        self.commands.closed().await
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.established.session_id
    }

    /// What the handshake settled: features and limits of the peer.
    #[must_use]
    pub fn established(&self) -> &Established {
        &self.established
    }

    /// This side's address, where it is known.
    #[must_use]
    pub fn local_address(&self) -> Option<&Address> {
        self.commands.endpoints().local.as_ref()
    }

    /// The peer's address, where it is known.
    #[must_use]
    pub fn peer_address(&self) -> Option<&Address> {
        self.commands.endpoints().peer.as_ref()
    }

    /// Since when there is this connection.
    #[must_use]
    pub fn since(&self) -> StdInstant {
        self.commands.to_std(self.stats().since)
    }

    /// When bytes last arrived.
    #[must_use]
    pub fn last_heard(&self) -> StdInstant {
        self.commands.to_std(self.stats().last_heard)
    }

    /// The last round-trip time, once there was a heartbeat.
    #[must_use]
    pub fn round_trip(&self) -> Option<Duration> {
        self.commands.ask(core::Session::round_trip)
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.commands.ask(|session| *session.stats())
    }

    /// Bytes that were accepted and that the transport has not taken.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.commands.ask(core::Session::queued_output)
    }

    /// Whether the session is closing or has ended.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.commands.ask(core::Session::is_closing)
    }

    /// Whether reading pauses because the peer sent more than its rate
    /// ([`message_rate`](heartwire_core::config::Config::message_rate),
    /// [`byte_rate`](heartwire_core::config::Config::byte_rate)).
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.commands.ask(core::Session::is_throttled)
    }

    /// Events that were dropped because the [`Receiver`] was.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.commands.discarded()
    }

    /// Keeps a value of the application's own with the session, one of each type. Gives the one that
    /// was there.
    pub fn set_value<V: Any + Send + Sync>(&self, value: V) -> Option<Arc<V>> {
        self.commands.set_value(value)
    }

    /// The application's value of this type, if there is one.
    #[must_use]
    pub fn value<V: Any + Send + Sync>(&self) -> Option<Arc<V>> {
        self.commands.value()
    }

    /// Whether two handles are to the same session.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.commands.is_same(&other.commands)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Receives from a session.
pub struct Receiver {
    events: Events<core::Session>,
    ended: Option<Arc<Ended>>,
}

impl Receiver {
    /// The next event; none after the last one, which is [`Event::Ended`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<Event> {
        let event = self.events.next().await;
        self.note(event.as_ref());
        event
    }

    /// The next event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        let event = self.events.try_next();
        self.note(event.as_ref());
        event
    }

    /// The next message, passing over round-trip times and messages that the peer gave up. For sessions that
    /// receive messages whole: pieces are passed over too.
    ///
    /// # Errors
    ///
    /// How the session ended; the same however often it is asked.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv_message(&mut self) -> Result<Message, Arc<Ended>> {
        loop {
            if let Some(ended) = &self.ended {
                return Err(Arc::clone(ended));
            }
            match self.events.next().await {
                Some(Event::Message(message)) => return Ok(message),
                event @ Some(_) => self.note(event.as_ref()),
                // Not reached: the last event was noted above.
                None => std::future::pending().await,
            }
        }
    }

    /// How the session ended, once the last event was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<Ended>> {
        self.ended.as_ref()
    }

    fn note(&mut self, event: Option<&Event>) {
        if let Some(Event::Ended(ended)) = event {
            self.ended = Some(Arc::new(ended.clone()));
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").finish_non_exhaustive()
    }
}

/// A message on its way out, piece by piece. Dropping it without [`end`](Self::end) gives it up, and
/// tells the peer.
#[derive(Debug)]
pub struct Outgoing {
    commands: Commands<core::Session>,
    ticket: Ticket,
    open: bool,
}

impl Outgoing {
    /// The message's ticket.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Adds a piece, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted.
    ///
    /// # Cancel safety
    ///
    /// A piece is queued as a whole or not at all. If the future is dropped before it is done, the piece was not
    /// queued and is dropped with it.
    pub async fn send(&self, content: Bytes) -> Result<(), SendError<Bytes>> {
        let command = Command::Piece { ticket: self.ticket, content };
        self.commands.command(command).await.map(drop).map_err(piece_back)
    }

    /// Adds a piece, if it can be queued now.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_send(&self, content: Bytes) -> Result<(), SendError<Bytes>> {
        let command = Command::Piece { ticket: self.ticket, content };
        self.commands.try_command(command).map(drop).map_err(piece_back)
    }

    /// The message has all its pieces.
    ///
    /// # Errors
    ///
    /// Why it could not be ended; it is given up then.
    pub fn end(mut self) -> Result<Ticket, Why> {
        match self.commands.try_command(Command::End { ticket: self.ticket }) {
            Ok(ticket) => {
                self.open = false;
                Ok(ticket)
            }
            Err(refused) => Err(refused.why),
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.open {
            let _ = self.commands.try_command(Command::Abort { ticket: self.ticket });
            self.commands.room_made();
        }
    }
}

fn message_back(refused: Refused<Command>) -> SendError {
    let message = match refused.command {
        Command::Send(message) => message,
        _ => Message::binary(Bytes::new()),
    };
    Refused { command: message, why: refused.why }
}

fn begin_back(refused: Refused<Command>) -> SendError<Begin> {
    let begin = match refused.command {
        Command::Begin(begin) => begin,
        _ => Begin::new(ContentType::BINARY),
    };
    Refused { command: begin, why: refused.why }
}

fn piece_back(refused: Refused<Command>) -> SendError<Bytes> {
    let content = match refused.command {
        Command::Piece { content, .. } => content,
        _ => Bytes::new(),
    };
    Refused { command: content, why: refused.why }
}

/// Why there is no session.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection itself could not be made.
    Io {
        /// Where it should have led.
        address: Address,
        /// What the operating system says.
        error: std::io::Error,
    },
    /// The connection was made, and the handshake did not come to its end.
    Handshake(Box<Ended>),
    /// There was no randomness to be had.
    Seed(std::io::Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { address, error } => write!(f, "can't connect to {address}: {error}"),
            Self::Handshake(ended) => write!(f, "no session: {ended}"),
            Self::Seed(error) => write!(f, "the operating system gave no randomness: {error}"),
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io { error, .. } | Self::Seed(error) => Some(error),
            Self::Handshake(ended) => Some(ended),
        }
    }
}

/// Waits for the handshake of handles whose events nobody took yet.
///
/// # Errors
///
/// How it ended instead.
///
/// # Cancel safety
///
/// Dropping the future drops the handles, and with them the connection.
pub async fn establish(
    commands: Commands<core::Session>,
    mut events: Events<core::Session>,
) -> Result<Session, Box<Ended>> {
    loop {
        match events.next().await {
            Some(Event::Established(established)) => return Ok(Session::new(commands, events, established)),
            Some(Event::Ended(ended)) => {
                // Let the goodbye leave: an error frame that says why may be on its way.
                commands.closed().await;
                return Err(Box::new(ended));
            }
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}
