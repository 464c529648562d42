//! heartwire sessions on tokio.
//!
//! A server that sends every message back, and a client:
//!
//! ```
//! use heartwire_tokio::{Key, Keys, Message, Options, Server, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let serving = tokio::spawn(server.serve(
//!     |mut session| async move {
//!         while let Ok(message) = session.recv_message().await {
//!             if session.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     },
//!     async { drop(stopped.await) },
//! ));
//!
//! let mut session = connect(&address, &options).await?;
//! session.send(Message::text("hello")).await?;
//! assert_eq!(session.recv_message().await?.content, "hello");
//! session.close(None).await;
//! drop(stop);
//! println!("{}", serving.await?);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

/// The protocols without a session: files with JSON headers, sealed packets (feature `sealed`), lines, length
/// prefix.
///
/// A server that sends every line back, and a client:
///
/// ```
/// use heartwire_tokio::connection::lines::{Line, Lines, Settings};
/// use heartwire_tokio::connection::Connection;
/// use heartwire_tokio::{ConnectionOptions, Server, connect};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let options = ConnectionOptions::<Lines>::new(Settings::default());
/// let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
/// let address = server.local_addresses()[0].clone();
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let serving = tokio::spawn(server.serve(
///     |mut connection: Connection<Lines>| async move {
///         while let Some(line) = connection.recv().await {
///             if connection.send(line).await.is_err() {
///                 break;
///             }
///         }
///         connection.close().await;
///     },
///     async { drop(stopped.await) },
/// ));
///
/// let mut client = connect(&address, &options).await?;
/// client.send(Line::new("hello")?).await?;
/// assert_eq!(client.recv().await, Some(Line::new("hello")?));
/// client.close().await;
/// drop(stop);
/// println!("{}", serving.await?);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
pub mod connection {
    pub use heartwire_core::connection::{
        Config, ConfigBuilder, Ended, EndedBy, Event, Gatherer, Stats, Unsent,
    };
    #[cfg(feature = "sealed")]
    pub use heartwire_core::wire::sealed;
    pub use heartwire_core::wire::{body, codec, json_header, length_prefixed, lines};
    pub use heartwire_std::connection::{Connection, Outgoing, Receiver, Sender};
}

mod connect;
mod driver;
mod handler;
mod listener;
mod server;

pub use connect::{accept_io, connect, connect_io};
pub use driver::{Io, Sleep};
pub use handler::{Handler, handled};
pub use server::Server;

pub use bytes::Bytes;
pub use heartwire_core::config::{Config, ConfigBuilder, ConfigError, Receive};
pub use heartwire_core::error::{Code, Error, Fault};
pub use heartwire_core::key::{Key, Keys, WeakKey};
pub use heartwire_core::message::{App, ContentType, Message};
pub use heartwire_core::protocol::{Outcome, Refused, Ticket, Why};
pub use heartwire_core::server::{Limits, LimitsBuilder, LimitsError, Report};
pub use heartwire_core::session::{
    Begin, Ended, EndedBy, Established, Event, Gathered, Gatherer, Piece, PieceEnd, Start, Stats, Unsent,
};
pub use heartwire_core::wire::envelope::{Features, PeerLimits};
pub use heartwire_std::address::{Address, AddressError};
pub use heartwire_std::options::{ConnectionOptions, Options};
pub use heartwire_std::registry::Registry;
pub use heartwire_std::service::Service;
pub use heartwire_std::session::{ConnectError, Outgoing, Receiver, SendError, Sender, Session};
