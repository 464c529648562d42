//! A session as an application holds it, with methods that wait.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::message::Message;
use heartwire_core::protocol::{Outcome, Ticket, Why};
use heartwire_core::session::{Begin, Ended, Event};
use heartwire_std::session::{self as shared, SendError};

use crate::park::{block_on, block_on_for, try_until};

/// What was waited for did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what was waited for did not come in time")
    }
}

impl StdError for TimedOut {}

/// A session: sends, receives, closes.
///
/// Dropping it (with its [`Sender`]s) without closing cuts the connection: what is queued is lost.
pub struct Session {
    inner: shared::Session,
    sender: Sender,
}

impl Session {
    pub(crate) fn new(inner: shared::Session) -> Self {
        let sender = Sender { inner: inner.sender().clone() };
        Self { inner, sender }
    }

    /// Waits for the next event. See [`Receiver::recv`].
    pub fn recv(&mut self) -> Option<Event> {
        block_on(self.inner.recv())
    }

    /// Waits for the next event, so long at most. See [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// There was none in time. Nothing is lost.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>, TimedOut> {
        block_on_for(timeout, self.inner.recv()).ok_or(TimedOut)
    }

    /// The next event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.inner.receiver().try_recv()
    }

    /// Waits for the next message. See [`Receiver::recv_message`].
    ///
    /// # Errors
    ///
    /// How the session ended.
    pub fn recv_message(&mut self) -> Result<Message, Arc<Ended>> {
        block_on(self.inner.recv_message())
    }

    /// Waits for the next message, so long at most. See [`Receiver::recv_message`].
    ///
    /// # Errors
    ///
    /// There was none in time. Nothing is lost.
    pub fn recv_message_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Result<Message, Arc<Ended>>, TimedOut> {
        block_on_for(timeout, self.inner.recv_message()).ok_or(TimedOut)
    }

    /// Says goodbye, and waits until the connection is closed. Queued messages are sent first; what
    /// arrives meanwhile is discarded. To have that too, use [`start_close`](shared::Sender::start_close) and go on
    /// receiving until the last event.
    ///
    /// The flush and drain timeouts bound how long it takes.
    pub fn close(self, reason: impl Into<Option<String>>) -> Arc<Ended> {
        block_on(self.inner.close(reason))
    }

    /// The two halves, to be used from different threads.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, Receiver { inner: self.inner.split().1 })
    }

    /// A handle to send with.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }

    /// The same session for async code: its futures can be awaited anywhere.
    #[must_use]
    pub fn into_async(self) -> shared::Session {
        self.inner
    }
}

impl Deref for Session {
    type Target = Sender;

    fn deref(&self) -> &Sender {
        &self.sender
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Sends over a session, and knows all about it. Cloning is cheap.
///
/// What does not wait is that of [`heartwire_std::session::Sender`].
#[derive(Clone)]
pub struct Sender {
    inner: shared::Sender,
}

impl Sender {
    /// Sends a message: waits while the queue is full, and is done when the message is queued. What is
    /// queued is sent, or handed back by the last event.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted: the session is closing, or the peer does not take
    /// such a message.
    pub fn send(&self, message: Message) -> Result<Ticket, SendError> {
        block_on(self.inner.send(message))
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted; [`Why::Full`]: there was no room in time.
    pub fn send_timeout(&self, message: Message, timeout: Duration) -> Result<Ticket, SendError> {
        try_until(timeout, message, |message| self.inner.try_send(message), &async |message| {
            self.inner.ready_for(message).await;
        })
    }

    /// Waits until the queue has room for a small message (one that is not sent in chunks), or the
    /// session is closing.
    pub fn ready(&self) {
        block_on(self.inner.ready());
    }

    /// Waits until [`try_send`](shared::Sender::try_send) would not answer [`Why::Full`] to this message. Another
    /// thread may be faster then.
    pub fn ready_for(&self, message: &Message) {
        block_on(self.inner.ready_for(message));
    }

    /// Begins a message whose content comes piece by piece; waits while the queue is full, or the peer
    /// takes no more such messages at once. A thread that keeps one open should not wait to send a larger message than
    /// the peer takes beside it.
    ///
    /// # Errors
    ///
    /// The beginning, and why it was not accepted.
    pub fn begin(&self, begin: Begin) -> Result<Outgoing, SendError<Begin>> {
        block_on(self.inner.begin(begin)).map(|inner| Outgoing { inner })
    }

    /// Begins a message whose content comes piece by piece, if that can be done now.
    ///
    /// # Errors
    ///
    /// The beginning, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_begin(&self, begin: Begin) -> Result<Outgoing, SendError<Begin>> {
        self.inner.try_begin(begin).map(|inner| Outgoing { inner })
    }

    /// Waits until the connection is closed, and says how it ended.
    pub fn closed(&self) -> Option<Outcome> {
        block_on(self.inner.closed())
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    ///
    /// It was not closed in time.
    pub fn closed_timeout(&self, timeout: Duration) -> Result<Option<Outcome>, TimedOut> {
        block_on_for(timeout, self.inner.closed()).ok_or(TimedOut)
    }

    /// The same handle for async code.
    #[must_use]
    pub fn into_async(self) -> shared::Sender {
        self.inner
    }
}

impl Deref for Sender {
    type Target = shared::Sender;

    fn deref(&self) -> &shared::Sender {
        &self.inner
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Receives from a session.
#[derive(Debug)]
pub struct Receiver {
    inner: shared::Receiver,
}

impl Receiver {
    /// Waits for the next event; none after the last one, which is [`Event::Ended`].
    pub fn recv(&mut self) -> Option<Event> {
        block_on(self.inner.recv())
    }

    /// Waits for the next event, so long at most.
    ///
    /// # Errors
    ///
    /// There was none in time. Nothing is lost.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Event>, TimedOut> {
        block_on_for(timeout, self.inner.recv()).ok_or(TimedOut)
    }

    /// The next event that is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.inner.try_recv()
    }

    /// Waits for the next message, passing over round-trip times and messages that the peer gave up. For sessions
    /// that receive messages whole: pieces are passed over too.
    ///
    /// # Errors
    ///
    /// How the session ended; the same however often it is asked.
    pub fn recv_message(&mut self) -> Result<Message, Arc<Ended>> {
        block_on(self.inner.recv_message())
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    ///
    /// There was none in time. Nothing is lost.
    pub fn recv_message_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<Result<Message, Arc<Ended>>, TimedOut> {
        block_on_for(timeout, self.inner.recv_message()).ok_or(TimedOut)
    }

    /// How the session ended, once the last event was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<Ended>> {
        self.inner.ended()
    }

    /// The same half for async code.
    #[must_use]
    pub fn into_async(self) -> shared::Receiver {
        self.inner
    }
}

/// A message on its way out, piece by piece. Dropping it without [`end`](Self::end) gives it up, and
/// tells the peer.
#[derive(Debug)]
pub struct Outgoing {
    inner: shared::Outgoing,
}

impl Outgoing {
    /// The message's ticket.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.inner.ticket()
    }

    /// Adds a piece, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted.
    pub fn send(&self, content: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        block_on(self.inner.send(content.into()))
    }

    /// Adds a piece, if it can be queued now.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_send(&self, content: impl Into<Bytes>) -> Result<(), SendError<Bytes>> {
        self.inner.try_send(content.into())
    }

    /// The message has all its pieces.
    ///
    /// # Errors
    ///
    /// Why it could not be ended; it is given up then.
    pub fn end(self) -> Result<Ticket, Why> {
        self.inner.end()
    }
}
