//! The handshake: the server speaks first, the client answers with the same session id.

use alloc::string::ToString;
use alloc::sync::Arc;
use bytes::Bytes;

use super::outbox::Terms;
use crate::config::Config;
use crate::error::{Code, Error};
use crate::message::ContentType;
use crate::wire::envelope::{Features, Header, Hello, Kind, PeerLimits, is_valid_session_id};

const INIT: &[u8] = b"Session established";
const ACK: &[u8] = b"Session acknowledged";

/// What this side says of itself.
pub(crate) fn hello(config: &Config) -> Hello {
    let features = if config.accept_chunks() { [Features::CHUNK].as_slice() } else { &[] };
    Hello {
        features: Some(Features(features.iter().map(ToString::to_string).collect())),
        limits: PeerLimits { message: config.message_limit(), unfinished: config.unfinished_limit() as u64 },
    }
}

/// The frame that a server begins with.
pub(crate) fn init(config: &Config, session_id: &Arc<str>) -> (Header, Bytes) {
    (header(Kind::SessionInit(hello(config)), session_id), Bytes::from_static(INIT))
}

/// The frame that a client answers with.
pub(crate) fn ack(config: &Config, session_id: &Arc<str>) -> (Header, Bytes) {
    (header(Kind::SessionAck(hello(config)), session_id), Bytes::from_static(ACK))
}

fn header(kind: Kind, session_id: &Arc<str>) -> Header {
    Header { kind, content_type: ContentType::BINARY, session_id: Some(session_id.clone()) }
}

/// The session id of a `session_init`.
pub(crate) fn session_id(offered: Option<Arc<str>>) -> Result<Arc<str>, Error> {
    match offered {
        Some(id) if is_valid_session_id(&id) => Ok(id),
        Some(_) => {
            Err(Error::new(Code::InvalidHeader, "the session id is not 1 to 128 printable ASCII characters"))
        }
        None => Err(Error::new(Code::InvalidHeader, "session_init has no session id")),
    }
}

/// What sending has to keep to, from what the peer said of itself.
pub(crate) fn terms(config: &Config, peer: &Hello) -> Terms {
    let features = peer.features.as_ref();
    Terms {
        chunk: peer.limits.takes_chunks(features),
        chunk_size: config.chunk_size(),
        unfinished: usize::try_from(peer.limits.unfinished).unwrap_or(usize::MAX),
        message: peer.limits.longest_message(features),
    }
}
