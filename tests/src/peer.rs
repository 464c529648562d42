//! A second implementation of the envelope's frames, by hand: makes bytes of them and reads them back
//! without the library's encoder and decoder, so that neither can hide the other's mistakes.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

/// The key of the tests that need no other.
pub const KEY: &[u8] = b"a key of these tests";
/// What a peer with features says of itself, as further keys of a header.
pub const FEATURES: &str = r#", "features": ["chunk"], "limits": {"message": 67108864, "unfinished": 8}"#;

const MAGIC: [u8; 8] = [0x89, 0x50, 0x4E, 0x47, 0x0E, 0x0B, 0x1B, 0x0B];

/// One frame of this header and content.
#[must_use]
pub fn frame(key: &[u8], header: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = unsigned(header, content);
    bytes[32..64].copy_from_slice(&sign(key, header.as_bytes(), content));
    bytes
}

/// The same with an authentication code of zeros, for who does not look at it.
#[must_use]
pub fn unsigned(header: &str, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(MAGIC);
    bytes.extend(1_u16.to_be_bytes());
    bytes.extend(0_u16.to_be_bytes());
    bytes.extend((header.len() as u32).to_be_bytes());
    bytes.extend(crc32fast::hash(header.as_bytes()).to_be_bytes());
    bytes.extend((content.len() as u64).to_be_bytes());
    bytes.extend(crc32fast::hash(content).to_be_bytes());
    bytes.extend([0; 32]);
    bytes.extend(header.as_bytes());
    bytes.extend(content);
    bytes
}

fn sign(key: &[u8], header: &[u8], content: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(header);
    mac.update(content);
    mac.finalize().into_bytes().into()
}

/// A frame that was read back.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The header, as JSON.
    pub header: Value,
    /// The header, as it stood there.
    pub raw: String,
    /// The code in the prefix.
    pub code: u16,
    /// The content.
    pub content: Vec<u8>,
    /// How many bytes the frame has.
    pub len: usize,
}

impl Seen {
    /// The type in the header.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.header["type"].as_str().unwrap()
    }

    /// The content, as text.
    #[must_use]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).unwrap()
    }
}

/// The first frame of these bytes, if it is there whole.
///
/// # Panics
///
/// If the bytes are not a frame signed with this key.
#[must_use]
pub fn read(key: &[u8], bytes: &[u8]) -> Option<Seen> {
    let field = |from: usize, len: usize| {
        bytes[from..from + len].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    if bytes.len() < 64 {
        return None;
    }
    assert_eq!(bytes[..8], MAGIC);
    assert_eq!(field(8, 2), 1, "the version");
    let header_end = 64 + field(12, 4) as usize;
    let end = header_end + field(20, 8) as usize;
    if bytes.len() < end {
        return None;
    }
    let (header, content) = (&bytes[64..header_end], &bytes[header_end..end]);
    assert_eq!(field(16, 4) as u32, crc32fast::hash(header), "the header's CRC");
    assert_eq!(field(28, 4) as u32, crc32fast::hash(content), "the content's CRC");
    assert_eq!(bytes[32..64], sign(key, header, content), "the MAC");
    let raw = String::from_utf8(header.to_vec()).unwrap();
    let header = serde_json::from_str(&raw).unwrap();
    Some(Seen { header, raw, code: field(10, 2) as u16, content: content.to_vec(), len: end })
}

/// All frames of these bytes.
///
/// # Panics
///
/// If something else stands among or behind them.
#[must_use]
pub fn read_all(key: &[u8], mut bytes: &[u8]) -> Vec<Seen> {
    let mut frames = Vec::new();
    while let Some(seen) = read(key, bytes) {
        bytes = &bytes[seen.len..];
        frames.push(seen);
    }
    assert!(bytes.is_empty(), "{} bytes of a frame that is not whole", bytes.len());
    frames
}

/// A peer that writes its frames by hand.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What it signs with.
    pub key: Vec<u8>,
    /// Its session.
    pub id: String,
}

impl Peer {
    /// A peer with the key of these tests, in this session.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self { key: KEY.to_vec(), id: id.into() }
    }

    /// Any frame: `keys` are further keys of its header, each with a comma before it.
    #[must_use]
    pub fn frame(&self, kind: &str, keys: &str, content: &[u8]) -> Vec<u8> {
        let id = serde_json::to_string(&self.id).unwrap();
        let header =
            format!(r#"{{"type": "{kind}", "content_type": "text/plain", "session_id": {id}{keys}}}"#);
        frame(&self.key, &header, content)
    }

    /// What a server begins with.
    #[must_use]
    pub fn init(&self, keys: &str) -> Vec<u8> {
        self.frame("session_init", keys, b"Session established")
    }

    /// What a client answers.
    #[must_use]
    pub fn ack(&self, keys: &str) -> Vec<u8> {
        self.frame("session_ack", keys, b"Session acknowledged")
    }

    /// A ping with this number.
    #[must_use]
    pub fn ping(&self, seq: u64) -> Vec<u8> {
        self.frame("heartbeat", &format!(r#", "seq": {seq}"#), b"ping")
    }

    /// A pong with this number, or with none.
    #[must_use]
    pub fn pong(&self, seq: Option<u64>) -> Vec<u8> {
        let keys = seq.map_or(String::new(), |seq| format!(r#", "seq": {seq}"#));
        self.frame("heartbeat", &keys, b"pong")
    }

    /// A message.
    #[must_use]
    pub fn message(&self, content: &[u8]) -> Vec<u8> {
        self.frame("message", "", content)
    }

    /// A chunk; `keys` are further keys, as for [`frame`](Self::frame).
    #[must_use]
    pub fn chunk(&self, message: u64, index: u64, last: bool, keys: &str, content: &[u8]) -> Vec<u8> {
        let keys = format!(r#", "message_id": {message}, "index": {index}, "last": {last}{keys}"#);
        self.frame("chunk", &keys, content)
    }

    /// An error.
    #[must_use]
    pub fn error(&self, code: &str) -> Vec<u8> {
        let content = format!("{code}: said by hand");
        self.frame("error", &format!(r#", "code": "{code}""#), content.as_bytes())
    }

    /// A goodbye.
    #[must_use]
    pub fn disconnect(&self, reason: &str) -> Vec<u8> {
        let content = format!(r#"{{"message": "Disconnecting", "reason": "{reason}"}}"#);
        self.frame("disconnect", "", content.as_bytes())
    }
}
