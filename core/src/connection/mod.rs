//! Connections without a session: protocols 2 to 5 as machines, all by one.
//!
//! A [`Connection`] is made of a [codec](crate::wire::codec): what that understands becomes events, what it writes
//! comes from commands. Everything else (queues and their limits, timeouts, the ways to end) is the same for all
//! four protocols:
//!
//! | protocol | codec | received | sent |
//! |---|---|---|---|
//! | 2, files with JSON headers | [`JsonHeader`](crate::wire::json_header::JsonHeader) | head, pieces, end | whole, or head, pieces, end |
//! | 3, sealed packets | `Sealed` (feature `sealed`) | plaintexts | plaintexts |
//! | 4, lines | [`Lines`](crate::wire::lines::Lines) | lines | lines |
//! | 5, length prefix | [`LengthPrefixed`](crate::wire::length_prefixed::LengthPrefixed) | head, pieces, end | whole, or head, pieces, end |
//!
//! There is no goodbye in these protocols. Each direction ends with its stream; what is refused ends the connection
//! without a word.

mod command;
mod config;
mod event;
mod gather;
mod machine;
mod outbox;
mod state;

pub use crate::ended::{Ended, EndedBy, Unsent};
pub use crate::stats::Stats;
pub use command::{Command, CommandOf};
pub use config::{Config, ConfigBuilder};
pub use event::Event;
pub use gather::Gatherer;
pub use machine::Connection;
