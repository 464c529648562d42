//! A server's application, as a trait.

use heartwire_core::message::Message;
use heartwire_core::session::Ended;

use crate::session::Session;

/// What a server does with its sessions, for who prefers a trait to a closure: see [`handled`].
///
/// Each session has a thread of its own, in which these are called one after another. While one runs, what
/// the peer sends waits; heartbeats go on.
pub trait Handler: Send + Sync + 'static {
    /// A session is established.
    fn open(&self, session: &Session) {
        let _ = session;
    }

    /// A message arrived.
    fn message(&self, session: &Session, message: Message);

    /// The session is over.
    fn close(&self, session: &Session, ended: &Ended) {
        let _ = (session, ended);
    }
}

/// Makes a closure for [`Server::serve`](crate::Server::serve) of a [`Handler`].
///
/// ```
/// use heartwire_blocking::{Handler, Message, Session, handled};
///
/// struct Echo;
///
/// impl Handler for Echo {
///     fn message(&self, session: &Session, message: Message) {
///         // Refused: the session is closing, and `close` will be called.
///         let _ = session.send(message);
///     }
/// }
///
/// let handler = handled(Echo);
/// # let _ = handler;
/// ```
pub fn handled<H: Handler>(handler: H) -> impl Fn(Session) + Send + Sync + 'static {
    move |mut session| {
        handler.open(&session);
        loop {
            match session.recv_message() {
                Ok(message) => handler.message(&session, message),
                Err(ended) => return handler.close(&session, &ended),
            }
        }
    }
}
