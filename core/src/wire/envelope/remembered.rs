//! The header that is likely to come again.

use alloc::vec::Vec;

use super::header::{Header, Kind};

/// Headers up to this size are remembered, in bytes.
const LONGEST: usize = 512;

/// The last header of a whole message, its bytes, and what depends on them: messages of one session mostly
/// have the same.
#[derive(Debug)]
pub(super) struct Remembered<T> {
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    pub(super) prepared: T,
}

impl<T> Remembered<T> {
    /// Puts a header in the place of the last one, if it is worth it.
    pub(super) fn replace(place: &mut Option<Self>, header: &Header, bytes: &[u8], prepared: T) {
        if bytes.len() > LONGEST || !matches!(header.kind, Kind::Message { .. }) {
            return;
        }
        // The memory of the last one is used again.
        let mut kept = place.take().map(|last| last.bytes).unwrap_or_default();
        kept.clear();
        kept.extend_from_slice(bytes);
        *place = Some(Self { header: header.clone(), bytes: kept, prepared });
    }
}
