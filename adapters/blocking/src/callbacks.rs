//! Callbacks instead of calls that wait: a thread receives, and calls back.

use std::fmt;
use std::io;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use heartwire_core::ended::Ended;
use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::wire::body::{Bodied, HeadFormat, Whole};
use heartwire_core::wire::lines::{Line, Lines};
use heartwire_std::runtime::said;

use crate::connection::{self, Connection, Gatherer};
use crate::session::{Sender, Session};

/// What to call when something happens on a connection.
///
/// The callbacks are called one after another, by one thread, which the connection has to itself. While one runs,
/// nothing else is received: what the peer sends waits in bounded memory, then reading stops, and the peer's sending
/// with it. Heartbeats go on.
///
/// A callback may send and close, by the sender that it is given or by any other. One that waits for room to send,
/// to a peer that does the same, waits for ever: use `try_send` or `send_timeout` there.
///
/// Without a session, a peer that has finished is heard to the end, and then the connection is closed: what was sent by
/// then leaves. Who answers from another thread later is refused; use a [`Connection`] there.
///
/// A callback that panics ends the connection. The log says so, `on_error` is told (unless it was the one that
/// panicked), and [`Channel::join`].
///
/// ```
/// use std::sync::mpsc;
///
/// use heartwire_blocking::callbacks::Callbacks;
/// use heartwire_blocking::{Key, Keys, Message, Options, Server, Session, connect, stop};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
/// let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone())?;
/// let address = server.local_addresses()[0].clone();
/// let (stop, stopped) = stop();
/// let serving = std::thread::spawn(move || {
///     let echo = |session: Session| {
///         let echo = Callbacks::new(session).on_message(|sender, message| {
///             // Refused: the session is closing.
///             let _ = sender.send(message);
///         });
///         if let Ok(channel) = echo.start() {
///             let _ = channel.join();
///         }
///     };
///     server.serve(echo, stopped)
/// });
///
/// let (got, answers) = mpsc::channel();
/// let channel = Callbacks::new(connect(&address, &options)?)
///     .on_message(move |_, message| got.send(message.content).unwrap())
///     .on_error(|_, error| eprintln!("{error}"))
///     .on_close(|ended| println!("{ended}"))
///     .start()?;
/// channel.send(Message::text("hello"))?;
/// assert_eq!(answers.recv()?, "hello");
/// channel.close();
/// assert!(channel.join()?.is_orderly());
/// stop.stop();
/// println!("{}", serving.join().unwrap());
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is called before it is started"]
pub struct Callbacks<S: Source> {
    source: S,
    message: Box<OnMessage<S>>,
    error: Box<OnError<S>>,
    close: Box<OnClose<S>>,
}

type OnMessage<S> = dyn FnMut(&<S as Source>::Sender, <S as Source>::Message) + Send;
type OnError<S> = dyn FnMut(&<S as Source>::Sender, &CallbackError<<S as Source>::Unsent>) + Send;
type OnClose<S> = dyn FnMut(&Ended<<S as Source>::Unsent>) + Send;

impl<S: Source> Callbacks<S> {
    /// None yet: messages are dropped, and errors are not told.
    pub fn new(source: S) -> Self {
        Self { source, message: Box::new(|_, _| {}), error: Box::new(|_, _| {}), close: Box::new(|_| {}) }
    }

    /// Called with each message.
    pub fn on_message(mut self, call: impl FnMut(&S::Sender, S::Message) + Send + 'static) -> Self {
        self.message = Box::new(call);
        self
    }

    /// Called when the connection ended otherwise than in order, or a callback panicked.
    pub fn on_error(
        mut self,
        call: impl FnMut(&S::Sender, &CallbackError<S::Unsent>) + Send + 'static,
    ) -> Self {
        self.error = Box::new(call);
        self
    }

    /// Called once, last, when the connection is closed, however it ended.
    pub fn on_close(mut self, call: impl FnMut(&Ended<S::Unsent>) + Send + 'static) -> Self {
        self.close = Box::new(call);
        self
    }

