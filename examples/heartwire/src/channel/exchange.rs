//! Both directions of a channel at once, from its beginning to its end.

use std::fmt::Write;
use std::sync::Arc;

use heartwire_core::escape::escape;
use heartwire_tokio::Tokio;
use heartwire_tokio::connection::body::Part;
use heartwire_tokio::connection::length_prefixed::{Head, LengthPrefixed};
use heartwire_tokio::connection::{Config, ConfigBuilder, Connection, Ended, Receiver, Sender};
use sha2::{Digest, Sha256};
use tokio::task::yield_now;

use super::name::Name;
use super::source::{PIECE, Source};
use crate::hex::Hex;
use crate::printing::Lines;
use crate::serving;

/// What stands before each message on the wire, in bytes.
const PREFIX: u64 = 4;
/// What may wait to be written, in bytes, passed by one piece at most: enough to be written while the next is read.
const QUEUED: usize = 2 * PIECE;
/// What may wait to be hashed, in bytes: about the blocks that a thread reads into in turn.
const RECEIVED: usize = 256 * 1024;
/// How much is hashed before others have their turn, in bytes.
const TURN: usize = 256 * 1024;

/// Limits that fit messages that go through in pieces.
pub fn config() -> ConfigBuilder {
    Config::builder().queued_output(QUEUED).queued_event_bytes(RECEIVED)
}

/// When our direction of a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// As soon as everything is sent.
    First,
    /// When the peer's has ended.
    Last,
}

/// A channel, and what goes through it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub name: Name,
    /// What is sent, in this order.
    pub sources: Arc<[Source]>,
    /// Who is told what was received.
    pub results: Lines,
    pub finish: Finish,
}

/// How a channel was.
#[derive(Debug)]
pub struct Over {
    pub ended: Arc<Ended<<LengthPrefixed as heartwire_tokio::connection::codec::Codec>::Message>>,
    /// What is wrong with a source; not escaped.
    pub broken: Option<String>,
    /// What was cut in either direction; empty if nothing was. Not escaped.
    pub cut: String,
}

impl Exchange {
    /// Sends and receives, until the connection has ended.
    pub async fn run(self, connection: Connection<LengthPrefixed>) -> Over {
        let Self { name, finish, .. } = &self;
        tracing::info!("{name}: connected{}", name.peer(": "));
        let (sender, mut receiver) = connection.split();
        let sending = async {
            let broken = self.send(&sender).await.err();
            if *finish == Finish::First {
                sender.finish();
            }
            broken
        };
        let (broken, begun) = tokio::join!(sending, self.receive(&mut receiver));
        sender.finish();
        let ended = receiver.end().await;
        if let Some(broken) = &broken {
            tracing::error!("{name}: {}", escape(broken));
        }
        let cut = self.cut(sender.stats().bytes_sent, begun);
        let peer = name.peer(" ");
        if ended.is_orderly() && cut.is_empty() {
            tracing::info!("{name}: closed{peer}: {}", serving::ending(&ended));
        } else {
            tracing::warn!("{name}: closed{peer}: {}{}", serving::ending(&ended), escape(&cut));
        }
        Over { ended, broken, cut }
    }

    /// Sends everything; stops early where the connection does, which receiving tells. An error is what is wrong with
    /// a source: the connection is given up then, since the length of the message was said.
    async fn send(&self, sender: &Sender<LengthPrefixed>) -> Result<(), String> {
        let Self { name, sources, .. } = self;
        let mut end = 0;
        for source in sources.iter() {
            let Ok(message) = sender.begin(Head { size: source.len() }).await else { return Ok(()) };
            let mut reader = source.read();
            let mut next = reader.piece::<Tokio>().await.map_err(|error| source.broken(&error))?;
            while let Some(piece) = next {
                // one is read while the one before it is sent
                let (sent, read) = tokio::join!(message.send(piece), reader.piece::<Tokio>());
                if sent.is_err() {
                    return Ok(());
                }
                next = read.map_err(|error| source.broken(&error))?;
            }
            if message.end().is_err() {
                return Ok(());
            }
            end += PREFIX + source.len();
            sender.room_for(|machine| machine.stats().bytes_sent >= end).await;
            if sender.stats().bytes_sent < end {
                return Ok(());
            }
            let (sent, len, peer) = (escape(source.name()), source.len(), name.peer(" to "));
            tracing::info!("{name}: sent {sent}, {len} bytes{peer}");
            if source.has_grown() {
                tracing::warn!("{name}: {sent} has grown while it was sent: only its first {len} bytes were");
            }
        }
        Ok(())
    }

