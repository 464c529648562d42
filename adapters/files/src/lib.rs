//! Sends and receives files and folders by protocol 2 (JSON headers), on any of heartwire's runtimes, for data that
//! there may be no other copy of.
//!
//! * [`receive`](fn@receive) takes what a connection carries into a [`Store`], a folder. A file has its name only when
//!   it is complete and synced; one that is cut leaves nothing, and what was there under its name stays as it was.
//!   Names that lead elsewhere, or can't be seen, are refused.
//! * [`send`](fn@send) sends [`Sources`]: files, folders, texts. It is done when the receiver has said, by the end of
//!   its stream, that everything has its name; else it says what is missing, and why.
//!
//! Both are given a connection and a function that is told what happens. They run on the runtime that is named in the
//! call: `heartwire_tokio::Tokio`, `heartwire_smol::Smol`, `heartwire_async_std::AsyncStd`; of heartwire-blocking,
//! `Threads`, with its `block_on` around the future. The disk's work is done beside the tasks, by
//! [`Runtime::unblock`](heartwire_std::runtime::Runtime::unblock).
//!
//! ```
//! use heartwire_files::{CONFIRM, OnExist, Sources, Store, receive, send};
//! use heartwire_tokio::{Tokio, accept_io, connect_io};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("notes.txt"), "hello")?;
//! // Any connection does; a server gives one to its handler for everyone who connects.
//! let (near, far) = tokio::io::duplex(64 * 1024);
//! let store = Store::open(folder.path().join("received"), OnExist::Replace)?;
//! let connection = accept_io(far, &receive::options()).await?;
//! let receiving = tokio::spawn(async move { receive::<Tokio>(connection, &store, |_| {}).await });
//!
//! let mut sources = Sources::new();
//! sources.add(folder.path().join("notes.txt"), None)?;
//! let sent = send::<Tokio>(connect_io(near, &send::options()).await?, sources, CONFIRM, |_| {}).await?;
//! assert_eq!(sent.files, 1);
//! assert_eq!(receiving.await?.files, 1);
//! assert_eq!(std::fs::read(folder.path().join("received/notes.txt"))?, b"hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The protocol has no receipts. The end of the receiver's stream is all that says that everything is stored: so
//! receivers are made with [`receive::options`], which see to it that no other end looks like it; over TCP not even if
//! the process is killed, over a Unix socket only as long as it is not.

#![warn(missing_docs)]

mod kind;
mod name;
pub mod receive;
pub mod send;
mod source;
mod store;

pub use kind::kind_of;
pub use name::{BadName, MAX_FOLDERS, MAX_NAME, MAX_PART, Name};
pub use receive::{Received, receive};
pub use send::{CONFIRM, SendError, Sent, send};
pub use source::{Reader, SourceError, Sources};
pub use store::{Failed, How, Incoming, OnExist, OpenError, Refusal, Store, Stored};

/// What goes to and comes from the disk at once, in bytes, where there is as much.
pub const PIECE: usize = 256 * 1024;
/// The longest text that is received, in bytes.
pub const TEXT_LIMIT: usize = 1024 * 1024;
