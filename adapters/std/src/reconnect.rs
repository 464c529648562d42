//! A client that connects again: on any runtime, with any protocol.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use heartwire_core::ended::Ended;
use heartwire_core::reconnect::{Backoff, GivenUp, Reconnect, State};

use crate::clock::Clock;
use crate::driver::Timer;
use crate::session::ConnectError;

/// What a [`Reconnecting`] client is about; `H` is what connecting makes: a session, or another connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<H> {
    /// An attempt begins.
    Connecting {
        /// Its number in its row, from 1.
        attempt: u32,
    },
    /// There is a connection. When it is over, say [`lost`](Reconnecting::lost).
    Connected(H),
    /// The attempt failed. Whether there will be another one is said next.
    Failed(ConnectError),
    /// The next attempt is to come.
    Waiting {
        /// In how long.
        delay: Duration,
        /// Its number in its row.
        attempt: u32,
    },
    /// There will be no more attempts.
    GivenUp(GivenUp),
}

/// Connects, and connects again when the connection is lost, until it is not worth another try or too many in a row
/// came to nothing. `S` is the runtime's clock, `F` what one attempt is.
///
/// Each adapter has a function that makes one for its runtime. It does nothing by itself: attempts go on, and time is
/// noticed, while [`next`](Self::next) is awaited.
///
/// # Messages
///
/// A connection takes its queue with it. What of that was not sent stands in the last event, with the tickets that
/// `send` gave ([`Ended::unsent`]), and the application decides what becomes of it; it can be sent on the next connection:
///
/// ```
/// use heartwire_std::reconnect::{Progress, Reconnecting};
/// # use heartwire_core::message::Message;
/// # use heartwire_std::driver::Timer;
/// # use heartwire_std::session::{ConnectError, Session};
/// # async fn example<S: Timer, F>(mut client: Reconnecting<S, F>)
/// # where F: Future<Output = Result<Session, ConnectError>> {
/// let mut again: Vec<Message> = Vec::new();
/// while let Some(progress) = client.next().await {
///     let mut session = match progress {
///         Progress::Connected(session) => session,
///         Progress::Failed(error) => {
///             eprintln!("{error}");
///             continue;
///         }
///         other => {
///             eprintln!("{other:?}");
///             continue;
///         }
///     };
///     for message in std::mem::take(&mut again) {
///         // One that is refused because this session is over already comes back as well.
///         if let Err(refused) = session.send(message).await {
///             again.push(refused.command);
///         }
///     }
///     let ended = loop {
///         match session.recv_message().await {
///             Ok(message) => println!("{} bytes", message.content.len()),
///             Err(ended) => break ended,
///         }
///     };
///     client.lost(&ended);
///     // In the order in which they were accepted, before those that were refused. One that came piece by piece has to
///     // be made again, and one that had begun to leave (`begun`) may have arrived: it may be doubled.
///     let unsent = ended.unsent.iter().filter_map(|unsent| unsent.message.clone());
///     again.splice(..0, unsent);
/// }
/// # }
/// ```
///
/// What was sent when the connection broke may have arrived or not; nobody knows, and nothing is sent twice by itself.
pub struct Reconnecting<S, F> {
    machine: Reconnect,
    clock: Clock,
    timer: S,
    connect: Box<dyn FnMut() -> F + Send>,
    /// The attempt that is under way.
    attempt: Option<Pin<Box<F>>>,
}

impl<S, F, H> Reconnecting<S, F>
where
    S: Timer + Default,
    F: Future<Output = Result<H, ConnectError>>,
{
    /// A client that makes each attempt by `connect`.
    ///
    /// An attempt should come to its end by itself, as those of the adapters do: nothing else limits its time.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness to draw waits from.
    pub fn new(backoff: Backoff, connect: impl FnMut() -> F + Send + 'static) -> io::Result<Self> {
        Ok(Self {
            machine: Reconnect::new(backoff, crate::seed::seed()?),
            clock: Clock::starting_at(S::now()),
            timer: S::default(),
            connect: Box::new(connect),
            attempt: None,
        })
    }
}

