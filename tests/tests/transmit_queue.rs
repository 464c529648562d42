//! Bytes on their way out, against a plain queue of bytes: whatever is lent, shown and taken in whatever order,
//! the same bytes leave, once.

use std::collections::VecDeque;

use bytes::Bytes;
use heartwire_core::buf::TransmitQueue;
use proptest::collection::vec;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    /// Bytes are appended: copied, or as they are.
    Append(usize),
    Chain(usize),
    EndWrite,
    /// All that is there is lent, if nothing is lent yet.
    Lend,
    /// So many bytes leave: of what is lent, or where nothing is, of the queue itself.
    Leave(usize),
    /// The queue is told what left of what is lent.
    Tell,
    /// Nothing happens for a while.
    Trim,
}

fn op() -> impl Strategy<Value = Op> {
    let len = || prop_oneof![0..4_usize, 0..300_usize, 100_000..150_000_usize];
    prop_oneof![
        3 => len().prop_map(Op::Append),
        2 => len().prop_map(Op::Chain),
        1 => Just(Op::EndWrite),
        3 => Just(Op::Lend),
        5 => len().prop_map(Op::Leave),
        4 => Just(Op::Tell),
        1 => Just(Op::Trim),
    ]
}

fn shown(queue: &TransmitQueue, slots: usize) -> Vec<u8> {
    let mut out = [&[][..]; 8];
    let used = queue.slices(&mut out[..slots]);
    assert!(
        out[..used].iter().all(|slice| !slice.is_empty()),
        "an empty slice looks like the end to a write"
    );
    out[..used].concat()
}

/// A plain queue: the bytes, and where a write ends.
#[derive(Default)]
struct Plain {
    bytes: VecDeque<u8>,
    ends: VecDeque<u64>,
    put: u64,
    taken: u64,
}

impl Plain {
    fn put(&mut self, len: usize) -> Vec<u8> {
        let at = self.put;
        let bytes: Vec<u8> = (0..len as u64).map(|n| ((at + n) * 31) as u8 ^ (n >> 8) as u8).collect();
        self.bytes.extend(&bytes);
        self.put += len as u64;
        bytes
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        self.taken += n as u64;
        self.ends.retain(|end| *end > self.taken);
        self.bytes.drain(..n).collect()
    }

    /// How much may leave in one write.
    fn one_write(&self) -> usize {
        self.ends.front().map_or(self.bytes.len(), |end| (end - self.taken) as usize)
    }
}

proptest! {
    #[test]
    fn the_same_bytes_leave_however_they_are_lent(ops in vec(op(), 0..60), slots in 1..8_usize) {
        let (mut queue, mut lent, mut plain) = (TransmitQueue::new(), TransmitQueue::new(), Plain::default());
        // What left of what is lent, and the queue was not told yet.
        let mut untold = 0;
        for op in ops {
            match op {
                Op::Append(len) => queue.append(|out| out.extend_from_slice(&plain.put(len))),
                Op::Chain(len) => queue.chain(Bytes::from(plain.put(len))),
                Op::EndWrite => {
                    queue.end_write();
                    // What was lent leaves in writes of its own anyway.
                    if plain.put > plain.taken {
                        plain.ends.push_back(plain.put);
                    }
                }
                Op::Lend => {
                    let (before, there) = (lent.pending(), queue.pending());
                    queue.lend(&mut lent);
                    prop_assert_eq!(lent.pending(), if before > 0 { before } else { there - untold });
                    prop_assert_eq!(queue.pending(), there);
                }
                Op::Leave(n) if lent.pending() > 0 => {
                    let bytes = shown(&lent, slots);
                    prop_assert!(!bytes.is_empty() && bytes.len() <= plain.one_write());
                    let n = n.min(bytes.len());
                    prop_assert_eq!(&bytes[..n], plain.take(n));
                    lent.advance(n);
                    untold += n;
                }
                Op::Leave(n) => {
                    queue.advance(std::mem::take(&mut untold));
                    let bytes = shown(&queue, slots);
                    prop_assert!(bytes.len() <= plain.one_write());
                    prop_assert_eq!(bytes.is_empty(), queue.pending() == 0);
                    let n = n.min(bytes.len());
                    prop_assert_eq!(&bytes[..n], plain.take(n));
                    queue.advance(n);
                }
                Op::Tell => queue.advance(std::mem::take(&mut untold)),
                Op::Trim => {
                    lent.trim();
                    queue.trim();
                }
            }
            prop_assert_eq!(queue.pending(), plain.bytes.len() + untold);
            prop_assert_eq!((queue.taken() + untold as u64, queue.end()), (plain.taken, plain.put));
        }
    }
}
