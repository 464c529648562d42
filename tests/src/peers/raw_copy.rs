//! A copy through a socket alone, hashed where it arrives: what a transfer of one large message is held against.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

use sha2::{Digest, Sha256};

use super::content::hex;

/// What is read and written at once, in bytes.
pub const PIECE: usize = 64 * 1024;

/// What arrived. Displayed as `heartwire channel listen` says it of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// How many bytes.
    pub bytes: u64,
    /// Their SHA-256, as hexadecimal digits.
    pub sha256: String,
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received {} bytes sha256 {}", self.bytes, self.sha256)
    }
}

/// Sends everything that is to be read there, piece by piece.
///
/// # Errors
///
/// Reading or writing failed.
pub fn send(to: &mut impl Write, from: &mut impl Read) -> io::Result<u64> {
    // Not `io::copy`: between a file and a socket that leaves the work to the kernel.
    each_piece(from, |piece| to.write_all(piece))
}

/// Hashes everything until the end of the stream.
///
/// # Errors
///
/// Reading failed.
pub fn receive(from: &mut impl Read) -> io::Result<Received> {
    let mut hash = Sha256::new();
    let bytes = each_piece(from, |piece| {
        hash.update(piece);
        Ok(())
    })?;
    Ok(Received { bytes, sha256: hex(&hash.finalize()) })
}

fn each_piece(from: &mut impl Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u64> {
    let (mut piece, mut bytes) = (vec![0; PIECE], 0);
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(bytes),
            Ok(n) => {
                take(&piece[..n])?;
                bytes += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::super::content::{self, Content};
    use super::{receive, send};

    #[test]
    fn what_arrives_is_what_was_sent() {
        const LEN: usize = 5 * 64 * 1024 + 77;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let sending = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            send(&mut stream, &mut Content::new(LEN as u64)).unwrap()
        });
        let received = receive(&mut listener.accept().unwrap().0).unwrap();
        assert_eq!(sending.join().unwrap(), LEN as u64);
        let sha256 = content::sha256(&content::bytes(LEN));
        assert_eq!(received.to_string(), format!("received {LEN} bytes sha256 {sha256}"));
    }
}
