//! Whatever can be said in a header is read as it was written, however the bytes arrive.

use bytes::{Bytes, BytesMut};
use heartwire_core::config::MAX_WIRE_INTEGER;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType, Message};
use heartwire_core::wire::envelope::{
    Chunk, CrcHmac, Decoder, Encoder, Features, Frame, FrameLimits, Header, Hello, Kind, PREFIX_LEN,
    PeerLimits, encode_head, header_len,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

const LIMITS: FrameLimits = FrameLimits { header: 64 * 1024, content: 10 * 1024 * 1024 };

fn protection() -> CrcHmac {
    CrcHmac::new(Keys::new(Key::new(b"a key of these tests").unwrap()))
}

fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![0..10_u64, 0..=MAX_WIRE_INTEGER, Just(MAX_WIRE_INTEGER)]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "\\PC{0,40}", vec(any::<char>(), 0..40).prop_map(String::from_iter)]
}

fn app() -> impl Strategy<Value = App> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        text().prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    option::of((proptest::collection::btree_map(text(), value, 0..4), any::<bool>())).prop_map(
        |app| match app {
            None => App::NONE,
            Some((map, pretty)) => {
                let map: serde_json::Map<_, _> = map.into_iter().collect();
                let json =
                    if pretty { serde_json::to_string_pretty(&map) } else { serde_json::to_string(&map) };
                App::from_json(&json.unwrap()).unwrap()
            }
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    (option::of(vec("\\PC{0,4}", 0..=32)), integer(), integer()).prop_map(
        |(features, message, unfinished)| Hello {
            features: features.map(Features),
            limits: PeerLimits { message, unfinished },
        },
    )
}

fn chunk() -> impl Strategy<Value = Chunk> {
    (1..=MAX_WIRE_INTEGER, integer(), any::<bool>(), any::<bool>(), option::of(integer()), app()).prop_map(
        |(message_id, index, last, aborted, total_size, app)| Chunk {
            message_id,
            index,
            last,
            aborted: aborted && last,
            // These two are said at the start of a message.
            total_size: total_size.filter(|_| index == 0),
            app: if index == 0 { app } else { App::NONE },
        },
    )
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        hello().prop_map(Kind::SessionInit),
        hello().prop_map(Kind::SessionAck),
        Just(Kind::SessionAck(Hello::default())),
        option::of(integer()).prop_map(|seq| Kind::Heartbeat { seq }),
        app().prop_map(|app| Kind::Message { app }),
        chunk().prop_map(Kind::Chunk),
        option::of(text()).prop_map(|code| Kind::Error { code: code.map(Into::into) }),
        Just(Kind::Disconnect),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    let content_type = text().prop_filter_map("empty", |text| ContentType::new(&text).ok());
    let content = prop_oneof![vec(any::<u8>(), 0..100), vec(any::<u8>(), 4000..9000)];
    (kind(), content_type, option::of(text()), content).prop_map(
        |(kind, content_type, session_id, content)| {
            let may_be_empty = matches!(kind, Kind::Chunk(Chunk { last: true, .. }));
            let content = if content.is_empty() && !may_be_empty { Bytes::from("x") } else { content.into() };
            Frame { header: Header { kind, content_type, session_id: session_id.map(Into::into) }, content }
        },
    )
}

/// Frames as a session has them: of a few headers, so that most come again, and what carries on from the last
/// chunk or heartbeat mostly does.
fn conversation() -> impl Strategy<Value = Vec<Frame>> {
    let content = || {
        prop_oneof![Just(Bytes::new()), Just("ping".into()), vec(any::<u8>(), 1..20).prop_map(Bytes::from)]
    };
    let next = (0..10_u8, any::<Index>(), content());
    (vec(frame(), 1..4), vec(next, 1..30)).prop_map(|(some, steps)| {
        let mut frames: Vec<Frame> = Vec::new();
        for (step, at, content) in steps {
            let mut header = frames.last().map_or_else(|| some[0].header.clone(), |last| last.header.clone());
            match step {
                // Another, or one that was there.
                0 => header = at.get(&some).header.clone(),
                1 if !frames.is_empty() => header = at.get(&frames).header.clone(),
                2 => header.kind = Kind::Message { app: App::NONE },
                3 => header.kind = Kind::Heartbeat { seq: at.index(2).checked_sub(1).map(|n| n as u64 + 7) },
                _ => {}
            }
            // One that carries on, or nearly: it may be ended, given up, or out of order.
            match &mut header.kind {
                Kind::Heartbeat { seq: Some(seq) } if step > 4 => {
                    *seq = seq.saturating_add(1).min(MAX_WIRE_INTEGER)
                }
                Kind::Chunk(chunk) if step > 4 => {
                    chunk.index = chunk.index.saturating_add(1).min(MAX_WIRE_INTEGER);
                    (chunk.last, chunk.aborted) = (step > 7, step > 8);
                    (chunk.total_size, chunk.app) = (None, App::NONE);
                }
                _ => {}
            }
            frames.push(Frame { header, content });
        }
        frames
    })
}

proptest! {
    /// What an encoder remembers changes no byte.
    #[test]
    fn an_encoder_writes_what_one_without_memory_does(
        frames in conversation(),
        pads in vec(prop_oneof![3 => Just(0), 1 => 0..1500_usize], 30),
    ) {
        let (protection, mut encoder) = (protection(), Encoder::new());
        for (Frame { header, content }, pad_to) in frames.iter().zip(pads) {
            let (mut out, mut expected) = (BytesMut::new(), BytesMut::new());
            match &header.kind {
                Kind::Message { app } if pad_to % 2 == 0 => {
                    let content_type = header.content_type.clone();
                    let message = Message::new(content_type, content.clone()).with_app(app.clone());
                    let id = header.session_id.as_ref();
                    encoder.encode_message_head(&protection, &message, id, pad_to, &mut out);
                }
                _ => encoder.encode_head(&protection, header, content, pad_to, &mut out),
            }
            encode_head(&protection, header, content, pad_to, &mut expected);
            prop_assert_eq!(out, expected);
        }
    }

    /// What a decoder remembers changes nothing about what is understood and what is refused, with which code.
    /// Frames may be changed on the way, or signed as they should not be: with a code of another type.
    #[test]
    fn a_decoder_understands_what_one_without_memory_does(
        frames in conversation(),
        changes in vec((0..40_u8, any::<Index>(), 1..=255_u8), 30),
        splits in vec(any::<Index>(), 0..4),
        several_keys in any::<bool>(),
        expect in any::<bool>(),
    ) {
        let keys = || {
            let keys = Keys::new(Key::new(b"a key of these tests").unwrap());
            if several_keys { keys.and_accept(Key::new(b"another of these tests").unwrap()) } else { keys }
        };
        let mut remembering = Decoder::new();
        if let Some(id) = frames[0].header.session_id.as_ref().filter(|_| expect) {
            remembering.expect_session(id);
        }
        let mut protection = CrcHmac::new(keys());
        for (Frame { header, content }, (change, at, by)) in frames.iter().zip(changes) {
            let mut stream = BytesMut::new();
            encode_head(&CrcHmac::new(keys()), header, content, 0, &mut stream);
            stream.extend_from_slice(content);
            match change {
                0 => { let at = at.index(stream.len()); stream[at] ^= by }
                // The code of the type is not signed, and 0 is none.
                1 | 2 => stream[11] = 0,
                3 => stream[11] = by % 9,
                _ => {}
            }
            let mut all = stream.clone();
            let expected = Decoder::new().decode(&mut CrcHmac::new(keys()), &mut all, LIMITS);
            // In pieces, so that a header is looked at more than once.
            let mut splits: Vec<usize> = splits.iter().map(|at| at.index(stream.len())).collect();
            splits.extend([0, stream.len()]);
            splits.sort_unstable();
            let (mut rx, mut met) = (BytesMut::new(), Ok(None));
            for border in splits.windows(2) {
                rx.extend_from_slice(&stream[border[0]..border[1]]);
                met = remembering.decode(&mut protection, &mut rx, LIMITS);
                if met != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(
                met.as_ref().map_err(|error| error.code()),
                expected.as_ref().map_err(|error| error.code())
            );
            // The stream is lost, or the rest of a frame never comes.
            if !matches!(met, Ok(Some(_))) {
                break;
            }
            prop_assert!(rx.is_empty());
        }
    }

    #[test]
    fn what_was_encoded_is_decoded_at_any_split(
        frames in vec((frame(), prop_oneof![Just(0), Just(1024), 0..3000_usize]), 1..4),
        splits in vec(any::<Index>(), 0..8),
    ) {
        let mut stream = BytesMut::new();
        for (Frame { header, content }, pad_to) in &frames {
            let start = stream.len();
            encode_head(&protection(), header, content, *pad_to, &mut stream);
            stream.extend_from_slice(content);
            let (len, plain) = (stream.len() - start, PREFIX_LEN + header_len(header) + content.len());
            prop_assert!(len == plain && plain >= *pad_to || len == (*pad_to).max(plain + 11));
        }
        let mut splits: Vec<usize> = splits.iter().map(|at| at.index(stream.len() + 1)).collect();
        splits.extend([0, stream.len()]);
        splits.sort_unstable();

        let (mut decoder, mut protection, mut rx) = (Decoder::new(), protection(), BytesMut::new());
        let mut met = Vec::new();
        for border in splits.windows(2) {
            rx.extend_from_slice(&stream[border[0]..border[1]]);
            while let Some(frame) = decoder.decode(&mut protection, &mut rx, LIMITS).unwrap() {
                met.push(frame);
            }
            prop_assert!(decoder.missing(&rx) > 0);
        }
        prop_assert_eq!(decoder.finish(&rx), Ok(()));
        prop_assert_eq!(met, frames.into_iter().map(|(frame, _)| frame).collect::<Vec<_>>());
    }

    /// What is missing is exactly what makes the frame whole.
    #[test]
    fn what_is_missing_completes_the_frame(frame in frame(), at in any::<Index>()) {
        let mut stream = BytesMut::new();
        encode_head(&protection(), &frame.header, &frame.content, 0, &mut stream);
        stream.extend_from_slice(&frame.content);
        let mut rx = BytesMut::from(&stream[..at.index(stream.len())]);
        let (mut decoder, mut protection) = (Decoder::new(), protection());
        for _ in 0..2 {
            if rx.len() == stream.len() {
                break;
            }
            prop_assert_eq!(decoder.decode(&mut protection, &mut rx, LIMITS), Ok(None));
            let (have, missing) = (rx.len(), decoder.missing(&rx));
            rx.extend_from_slice(&stream[have..have + missing]);
        }
        prop_assert_eq!(decoder.decode(&mut protection, &mut rx, LIMITS), Ok(Some(frame)));
    }

    /// A frame that goes on otherwise than it was signed is refused, or more of it is awaited.
    #[test]
    fn what_was_not_signed_is_no_frame(frame in frame(), at in any::<Index>(), tail in vec(any::<u8>(), 0..300)) {
        let mut stream = BytesMut::new();
        encode_head(&protection(), &frame.header, &frame.content, 0, &mut stream);
        stream.extend_from_slice(&frame.content);
        let mut rx = BytesMut::from(&stream[..at.index(stream.len())]);
        rx.extend_from_slice(&tail);
        prop_assume!(!rx.starts_with(&stream));
        // The code of the type is the one thing that is not signed.
        prop_assume!(rx.get(12..stream.len()) != stream.get(12..));
        if let Ok(met) = Decoder::new().decode(&mut protection(), &mut rx, LIMITS) {
            prop_assert_eq!(met, None);
        }
    }
}
