//! Bytes in hexadecimal digits: written in lower case, read in either.

use std::fmt;

use serde::{Serialize, Serializer};

/// Bytes shown in hexadecimal digits, written without holding them all.
pub struct Hex<'a>(pub &'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 512];
        for bytes in self.0.chunks(digits.len() / 2) {
            write(bytes, &mut digits);
            f.write_str(std::str::from_utf8(&digits[..bytes.len() * 2]).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Writes two digits for each byte, as far as there is room.
pub fn write(bytes: &[u8], digits: &mut [u8]) {
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

/// Fills these bytes from two digits each. None: there are more or fewer, or something else is among them.
pub fn read(digits: &[u8], bytes: &mut [u8]) -> Option<()> {
    if digits.len() != bytes.len().checked_mul(2)? {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (pair, byte) in digits.chunks_exact(2).zip(bytes) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_lower_case_and_whole() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let expected: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Hex(&bytes).to_string(), expected);
    }

    #[test]
    fn digits_of_either_case_are_read_and_nothing_else_is() {
        let bytes: Vec<u8> = (0..=255).collect();
        let digits = Hex(&bytes).to_string();
        for digits in [digits.to_uppercase(), digits] {
            let mut found = [0; 256];
            read(digits.as_bytes(), &mut found).unwrap();
            assert_eq!(found.as_slice(), bytes);
        }
        for bad in ["", "6", "6b6", "6b6b", "6g", "g6", "+1", " 1", "0x", "é"] {
            assert_eq!(read(bad.as_bytes(), &mut [0]), None, "{bad}");
        }
    }
}
