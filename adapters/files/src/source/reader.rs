//! Reading a file for the one who sends it: piece by piece, into buffers that are used again.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use heartwire_std::runtime::Runtime;

/// Reads a part of a file. It has no position of its own, so many can read the same one.
#[derive(Debug)]
pub struct Reader {
    file: Arc<File>,
    /// What is to be read next, and where that ends.
    next: u64,
    end: u64,
    /// What is read at once, in bytes.
    piece: usize,
    /// Buffers that were given out, oldest first: that is the first to be free again.
    buffers: VecDeque<Arc<Vec<u8>>>,
}

impl Reader {
    /// Reads `len` bytes from there on, in pieces of `piece` bytes.
    #[must_use]
    pub fn new(file: Arc<File>, from: u64, len: u64, piece: usize) -> Self {
        Self {
            file,
            next: from,
            end: from.saturating_add(len),
            piece: piece.max(1),
            buffers: VecDeque::new(),
        }
    }

    /// Whether everything was read.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next >= self.end
    }

    /// The next piece; none at the end. It is read where that [keeps nobody waiting](Runtime::unblock).
    ///
    /// # Errors
    ///
    /// What the operating system has against it; `UnexpectedEof`: the file has become shorter.
    ///
    /// # Cancel safety
    ///
    /// The piece is lost.
    pub async fn piece<R: Runtime>(&mut self) -> io::Result<Option<Bytes>> {
        let left = usize::try_from(self.end.saturating_sub(self.next)).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        let (file, from, len) = (Arc::clone(&self.file), self.next, left.min(self.piece));
        self.next = self.next.saturating_add(len as u64);
        let mut buffer = self.buffer(len);
        let read = R::unblock(move || {
            // Nobody else has it.
            let bytes = Arc::make_mut(&mut buffer);
            read_exact_at(&file, bytes.get_mut(..len).unwrap_or_default(), from)?;
            Ok::<_, io::Error>(Piece { buffer, len })
        });
        let piece = read.await?;
        self.buffers.push_back(Arc::clone(&piece.buffer));
        Ok(Some(Bytes::from_owner(piece)))
    }

    /// A buffer for so many bytes that nobody uses.
    fn buffer(&mut self, len: usize) -> Arc<Vec<u8>> {
        let fits = |oldest: &mut Arc<Vec<u8>>| Arc::get_mut(oldest).is_some_and(|buffer| buffer.len() >= len);
        let free = self.buffers.front_mut().is_some_and(fits);
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
        self.buffer.get(..self.len).unwrap_or_default()
    }
}

/// What a file was when it was measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) size: u64,
    modified: Option<SystemTime>,
}

impl Measured {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), modified: metadata.modified().ok() }
    }

    /// What has become of it.
    pub(crate) fn changed(&self, metadata: &Metadata) -> Option<Changed> {
        let now = metadata.len();
        if now != self.size {
            return Some(Changed::Length { was: self.size, is: now });
        }
        (metadata.modified().ok() != self.modified).then_some(Changed::Content)
    }
}

/// A file is another than it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It is shorter or longer, in bytes.
    Length { was: u64, is: u64 },
    /// It was written to.
    Content,
    /// It ends where it should go on: what the system says of its length is not so.
    Shorter,
    /// It goes on where it should end.
    Longer,
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { was, is } if is < was => write!(f, "it has shrunk from {was} to {is} bytes"),
            Self::Length { was, is } => write!(f, "it has grown from {was} to {is} bytes"),
            Self::Content => f.write_str("it was written to"),
            Self::Shorter => f.write_str("it has shrunk"),
            Self::Longer => f.write_str("it has grown"),
        }
    }
}

fn read_exact_at(file: &File, mut bytes: &mut [u8], mut from: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match read_at(file, bytes, from) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                bytes = bytes.get_mut(n..).unwrap_or_default();
                from = from.saturating_add(n as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads at a position, whatever the file's own is.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, from)
}

/// Reads at a position; moves the file's own, which nobody uses.
#[cfg(windows)]
pub(crate) fn read_at(file: &File, bytes: &mut [u8], from: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, bytes, from)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::Future;
    use std::io::Write;

    use heartwire_tokio::Tokio;

    use super::*;

    const PIECE: usize = 64 * 1024;

    fn file(len: usize) -> (Arc<File>, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (Arc::new(file), bytes)
    }

    fn block_on<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(test)
    }

    #[test]
    fn pieces_are_the_part_that_was_asked_for() {
        let (file, bytes) = file(3 * PIECE + 5);
        block_on(async {
            for (from, len) in [(0, 0), (0, 1), (7, PIECE), (1, 3 * PIECE), (3 * PIECE, 5)] {
                let mut reader = Reader::new(Arc::clone(&file), from as u64, len as u64, PIECE);
                let mut read = Vec::new();
                while let Some(piece) = reader.piece::<Tokio>().await.unwrap() {
                    assert!(!piece.is_empty() && piece.len() <= PIECE);
                    read.extend_from_slice(&piece);
                    assert_eq!(reader.is_done(), read.len() == len);
                }
                assert!(read == bytes[from..from + len], "{len} bytes from {from}");
            }
        });
    }

    #[test]
    fn buffers_are_used_again_and_never_while_somebody_holds_them() {
        let (file, bytes) = file(20 * PIECE);
        let mut reader = Reader::new(file, 0, 20 * PIECE as u64, PIECE);
        block_on(async {
            let mut places = BTreeSet::new();
            let mut sent = None;
            for _ in 0..10 {
                // One is held, as if it was being sent, while the next is read.
                let piece = reader.piece::<Tokio>().await.unwrap().unwrap();
                places.insert(piece.as_ptr());
                sent.replace(piece);
            }
            assert!(places.len() <= 3, "{} buffers for two pieces at a time", places.len());
            let mut held = vec![sent.unwrap()];
            while let Some(piece) = reader.piece::<Tokio>().await.unwrap() {
                held.push(piece);
            }
            assert!(held.concat() == bytes[9 * PIECE..]);
        });
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_ends_unexpectedly() {
        let (file, _) = file(PIECE + 10);
        let mut reader = Reader::new(file, 0, PIECE as u64 + 11, PIECE);
        block_on(async {
            assert!(reader.piece::<Tokio>().await.unwrap().is_some());
            let error = reader.piece::<Tokio>().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
