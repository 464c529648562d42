//! heartwire sessions on [smol].
//!
//! The names are those of `heartwire-tokio`. A server that sends every message back, and a client:
//!
//! ```
//! use heartwire_smol::{Key, Keys, Message, Options, Server, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = smol::channel::bounded::<()>(1);
//! let serving = smol::spawn(server.serve(
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
//! # smol::block_on(example()).unwrap();
//! ```

mod runtime;

pub use heartwire_futures::{Io, Sleep};
pub use runtime::{Smol, Timers};

heartwire_std::adapter!(Smol, Io, smol::net::TcpStream, futures_io::AsyncRead, futures_io::AsyncWrite);
