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

mod connect;
mod driver;
mod handler;
mod listener;
mod options;
mod server;

pub use connect::{accept_io, connect, connect_io};
pub use driver::{Io, Sleep};
pub use handler::{Handler, handled};
pub use options::Options;
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
pub use heartwire_std::registry::Registry;
pub use heartwire_std::session::{ConnectError, Outgoing, Receiver, SendError, Sender, Session};
