//! Why not everything was sent, or stored.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use heartwire_core::connection::Ended;
use heartwire_core::wire::body::Whole;
use heartwire_core::wire::json_header::Head;

use super::Sent;
use crate::source::SourceError;

/// Not everything was sent and stored. Displayed, it is one line that is not escaped: paths, and what the receiver says,
/// may have any characters. Escape it before it reaches a terminal or a log.
#[derive(Debug)]
#[non_exhaustive]
pub struct SendError {
    /// What has left before. Whether it was stored is not known.
    pub sent: Sent,
    /// The file that was cut, if one was.
    pub cut: Option<Cut>,
    /// What happened.
    pub why: Why,
}

/// A file of which a part has left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its name.
    pub name: String,
    /// How much of it had been read to be sent, in bytes.
    pub read: u64,
    /// Its length, in bytes.
    pub size: u64,
}

/// Why not everything was sent, or stored.
#[derive(Debug)]
#[non_exhaustive]
pub enum Why {
    /// A file could not be read to its end.
    Source(SourceError),
    /// The connection ended before the receiver confirmed.
    Ended(Arc<Ended<Whole<Head>>>),
    /// The receiver ended its stream before everything was sent.
    EndedEarly,
    /// Everything was sent, and the receiver did not end its stream in this time.
    Unconfirmed(Duration),
    /// Everything was sent, and the receiver says what it did not store: a line for each.
    NotStored(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Cut { name, read, size }) = &self.cut {
            write!(f, "{name} was cut after {read} of {size} bytes: ")?;
        }
        match &self.why {
            Why::Source(error) => error.fmt(f),
            Why::Ended(ended) => {
                write!(f, "the connection ended before the receiver confirmed: {ended}; send it again")
            }
            Why::EndedEarly => f.write_str(
                "the receiver ended the connection before everything was sent; its log says why: send it again",
            ),
            Why::Unconfirmed(time) => write!(
                f,
                "everything was sent, and the receiver did not confirm it within {time:?}; look there, or send it again with more time"
            ),
            Why::NotStored(said) => {
                f.write_str("the receiver did not store everything:")?;
                said.lines().try_for_each(|line| write!(f, " {line};"))?;
                f.write_str(" mend that, and send it again")
            }
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Source(error) => Some(error),
            Why::Ended(ended) => Some(&**ended),
            _ => None,
        }
    }
}
