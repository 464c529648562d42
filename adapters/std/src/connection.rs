//! A connection without a session as an application holds it. The same in every adapter.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use heartwire_core::connection::{self as core, Command, CommandOf, Ended, Event, Gatherer, Stats};
use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::{Refused, Ticket, Why};
use heartwire_core::wire::body::{Bodied, HeadFormat, Whole};
use heartwire_core::wire::codec::Codec;

use crate::handle::{Commands, Events};

/// A connection without a session: sends, receives, finishes, closes.
///
/// Dropping it (with its [`Sender`]s) cuts the connection, unless it is closing: what is queued is lost.
pub struct Connection<C: Codec> {
    sender: Sender<C>,
    receiver: Receiver<C>,
}

/// Sends over a connection, and knows all about it. Cloning is cheap.
pub type Sender<C> = Commands<core::Connection<C>>;

impl<C: Codec> Connection<C> {
    /// A connection of these handles. For adapters.
    #[must_use]
    pub fn new(sender: Sender<C>, events: Events<core::Connection<C>>) -> Self {
        Self { sender, receiver: Receiver { events, finished: false, ended: None } }
    }

    /// What comes next. See [`Receiver::recv`].
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<C::Item> {
        self.receiver.recv().await
    }

    /// Closes: what is queued is sent first, what arrives meanwhile is discarded. Waits until the connection is
    /// closed.
    ///
    /// # Cancel safety
    ///
    /// The connection goes on closing by itself.
    pub async fn close(self) -> Arc<Ended<C::Message>> {
        let Self { sender, mut receiver } = self;
        sender.start_close();
        let ended = receiver.end().await;
        sender.closed().await;
        ended
    }

    /// How it ended, once that was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<Ended<C::Message>>> {
        self.receiver.ended()
    }

    /// Waits for the last event. See [`Receiver::end`].
    ///
    /// # Cancel safety
    ///
    /// Only what would have been discarded anyway is lost.
    pub async fn end(&mut self) -> Arc<Ended<C::Message>> {
        self.receiver.end().await
    }

    /// The two halves, to be used from different tasks.
    #[must_use]
    pub fn split(self) -> (Sender<C>, Receiver<C>) {
        (self.sender, self.receiver)
    }

    /// A handle to send with.
    #[must_use]
    pub fn sender(&self) -> &Sender<C> {
        &self.sender
    }

    /// The half that receives.
    #[must_use]
    pub fn receiver(&mut self) -> &mut Receiver<C> {
        &mut self.receiver
    }
}

impl<C: Codec> Deref for Connection<C> {
    type Target = Sender<C>;

    fn deref(&self) -> &Sender<C> {
        &self.sender
    }
}

impl<C: Codec> fmt::Debug for Connection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("endpoints", self.sender.endpoints()).finish_non_exhaustive()
    }
}

/// What can be asked of a connection without a session, from any of its handles.
impl<C: Codec> Commands<core::Connection<C>> {
    /// Sends a message: waits while the queue is full, or a message is being sent piece by piece, and is done
    /// when the message is queued. What is queued is sent, or handed back by the last event.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted: the connection is closing, or the protocol has no such message.
    ///
    /// # Cancel safety
    ///
    /// A message is queued as a whole or not at all. If the future is dropped before it is done, the message was
    /// not queued and is dropped with it; to keep it, await [`ready_for`](Self::ready_for) it and use
    /// [`try_send`](Self::try_send).
    pub async fn send(&self, message: C::Message) -> Result<Ticket, Refused<C::Message>> {
        match self.try_send(message) {
            Err(Refused { command: message, why: Why::Full }) => {
                self.command(Command::Send(message)).await.map_err(message_back::<C>)
            }
            done => done,
        }
    }

    /// Sends a message, if it can be queued now.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_send(&self, message: C::Message) -> Result<Ticket, Refused<C::Message>> {
        self.try_command(Command::Send(message)).map_err(message_back::<C>)
    }

    /// Waits until [`try_send`](Self::try_send) would not answer [`Why::Full`] to this message. Another task
    /// may be faster then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn ready_for(&self, message: &C::Message) {
        self.room_for(|machine| machine.can_send(message) != Err(Why::Full)).await;
    }

    /// Sends nothing more: when what is queued has left, the peer is sent the end of the stream. Receiving goes on
    /// until the peer does the same. Nothing happens if that was asked for already.
    pub fn finish(&self) {
        let _ = self.try_command(Command::Finish);
    }

    /// Closes when what is queued is sent. Receiving goes on until the last event. Nothing happens if it is
    /// closing already.
    pub fn start_close(&self) {
        let _ = self.try_command(Command::Close);
    }

    /// Gives the connection up at once, for this reason. The peer is told nothing.
    pub fn fail(&self, code: Code, detail: impl Into<String>) {
        let _ = self.try_command(Command::Fail { code, detail: detail.into() });
    }

    /// Counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.ask(|machine| *machine.stats())
    }

    /// Bytes that were accepted and that the transport has not taken.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.ask(core::Connection::queued_output)
    }

    /// Whether nothing more can be sent: it is finished, closing, or has ended.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.ask(core::Connection::is_closing)
    }

    /// Whether reading pauses because the peer sent more than its rate
    /// ([`message_rate`](heartwire_core::connection::Config::message_rate),
    /// [`byte_rate`](heartwire_core::connection::Config::byte_rate)).
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        self.ask(core::Connection::is_throttled)
    }
}

