//! The key that both sides share.

use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

/// A key of 32 bytes: wiped when the last clone is dropped, never printed.
///
/// ```
/// use heartwire_core::wire::sealed::SecretKey;
///
/// assert_eq!(format!("{:?}", SecretKey::new([7; 32])), "SecretKey(..)");
/// ```
#[derive(Clone)]
pub struct SecretKey(Arc<Zeroizing<[u8; 32]>>);

impl SecretKey {
    /// The key with these bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}
