//! Content of any size that nobody has to hold: each byte is a function of its offset, and no two pieces are
//! alike, so that one that is lost, repeated or misplaced is noticed.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// So many bytes, to be read.
#[derive(Clone, Debug)]
pub struct Content {
    offset: u64,
    len: u64,
}

impl Content {
    /// The first `len` bytes.
    #[must_use]
    pub fn new(len: u64) -> Self {
        Self { offset: 0, len }
    }
}

impl Read for Content {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = self.len - self.offset;
        let n = usize::try_from(left).map_or(out.len(), |left| left.min(out.len()));
        fill(self.offset, &mut out[..n]);
        self.offset += n as u64;
        Ok(n)
    }
}

/// The bytes that stand at this offset.
pub fn fill(offset: u64, out: &mut [u8]) {
    let skip = (offset % 8) as usize;
    let (head, words) = out.split_at_mut(((8 - skip) % 8).min(out.len()));
    head.copy_from_slice(&word(offset / 8)[skip..][..head.len()]);
    for (number, bytes) in (offset.div_ceil(8)..).zip(words.chunks_mut(8)) {
        bytes.copy_from_slice(&word(number)[..bytes.len()]);
    }
}

/// The first `len` bytes at once.
#[must_use]
pub fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill(0, &mut bytes);
    bytes
}

/// The SHA-256 of some bytes, as hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn word(number: u64) -> [u8; 8] {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::{Content, bytes, fill, sha256};
    use std::io::Read;

    #[test]
    fn it_is_the_same_from_every_offset() {
        let all = bytes(100);
        for from in 0..all.len() {
            for to in from..=all.len() {
                let mut part = vec![0; to - from];
                fill(from as u64, &mut part);
                assert_eq!(part, all[from..to], "{from} to {to}");
            }
        }
    }

    #[test]
    fn it_is_the_same_read_in_pieces() {
        let (mut content, mut met) = (Content::new(1000), Vec::new());
        let mut piece = [0; 77];
        loop {
            match content.read(&mut piece).unwrap() {
                0 => break,
                n => met.extend_from_slice(&piece[..n]),
            }
        }
        assert_eq!(met, bytes(1000));
    }

    #[test]
    fn no_two_pieces_are_alike() {
        let all = bytes(1024 * 1024);
        let mut pieces: Vec<_> = all.chunks(1024).collect();
        pieces.sort_unstable();
        pieces.dedup();
        assert_eq!(pieces.len(), 1024);
    }

    #[test]
    fn a_sum_is_the_known_one() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), known);
    }
}
