//! A server's application, as a trait.

use std::future::Future;
use std::sync::Arc;

use heartwire_core::message::Message;
use heartwire_core::session::Ended;

use crate::session::Session;

/// What a server does with its sessions, for who prefers a trait to a closure: see [`handled`].
///
/// Each session has a task of its own, in which these are called one after another. While one runs, what
/// the peer sends waits; heartbeats go on.
pub trait Handler: Send + Sync + 'static {
    /// A session is established.
    fn open(&self, session: &Session) -> impl Future<Output = ()> + Send {
        let _ = session;
        async {}
    }

    /// A message arrived.
    fn message(&self, session: &Session, message: Message) -> impl Future<Output = ()> + Send;

    /// The session is over.
    fn close(&self, session: &Session, ended: &Ended) -> impl Future<Output = ()> + Send {
        let _ = (session, ended);
        async {}
    }
}

/// Makes a closure for [`Server::serve`](crate::server::Server::serve) of a [`Handler`].
///
/// ```
/// use heartwire_core::message::Message;
/// use heartwire_std::handler::{Handler, handled};
/// use heartwire_std::session::Session;
///
/// struct Echo;
///
/// impl Handler for Echo {
///     async fn message(&self, session: &Session, message: Message) {
///         // Refused: the session is closing, and `close` will be called.
///         let _ = session.send(message).await;
///     }
/// }
///
/// let handler = handled(Echo);
/// # let _ = handler;
/// ```
pub fn handled<H: Handler>(
    handler: H,
) -> impl Fn(Session) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static {
    let handler = Arc::new(handler);
    move |mut session| {
        let handler = Arc::clone(&handler);
        Box::pin(async move {
            handler.open(&session).await;
            loop {
                match session.recv_message().await {
                    Ok(message) => handler.message(&session, message).await,
                    Err(ended) => return handler.close(&session, &ended).await,
                }
            }
        })
    }
}
