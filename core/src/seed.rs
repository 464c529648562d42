//! Randomness, handed in: 32 bytes for one machine.

use alloc::string::{String, ToString};
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 bytes from a cryptographic source, for one machine and never for a second one.
///
/// What a machine shows of its randomness (its session id, its nonces) is derived, so that the wire never
/// carries the seed itself.
pub struct Seed(Zeroizing<[u8; 32]>);

impl Seed {
    /// A seed of these bytes. Take them from the operating system, or from a generator meant for keys.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// A UUID, version 4, as text.
    pub(crate) fn session_id(&self) -> String {
        let digest = self.derive(&[b"heartwire session id"]);
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        uuid::Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string()
    }

    /// 32 bytes that tell nothing of the seed, other ones for every label.
    pub(crate) fn derive(&self, label: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut derived = Zeroizing::new([0; 32]);
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) {
            label.iter().for_each(|part| mac.update(part));
            *derived = mac.finalize().into_bytes().into();
        }
        derived
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_of_version_4_and_differ_by_seed() {
        let a = Seed::new([1; 32]).session_id();
        let b = Seed::new([2; 32]).session_id();
        assert_ne!(a, b);
        assert_eq!(a, Seed::new([1; 32]).session_id());
        let parsed = uuid::Uuid::parse_str(&a).unwrap();
        assert_eq!(parsed.get_version_num(), 4);
        assert_eq!(parsed.get_variant(), uuid::Variant::RFC4122);
    }
}
