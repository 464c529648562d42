//! Protocol 3: packets sealed with NaCl secretbox (XSalsa20-Poly1305), request and response.
//!
//! ```
//! use bytes::{Bytes, BytesMut};
//! use heartwire_core::buf::TransmitQueue;
//! use heartwire_core::role::Role;
//! use heartwire_core::seed::Seed;
//! use heartwire_core::wire::codec::Codec;
//! use heartwire_core::wire::sealed::{Sealed, SecretKey, Settings};
//!
//! let settings = Settings::new(SecretKey::new([7; 32]));
//! let mut client = Sealed::new(&settings, Role::Client, &Seed::new([1; 32]));
//! let mut server = Sealed::new(&settings, Role::Server, &Seed::new([2; 32]));
//!
//! let mut tx = TransmitQueue::new();
//! client.encode(Bytes::from("hello"), &mut tx)?;
//! let mut out = [&[][..]; 1];
//! tx.slices(&mut out);
//! assert_eq!(server.decode(&mut BytesMut::from(out[0]))?, Some(Bytes::from("hello")));
//! assert!(!server.wants_input()); // first it has to answer
//! # Ok::<(), heartwire_core::error::Error>(())
//! ```

mod key;
mod nonces;

use alloc::format;
use alloc::string::String;
use core::convert::Infallible;

use bytes::{BufMut, Bytes, BytesMut};
use crypto_secretbox::{AeadInPlace, KeyInit, XSalsa20Poly1305};

use super::codec::Codec;
use crate::buf::{COPY, TransmitQueue, take_content};
use crate::error::{Code, Error};
use crate::role::Role;
use crate::seed::Seed;
pub use key::SecretKey;
use nonces::Nonces;

/// The version of packets, the only one there is.
const VERSION: u8 = 1;
/// A nonce, in bytes.
pub const NONCE_LEN: usize = 24;
/// The tag in front of a ciphertext, in bytes: what the ciphertext is longer than the plaintext.
pub const TAG_LEN: usize = 16;
/// Version and lengths, in bytes.
const PREFIX_LEN: usize = 9;
/// All that stands before the sealed bytes themselves.
const HEAD_LEN: usize = PREFIX_LEN + NONCE_LEN + TAG_LEN;
/// The largest ciphertext by default, in bytes.
const LIMIT: u32 = 16 * 1024 * 1024;

/// The key and the limit of a connection.
#[derive(Clone, Debug)]
pub struct Settings {
    key: SecretKey,
    limit: u32,
}

impl Settings {
    /// This key, and ciphertexts of at most 16 MiB.
    #[must_use]
    pub const fn new(key: SecretKey) -> Self {
        Self { key, limit: LIMIT }
    }

    /// The largest ciphertext that is taken, and sent, in bytes: 16 more than the plaintext has.
    #[must_use]
    pub const fn limit(mut self, limit: u32) -> Self {
        self.limit = limit;
        self
    }
}

/// A packet that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it was sealed with beside the key.
    pub nonce: [u8; NONCE_LEN],
    /// What was in it.
    pub plaintext: Bytes,
}

/// Sealed packets off a stream, and onto one: plaintexts are received and sent.
///
/// A server receives one request at a time: the next when it has answered.
pub struct Sealed {
    cipher: XSalsa20Poly1305,
    nonces: Nonces,
    limit: u32,
    role: Role,
    /// A server was sent a request, and has not answered.
    owes: bool,
}

impl Sealed {
    /// The next packet, if it is there whole.
    ///
    /// # Errors
    ///
    /// As [`Codec::decode`]. Nothing is told of a packet that does not open.
    pub fn decode_packet(&mut self, rx: &mut BytesMut) -> Result<Option<Packet>, Error> {
        let Some(ciphertext_len) = check_prefix(rx, self.limit)? else { return Ok(None) };
        let end = PREFIX_LEN.saturating_add(NONCE_LEN).saturating_add(ciphertext_len);
        if rx.len() < end {
            return Ok(None);
        }
        let (Some(nonce), Some(tag)) = (part(rx, PREFIX_LEN), part(rx, PREFIX_LEN + NONCE_LEN)) else {
            return Ok(None);
        };
        let sealed = rx.get_mut(HEAD_LEN..end).unwrap_or_default();
        self.cipher.decrypt_in_place_detached(&nonce.into(), &[], sealed, &tag.into()).map_err(|_| {
            let detail = "a packet that does not open: another key, or changed on its way";
            Error::new(Code::DecryptionFailed, detail)
        })?;
        self.owes = self.role == Role::Server;
        Ok(Some(Packet { nonce, plaintext: take_content(rx, HEAD_LEN, end) }))
    }