/// Sending piece by piece.
impl<F: HeadFormat> Commands<core::Connection<Bodied<F>>> {
    /// Begins a message whose body comes piece by piece; waits while the queue is full, or another one is being
    /// sent so.
    ///
    /// # Errors
    ///
    /// The head, and why it was not accepted.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is done, nothing was begun.
    pub async fn begin(&self, head: F::Head) -> Result<Outgoing<F>, Refused<F::Head>> {
        let begun = self.command(Command::Begin(head)).await;
        begun.map(|ticket| Outgoing { commands: self.clone(), ticket, open: true }).map_err(head_back::<F>)
    }
}

/// Receives from a connection.
pub struct Receiver<C: Codec> {
    events: Events<core::Connection<C>>,
    finished: bool,
    ended: Option<Arc<Ended<C::Message>>>,
}

impl<C: Codec> Receiver<C> {
    /// What comes next; none when the peer has finished (it may still receive), or the connection has
    /// [ended](Self::ended). Then [close](Commands::start_close) it: dropped, it is cut, with what is queued.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn recv(&mut self) -> Option<C::Item> {
        while !self.finished && self.ended.is_none() {
            match self.events.next().await {
                Some(Event::Received(item)) => return Some(item),
                event => self.note(event),
            }
        }
        None
    }

    /// What is there already.
    pub fn try_recv(&mut self) -> Option<C::Item> {
        while !self.finished && self.ended.is_none() {
            match self.events.try_next()? {
                Event::Received(item) => return Some(item),
                event => self.note(Some(event)),
            }
        }
        None
    }

    /// Waits for the last event, discarding what comes before it. Ends only if the connection does:
    /// [close](Commands::start_close) it, or wait for the peer to.
    ///
    /// # Cancel safety
    ///
    /// Only what would have been discarded anyway is lost.
    pub async fn end(&mut self) -> Arc<Ended<C::Message>> {
        loop {
            if let Some(ended) = &self.ended {
                return Arc::clone(ended);
            }
            let event = self.events.next().await;
            self.note(event);
        }
    }

    /// How it ended, once that was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<Ended<C::Message>>> {
        self.ended.as_ref()
    }

    fn note(&mut self, event: Option<Event<C>>) {
        match event {
            Some(Event::Finished) => self.finished = true,
            Some(Event::Ended(ended)) => self.ended = Some(Arc::new(ended)),
            _ => {}
        }
    }
}

impl<F: HeadFormat> Receiver<Bodied<F>> {
    /// The next message as a whole, by a gatherer that is kept from one call to the next; none as with
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// `message-too-large` for the gatherer. The connection should be ended then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what has come of a message is in the gatherer.
    pub async fn recv_whole(
        &mut self,
        gatherer: &mut Gatherer<F::Head>,
    ) -> Result<Option<Whole<F::Head>>, Error> {
        while let Some(part) = self.recv().await {
            if let Some(whole) = gatherer.add(part)? {
                return Ok(Some(whole));
            }
        }
        Ok(None)
    }
}

impl<C: Codec> fmt::Debug for Receiver<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("ended", &self.ended).finish_non_exhaustive()
    }
}

/// A message on its way out, piece by piece. Dropping it without [`end`](Self::end) gives it up, and with it the
/// connection: its length was announced.
pub struct Outgoing<F: HeadFormat> {
    commands: Sender<Bodied<F>>,
    ticket: Ticket,
    open: bool,
}

impl<F: HeadFormat> Outgoing<F> {
    /// The message's ticket.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Adds a piece, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; `chunk-overrun`: it is more than the head said.
    ///
    /// # Cancel safety
    ///
    /// A piece is queued as a whole or not at all. If the future is dropped before it is done, the piece was not
    /// queued and is dropped with it.
    pub async fn send(&self, content: Bytes) -> Result<(), Refused<Bytes>> {
        let command = Command::Piece { ticket: self.ticket, content };
        self.commands.command(command).await.map(drop).map_err(piece_back::<F>)
    }

    /// Adds a piece, if it can be queued now.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_send(&self, content: Bytes) -> Result<(), Refused<Bytes>> {
        let command = Command::Piece { ticket: self.ticket, content };
        self.commands.try_command(command).map(drop).map_err(piece_back::<F>)
    }

    /// The message has all its pieces.
    ///
    /// # Errors
    ///
    /// Why it could not be ended; it is given up then. `chunk-overrun`: it has less than the head said.
    pub fn end(mut self) -> Result<Ticket, Why> {
        match self.commands.try_command(Command::End { ticket: self.ticket }) {
            Ok(ticket) => {
                self.open = false;
                // Others may begin now.
                self.commands.room_made();
                Ok(ticket)
            }
            Err(refused) => Err(refused.why),
        }
    }
}

impl<F: HeadFormat> Drop for Outgoing<F> {
    fn drop(&mut self) {
        if self.open {
            let _ = self.commands.try_command(Command::Abort { ticket: self.ticket });
            self.commands.room_made();
        }
    }
}

impl<F: HeadFormat> fmt::Debug for Outgoing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

fn message_back<C: Codec>(refused: Refused<CommandOf<C>>) -> Refused<C::Message> {
    match refused.command {
        Command::Send(command) => Refused { command, why: refused.why },
        // A refusal hands back what was given.
        _ => unreachable!("another command came back"),
    }
}

fn head_back<F: HeadFormat>(refused: Refused<CommandOf<Bodied<F>>>) -> Refused<F::Head> {
    match refused.command {
        Command::Begin(command) => Refused { command, why: refused.why },
        _ => unreachable!("another command came back"),
    }
}

fn piece_back<F: HeadFormat>(refused: Refused<CommandOf<Bodied<F>>>) -> Refused<Bytes> {
    match refused.command {
        Command::Piece { content, .. } => Refused { command: content, why: refused.why },
        _ => unreachable!("another command came back"),
    }
}