    /// Begins to receive.
    ///
    /// # Errors
    ///
    /// No thread could be started. The connection is cut then.
    pub fn start(self) -> io::Result<Channel<S>> {
        let sender = self.source.sender();
        let thread = thread::Builder::new().name("heartwire callbacks".into());
        Ok(Channel { sender, thread: thread.spawn(move || self.run())? })
    }

    fn run(mut self) -> Result<Arc<Ended<S::Unsent>>, Panicked> {
        let source = &mut self.source;
        let sender = source.sender();
        let mut failed = Ok(());
        while failed.is_ok() {
            let Some(message) = source.next() else { break };
            failed = guarded("on_message", || (self.message)(&sender, message));
        }
        if let Err(panicked) = &failed {
            S::fail(&sender);
            let error = CallbackError::Panicked(panicked.clone());
            // The first panic is the one to tell of; this one is in the log.
            let _ = guarded("on_error", || (self.error)(&sender, &error));
        }
        let ended = self.source.end();
        if failed.is_ok() && !ended.is_orderly() {
            let error = CallbackError::Ended(Arc::clone(&ended));
            failed = guarded("on_error", || (self.error)(&sender, &error));
        }
        let closed = guarded("on_close", || (self.close)(&ended));
        failed.and(closed).map(|()| ended)
    }
}

impl<S: Source> fmt::Debug for Callbacks<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callbacks").finish_non_exhaustive()
    }
}

/// Calls a callback. Nobody shall have to guess that it panicked.
fn guarded(callback: &'static str, call: impl FnOnce()) -> Result<(), Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let panicked = Panicked { callback, said: said(&*panic).into() };
        tracing::error!("{panicked}");
        panicked
    })
}

/// A connection whose callbacks are called. Sends like a [`Session`] or a [`Connection`] does.
///
/// Dropping it changes nothing: the callbacks are called until the connection ends, as a thread goes on whose handle
/// is dropped. [Close](Self::close) it to end it.
pub struct Channel<S: Source> {
    sender: S::Sender,
    thread: JoinHandle<Result<Arc<Ended<S::Unsent>>, Panicked>>,
}

impl<S: Source> Channel<S> {
    /// A handle to send with, which also knows all about the connection.
    #[must_use]
    pub fn sender(&self) -> &S::Sender {
        &self.sender
    }

    /// Closes when what is queued is sent; returns at once. Messages are received until the end.
    pub fn close(&self) {
        S::close(&self.sender);
    }

    /// Waits until the connection is closed and the last callback has returned. It does not close: see
    /// [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// The first callback that panicked; or this was called from within a callback, which would wait for itself:
    /// nothing was waited for then, and the callbacks go on as if the channel was dropped.
    pub fn join(self) -> Result<Arc<Ended<S::Unsent>>, JoinError> {
        if self.thread.thread().id() == thread::current().id() {
            return Err(JoinError::WithinCallback);
        }
        // Otherwise what waits for the last handle, on either side, would wait for this one.
        drop(self.sender);
        match self.thread.join() {
            Ok(result) => result.map_err(JoinError::Panicked),
            Err(panic) => {
                let said = said(&*panic).into();
                Err(JoinError::Panicked(Panicked { callback: "the thread that receives", said }))
            }
        }
    }
}

impl<S: Source> Deref for Channel<S> {
    type Target = S::Sender;

    fn deref(&self) -> &S::Sender {
        &self.sender
    }
}

impl<S: Source> fmt::Debug for Channel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("thread", &self.thread).finish_non_exhaustive()
    }
}

/// What [`Callbacks::on_error`] is told.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallbackError<M = Message> {
    /// The connection ended otherwise than in order.
    Ended(Arc<Ended<M>>),
    /// A callback panicked, and the connection is ended for that.
    Panicked(Panicked),
}

impl<M> fmt::Display for CallbackError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(ended) => ended.fmt(f),
            Self::Panicked(panicked) => panicked.fmt(f),
        }
    }
}

impl<M: fmt::Debug> std::error::Error for CallbackError<M> {}

/// A callback that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked {
    /// Which one.
    pub callback: &'static str,
    /// What the panic said.
    pub said: String,
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a connection's {} panicked: {}", self.callback, self.said)
    }
}

impl std::error::Error for Panicked {}

