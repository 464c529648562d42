//! What connecting and serving have to know of a protocol.

use heartwire_core::wire::codec::Codec;
use heartwire_std::options::{ConnectionOptions, Options};
use heartwire_std::service::Service;

use crate::connection::Connection;
use crate::session::Session;

/// A protocol with its options whose connections are used without an async runtime: [`Options`] for sessions,
/// [`ConnectionOptions`] for the protocols without one.
pub trait Blocking: Service {
    /// What the application gets of a connection.
    type BlockingHandle: Send + 'static;

    /// Makes it of what the other adapters' applications get.
    fn wrap(handle: Self::Handle) -> Self::BlockingHandle;
}

impl Blocking for Options {
    type BlockingHandle = Session;

    fn wrap(handle: heartwire_std::session::Session) -> Session {
        Session::new(handle)
    }
}

impl<C: Codec> Blocking for ConnectionOptions<C> {
    type BlockingHandle = Connection<C>;

    fn wrap(handle: heartwire_std::connection::Connection<C>) -> Connection<C> {
        Connection::new(handle)
    }
}
