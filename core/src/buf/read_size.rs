//! How much to read at once.

/// The least and the most that is read at once, in bytes.
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 64 * 1024;
/// A frame of which more than this has come is large, in bytes, and how far is read beyond its end.
const LARGE_FRONT: usize = 16 * 1024;
const READ_BEYOND: usize = 1024;

/// How much to read next: by what came lately, never by what a peer says will come.
#[derive(Debug)]
pub(crate) struct ReadSize {
    size: usize,
    asked: usize,
}

impl ReadSize {
    pub(crate) fn new() -> Self {
        Self { size: READ_MIN, asked: READ_MIN }
    }

    /// `fresh` bytes came when so many were wanted.
    pub(crate) fn adapt(&mut self, fresh: usize) {
        if fresh >= self.size {
            self.size = self.size.saturating_mul(2).min(READ_MAX);
        } else if fresh < self.size / 4 && self.asked >= self.size {
            self.size = (self.size / 2).max(READ_MIN);
        }
    }

    /// How much is wanted while `waiting` bytes of a frame have come that misses `missing` more: doubling while
    /// it is coming in. Not far beyond the end of a large frame: its content is a part of what it was read into,
    /// and what follows would have to be copied out.
    pub(crate) fn within(&self, waiting: usize, missing: usize) -> usize {
        let size = self.size.max(missing.min(waiting));
        if waiting > LARGE_FRONT { size.min(missing.saturating_add(READ_BEYOND)) } else { size }
    }

    /// So much is asked for now.
    pub(crate) fn ask(&mut self, n: usize) -> usize {
        self.asked = n;
        n
    }
}