/// Why [`Channel::join`] has nothing to say of the end.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// A callback panicked; the first of them.
    Panicked(Panicked),
    /// It was called from within a callback, which would wait for itself.
    WithinCallback,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(panicked) => panicked.fmt(f),
            Self::WithinCallback => f.write_str("a callback can't wait for itself: join elsewhere"),
        }
    }
}

impl std::error::Error for JoinError {}

/// What messages come from: a [`Session`] that receives messages whole, a [`Connection`] of lines or sealed packets,
/// or [`Whole messages`](Gathering) of a connection that receives them in parts.
pub trait Source: Sized + Send + 'static {
    /// What sends.
    type Sender: Clone + Send + 'static;
    /// What is received.
    type Message: 'static;
    /// What the last event hands back if it was not sent.
    type Unsent: fmt::Debug + Send + Sync + 'static;

    /// A handle to send with.
    fn sender(&self) -> Self::Sender;
    /// Waits for the next message; none: there will be none.
    fn next(&mut self) -> Option<Self::Message>;
    /// Closes, and waits until that is done: the peer has finished, or it has ended, and there is nobody to answer any
    /// more.
    fn end(self) -> Arc<Ended<Self::Unsent>>;
    /// Closes in order.
    fn close(sender: &Self::Sender);
    /// Ends the connection because the application failed.
    fn fail(sender: &Self::Sender);
}

/// What a peer hears when a callback panicked.
const FAILED: &str = "the application failed";

impl Source for Session {
    type Sender = Sender;
    type Message = Message;
    type Unsent = Message;

    fn sender(&self) -> Sender {
        Self::sender(self).clone()
    }

    fn next(&mut self) -> Option<Message> {
        self.recv_message().ok()
    }

    fn end(self) -> Arc<Ended> {
        Self::close(self, None)
    }

    fn close(sender: &Sender) {
        sender.start_close(None);
    }

    fn fail(sender: &Sender) {
        sender.fail(Code::Aborted, FAILED);
    }
}

macro_rules! connection {
    ($codec:ty, $message:ty) => {
        impl Source for Connection<$codec> {
            type Sender = connection::Sender<$codec>;
            type Message = $message;
            type Unsent = $message;

            fn sender(&self) -> Self::Sender {
                Self::sender(self).clone()
            }

            fn next(&mut self) -> Option<$message> {
                self.recv()
            }

            fn end(self) -> Arc<Ended<$message>> {
                Self::close(self)
            }

            fn close(sender: &Self::Sender) {
                sender.start_close();
            }

            fn fail(sender: &Self::Sender) {
                sender.fail(Code::Aborted, FAILED);
            }
        }
    };
}

connection!(Lines, Line);
#[cfg(feature = "sealed")]
connection!(connection::sealed::Sealed, bytes::Bytes);

/// A connection whose messages come in parts, each gathered whole before the callback gets it.
#[derive(Debug)]
pub struct Gathering<F: HeadFormat> {
    connection: Connection<Bodied<F>>,
    gatherer: Gatherer<F::Head>,
}

impl<F: HeadFormat> Gathering<F> {
    /// Messages of at most `limit` bytes; a larger one ends the connection with `message-too-large`.
    #[must_use]
    pub fn new(connection: Connection<Bodied<F>>, limit: u64) -> Self {
        Self { connection, gatherer: Gatherer::new(limit) }
    }
}

impl<F: HeadFormat> Source for Gathering<F> {
    type Sender = connection::Sender<Bodied<F>>;
    type Message = Whole<F::Head>;
    type Unsent = Whole<F::Head>;

    fn sender(&self) -> Self::Sender {
        self.connection.sender().clone()
    }

    fn next(&mut self) -> Option<Whole<F::Head>> {
        self.connection.recv_whole(&mut self.gatherer).unwrap_or_else(|error| {
            self.connection.fail(error.code(), error.detail());
            None
        })
    }

    fn end(self) -> Arc<Ended<Whole<F::Head>>> {
        self.connection.close()
    }

    fn close(sender: &Self::Sender) {
        sender.start_close();
    }

    fn fail(sender: &Self::Sender) {
        sender.fail(Code::Aborted, FAILED);
    }
}
