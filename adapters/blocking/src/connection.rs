//! The protocols without a session: files with JSON headers, sealed packets (feature `sealed`), lines, length prefix.
//! They are connected to and served by the same functions as sessions, with other options.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::connection as core;
use heartwire_core::error::Error;
use heartwire_core::protocol::{Outcome, Refused, Ticket, Why};
use heartwire_core::wire::body::{Bodied, HeadFormat, Whole};
use heartwire_core::wire::codec::Codec;
use heartwire_std::connection as shared;
pub use heartwire_std::protocols::*;

use crate::park::{block_on, block_on_for, try_until};
use crate::session::TimedOut;

/// A connection without a session: sends, receives, finishes, closes.
///
/// Dropping it (with its [`Sender`]s) cuts the connection, unless it is closing: what is queued is lost.
pub struct Connection<C: Codec> {
    inner: shared::Connection<C>,
    sender: Sender<C>,
}

impl<C: Codec> Connection<C> {
    pub(crate) fn new(inner: shared::Connection<C>) -> Self {
        let sender = Sender { inner: inner.sender().clone() };
        Self { inner, sender }
    }

    /// Waits for what comes next. See [`Receiver::recv`].
    pub fn recv(&mut self) -> Option<C::Item> {
        block_on(self.inner.recv())
    }

    /// Waits for what comes next, so long at most. See [`Receiver::recv`].
    ///
    /// # Errors
    ///
    /// There was nothing in time. Nothing is lost.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<C::Item>, TimedOut> {
        block_on_for(timeout, self.inner.recv()).ok_or(TimedOut)
    }

    /// What is there already.
    pub fn try_recv(&mut self) -> Option<C::Item> {
        self.inner.receiver().try_recv()
    }

    /// Closes: what is queued is sent first, what arrives meanwhile is discarded. Waits until the connection is
    /// closed; the flush and drain timeouts bound how long that takes.
    pub fn close(self) -> Arc<core::Ended<C::Message>> {
        block_on(self.inner.close())
    }

    /// How it ended, once that was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<core::Ended<C::Message>>> {
        self.inner.ended()
    }

    /// Waits for the last event. See [`Receiver::end`].
    pub fn end(&mut self) -> Arc<core::Ended<C::Message>> {
        block_on(self.inner.end())
    }

    /// The two halves, to be used from different threads.
    #[must_use]
    pub fn split(self) -> (Sender<C>, Receiver<C>) {
        (self.sender, Receiver { inner: self.inner.split().1 })
    }

    /// A handle to send with.
    #[must_use]
    pub fn sender(&self) -> &Sender<C> {
        &self.sender
    }

    /// The same connection for async code: its futures can be awaited anywhere.
    #[must_use]
    pub fn into_async(self) -> shared::Connection<C> {
        self.inner
    }
}

impl<F: HeadFormat> Connection<Bodied<F>> {
    /// Waits for the next message as a whole. See [`Receiver::recv_whole`].
    ///
    /// # Errors
    ///
    /// `message-too-large` for the gatherer. The connection should be ended then.
    pub fn recv_whole(&mut self, gatherer: &mut Gatherer<F::Head>) -> Result<Option<Whole<F::Head>>, Error> {
        block_on(self.inner.receiver().recv_whole(gatherer))
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
        self.inner.fmt(f)
    }
}

/// Sends over a connection, and knows all about it. Cloning is cheap.
///
/// What does not wait is that of [`heartwire_std::connection::Sender`].
pub struct Sender<C: Codec> {
    inner: shared::Sender<C>,
}

