//! How received bytes come: many small messages at once, as they do when a peer is busy, and large ones a
//! frame at a time. How they come into the buffer is nobody's time.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::floor::Frame;
use crate::machine::Pair;

/// The most that one read gives.
const READ: usize = 64 * 1024;

/// So many messages, as they come with reads.
pub fn batches(times: u64, frames: &[Frame]) -> impl Iterator<Item = u64> + use<> {
    let len: usize = frames.iter().map(|frame| frame.whole.len()).sum();
    let most = u64::try_from((READ / len).max(1)).expect("it fits");
    let whole = usize::try_from(times / most).expect("it fits");
    let rest = Some(times % most).filter(|rest| *rest > 0);
    std::iter::repeat_n(most, whole).chain(rest)
}

/// Lets a machine receive so many messages.
pub fn receive(
    times: u64,
    frames: &[Frame],
    content: &Bytes,
    sender: &mut Pair,
    pair: &mut Pair,
) -> Duration {
    let (mut time, mut messages) = (Duration::ZERO, 0);
    let mut receive = |pair: &mut Pair| {
        let began = Instant::now();
        messages += pair.decode();
        time += began.elapsed();
    };
    for batch in batches(times, frames) {
        if let [frame] = frames {
            (0..batch).for_each(|_| pair.fill(&frame.whole));
            receive(pair);
        } else {
            // Made anew, because the chunks of a message carry its number.
            let mut sent = Vec::new();
            (0..batch).for_each(|_| sender.encode(content, |slice| sent.extend_from_slice(slice)));
            let mut rest = &sent[..];
            while !rest.is_empty() {
                let (first, others) = rest.split_at(frame_len(rest));
                pair.fill(first);
                receive(pair);
                rest = others;
            }
        }
    }
    assert_eq!(u64::try_from(messages), Ok(times));
    time
}

/// How long the first of these frames is.
fn frame_len(bytes: &[u8]) -> usize {
    let header = u32::from_be_bytes(bytes[12..16].try_into().expect("four"));
    let content = u64::from_be_bytes(bytes[20..28].try_into().expect("eight"));
    64 + usize::try_from(u64::from(header) + content).expect("it fits")
}