    /// Appends a packet. Fails for nothing that was checked before.
    fn seal(&self, nonce: [u8; NONCE_LEN], plaintext: &[u8], out: &mut BytesMut) -> Result<(), Error> {
        let failed = || Error::new(Code::CiphertextTooLarge, "a packet that can't be sealed");
        let len = u32::try_from(plaintext.len().saturating_add(TAG_LEN)).map_err(|_| failed())?;
        let begin = out.len();
        out.put_u8(VERSION);
        out.put_u32(NONCE_LEN as u32);
        out.put_u32(len);
        out.put_slice(&nonce);
        let tag_at = out.len();
        out.put_bytes(0, TAG_LEN);
        out.put_slice(plaintext);
        let sealed = out.get_mut(tag_at..).and_then(|rest| {
            let (tag, sealed) = rest.split_first_chunk_mut::<TAG_LEN>()?;
            *tag = self.cipher.encrypt_in_place_detached(&nonce.into(), &[], sealed).ok()?.into();
            Some(())
        });
        if sealed.is_none() {
            // Nothing of a plaintext may leave.
            out.truncate(begin);
        }
        sealed.ok_or_else(failed)
    }
}

impl Codec for Sealed {
    type Settings = Settings;
    type Item = Bytes;
    type Message = Bytes;
    type Head = Infallible;

    fn new(settings: &Settings, role: Role, seed: &Seed) -> Self {
        Self {
            cipher: XSalsa20Poly1305::new(settings.key.bytes().into()),
            nonces: Nonces::new(seed),
            limit: settings.limit,
            role,
            owes: false,
        }
    }

    fn decode(&mut self, rx: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        Ok(self.decode_packet(rx)?.map(|packet| packet.plaintext))
    }

    fn finish(&mut self, rx: &mut BytesMut) -> Result<Option<Bytes>, Error> {
        if rx.is_empty() {
            return Ok(None);
        }
        let detail = format!("the stream ended {} bytes into a packet", rx.len());
        Err(Error::new(Code::Truncated, detail))
    }

    fn missing(&self, rx: &BytesMut) -> usize {
        if rx.is_empty() {
            return 0;
        }
        let whole = match check_prefix(rx, self.limit) {
            Ok(Some(len)) => PREFIX_LEN.saturating_add(NONCE_LEN).saturating_add(len),
            _ => PREFIX_LEN,
        };
        whole.saturating_sub(rx.len())
    }

    fn wants_input(&self) -> bool {
        !self.owes
    }

    fn item_len(plaintext: &Bytes) -> usize {
        plaintext.len()
    }

    fn message_len(plaintext: &Bytes) -> usize {
        plaintext.len()
    }

    fn head_len_in_memory(head: &Infallible) -> usize {
        match *head {}
    }

    fn body_len(head: &Infallible) -> u64 {
        match *head {}
    }

    fn check(&self, plaintext: &Bytes) -> Result<(), Code> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        if plaintext.len().saturating_add(TAG_LEN) > limit { Err(Code::CiphertextTooLarge) } else { Ok(()) }
    }

    fn check_head(&self, head: &Infallible) -> Result<(), Code> {
        match *head {}
    }

    fn encode(&mut self, plaintext: Bytes, tx: &mut TransmitQueue) -> Result<(), Error> {
        let Some(nonce) = self.nonces.next() else {
            return Err(Error::new(Code::Aborted, "every nonce of this connection is used up"));
        };
        self.owes = false;
        let len = plaintext.len().saturating_add(HEAD_LEN);
        if len <= COPY {
            let mut sealed = Ok(());
            tx.append(|out| sealed = self.seal(nonce, &plaintext, out));
            return sealed;
        }
        let mut packet = BytesMut::with_capacity(len);
        self.seal(nonce, &plaintext, &mut packet)?;
        tx.chain(packet.freeze());
        Ok(())
    }

    fn encode_head(&mut self, head: Infallible, _: &mut TransmitQueue) {
        match head {}
    }
}

impl core::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Sealed").field("role", &self.role).field("owes", &self.owes).finish_non_exhaustive()
    }
}

/// Checks what is there of version and lengths. Gives the ciphertext's length if they all are.
fn check_prefix(rx: &BytesMut, limit: u32) -> Result<Option<usize>, Error> {
    let refused = |code, detail: String| Err(Error::new(code, detail));
    match rx.first() {
        None => return Ok(None),
        Some(&VERSION) => {}
        Some(version) => {
            let detail = format!("a packet of version {version}; only {VERSION} is spoken");
            return refused(Code::UnsupportedVersion, detail);
        }
    }
    let Some(nonce_len) = part(rx, 1).map(u32::from_be_bytes) else { return Ok(None) };
    if usize::try_from(nonce_len) != Ok(NONCE_LEN) {
        return refused(Code::BadNonceLength, format!("a nonce of {nonce_len} bytes; it has {NONCE_LEN}"));
    }
    let Some(len) = part(rx, 5).map(u32::from_be_bytes) else { return Ok(None) };
    if len > limit {
        let detail = format!("a ciphertext of {len} bytes; at most {limit} are taken");
        return refused(Code::CiphertextTooLarge, detail);
    }
    match usize::try_from(len) {
        Ok(len) if len >= TAG_LEN => Ok(Some(len)),
        _ => refused(
            Code::CiphertextTooShort,
            format!("a ciphertext of {len} bytes; its tag alone has {TAG_LEN}"),
        ),
    }
}

/// `N` bytes of `rx`, if they are there.
fn part<const N: usize>(rx: &BytesMut, at: usize) -> Option<[u8; N]> {
    rx.get(at..)?.first_chunk().copied()
}
