//! Encoded bytes that the transport has not taken yet.

use alloc::collections::VecDeque;
use bytes::{Buf, Bytes, BytesMut};

/// The buffer that is kept for reuse when everything has left, in bytes.
const KEEP: usize = 128 * 1024;
/// The buffer that is kept while nothing happens, in bytes: a heartbeat fits.
const KEEP_IDLE: usize = 512;

/// Contents up to this size are copied beside others; larger ones leave as they are.
pub(crate) const COPY: usize = 4 * 1024;

/// How many of them lie beside each other then, at most.
const KEEP_IDLE_SEGMENTS: usize = 4;

/// Bytes on their way out, in order: small frames side by side in one buffer, large contents as
/// they are, without a copy. What the transport took is dropped; the rest stays.
///
/// ```
/// use bytes::Bytes;
/// use heartwire_core::buf::TransmitQueue;
///
/// let mut queue = TransmitQueue::new();
/// queue.append(|buffer| buffer.extend_from_slice(b"head"));
/// queue.chain(Bytes::from_static(b"content"));
/// queue.advance(2);
/// let mut out = [&[][..]; 4];
/// assert_eq!(queue.slices(&mut out), 2);
/// assert_eq!(out[..2], [&b"ad"[..], b"content"]);
/// ```
#[derive(Debug, Default)]
pub struct TransmitQueue {
    segments: VecDeque<Segment>,
    /// The bytes of all inline segments, in order, behind those that were taken.
    inline: BytesMut,
    inline_taken: usize,
    /// Bytes not taken yet, and how many of them are lent.
    pending: usize,
    lent: usize,
    taken: u64,
}

#[derive(Debug)]
struct Segment {
    /// A content of its own; none: the next `len` bytes of `inline`.
    shared: Option<Bytes>,
    len: usize,
    /// What follows must not leave in the same write.
    ends_write: bool,
}