    /// Hashes and reports what arrives, until the peer sends nothing more. Gives how much of how many bytes were
    /// received of a message that is not whole.
    async fn receive(&self, receiver: &mut Receiver<LengthPrefixed>) -> Option<(u64, u64)> {
        let Self { name, results, .. } = self;
        let (mut begun, mut hash, mut turn) = (None, Sha256::new(), 0);
        while let Some(part) = receiver.recv().await {
            match part {
                Part::Head(head) => begun = Some((0, head.size)),
                Part::Piece(piece) => {
                    hash.update(&piece);
                    let len = piece.len();
                    drop(piece);
                    if let Some((received, _)) = &mut begun {
                        *received += len as u64;
                    }
                    turn += len;
                    if turn >= TURN {
                        turn = 0;
                        yield_now().await;
                    }
                }
                Part::End => {
                    let (len, _) = begun.take().unwrap_or_default();
                    let hash = hash.finalize_reset();
                    // if printing has failed, that ends the program
                    let _ = results.print(format!("received {len} bytes sha256 {}\n", Hex(&hash))).await;
                    tracing::info!("{name}: received {len} bytes{}", name.peer(" from "));
                }
            }
        }
        begun
    }

    /// What did not come through whole, if so many bytes were sent and a message was being received so far.
    fn cut(&self, sent: u64, begun: Option<(u64, u64)>) -> String {
        let mut cut = String::new();
        if let Some((received, len)) = begun {
            let _ = write!(cut, ", with {received} of the {len} bytes of a message received");
        }
        let mut start = 0;
        for source in self.sources.iter() {
            let end = start + PREFIX + source.len();
            if sent < end {
                let (name, len) = (source.name(), source.len());
                let left = sent.saturating_sub(start + PREFIX);
                let _ = write!(cut, ", with {left} of the {len} bytes of {name} sent");
                break;
            }
            start = end;
        }
        cut
    }
}

#[cfg(test)]
mod tests {
    use super::super::source;
    use super::*;
    use crate::printing;

    #[test]
    fn what_was_cut_is_told_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let paths = [("a", 3), ("b", 0), ("c", 5)].map(|(name, len)| {
            let path = dir.path().join(name);
            std::fs::write(&path, vec![7; len]).unwrap();
            path
        });
        let sources = source::open_all(&paths).unwrap().into();
        let name = Name::of_sender(&"tcp://127.0.0.1:9".parse().unwrap());
        let exchange = Exchange { name, sources, results: printing::start().0, finish: Finish::First };
        for (sent, path, left, len) in [
            (0, 0, 0, 3),
            (4, 0, 0, 3),
            (6, 0, 2, 3),
            (7, 1, 0, 0),
            (11, 2, 0, 5),
            (15, 2, 0, 5),
            (19, 2, 4, 5),
        ] {
            let said = format!(", with {left} of the {len} bytes of {} sent", paths[path].display());
            assert_eq!(exchange.cut(sent, None), said, "{sent} bytes");
        }
        assert_eq!(exchange.cut(20, None), "");
        assert_eq!(exchange.cut(20, Some((1, 2))), ", with 1 of the 2 bytes of a message received");
    }
}
