//! Messages behind their length, as existing channels send and receive them.

use std::io::{self, Read, Write};

use super::{beginning, pieces, refused, whole};

/// What existing channels read at once, in bytes.
pub const READ: usize = 4096;
/// What is written at once of a message that is not held whole, in bytes.
pub const PIECE: usize = 64 * 1024;

/// Any length, as it stands before a message.
#[must_use]
pub fn length(len: u32) -> [u8; 4] {
    len.to_be_bytes()
}

/// A whole message.
#[must_use]
pub fn message(payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("no test has such a message");
    [&length(len), payload].concat()
}

/// Sends a message as existing channels do: joined with its length.
///
/// # Errors
///
/// Writing failed.
pub fn write(to: &mut impl Write, payload: &[u8]) -> io::Result<()> {
    to.write_all(&message(payload))?;
    to.flush()
}

/// The same with a message that is read in pieces.
///
/// # Errors
///
/// Reading or writing failed, or there was less to read (`truncated`).
pub fn write_from(to: &mut impl Write, len: u32, payload: &mut impl Read) -> io::Result<()> {
    to.write_all(&length(len))?;
    pieces(payload, len.into(), PIECE, |piece| to.write_all(piece))?;
    to.flush()
}

/// The length of the next message, which is to be read next.
///
/// # Errors
///
/// Reading failed, or the message is larger than `limit`.
pub fn read_length(from: &mut impl Read, limit: u32) -> io::Result<Option<u32>> {
    let Some(len) = beginning(from)?.map(u32::from_be_bytes) else { return Ok(None) };
    if len > limit {
        return Err(refused("message-too-large"));
    }
    Ok(Some(len))
}

/// The next message, held whole.
///
/// # Errors
///
/// Reading failed, or the message is refused.
pub fn read(from: &mut impl Read, limit: u32) -> io::Result<Option<Vec<u8>>> {
    let Some(len) = read_length(from, limit)? else { return Ok(None) };
    whole(from, len.into(), READ).map(Some)
}

/// The next message, handed on in pieces; gives its length.
///
/// # Errors
///
/// Reading failed, the message is refused, or what `take` says.
pub fn read_pieces(
    from: &mut impl Read,
    limit: u32,
    take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Option<u32>> {
    let Some(len) = read_length(from, limit)? else { return Ok(None) };
    pieces(from, len.into(), READ, take)?;
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use super::super::content::{Content, bytes};
    use super::super::streams::every_way;
    use super::{length, message, read, read_length, read_pieces, write, write_from};
    use crate::vectors;

    #[test]
    fn vectors_are_written_to_the_byte() {
        for case in vectors::length_prefixed().accept {
            let payload = &case.payload_hex.0;
            let (mut whole, mut streamed) = (Vec::new(), Vec::new());
            write(&mut whole, payload).unwrap();
            write_from(&mut streamed, payload.len() as u32, &mut &payload[..]).unwrap();
            assert_eq!(whole, case.bytes_hex.0, "{}", case.name);
            assert_eq!(streamed, case.bytes_hex.0, "{}", case.name);
        }
    }

    #[test]
    fn vectors_are_read() {
        for case in vectors::length_prefixed().accept {
            let met = every_way(&case.bytes_hex.0, |mut stream| {
                let first = read(&mut stream, u32::MAX)?;
                assert_eq!(read(&mut stream, u32::MAX)?, None, "{}", case.name);
                Ok(first)
            });
            assert_eq!(met.unwrap(), Some(case.payload_hex.0), "{}", case.name);
        }
        for case in vectors::length_prefixed().reject {
            let limit = case.limit.map_or(u32::MAX, |limit| limit.try_into().unwrap());
            let code =
                every_way(&case.bytes_hex.0, |mut stream| read(&mut stream, limit)).expect_err(&case.name);
            assert_eq!(code, case.error, "{}", case.name);
        }
    }

    #[test]
    fn several_follow_one_another_and_large_ones_in_pieces() {
        const LEN: u32 = 3 * 1024 * 1024 + 5;
        let mut stream = message(b"first");
        write_from(&mut stream, LEN, &mut Content::new(LEN.into())).unwrap();
        write(&mut stream, b"").unwrap();
        let (mut stream, mut met) = (&stream[..], Vec::new());
        assert_eq!(read(&mut stream, 5).unwrap().unwrap(), b"first");
        let len = read_pieces(&mut stream, LEN, |piece| {
            met.extend_from_slice(piece);
            Ok(())
        });
        assert_eq!(len.unwrap(), Some(LEN));
        assert!(met == bytes(LEN as usize), "the content is another");
        assert_eq!(read(&mut stream, 0).unwrap().unwrap(), b"");
        assert_eq!(read(&mut stream, 0).unwrap(), None);
    }

    #[test]
    fn any_length_can_be_claimed() {
        assert_eq!(read_length(&mut &length(u32::MAX)[..], u32::MAX).unwrap(), Some(u32::MAX));
    }
}
