//! Second implementations, by hand, of the protocols beside the envelope: blocking, over any `io::Read` and
//! `io::Write`, and without the library's codecs, so that neither can hide the other's mistakes. They write what
//! existing programs write, to the byte, and build what no such program would write from raw parts.
//!
//! Reading gives none at the end of a stream between two messages. What is refused is an error whose text is the
//! code, and nothing else.

use std::io::{self, ErrorKind, Read};

pub mod content;
pub mod json_header;
pub mod length_prefixed;
pub mod lines;
pub mod raw_copy;
pub mod sealed;
pub mod secretbox;

/// Reads exactly `len` bytes and hands them on as they come, at most `step` at a time.
///
/// # Errors
///
/// Reading failed, the stream ended before (`truncated`), or what `take` says.
pub fn pieces(
    from: &mut impl Read,
    len: u64,
    step: usize,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; step];
    let mut left = len;
    while left > 0 {
        let most = usize::try_from(left).map_or(step, |left| left.min(step));
        match from.read(&mut piece[..most]) {
            Ok(0) => return Err(truncated()),
            Ok(n) => {
                take(&piece[..n])?;
                left -= n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The same, gathered.
fn whole(from: &mut impl Read, len: u64, step: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pieces(from, len, step, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(bytes)
}

/// The bytes that a message begins with; none where the stream ends before the first.
fn beginning<const N: usize>(from: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match from.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(truncated()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(bytes))
}

fn refused(code: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, code)
}

fn truncated() -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, "truncated")
}

/// Streams as tests of these peers need them.
#[cfg(test)]
mod streams {
    use std::io::{self, Read};

    /// A stream that gives at most so many bytes at a time.
    pub(super) struct Sips<'a>(pub(super) &'a [u8], pub(super) usize);

    impl Read for Sips<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let most = out.len().min(self.1);
            self.0.read(&mut out[..most])
        }
    }

    /// What a stream gives however it is split, which must be the same.
    pub(super) fn every_way<T: PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        mut read: impl FnMut(Sips<'_>) -> io::Result<T>,
    ) -> Result<T, String> {
        let mut results =
            [usize::MAX, 1, 7].map(|step| read(Sips(bytes, step)).map_err(|error| error.to_string()));
        assert_eq!(results[0], results[1], "byte by byte");
        assert_eq!(results[0], results[2], "seven by seven");
        std::mem::replace(&mut results[0], Err(String::new()))
    }
}
