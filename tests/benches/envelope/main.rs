//! Sending and receiving a message through the whole machine, without a connection, on one thread: what
//! it takes beside the HMAC and the CRCs that the protocol demands (and for sending, one copy). `encode`
//! is a `Send` command up to the bytes being handed to the transport; `decode` is from received bytes to
//! the message. The rows `codec alone` are of the functions that make and take apart a frame, without a
//! session around them.
//!
//! `cargo bench -p heartwire-tests --bench envelope`: 40 s. criterion's flags follow after `--`.

#[path = "../support/mod.rs"]
mod support;

mod codec;
mod floor;
mod machine;
mod reads;

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;

use codec::Codec;
use floor::{Floor, frames};
use machine::{CHUNK, Pair};
use reads::receive;
use support::compare::{Contestant, Contests, Group, Samples};
use support::report::{Row, Target};

struct Case {
    name: &'static str,
    len: usize,
    encode: Option<f64>,
    decode: Option<f64>,
}

const CASES: [Case; 5] = [
    Case { name: "64 B", len: 64, encode: Some(1.5), decode: Some(1.6) },
    Case { name: "1 KiB", len: 1024, encode: None, decode: None },
    Case { name: "8 KiB", len: 8 * 1024, encode: Some(1.1), decode: Some(1.1) },
    Case { name: "64 KiB", len: CHUNK, encode: Some(1.05), decode: Some(1.05) },
    Case { name: "1 MiB, 16 chunks", len: 16 * CHUNK, encode: None, decode: None },
];

fn main() {
    let mut contests = Contests::new("envelope", Duration::from_millis(2500));
    let mut group = contests.group("encode");
    for case in &CASES {
        let content = Bytes::from(vec![7; case.len]);
        let frames = frames(&sent(&content));
        let (mut pair, mut floor, mut codec) =
            (Pair::established(), Floor::new(&frames), Codec::new(&frames));
        let contestants: &mut [Contestant<'_, Duration>] = &mut [
            Box::new(|times| {
                timed(times, || {
                    pair.encode(&content, |slice| {
                        black_box(slice);
                    })
                })
            }),
            Box::new(|times| timed(times, || floor.encode())),
            Box::new(|times| timed(times, || codec.encode())),
        ];
        let samples = group.run(case.name, case.len, contestants);
        add(&mut group, "encode", case.name, samples, case.encode);
    }
    drop(group);

    let mut group = contests.group("decode");
    for case in &CASES {
        let content = Bytes::from(vec![7; case.len]);
        let frames = frames(&sent(&content));
        let (mut sender, mut pair) = (Pair::established(), Pair::established());
        let (mut floor, mut codec) = (Floor::new(&frames), Codec::new(&frames));
        // The machines of one run make the same session: what one pair sends, the other understands.
        let contestants: &mut [Contestant<'_, Duration>] = &mut [
            Box::new(|times| receive(times, &frames, &content, &mut sender, &mut pair)),
            Box::new(|times| floor.check(times)),
            Box::new(|times| codec.decode(times)),
        ];
        let samples = group.run(case.name, case.len, contestants);
        add(&mut group, "decode", case.name, samples, case.decode);
    }
    drop(group);
    contests.finish();
}

fn timed(times: u64, mut work: impl FnMut()) -> Duration {
    let began = Instant::now();
    (0..times).for_each(|_| work());
    began.elapsed()
}

/// The bytes of one message.
fn sent(content: &Bytes) -> Vec<u8> {
    let mut bytes = Vec::new();
    Pair::established().encode(content, |slice| bytes.extend_from_slice(slice));
    bytes
}

fn add(
    group: &mut Group<'_>,
    direction: &str,
    name: &str,
    samples: Option<Samples<Duration>>,
    target: Option<f64>,
) {
    let Some(samples) = samples else { return };
    let row = |name: &str, which| {
        let ratios = samples.ratios(which, 1, Duration::as_secs_f64);
        Row::of_samples((direction, name, "the floor"), "x its time", ratios)
    };
    let ours = row(name, 0);
    group.add(match target {
        Some(most) => ours.target(Target::AtMost(most)),
        None => ours,
    });
    group.add(row(&format!("{name}, codec alone"), 2));
}
