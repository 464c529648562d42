//! Bytes to frames and back, one file or folder per protocol, and nothing else: what they mean is the
//! business of [`session`](crate::session) and [`connection`](crate::connection).
//!
//! * [`envelope`]: protocol 1, under a session
//! * [`json_header`], [`sealed`], [`lines`], [`length_prefixed`]: protocols 2 to 5, each a [`codec`]
//! * [`body`]: heads and bodies, for 2 and 5

pub mod body;
pub mod codec;
pub mod envelope;
pub mod json;
pub mod json_header;
pub mod length_prefixed;
pub mod lines;
#[cfg(feature = "sealed")]
pub mod sealed;
