//! What cases are made with.

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_std::options::Options;
use heartwire_std::session::Session;

/// The key of all tests.
///
/// # Panics
///
/// Never: the key is long enough.
#[must_use]
pub fn keys() -> Keys {
    Keys::new(Key::new(b"the key of the whole suite").expect("it is strong enough"))
}

/// Sessions with that key, and the defaults.
#[must_use]
pub fn options() -> Options {
    Options::new(keys())
}

/// The same with this configuration.
#[must_use]
pub fn with(config: Config) -> Options {
    options().config(config)
}

/// A content that shows where a byte was lost or doubled.
#[must_use]
pub fn content(len: usize, salt: usize) -> Bytes {
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ salt) as u8).collect::<Vec<u8>>().into()
}

/// Waits until a session knows that everything left: its driver says so when it is back from writing, a moment
/// after the peer may have it.
pub(super) async fn all_left(session: &Session) {
    while session.queued_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Sends back what comes.
pub(super) async fn echo(mut session: Session) {
    while let Ok(message) = session.recv_message().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}
