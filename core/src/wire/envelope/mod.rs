//! The envelope protocol, version 1: a prefix of 64 bytes, a JSON header, a content.
//!
//! [`Decoder`] takes frames off the front of a receive buffer, [`Encoder`] writes them; what
//! stands between the bytes and their trust is a [`Protection`].

mod decode;
mod encode;
mod header;
mod prefix;
mod protection;
mod remembered;

pub(crate) use decode::Decoded;
pub use decode::{Decoder, FrameLimits};
pub use encode::{Encoder, encode_head, header_len};
pub use header::{Chunk, Features, Frame, FrameType, Header, Hello, Kind, PeerLimits, is_valid_session_id};
pub(crate) use header::{PING, PONG};
pub use prefix::{MAGIC, PREFIX_LEN, Prefix, VERSION};
pub use protection::{CrcHmac, Guard, Prepared, Protection};
