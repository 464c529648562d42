//! heartwire sessions over [futures-io](futures_io), on any executor: for a runtime of your own, and what the adapters
//! for smol and async-std share.
//!
//! The driver is handed over, to be spawned or awaited as you like; the timer is yours, too. Where your runtime has
//! sockets and tasks, implement [`AsyncRuntime`](heartwire_std::runtime::AsyncRuntime), and
//! [`adapter!`](heartwire_std::adapter!) makes of it all that the other adapters have, servers included.
//!
//! ```
//! use heartwire_futures::{Clock, Key, Keys, Message, Options, Sleep, accept_io, connect_io};
//!
//! struct Timers;
//!
//! impl Clock for Timers {
//!     type Sleep = smol::Timer;
//!
//!     fn sleep_until(at: std::time::Instant) -> smol::Timer {
//!         smol::Timer::at(at)
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let (one, other) = smol::net::unix::UnixStream::pair()?;
//! let (client, driver) = connect_io(one, Sleep::<Timers>::default(), &options)?;
//! smol::spawn(driver).detach();
//! let (server, driver) = accept_io(other, Sleep::<Timers>::default(), &options)?;
//! smol::spawn(driver).detach();
//!
//! let (client, server) = smol::future::try_zip(client, server).await?;
//! let mut server = server;
//! client.send(Message::text("hello")).await?;
//! assert_eq!(server.recv_message().await.map_err(|ended| (*ended).clone())?.content, "hello");
//! # Ok(())
//! # }
//! # smol::block_on(example()).unwrap();
//! ```

mod connect;
mod io;
mod sleep;

pub use connect::{Driven, Establishing, accept_io, connect_io};
pub use io::Io;
pub use sleep::{Clock, Sleep};

pub use heartwire_std::driver::{Driver, Timer};
pub use heartwire_std::prelude::*;
pub use heartwire_std::session::{Outgoing, Receiver, Sender, Session};

/// The protocols without a session: files with JSON headers, sealed packets (feature `sealed`), lines, length prefix.
pub mod connection {
    pub use heartwire_std::connection::{Connection, Outgoing, Receiver, Sender};
    pub use heartwire_std::protocols::*;
}
