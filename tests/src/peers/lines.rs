//! Lines, as existing chats send and receive them.

use std::io::{self, BufRead, Write};

use super::refused;

/// The most that a line has without its ending, in bytes, unless a test says otherwise.
pub const LIMIT: usize = 64 * 1024;

/// A line with its ending.
#[must_use]
pub fn line(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\n"].concat()
}

/// Sends a line.
///
/// # Errors
///
/// Writing failed.
pub fn write(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(&line(text))?;
    to.flush()
}

/// The next line without its ending, of at most `limit` bytes. Buffered, because what follows a line in the same
/// read must not be lost: put a [`BufReader`](io::BufReader) around the stream and keep it.
///
/// # Errors
///
/// Reading failed, or the line is refused.
pub fn read(from: &mut impl BufRead, limit: usize) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    let ended = loop {
        let available = from.fill_buf()?;
        if available.is_empty() {
            break false;
        }
        let newline = available.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&available[..newline.unwrap_or(available.len())]);
        let used = newline.map_or(available.len(), |at| at + 1);
        from.consume(used);
        if newline.is_some() {
            break true;
        }
        // One more may be the first half of its ending.
        if line.len() > limit + 1 {
            return Err(refused("line-too-long"));
        }
    };
    if !ended && line.is_empty() {
        return Ok(None);
    }
    if ended && line.ends_with(b"\r") {
        line.pop();
    }
    if line.len() > limit {
        return Err(refused("line-too-long"));
    }
    String::from_utf8(line).map(Some).map_err(|_| refused("invalid-utf8"))
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::super::streams::{Sips, every_way};
    use super::{LIMIT, read, write};
    use crate::vectors;

    fn read_all(stream: Sips<'_>, limit: usize) -> std::io::Result<Vec<String>> {
        let (mut stream, mut lines) = (BufReader::new(stream), Vec::new());
        while let Some(line) = read(&mut stream, limit)? {
            lines.push(line);
        }
        Ok(lines)
    }

    #[test]
    fn vectors_are_written_to_the_byte() {
        let mut written = 0;
        for case in vectors::lines().accept {
            // ended otherwise
            if case.name.starts_with("crlf") || case.name.starts_with("last line without") {
                continue;
            }
            let mut bytes = Vec::new();
            case.lines.iter().for_each(|line| write(&mut bytes, line).unwrap());
            assert_eq!(bytes, case.bytes_hex.0, "{}", case.name);
            written += 1;
        }
        assert!(written >= 4, "only {written} were compared");
    }

    #[test]
    fn vectors_are_read() {
        for case in vectors::lines().accept {
            let met = every_way(&case.bytes_hex.0, |stream| read_all(stream, LIMIT));
            assert_eq!(met.unwrap(), case.lines, "{}", case.name);
        }
        for case in vectors::lines().reject {
            let limit = case.limit.map_or(LIMIT, |limit| limit.try_into().unwrap());
            let code = every_way(&case.bytes_hex.0, |stream| read_all(stream, limit)).expect_err(&case.name);
            assert_eq!(code, case.error, "{}", case.name);
        }
    }

    #[test]
    fn the_limit_is_without_the_ending() {
        let read = |bytes: &str| every_way(bytes.as_bytes(), |stream| read_all(stream, 4));
        for bytes in ["1234\n", "1234\r\n", "1234"] {
            assert_eq!(read(bytes), Ok(vec!["1234".into()]), "{bytes:?}");
        }
        // A carriage return without a newline behind it belongs to the line.
        for bytes in ["12345\n", "12345\r\n", "1234\r", "1234\r\r\n", "123456"] {
            assert_eq!(read(bytes), Err("line-too-long".into()), "{bytes:?}");
        }
    }
}
