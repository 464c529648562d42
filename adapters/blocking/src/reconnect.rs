//! Clients that connect again.

use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::time::{Duration, Instant};

use heartwire_core::ended::Ended;
use heartwire_core::reconnect::Backoff;
use heartwire_std::address::Address;
use heartwire_std::reconnect as any;
use heartwire_std::reconnect::Progress;
use heartwire_std::session::ConnectError;

use crate::connect::connect;
use crate::park::{Alarm, block_on, block_on_until};
use crate::service::Blocking;
use crate::session::TimedOut;

/// A client that connects again when the connection is lost, as that of the other adapters: see
/// [`heartwire_std::reconnect::Reconnecting`] for what becomes of messages.
pub struct Reconnecting<H>(any::Reconnecting<Alarm, Ready<Result<H, ConnectError>>>);

/// A client of `address` that connects again when the connection is lost; each attempt is a [`connect`].
///
/// ```
/// use heartwire_blocking::{Backoff, GivenUp, Key, Keys, Options, Progress, reconnecting};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
/// let backoff = Backoff::builder().attempts(3).build()?;
/// // Nobody listens there.
/// let mut client = reconnecting("tcp://127.0.0.1:1".parse()?, options, backoff)?;
/// while let Some(progress) = client.next() {
///     match progress {
///         Progress::Failed(error) => println!("{error}"),
///         Progress::Waiting { delay, .. } => println!("trying again in {delay:?}"),
///         Progress::Connected(mut session) => {
///             let ended = loop {
///                 match session.recv_message() {
///                     Ok(message) => println!("{} bytes", message.content.len()),
///                     Err(ended) => break ended,
///                 }
///             };
///             client.lost(&ended);
///         }
///         Progress::GivenUp(why) => assert_eq!(why, GivenUp::BudgetSpent),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The operating system gave no randomness.
pub fn reconnecting<V: Blocking>(
    address: Address,
    options: V,
    backoff: Backoff,
) -> io::Result<Reconnecting<V::BlockingHandle>> {
    Reconnecting::new(backoff, move || connect(&address, &options))
}

impl<H> Reconnecting<H> {
    /// A client that makes each attempt by `connect`. It should come to its end by itself: nothing else limits its
    /// time.
    ///
    /// # Errors
    ///
    /// The operating system gave no randomness.
    pub fn new(
        backoff: Backoff,
        mut connect: impl FnMut() -> Result<H, ConnectError> + Send + 'static,
    ) -> io::Result<Self> {
        any::Reconnecting::new(backoff, move || ready(connect())).map(Self)
    }

    /// What happens next; none after [`Progress::GivenUp`]. While there is a connection nothing does, and this waits
    /// for ever: say that it is [`lost`](Self::lost) first.
    #[allow(clippy::should_implement_trait)] // The same name as in the other adapters.
    pub fn next(&mut self) -> Option<Progress<H>> {
        block_on(self.0.next())
    }

    /// The same, waiting so long at most. An attempt that has begun takes as long as it takes.
    ///
    /// # Errors
    ///
    /// [`TimedOut`]; nothing is lost.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Progress<H>>, TimedOut> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => block_on_until(deadline, self.0.next()).ok_or(TimedOut),
            None => Ok(self.next()),
        }
    }

    /// The connection is over, and this is how. It is not connected again where that is not worth it.
    pub fn lost<M>(&mut self, ended: &Ended<M>) {
        self.0.lost(ended);
    }

    /// No more attempts. A connection that there is stays.
    pub fn stop(&mut self) {
        self.0.stop();
    }

    /// How it tries again.
    #[must_use]
    pub fn backoff(&self) -> &Backoff {
        self.0.backoff()
    }
}

impl<H> fmt::Debug for Reconnecting<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
