//! Whatever can be said in a header is read as it was written, however the bytes arrive.

use bytes::{Bytes, BytesMut};
use heartwire_core::config::MAX_WIRE_INTEGER;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType};
use heartwire_core::wire::envelope::{
    Chunk, CrcHmac, Decoder, Features, Frame, FrameLimits, Header, Hello, Kind, PREFIX_LEN, PeerLimits,
    encode_head, header_len,
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

proptest! {
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
