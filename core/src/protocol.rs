//! The one trait that a driver knows.

use alloc::collections::VecDeque;
use alloc::string::String;
use bytes::BytesMut;
use core::fmt;

use crate::buf::TransmitQueue;
use crate::error::Code;
use crate::time::Instant;

/// A protocol as a pure machine: bytes, commands and time go in; bytes, events and a deadline come
/// out. A driver that knows this trait runs every protocol.
///
/// The methods come in four kinds:
///
/// * **`handle_*`** put something in: bytes that arrived, the end of the stream, a command of the
///   application, the news that bytes left, that the transport is gone, that time passed.
/// * **`poll_event`** takes out what happened, in order. The last event says how it ended.
/// * **`poll`** says what the machine wants next ([`Interest`]), and encodes what is due.
/// * **`transmit_slices`** shows the bytes to write, **`lend_transmit`** hands them over.
///
/// Calls in any order are harmless, and calling twice does nothing twice. `poll` is cheap when
/// there is nothing to do, so call it after anything that went in.
///
/// Most programs do not call this trait but a [`Pump`](crate::pump::Pump), which owns the receive
/// buffer and keeps the time.
pub trait Protocol {
    /// What the application tells the machine.
    type Command;
    /// What the machine tells the application.
    type Event: 'static;

    /// Bytes arrived: `rx` holds everything not yet understood, and its last `fresh` bytes are new.
    /// The machine takes what it understood off the front. It may stop before the end when the
    /// application is behind or owes an answer, or a rate is used up; call again with `fresh = 0` after taking events, and after
    /// [`poll`](Self::poll) where that wants nothing to be read.
    fn handle_input(&mut self, now: Instant, rx: &mut BytesMut, fresh: usize);

    /// The peer's stream ended. What stands in `rx` is still understood first.
    fn handle_eof(&mut self, now: Instant, rx: &mut BytesMut);

    /// The application asks for something.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the command back, and says whether to try again.
    fn handle_command(
        &mut self,
        now: Instant,
        command: Self::Command,
    ) -> Result<Ticket, Refused<Self::Command>>;

    /// Whether handling this command depends on what time it is. Where it does not, any time may be given: for
    /// who gives many commands, reading the clock takes longer than some of them.
    #[must_use]
    fn needs_time(command: &Self::Command) -> bool {
        let _ = command;
        true
    }

    /// The transport took the first `n` bytes of those to write: of those that are lent first.
    fn handle_transmitted(&mut self, now: Instant, n: usize);

    /// The deadline of [`Interest`] may have passed. Calling early does nothing but give back memory that is
    /// not needed while little happens.
    fn handle_timeout(&mut self, now: Instant);

    /// The transport failed, in one direction or in both, or is to be given up. What stands in `rx` is
    /// still understood first, unless the application let go of it.
    fn handle_cut(&mut self, now: Instant, rx: &mut BytesMut, cut: Cut);

    /// The next event, oldest first. The last one says by whom and why it ended, and what was not
    /// sent; after it there is never another.
    fn poll_event(&mut self) -> Option<Self::Event>;

    /// The next event, and a few of those that wait behind it, appended to `more`: for who takes many and
    /// can't hold on to the machine. Only small ones, so that little waits beyond the machine's own limits.
    fn poll_events(&mut self, more: &mut VecDeque<Self::Event>) -> Option<Self::Event> {
        let _ = more;
        self.poll_event()
    }

    /// How it ended, once that is known: the short form of the last event, which stays when that
    /// was taken.
    fn ended(&self) -> Option<Outcome>;

    /// What the machine wants next. Encodes what is due.
    fn poll(&mut self, now: Instant) -> Interest;

    /// Fills `out` with the bytes to write, in order, and returns how many slices it used. Bytes
    /// stay until [`handle_transmitted`](Self::handle_transmitted) says that the transport has them.
    fn transmit_slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize;

    /// Moves the bytes to write to `to`, if that is empty: for a driver that does not hold the machine while
    /// it writes. [`transmit_slices`](Self::transmit_slices) shows them no more;
    /// [`handle_transmitted`](Self::handle_transmitted) is told of them as of any.
    fn lend_transmit(&mut self, to: &mut TransmitQueue);
}

/// What a machine wants from its driver. A level, not an edge: it holds until the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// How many bytes to read next, at most; 0 = do not read (the application is behind, a rate is
    /// used up, or nothing more is to come).
    pub read: usize,
    /// There are bytes to write.
    pub write: bool,
    /// Messages are accepted, as far as the queue goes.
    pub commands: bool,
    /// No message will be accepted any more.
    pub closed: bool,
    /// Events wait to be taken.
    pub events: bool,
    /// When [`Protocol::handle_timeout`] is to be called, at the latest.
    pub deadline: Option<Instant>,
    /// What to do with the connection.
    pub close: Close,
}

/// How a machine ended, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why.
    pub code: Code,
    /// Whether both sides could part as they should: a goodbye was received, or ours was written.
    pub in_order: bool,
    /// Accepted messages that were not sent.
    pub unsent: usize,
}

/// What is to become of the connection under a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Close {
    /// It stays.
    Open,
    /// When everything is written, close the writing side, and go on reading as asked.
    AfterFlush,
    /// Close it, whatever is unwritten.
    Now,
}

/// Why the transport is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cut {
    /// Reading failed: nothing more will come. The operating system's words.
    ReadFailed(String),
    /// Writing failed: nothing more will leave. What the peer sent before it went can still be read
    /// (often it says why), so the driver goes on reading as long as the machine asks for it.
    WriteFailed(String),
    /// The application let go of its last handle. Without effect on a session that is closing.
    Dropped,
    /// The application gives the connection up, closing or not.
    Aborted,
    /// This side stops, and had no more time for a goodbye.
    Stopped,
    /// The server had to make room: too many handshakes were in progress, and this was the oldest.
    Crowded,
}

/// The number of an accepted message: it names the message in later commands, and in the last
/// event if the message was not sent. Tickets rise by one from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

impl Ticket {
    /// The ticket that names no message: what a command that is about none returns.
    pub const NONE: Self = Self(0);

    /// The ticket with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A command that was not accepted, handed back whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused<C> {
    /// The command, as it was given.
    pub command: C,
    /// Why.
    pub why: Why,
}

/// Why a command was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Not now: the queue is full, the peer takes no more large messages at once, or the session is
    /// not established yet. Try again when bytes have left and [`Interest::commands`] is true.
    Full,
    /// Not any more: the session is closing or has ended.
    Closed,
    /// Not ever, on this connection: the code says what stands against it.
    Never(Code),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the output queue is full; try again when there is room"),
            Self::Closed => f.write_str("the session is closing or has ended"),
            Self::Never(code) => write!(f, "refused for good: {code}"),
        }
    }
}

impl core::error::Error for Why {}

impl<C> fmt::Display for Refused<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.why.fmt(f)
    }
}

impl<C: fmt::Debug> core::error::Error for Refused<C> {}