impl TransmitQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes not taken yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending
    }

    /// How many bytes the transport took, since the beginning.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// The position after the last byte that was taken or lent, counted like [`taken`](Self::taken).
    pub(crate) fn offered(&self) -> u64 {
        self.taken.saturating_add(self.lent as u64)
    }

    /// The position after the last byte of the queue, counted like [`taken`](Self::taken).
    #[must_use]
    pub fn end(&self) -> u64 {
        self.taken.saturating_add(self.pending as u64)
    }

    /// Lets `write` append to the queue's buffer, which it must not do anything else with.
    pub fn append(&mut self, write: impl FnOnce(&mut BytesMut)) {
        // Each byte is moved once at most: what is left is no more than what was taken.
        if self.inline_taken > 0 && self.inline_taken >= self.inline.len() / 2 {
            self.inline.copy_within(self.inline_taken.., 0);
            self.inline.truncate(self.inline.len().saturating_sub(self.inline_taken));
            self.inline_taken = 0;
        }
        let before = self.inline.len();
        write(&mut self.inline);
        let added = self.inline.len().saturating_sub(before);
        if added == 0 {
            return;
        }
        self.pending = self.pending.saturating_add(added);
        match self.segments.back_mut() {
            Some(last) if last.shared.is_none() && !last.ends_write => {
                last.len = last.len.saturating_add(added);
            }
            _ => self.segments.push_back(Segment { shared: None, len: added, ends_write: false }),
        }
    }

    /// Appends a content without copying it.
    pub fn chain(&mut self, content: Bytes) {
        if content.is_empty() {
            return;
        }
        self.pending = self.pending.saturating_add(content.len());
        self.segments.push_back(Segment { len: content.len(), shared: Some(content), ends_write: false });
    }

    /// Appends a content: a small one beside what is there, a larger one without copying it.
    pub fn push(&mut self, content: Bytes) {
        if content.len() <= COPY {
            self.append(|out| out.extend_from_slice(&content));
        } else {
            self.chain(content);
        }
    }

    /// What is appended after this leaves in a write of its own.
    pub fn end_write(&mut self) {
        if let Some(last) = self.segments.back_mut() {
            last.ends_write = true;
        }
    }

    /// Moves what is queued to `to`, which is empty: to be written from there by who can't hold on to this
    /// queue meanwhile. It stays counted here, and is the first that [`advance`](Self::advance) takes off.
    /// Nothing happens if `to` is not empty.
    ///
    /// ```
    /// use heartwire_core::buf::TransmitQueue;
    ///
    /// let (mut queue, mut lent) = (TransmitQueue::new(), TransmitQueue::new());
    /// queue.append(|buffer| buffer.extend_from_slice(b"first"));
    /// queue.lend(&mut lent);
    /// queue.append(|buffer| buffer.extend_from_slice(b"second"));
    /// assert_eq!((lent.pending(), queue.pending()), (5, 11));
    /// lent.advance(5);
    /// queue.advance(5);
    /// assert_eq!((lent.pending(), queue.pending()), (0, 6));
    /// ```
    pub fn lend(&mut self, to: &mut Self) {
        if to.pending > 0 {
            return;
        }
        core::mem::swap(&mut self.segments, &mut to.segments);
        core::mem::swap(&mut self.inline, &mut to.inline);
        core::mem::swap(&mut self.inline_taken, &mut to.inline_taken);
        to.pending = self.pending.saturating_sub(self.lent);
        self.lent = self.pending;
    }

    /// Gives back what is not needed while nothing happens.
    pub fn trim(&mut self) {
        if self.inline.is_empty() && self.inline.capacity() > KEEP_IDLE {
            self.inline = BytesMut::new();
        }
        if self.segments.is_empty() && self.segments.capacity() > KEEP_IDLE_SEGMENTS {
            self.segments = VecDeque::new();
        }
    }

    /// Fills `out` with what is to be written next, and returns how many slices it used.
    pub fn slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        let mut used = 0;
        let mut inline: &[u8] = self.inline.get(self.inline_taken..).unwrap_or_default();
        for (segment, slot) in self.segments.iter().zip(out.iter_mut()) {
            *slot = match &segment.shared {
                Some(content) => content,
                None => {
                    let (these, rest) = inline.split_at_checked(segment.len).unwrap_or((inline, &[]));
                    inline = rest;
                    these
                }
            };
            used += 1;
            if segment.ends_write {
                break;
            }
        }
        used
    }

    /// The transport took the next `n` bytes; more than there are counts as all of them.
    pub fn advance(&mut self, n: usize) {
        let mut left = n.min(self.pending);
        self.pending -= left;
        self.taken = self.taken.saturating_add(left as u64);
        let lent = left.min(self.lent);
        self.lent -= lent;
        left -= lent;
        while left > 0 {
            let Some(segment) = self.segments.front_mut() else { break };
            let step = left.min(segment.len);
            segment.len -= step;
            left -= step;
            match &mut segment.shared {
                Some(content) => content.advance(step.min(content.len())),
                None => self.inline_taken = self.inline_taken.saturating_add(step).min(self.inline.len()),
            }
            if segment.len == 0 {
                self.segments.pop_front();
            }
        }
        if self.inline_taken == self.inline.len() {
            self.inline.clear();
            self.inline_taken = 0;
            if self.inline.capacity() > KEEP {
                self.inline = BytesMut::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn all(queue: &TransmitQueue) -> Vec<Vec<u8>> {
        let mut out = [&[][..]; 16];
        let used = queue.slices(&mut out);
        out[..used].iter().map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn small_frames_stand_side_by_side_and_large_contents_are_not_copied() {
        let content = Bytes::from(std::vec![7; 100_000]);
        let mut queue = TransmitQueue::new();
        queue.append(|b| b.extend_from_slice(b"one"));
        queue.append(|b| b.extend_from_slice(b"two"));
        queue.chain(content.clone());
        queue.append(|b| b.extend_from_slice(b"three"));
        let mut out = [&[][..]; 4];
        assert_eq!(queue.slices(&mut out), 3);
        assert_eq!(out[0], b"onetwo");
        assert_eq!(out[1].as_ptr(), content.as_ptr());
        assert_eq!(out[2], b"three");
    }

    #[test]
    fn every_sequence_of_partial_writes_gives_the_same_bytes() {
        for step in 1..=12 {
            let mut queue = TransmitQueue::new();
            queue.append(|b| b.extend_from_slice(b"abc"));
            queue.chain(Bytes::from_static(b"defg"));
            queue.append(|b| b.extend_from_slice(b"hij"));
            queue.append(|b| b.extend_from_slice(b"kl"));
            let mut seen = Vec::new();
            while queue.pending() > 0 {
                let flat: Vec<u8> = all(&queue).concat();
                let n = step.min(flat.len());
                seen.extend_from_slice(&flat[..n]);
                queue.advance(n);
                assert_eq!(queue.taken(), seen.len() as u64);
                assert_eq!(queue.end(), 12);
            }
            assert_eq!(seen, b"abcdefghijkl");
            assert!(all(&queue).is_empty());
        }
    }

    #[test]
    fn what_is_lent_leaves_first_and_everything_stays_in_order() {
        for step in 1..=14 {
            let (mut queue, mut lent) = (TransmitQueue::new(), TransmitQueue::new());
            let mut seen = Vec::new();
            let mut parts = [&b"abc"[..], b"defg", b"hij", b"kl"].into_iter();
            loop {
                let part = parts.next();
                if let Some(part) = part {
                    queue.append(|b| b.extend_from_slice(part));
                    queue.chain(Bytes::from_static(b"-"));
                }
                let before = queue.pending();
                queue.lend(&mut lent);
                assert_eq!(queue.pending(), before);
                let flat: Vec<u8> = all(&lent).concat();
                let n = step.min(flat.len());
                seen.extend_from_slice(&flat[..n]);
                lent.advance(n);
                queue.advance(n);
                assert_eq!(queue.taken(), seen.len() as u64);
                if part.is_none() && queue.pending() == 0 {
                    break;
                }
            }
            assert_eq!(seen, b"abc-defg-hij-kl-");
            assert_eq!(lent.pending(), 0);
        }
    }

    #[test]
    fn an_idle_queue_keeps_little() {
        let mut queue = TransmitQueue::new();
        queue.append(|b| b.extend_from_slice(&[7; 10_000]));
        queue.trim();
        assert!(queue.inline.capacity() >= 10_000);
        queue.advance(10_000);
        assert!(queue.inline.capacity() >= 10_000, "it is used again");
        queue.trim();
        assert!(queue.inline.capacity() <= KEEP_IDLE);
    }

    #[test]
    fn an_ended_write_is_offered_alone() {
        let mut queue = TransmitQueue::new();
        queue.append(|b| b.extend_from_slice(b"first"));
        queue.end_write();
        queue.append(|b| b.extend_from_slice(b"second"));
        queue.chain(Bytes::from_static(b"tail"));
        queue.end_write();
        assert_eq!(all(&queue), [b"first".to_vec()]);
        queue.advance(2);
        assert_eq!(all(&queue), [b"rst".to_vec()]);
        queue.advance(3);
        assert_eq!(all(&queue), [b"second".to_vec(), b"tail".to_vec()]);
        queue.advance(usize::MAX);
        assert_eq!(queue.pending(), 0);
    }
}
