//! Reading a file for the one who sends it: piece by piece, one ahead, into buffers that are used again.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::Arc;

use heartwire_tokio::Bytes;
use tokio::task::{JoinHandle, spawn_blocking};

/// What is read at once, in bytes.
pub const PIECE: usize = 128 * 1024;

/// Reads a part of a file. It has no position of its own, so many can read the same one.
#[derive(Debug)]
pub struct Reader {
    file: Arc<File>,
    /// What is to be read next, and where that ends.
    next: u64,
    end: u64,
    /// The piece that is being read.
    ahead: Option<JoinHandle<io::Result<Piece>>>,
    /// Buffers that were given out, oldest first: that is the first to be free again.
    buffers: VecDeque<Arc<Vec<u8>>>,
}

impl Reader {
    pub fn new(file: Arc<File>, from: u64, len: u64) -> Self {
        Self { file, next: from, end: from + len, ahead: None, buffers: VecDeque::new() }
    }

    /// The next piece; none at the end. `UnexpectedEof`: the file has become shorter.
    ///
    /// While it is being sent, the one after it is read.
    pub async fn piece(&mut self) -> io::Result<Option<Bytes>> {
        let Some(reading) = self.ahead.take().or_else(|| self.read()) else { return Ok(None) };
        let piece = reading.await.map_err(io::Error::other)??;
        self.buffers.push_back(Arc::clone(&piece.buffer));
        self.ahead = self.read();
        Ok(Some(Bytes::from_owner(piece)))
    }

    /// Begins to read the next piece, if there is one.
    fn read(&mut self) -> Option<JoinHandle<io::Result<Piece>>> {
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        if left == 0 {
            return None;
        }
        let (file, from, len) = (Arc::clone(&self.file), self.next, left.min(PIECE));
        self.next += len as u64;
        let mut buffer = self.buffer(len);
        Some(spawn_blocking(move || {
            // nobody else has it
            let bytes = Arc::make_mut(&mut buffer);
            read_exact_at(&file, &mut bytes[..len], from)?;
            Ok(Piece { buffer, len })
        }))
    }

    /// A buffer for so many bytes that nobody uses.
    fn buffer(&mut self, len: usize) -> Arc<Vec<u8>> {
        let free = self.buffers.front_mut().is_some_and(|oldest| Arc::get_mut(oldest).is_some());
        let oldest = if free { self.buffers.pop_front() } else { None };
        oldest.unwrap_or_else(|| Arc::new(vec![0; len]))
    }
}

/// What was read. Not shared while it is read into, and free again when everyone is done with it.
#[derive(Debug)]
struct Piece {
    buffer: Arc<Vec<u8>>,
    len: usize,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

fn read_exact_at(file: &File, mut bytes: &mut [u8], mut from: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match read_at(file, bytes, from) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                bytes = &mut bytes[n..];
                from += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads at a position, whatever the file's own is.
#[cfg(unix)]
pub fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, from)
}

/// Reads at a position; moves the file's own, which nobody uses.
#[cfg(windows)]
pub fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, from)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(len: usize) -> (Arc<File>, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (Arc::new(file), bytes)
    }

    #[tokio::test]
    async fn pieces_are_the_part_that_was_asked_for() {
        let (file, bytes) = file(3 * PIECE + 5);
        for (from, len) in [(0, 0), (0, 1), (7, PIECE), (1, 3 * PIECE), (3 * PIECE, 5)] {
            let mut reader = Reader::new(Arc::clone(&file), from as u64, len as u64);
            let mut read = Vec::new();
            while let Some(piece) = reader.piece().await.unwrap() {
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                read.extend_from_slice(&piece);
            }
            assert!(read == bytes[from..from + len], "{len} bytes from {from}");
        }
    }

    #[tokio::test]
    async fn buffers_are_used_again_and_never_while_somebody_holds_them() {
        let (file, bytes) = file(20 * PIECE);
        let mut reader = Reader::new(file, 0, 20 * PIECE as u64);
        let mut places = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let piece = reader.piece().await.unwrap().unwrap();
            places.insert(piece.as_ptr());
        }
        assert!(places.len() <= 3, "{} buffers for one piece at a time", places.len());
        let mut held = Vec::new();
        while let Some(piece) = reader.piece().await.unwrap() {
            held.push(piece);
        }
        assert!(held.concat() == bytes[10 * PIECE..]);
    }

    #[tokio::test]
    async fn a_file_that_is_shorter_than_it_was_ends_unexpectedly() {
        let (file, _) = file(PIECE + 10);
        let mut reader = Reader::new(file, 0, PIECE as u64 + 11);
        assert!(reader.piece().await.unwrap().is_some());
        assert_eq!(reader.piece().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
