//! What is told of what is sent.

use heartwire_core::wire::json_header::Kind;

/// What happens to what is sent, in order; a file may begin before the one before it has left.
///
/// Names are those of the files: escape them before they reach a terminal or a log.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A file is being sent.
    Begun {
        /// Its name.
        name: String,
        /// What the receiver is told that it is.
        kind: Kind,
        /// Its length, in bytes.
        size: u64,
    },
    /// More of that file was read, and is on its way.
    Progress {
        /// How much of it, in bytes.
        sent: u64,
    },
    /// A file has left.
    Sent {
        /// Its name.
        name: String,
        /// Its length, in bytes.
        size: u64,
    },
    /// A text has left.
    SentText {
        /// Its length, in bytes.
        size: u64,
    },
    /// Everything was given to the connection. The receiver's word is awaited.
    Finished,
}
