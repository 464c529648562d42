//! heartwire sessions on threads and the standard library's sockets, without an async runtime.
//!
//! A connection has two threads of its own, one that reads and one that writes; they keep heartbeats going while the
//! application does something else. The names are those of `heartwire-tokio`, and what is awaited there is waited for
//! here. A server that sends every message back, and a client:
//!
//! ```
//! use heartwire_blocking::{Key, Keys, Message, Options, Server, Session, connect, stop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone())?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = stop();
//! let serving = std::thread::spawn(move || {
//!     let echo = |mut session: Session| {
//!         while let Ok(message) = session.recv_message() {
//!             if session.send(message).is_err() {
//!                 break;
//!             }
//!         }
//!     };
//!     server.serve(echo, stopped)
//! });
//!
//! let mut session = connect(&address, &options)?;
//! session.send(Message::text("hello"))?;
//! assert_eq!(session.recv_message()?.content, "hello");
//! session.close(None);
//! stop.stop();
//! println!("{}", serving.join().unwrap());
//! # Ok(())
//! # }
//! ```
//!
//! [`callbacks`] calls back instead. The protocols without a session are in [`connection`]. A server that sends every
//! line back, and a client:
//!
//! ```
//! use heartwire_blocking::connection::Connection;
//! use heartwire_blocking::connection::lines::{Line, Lines, Settings};
//! use heartwire_blocking::{ConnectionOptions, Server, connect, stop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectionOptions::<Lines>::new(Settings::default());
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone())?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = stop();
//! let serving = std::thread::spawn(move || {
//!     let echo = |mut connection: Connection<Lines>| {
//!         while let Some(line) = connection.recv() {
//!             if connection.send(line).is_err() {
//!                 break;
//!             }
//!         }
//!         connection.close();
//!     };
//!     server.serve(echo, stopped)
//! });
//!
//! let mut client = connect(&address, &options)?;
//! client.send(Line::new("hello")?)?;
//! assert_eq!(client.recv(), Some(Line::new("hello")?));
//! client.close();
//! drop(stop);
//! println!("{}", serving.join().unwrap());
//! # Ok(())
//! # }
//! ```
//!
//! # What is not as in the other adapters
//!
//! * **No TLS, no pipes, no terminals.** A session runs over what one thread can read from while another writes to it,
//!   and whose reads and writes can be timed and ended: TCP and Unix sockets, and what implements [`Socket`]. A TLS
//!   stream is one object for both directions, so that who waits to read keeps others from writing; pipes and terminals
//!   know no timeouts. The async adapters have them all.
//! * **Waits can't be cancelled**, only limited: by `recv_timeout`, `recv_message_timeout`, `send_timeout` and
//!   `closed_timeout`. A thread that waits for a connection returns when the connection ends.
//! * **A server's handler can't be ended** if it waits for something else than its connection: see [`Server::serve`].
//! * **Looking up names is not limited**: the time for [`connect`] counts from when the operating system has answered.
//! * **Cuts are seen with a delay of at most 100 ms** while the peer takes nothing of what is written, and deadlines
//!   that have come closer while a read waits with one of 20 ms.
//! * **A connection costs two threads**, with a stack and a buffer of 72 KiB. For thousands of connections, use an async
//!   adapter.
//! * **Unix systems come first.** On Windows a write that times out may have taken bytes that it does not tell of, so that
//!   a peer that does not read for a while may lose the session.
//!
//! `into_async` gives the handle that async code uses; its futures need no particular runtime. [`block_on`] waits for
//! any future.

pub mod callbacks;
mod connect;
pub mod connection;
mod driver;
mod handler;
mod listener;
mod park;
mod reconnect;
mod runtime;
mod server;
mod service;
mod session;
mod socket;

pub use connect::{accept_io, connect, connect_io};
pub use driver::Io;
pub use handler::{Handler, handled};
pub use heartwire_std::prelude::*;
#[doc(hidden)] // The types of a trait's implementation.
pub use listener::{Accept, Listener};
pub use park::{Alarm, block_on, block_on_until};
pub use reconnect::{Reconnecting, reconnecting};
pub use runtime::Threads;
pub use server::{Server, Stop, Stopped, stop};
pub use service::Blocking;
pub use session::{Outgoing, Receiver, Sender, Session, TimedOut};
pub use socket::Socket;
