//! heartwire sessions on [async-std](async_std).
//!
//! async-std is no longer maintained, and points to smol itself: this crate is for programs that are on it already.
//! New ones take `heartwire-smol`, whose names are the same.
//!
//! The names are those of `heartwire-tokio`. A server that sends every message back, and a client:
//!
//! ```
//! use heartwire_async_std::{Key, Keys, Message, Options, Server, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = async_std::channel::bounded::<()>(1);
//! let serving = async_std::task::spawn(server.serve(
//!     |mut session| async move {
//!         while let Ok(message) = session.recv_message().await {
//!             if session.send(message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     },
//!     async move { stopped.recv().await },
//! ));
//!
//! let mut session = connect(&address, &options).await?;
//! session.send(Message::text("hello")).await?;
//! assert_eq!(session.recv_message().await?.content, "hello");
//! session.close(None).await;
//! drop(stop);
//! println!("{}", serving.await);
//! # Ok(())
//! # }
//! # async_std::task::block_on(example()).unwrap();
//! ```

mod runtime;
mod socket;

pub use heartwire_futures::{Io, Sleep};
pub use runtime::{AsyncStd, Timers};
pub use socket::{HalfClose, Socket};

heartwire_std::adapter!(
    AsyncStd,
    Io,
    Socket<async_std::net::TcpStream>,
    futures_io::AsyncRead,
    futures_io::AsyncWrite
);