impl<S, F, H> Reconnecting<S, F>
where
    S: Timer,
    F: Future<Output = Result<H, ConnectError>>,
{
    /// What happens next; none after [`Progress::GivenUp`]. While there is a connection it is pending, until the
    /// application says that it is [`lost`](Self::lost).
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost, nothing counted twice: an attempt that was under way goes on when this is called again, and
    /// a wait ends when it would have.
    pub async fn next(&mut self) -> Option<Progress<H>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The connection is over, and this is how. It is not connected again where that is not worth it: when this side
    /// closed it, or the next one would end in the same way. Nothing happens if there is none.
    pub fn lost<M>(&mut self, ended: &Ended<M>) {
        self.machine.handle_lost(self.clock.at(S::now()), ended.is_worth_retrying());
    }

    /// No more attempts: one that is under way is dropped. A connection that there is stays.
    pub fn stop(&mut self) {
        self.attempt = None;
        self.machine.stop();
    }

    /// How it tries again.
    #[must_use]
    pub fn backoff(&self) -> &Backoff {
        self.machine.backoff()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Progress<H>>> {
        loop {
            let now = self.clock.at(S::now());
            if let Some(state) = self.machine.poll_state() {
                match state {
                    State::Connecting { attempt } => return told(Progress::Connecting { attempt }),
                    State::Waiting { until, attempt } => {
                        self.timer.arm(self.clock.to_std(until));
                        return told(Progress::Waiting { delay: until.since(now), attempt });
                    }
                    // Told with the connection.
                    State::Connected { .. } => {}
                    State::GivenUp(why) => return told(Progress::GivenUp(why)),
                }
            }
            match self.machine.state() {
                State::Connecting { .. } => {
                    let attempt = self.attempt.get_or_insert_with(|| Box::pin((self.connect)()));
                    let made = ready!(attempt.as_mut().poll(cx));
                    self.attempt = None;
                    let now = self.clock.at(S::now());
                    return match made {
                        Ok(handle) => {
                            self.machine.handle_connected(now);
                            told(Progress::Connected(handle))
                        }
                        Err(error) => {
                            self.machine.handle_failed(now, error.is_worth_retrying());
                            told(Progress::Failed(error))
                        }
                    };
                }
                State::Waiting { until, .. } => {
                    if until > now {
                        ready!(self.timer.poll_elapsed(cx));
                        // It may have gone off early.
                        self.timer.arm(self.clock.to_std(until));
                    }
                    self.machine.handle_timeout(self.clock.at(S::now()));
                }
                // `lost` needs this client for itself: the caller comes back.
                State::Connected { .. } => return Poll::Pending,
                State::GivenUp(_) => return Poll::Ready(None),
            }
        }
    }
}

fn told<H>(progress: Progress<H>) -> Poll<Option<Progress<H>>> {
    Poll::Ready(Some(progress))
}

impl<S, F> fmt::Debug for Reconnecting<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting").field("state", &self.machine.state()).finish_non_exhaustive()
    }
}

impl ConnectError {
    /// Whether another attempt may succeed: nobody answered, or somebody who may be ready later. What the operating
    /// system forbids or does not know, and a handshake that would end in the same way, will be so again: see
    /// [`Code::is_worth_retrying`](heartwire_core::error::Code::is_worth_retrying).
    #[must_use]
    pub fn is_worth_retrying(&self) -> bool {
        use io::ErrorKind::{
            InvalidData, InvalidInput, IsADirectory, NotADirectory, PermissionDenied, Unsupported,
        };
        match self {
            // A name that is not found, or a socket's file, may be there when the server is.
            Self::Io { error, .. } => !matches!(
                error.kind(),
                InvalidData | InvalidInput | IsADirectory | NotADirectory | PermissionDenied | Unsupported
            ),
            Self::Handshake(ended) => ended.is_worth_retrying(),
            Self::Seed(_) => false,
        }
    }
}