impl<C: Codec> Sender<C> {
    /// Sends a message: waits while the queue is full, or a message is being sent piece by piece, and is done
    /// when the message is queued. What is queued is sent, or handed back by the last event.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted: the connection is closing, or the protocol has no such message.
    pub fn send(&self, message: C::Message) -> Result<Ticket, Refused<C::Message>> {
        block_on(self.inner.send(message))
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    ///
    /// The message, and why it was not accepted; [`Why::Full`]: there was no room in time.
    pub fn send_timeout(
        &self,
        message: C::Message,
        timeout: Duration,
    ) -> Result<Ticket, Refused<C::Message>> {
        try_until(timeout, message, |message| self.inner.try_send(message), &async |message| {
            self.inner.ready_for(message).await;
        })
    }

    /// Waits until [`try_send`](shared::Sender::try_send) would not answer [`Why::Full`] to this message. Another
    /// thread may be faster then.
    pub fn ready_for(&self, message: &C::Message) {
        block_on(self.inner.ready_for(message));
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

    /// Gives a command, waiting while there is no room for it.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the command back.
    pub fn command(&self, command: core::CommandOf<C>) -> Result<Ticket, Refused<core::CommandOf<C>>> {
        block_on(self.inner.command(command))
    }

    /// Waits until there is room for a small message, or none will be taken any more.
    pub fn room(&self) {
        block_on(self.inner.room());
    }

    /// Waits until there is room, as `has_room` asks the machine, or nothing will be taken any more.
    pub fn room_for(&self, has_room: impl Fn(&core::Connection<C>) -> bool) {
        block_on(self.inner.room_for(has_room));
    }

    /// The same handle for async code.
    #[must_use]
    pub fn into_async(self) -> shared::Sender<C> {
        self.inner
    }
}

impl<F: HeadFormat> Sender<Bodied<F>> {
    /// Begins a message whose body comes piece by piece; waits while the queue is full, or another one is being
    /// sent so.
    ///
    /// # Errors
    ///
    /// The head, and why it was not accepted.
    pub fn begin(&self, head: F::Head) -> Result<Outgoing<F>, Refused<F::Head>> {
        block_on(self.inner.begin(head)).map(|inner| Outgoing { inner })
    }
}

impl<C: Codec> Clone for Sender<C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<C: Codec> Deref for Sender<C> {
    type Target = shared::Sender<C>;

    fn deref(&self) -> &shared::Sender<C> {
        &self.inner
    }
}

impl<C: Codec> fmt::Debug for Sender<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("endpoints", self.inner.endpoints()).finish_non_exhaustive()
    }
}

/// Receives from a connection.
#[derive(Debug)]
pub struct Receiver<C: Codec> {
    inner: shared::Receiver<C>,
}

impl<C: Codec> Receiver<C> {
    /// Waits for what comes next; none when the peer has finished (it may still receive), or the connection has
    /// [ended](Self::ended). Then [close](shared::Sender::start_close) it: dropped, it is cut, with what is queued.
    pub fn recv(&mut self) -> Option<C::Item> {
        block_on(self.inner.recv())
    }

    /// The same, waiting so long at most.
    ///
    /// # Errors
    ///
    /// There was nothing in time. Nothing is lost.
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<C::Item>, TimedOut> {
        block_on_for(timeout, self.inner.recv()).ok_or(TimedOut)
    }

    /// What is there already.
    pub fn try_recv(&mut self) -> Option<C::Item> {
        self.inner.try_recv()
    }

    /// Waits for the last event, discarding what comes before it. Ends only if the connection does:
    /// [close](shared::Sender::start_close) it, or wait for the peer to.
    pub fn end(&mut self) -> Arc<core::Ended<C::Message>> {
        block_on(self.inner.end())
    }

    /// How it ended, once that was received.
    #[must_use]
    pub fn ended(&self) -> Option<&Arc<core::Ended<C::Message>>> {
        self.inner.ended()
    }

    /// The same half for async code.
    #[must_use]
    pub fn into_async(self) -> shared::Receiver<C> {
        self.inner
    }
}

impl<F: HeadFormat> Receiver<Bodied<F>> {
    /// Waits for the next message as a whole, by a gatherer that is kept from one call to the next; none as with
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// `message-too-large` for the gatherer. The connection should be ended then.
    pub fn recv_whole(&mut self, gatherer: &mut Gatherer<F::Head>) -> Result<Option<Whole<F::Head>>, Error> {
        block_on(self.inner.recv_whole(gatherer))
    }
}

/// A message on its way out, piece by piece. Dropping it without [`end`](Self::end) gives it up, and with it the
/// connection: its length was announced.
#[derive(Debug)]
pub struct Outgoing<F: HeadFormat> {
    inner: shared::Outgoing<F>,
}

impl<F: HeadFormat> Outgoing<F> {
    /// The message's ticket.
    #[must_use]
    pub fn ticket(&self) -> Ticket {
        self.inner.ticket()
    }

    /// Adds a piece, waiting while the queue is full.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; `chunk-overrun`: it is more than the head said.
    pub fn send(&self, content: impl Into<Bytes>) -> Result<(), Refused<Bytes>> {
        block_on(self.inner.send(content.into()))
    }

    /// Adds a piece, if it can be queued now.
    ///
    /// # Errors
    ///
    /// The piece, and why it was not accepted; [`Why::Full`]: there is no room now.
    pub fn try_send(&self, content: impl Into<Bytes>) -> Result<(), Refused<Bytes>> {
        self.inner.try_send(content.into())
    }

    /// The message has all its pieces.
    ///
    /// # Errors
    ///
    /// Why it could not be ended; it is given up then. `chunk-overrun`: it has less than the head said.
    pub fn end(self) -> Result<Ticket, Why> {
        self.inner.end()
    }
}
