//! Encoding and decoding a frame against its floor: the same CRCs and the same HMAC alone, and for encoding
//! one copy. Shown as ratios, which mean the same on any machine; rounds alternate, so that noise hits both.
//!
//! `cargo bench --bench envelope` takes a few seconds; `-- --long` takes ten times as many samples.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType};
use heartwire_core::wire::envelope::{CrcHmac, Decoder, FrameLimits, Header, Kind, encode_head};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const KEY: &[u8] = b"a key that both sides have";

/// The medians of both, in turns.
fn compare(samples: usize, mut ours: impl FnMut(), mut floor: impl FnMut()) -> f64 {
    let time = |work: &mut dyn FnMut(), times: u32| {
        let began = Instant::now();
        (0..times).for_each(|_| work());
        began.elapsed() / times
    };
    // So many that a sample takes about 5 ms.
    let one = time(&mut floor, 100).max(Duration::from_nanos(1));
    let times = u32::try_from(5_000_000 / one.as_nanos().max(1)).unwrap_or(u32::MAX).max(1);
    let mut ratios: Vec<f64> = (0..samples)
        .map(|_| {
            let (ours, floor) = (time(&mut ours, times), time(&mut floor, times));
            ours.as_secs_f64() / floor.as_secs_f64()
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn main() {
    let samples = if std::env::args().any(|arg| arg == "--long") { 400 } else { 40 };
    let mut protection = CrcHmac::new(Keys::new(Key::new(KEY).expect("it is strong enough")));
    let mac = Hmac::<Sha256>::new_from_slice(KEY).expect("any length");
    let limits = FrameLimits { header: 65536, content: 1 << 20 };
    for (name, len) in [("64 B", 64), ("64 KiB", 65536)] {
        let content = Bytes::from(vec![7; len]);
        let header = Header {
            kind: Kind::Message { app: App::NONE },
            content_type: ContentType::TEXT,
            session_id: Some("01234567-89ab-4def-8123-456789abcdef".into()),
        };
        let mut frame = BytesMut::new();
        encode_head(&protection, &header, &content, 0, &mut frame);
        let head = frame[64..].to_vec();
        frame.extend_from_slice(&content);
        let frame = frame.freeze();
        let check = || {
            let mut mac = mac.clone();
            mac.update(&head);
            mac.update(&content);
            black_box((crc32fast::hash(&head), crc32fast::hash(&content), mac.finalize()));
        };
        let (mut out, mut copy) = (BytesMut::new(), BytesMut::new());
        let encode = compare(
            samples,
            || {
                out.clear();
                encode_head(&protection, black_box(&header), &content, 0, &mut out);
                out.extend_from_slice(&content);
                black_box(&out);
            },
            || {
                check();
                copy.clear();
                copy.extend_from_slice(&frame);
                black_box(&copy);
            },
        );
        println!("encode {name}: {encode:.2}x floor");
        let (mut decoder, mut rx) = (Decoder::new(), BytesMut::new());
        let (mut other, mut floor_rx) = (0, BytesMut::new());
        let decode = compare(
            samples,
            || {
                rx.reserve(frame.len());
                rx.extend_from_slice(&frame);
                let frame = decoder.decode(&mut protection, &mut rx, limits);
                black_box(frame.expect("it is good").expect("it is whole"));
            },
            || {
                // What the transport does in both: the bytes come into a buffer.
                floor_rx.clear();
                floor_rx.extend_from_slice(&frame);
                check();
                other += 1;
            },
        );
        println!("decode {name}: {decode:.2}x floor");
    }
}
