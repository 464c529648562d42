//! What is told of files that are received.

use bytes::Bytes;
use heartwire_core::wire::json_header::Kind;

use crate::store::{Refusal, Stored};

/// What happens to what is received, in the order in which it was sent.
///
/// Names of files that are not stored, and texts, are as the peer sent them: escape them before they reach a terminal
/// or a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A file is being received.
    Begun {
        /// Its name.
        name: String,
        /// What its sender says that it is.
        kind: Kind,
        /// Its length, in bytes.
        size: u64,
    },
    /// More of that file has been written.
    Progress {
        /// How much of it has been, in bytes.
        written: u64,
    },
    /// It is complete, synced, and has its name.
    Stored(Stored),
    /// A file was passed over: one of its name is there, and [stays](crate::OnExist::Skip).
    Skipped {
        /// Its name.
        name: String,
        /// Its length, in bytes.
        size: u64,
    },
    /// A file, or a text, was refused. Others are received.
    Refused {
        /// Its name; empty for a text.
        name: String,
        /// Its length, in bytes.
        size: u64,
        /// What stands against it.
        why: Refusal,
    },
    /// A file was cut: the connection ended within it, or the disk failed. Nothing is left of it, and with it the
    /// connection is over.
    Cut {
        /// Its name.
        name: String,
        /// How much of it was received, in bytes.
        received: u64,
        /// Its length, in bytes.
        size: u64,
        /// What happened, and what to do.
        why: String,
    },
    /// A text that is no file.
    Text(Bytes),
}
