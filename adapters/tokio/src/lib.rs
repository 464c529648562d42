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
//!     stopped,
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
//!
//! The protocols without a session (files with JSON headers, sealed packets with feature `sealed`, lines, length prefix)
//! are used in the same way. A server that sends every line back, and a client:
//!
//! ```
//! use heartwire_tokio::connection::lines::{Line, Lines, Settings};
//! use heartwire_tokio::connection::Connection;
//! use heartwire_tokio::{ConnectionOptions, Server, connect};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectionOptions::<Lines>::new(Settings::default());
//! let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
//! let address = server.local_addresses()[0].clone();
//! let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
//! let serving = tokio::spawn(server.serve(
//!     |mut connection: Connection<Lines>| async move {
//!         while let Some(line) = connection.recv().await {
//!             if connection.send(line).await.is_err() {
//!                 break;
//!             }
//!         }
//!         connection.close().await;
//!     },
//!     stopped,
//! ));
//!
//! let mut client = connect(&address, &options).await?;
//! client.send(Line::new("hello")?).await?;
//! assert_eq!(client.recv().await, Some(Line::new("hello")?));
//! client.close().await;
//! drop(stop);
//! println!("{}", serving.await?);
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! A client that connects again when the connection is lost:
//!
//! ```
//! use heartwire_tokio::{Backoff, GivenUp, Key, Keys, Options, Progress, reconnecting};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
//! let backoff = Backoff::builder().attempts(3).build()?;
//! // Nobody listens there.
//! let mut client = reconnecting("tcp://127.0.0.1:1".parse()?, options, backoff)?;
//! while let Some(progress) = client.next().await {
//!     match progress {
//!         Progress::Connecting { attempt } => println!("attempt {attempt}"),
//!         Progress::Failed(error) => println!("{error}"),
//!         Progress::Waiting { delay, .. } => println!("trying again in {delay:?}"),
//!         Progress::Connected(mut session) => {
//!             let ended = loop {
//!                 match session.recv_message().await {
//!                     Ok(message) => println!("{} bytes", message.content.len()),
//!                     Err(ended) => break ended,
//!                 }
//!             };
//!             println!("{ended}");
//!             client.lost(&ended);
//!         }
//!         Progress::GivenUp(why) => assert_eq!(why, GivenUp::BudgetSpent),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```

mod io;
mod runtime;

pub use io::{Io, Sleep};
pub use runtime::Tokio;

heartwire_std::adapter!(Tokio, Io, tokio::net::TcpStream, tokio::io::AsyncRead, tokio::io::AsyncWrite);
