//! Shared keys: wiped when dropped, never printed, compared in constant time.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The shortest key, in bytes, that [`Key::new`] takes.
pub const MIN_KEY_LEN: usize = 16;
/// The most keys that can be accepted side by side.
pub const MAX_KEYS: usize = 16;
/// The key that is built into existing programs, and so is no secret.
const BUILT_IN: &[u8] = b"default-key";

/// A key that both sides share.
///
/// ```
/// use heartwire_core::key::Key;
///
/// let key = Key::new(b"correct horse battery staple").unwrap();
/// assert_eq!(format!("{key:?}"), "Key(..)");
/// assert!(Key::new(b"short").is_err());
/// assert!(Key::new_allow_weak(b"short").is_ok());
/// ```
#[derive(Clone)]
pub struct Key {
    bytes: Zeroizing<Vec<u8>>,
    /// The HMAC state after the key's block, so that no frame pays for it again.
    prepared: Hmac<Sha256>,
}

impl Key {
    /// A key of these bytes.
    ///
    /// # Errors
    ///
    /// [`WeakKey`] if it is shorter than [`MIN_KEY_LEN`], or the one that existing programs have
    /// built in.
    pub fn new(bytes: &[u8]) -> Result<Self, WeakKey> {
        if bytes.ct_eq(BUILT_IN).into() {
            return Err(WeakKey::BuiltIn);
        }
        if bytes.len() < MIN_KEY_LEN {
            return Err(WeakKey::Short(bytes.len()));
        }
        Self::new_allow_weak(bytes)
    }

    /// A key of these bytes, however weak. For talking to programs that have no better one.
    ///
    /// # Errors
    ///
    /// [`WeakKey::Empty`] if there are no bytes at all.
    pub fn new_allow_weak(bytes: &[u8]) -> Result<Self, WeakKey> {
        if bytes.is_empty() {
            return Err(WeakKey::Empty);
        }
        let prepared = Hmac::new_from_slice(bytes).map_err(|_| WeakKey::Empty)?;
        Ok(Self { bytes: Zeroizing::new(bytes.to_vec()), prepared })
    }

    /// HMAC-SHA256 over the parts, one after another.
    pub(crate) fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.mac(parts).finalize().into_bytes().into()
    }

    /// Whether `tag` is the HMAC-SHA256 over the parts; takes the same time whatever differs.
    pub(crate) fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        self.mac(parts).verify_slice(tag).is_ok()
    }

    /// The state after a first part, to be used with any second one.
    pub(crate) fn begin(&self, part: &[u8]) -> MacState {
        MacState(self.mac(&[part]))
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.prepared.clone();
        for part in parts {
            mac.update(part);
        }
        mac
    }
}

/// An HMAC-SHA256 whose first part is done.
#[derive(Clone)]
pub(crate) struct MacState(Hmac<Sha256>);

impl MacState {
    /// The HMAC-SHA256 when `rest` follows.
    pub(crate) fn sign(&self, rest: &[u8]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(rest);
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the HMAC-SHA256 when `rest` follows; takes the same time whatever differs.
    pub(crate) fn verify(&self, rest: &[u8], tag: &[u8]) -> bool {
        let mut mac = self.0.clone();
        mac.update(rest);
        mac.verify_slice(tag).is_ok()
    }
}

impl fmt::Debug for MacState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MacState(..)")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why bytes were not taken for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WeakKey {
    /// No bytes at all.
    Empty,
    /// This many bytes, fewer than [`MIN_KEY_LEN`].
    Short(usize),
    /// The key that existing programs have built in.
    BuiltIn,
}

impl fmt::Display for WeakKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the key is empty"),
            Self::Short(n) => write!(f, "the key has {n} bytes, fewer than {MIN_KEY_LEN}"),
            Self::BuiltIn => {
                f.write_str("the key is the one built into existing programs, known to everyone")
            }
        }
    }
}

impl core::error::Error for WeakKey {}

/// The keys of one side: the first signs, all verify.
///
/// Since a server speaks first, a key is replaced in three steps: everyone accepts the old and the
/// new one, then the senders change, then the old one goes.
///
/// ```
/// use heartwire_core::key::{Key, Keys};
///
/// let new = Key::new(b"the new key, 2 of 3").unwrap();
/// let old = Key::new(b"the old key, 1 of 3").unwrap();
/// let keys = Keys::new(new).and_accept(old);
/// assert_eq!(keys.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Keys {
    /// Shared by the sessions of a server. Never empty.
    keys: Arc<[Key]>,
    /// The only one that counts, when that is settled.
    settled: Option<usize>,
}

impl Keys {
    /// Keys of which `key` signs, and verifies.
    #[must_use]
    pub fn new(key: Key) -> Self {
        Self { keys: [key].into(), settled: None }
    }

    /// The same, and `key` verifies too. One that is there already is not added again; beyond
    /// [`MAX_KEYS`] none is.
    #[must_use]
    pub fn and_accept(mut self, key: Key) -> Self {
        if self.keys.len() < MAX_KEYS && !self.keys.contains(&key) {
            self.keys = self.keys.iter().cloned().chain([key]).collect();
        }
        self
    }

    /// How many keys verify.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        if self.settled.is_some() { 1 } else { self.keys.len() }
    }

    /// The key that signs.
    pub(crate) fn signing(&self) -> Option<&Key> {
        self.keys.get(self.settled.unwrap_or(0))
    }

    /// The one key there is, unless there are several.
    pub(crate) fn only(&self) -> Option<&Key> {
        if self.len() == 1 { self.signing() } else { None }
    }

    /// Narrows the keys to the one that fits, which signs from then on. Says whether one fitted.
    pub(crate) fn settle(&mut self, parts: &[&[u8]], tag: &[u8]) -> bool {
        if let Some(key) = self.only() {
            return key.verify(parts, tag);
        }
        self.settled = self.keys.iter().position(|key| key.verify(parts, tag));
        self.settled.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn weak_keys_are_refused_and_say_why() {
        assert_eq!(Key::new(b"default-key"), Err(WeakKey::BuiltIn));
        assert_eq!(Key::new(b"fifteen bytes.."), Err(WeakKey::Short(15)));
        assert_eq!(Key::new(b""), Err(WeakKey::Short(0)));
        assert_eq!(Key::new_allow_weak(b""), Err(WeakKey::Empty));
        assert!(Key::new(b"sixteen bytes...").is_ok());
    }

    #[test]
    fn nothing_of_a_key_is_printed() {
        let keys = Keys::new(Key::new(b"a very secret key indeed").unwrap());
        assert!(!format!("{keys:?}").contains("secret"));
        assert!(!format!("{keys:?}").contains("97"));
    }

    #[test]
    fn the_key_that_fits_stays_alone_and_signs() {
        let a = Key::new_allow_weak(b"a").unwrap();
        let b = Key::new_allow_weak(b"b").unwrap();
        let mut keys = Keys::new(a.clone()).and_accept(b.clone());
        let tag = b.sign(&[b"header", b"content"]);
        assert!(!keys.settle(&[b"header", b"other"], &tag));
        assert_eq!(keys.len(), 2);
        assert!(keys.settle(&[b"header", b"content"], &tag));
        assert_eq!(keys.len(), 1);
        assert_eq!(keys.signing(), Some(&b));
        let of_a = a.sign(&[b"header", b"content"]);
        assert!(!keys.settle(&[b"header", b"content"], &of_a));
    }
}
