//! Sealed packets, as existing programs send and receive them: a client sends one and waits for one.

use std::io::{self, Read, Write};

use super::secretbox::{KEY, NONCE, TAG, open, seal};
use super::{beginning, refused, whole};

/// The most that a ciphertext has, in bytes, unless a test says otherwise.
pub const LIMIT: u32 = 16 * 1024 * 1024;

/// A key that both sides have.
pub type Key = [u8; KEY];
/// What no two packets under a key share.
pub type Nonce = [u8; NONCE];

/// What was in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The nonce it came with.
    pub nonce: Nonce,
    /// What was sealed.
    pub plaintext: Vec<u8>,
}

/// What a packet begins with, whatever it claims.
#[must_use]
pub fn head(version: u8, nonce_len: u32, ciphertext_len: u32) -> Vec<u8> {
    [&[version][..], &nonce_len.to_be_bytes(), &ciphertext_len.to_be_bytes()].concat()
}

/// A packet of any parts, with their lengths.
#[must_use]
pub fn raw(version: u8, nonce: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    let len = |bytes: &[u8]| u32::try_from(bytes.len()).expect("no test has such a packet");
    [&head(version, len(nonce), len(ciphertext)), nonce, ciphertext].concat()
}

/// A packet.
#[must_use]
pub fn packet(key: &Key, nonce: &Nonce, plaintext: &[u8]) -> Vec<u8> {
    raw(1, nonce, &seal(key, nonce, plaintext))
}

/// A nonce for each number. Existing programs draw theirs.
#[must_use]
pub fn nonce(number: u64) -> Nonce {
    let mut nonce = [0xA5; NONCE];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce
}

/// Sends a packet in one write.
///
/// # Errors
///
/// Writing failed.
pub fn write(to: &mut impl Write, key: &Key, nonce: &Nonce, plaintext: &[u8]) -> io::Result<()> {
    to.write_all(&packet(key, nonce, plaintext))?;
    to.flush()
}

/// The next packet, of a ciphertext of at most `limit` bytes.
///
/// # Errors
///
/// Reading failed, or the packet is refused.
pub fn read(from: &mut impl Read, key: &Key, limit: u32) -> io::Result<Option<Opened>> {
    const STEP: usize = 64 * 1024;
    let Some(head) = beginning::<9>(from)? else { return Ok(None) };
    let [version, n0, n1, n2, n3, c0, c1, c2, c3] = head;
    if version != 1 {
        return Err(refused("unsupported-version"));
    }
    if u32::from_be_bytes([n0, n1, n2, n3]) != NONCE as u32 {
        return Err(refused("bad-nonce-length"));
    }
    let len = u32::from_be_bytes([c0, c1, c2, c3]);
    if len < TAG as u32 {
        return Err(refused("ciphertext-too-short"));
    }
    if len > limit {
        return Err(refused("ciphertext-too-large"));
    }
    let nonce = whole(from, NONCE as u64, NONCE)?.try_into().expect("so many were asked for");
    let ciphertext = whole(from, len.into(), STEP)?;
    let plaintext = open(key, &nonce, &ciphertext).ok_or_else(|| refused("decryption-failed"))?;
    Ok(Some(Opened { nonce, plaintext }))
}

/// Sends a packet and waits for one, as clients do; none: the stream ended instead.
///
/// # Errors
///
/// Writing or reading failed, or the answer is refused.
pub fn ask(
    stream: &mut (impl Read + Write),
    key: &Key,
    nonce: &Nonce,
    plaintext: &[u8],
) -> io::Result<Option<Opened>> {
    write(stream, key, nonce, plaintext)?;
    read(stream, key, LIMIT)
}

/// Answers packets, as servers do, until the stream ends.
///
/// # Errors
///
/// Writing or reading failed, or a packet is refused.
pub fn serve(
    stream: &mut (impl Read + Write),
    key: &Key,
    mut answer: impl FnMut(Vec<u8>) -> Vec<u8>,
) -> io::Result<()> {
    for number in 0.. {
        let Some(opened) = read(stream, key, LIMIT)? else { break };
        write(stream, key, &nonce(number), &answer(opened.plaintext))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::super::content::bytes;
    use super::super::streams::every_way;
    use super::{LIMIT, Opened, ask, head, nonce, packet, raw, read, serve, write};
    use crate::vectors::{self, Hex};

    fn key(hex: &Hex) -> [u8; 32] {
        hex.0[..].try_into().unwrap()
    }

    #[test]
    fn vectors_are_written_to_the_byte() {
        for case in vectors::sealed_packet().accept {
            let (key, nonce) = (key(&case.key_hex), case.nonce_hex.0[..].try_into().unwrap());
            let mut bytes = Vec::new();
            write(&mut bytes, &key, &nonce, &case.plaintext_hex.0).unwrap();
            assert!(bytes == case.bytes_hex.0, "{}", case.name);
        }
    }

    #[test]
    fn vectors_are_read() {
        for case in vectors::sealed_packet().accept {
            let key = key(&case.key_hex);
            let met = every_way(&case.bytes_hex.0, |mut stream| {
                let first = read(&mut stream, &key, LIMIT)?;
                assert_eq!(read(&mut stream, &key, LIMIT)?, None, "{}", case.name);
                Ok(first)
            });
            let nonce = case.nonce_hex.0[..].try_into().unwrap();
            assert_eq!(
                met.unwrap(),
                Some(Opened { nonce, plaintext: case.plaintext_hex.0 }),
                "{}",
                case.name
            );
        }
        for case in vectors::sealed_packet().reject {
            let key = key(&case.key_hex);
            let code = every_way(&case.bytes_hex.0, |mut stream| read(&mut stream, &key, LIMIT));
            assert_eq!(code.expect_err(&case.name), case.error, "{}", case.name);
        }
    }

    #[test]
    fn any_packet_can_be_made() {
        let refused = |bytes: &[u8]| read(&mut &bytes[..], &[1; 32], LIMIT).unwrap_err().to_string();
        assert_eq!(refused(&raw(0, &[0; 24], &[0; 16])), "unsupported-version");
        assert_eq!(refused(&raw(1, &[0; 25], &[0; 16])), "bad-nonce-length");
        assert_eq!(refused(&head(1, 24, LIMIT + 1)), "ciphertext-too-large");
        assert_eq!(refused(&head(1, 24, LIMIT)), "truncated");
        assert_eq!(refused(&packet(&[2; 32], &nonce(0), b"under another key")), "decryption-failed");
    }

    #[test]
    fn a_server_answers_as_many_as_come() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            serve(&mut listener.accept().unwrap().0, &[1; 32], |mut plaintext| {
                plaintext.reverse();
                plaintext
            })
        });
        let mut stream = TcpStream::connect(address).unwrap();
        for (number, len) in (0..).zip([0, 1, 70_000]) {
            let mut plaintext = bytes(len);
            let answer = ask(&mut stream, &[1; 32], &nonce(number), &plaintext).unwrap().unwrap();
            plaintext.reverse();
            assert!(answer.plaintext == plaintext, "{len} bytes");
        }
        drop(stream);
        serving.join().unwrap().unwrap();
    }
}
