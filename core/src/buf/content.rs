//! Contents off the front of a receive buffer.

use bytes::{Buf, Bytes, BytesMut};

/// Contents up to this size are copied out of the receive buffer: a few bytes that the application
/// keeps must not pin a large buffer.
pub(crate) const COPIED: usize = 8 * 1024;

/// Takes `n` bytes off the front of `rx`, and gives those behind the first `skip`.
pub(crate) fn take_content(rx: &mut BytesMut, skip: usize, n: usize) -> Bytes {
    if n.saturating_sub(skip) > COPIED {
        let mut taken = rx.split_to(n.min(rx.len()));
        taken.advance(skip);
        return taken.freeze();
    }
    let content = Bytes::copy_from_slice(rx.get(skip..n).unwrap_or_default());
    rx.advance(n.min(rx.len()));
    content
}
