//! One machine, or a pair, through every state, violation and limit of a session, under a simulated clock.

use std::time::Duration;

use bytes::Bytes;
use heartwire_core::config::{Config, Receive};
use heartwire_core::error::{Code, Error, Fault};
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType, Message};
use heartwire_core::protocol::{Cut, Ticket, Why};
use heartwire_core::seed::Seed;
use heartwire_core::session::{Begin, Command, Ended, EndedBy, Event, PieceEnd, Session};
use heartwire_core::testing::{Chunker, Pair};
use heartwire_core::time::Instant;
use heartwire_tests::peer::{self, FEATURES, Peer};
use heartwire_tests::solo::{Solo, keys};

const MS: Duration = Duration::from_millis(1);

fn messages(events: &[Event]) -> Vec<String> {
    let text = |message: &Message| String::from_utf8_lossy(&message.content).into_owned();
    events
        .iter()
        .filter_map(|event| if let Event::Message(m) = event { Some(text(m)) } else { None })
        .collect()
}

fn round_trips(events: &[Event]) -> Vec<Duration> {
    events.iter().filter_map(|event| if let Event::RoundTrip(t) = event { Some(*t) } else { None }).collect()
}

fn close() -> Command {
    Command::Close { reason: None }
}

fn pair() -> Pair<Session, Session> {
    let mut pair = Pair::sessions(Config::default(), Config::default(), keys());
    pair.run();
    assert!(matches!(pair.a.events[..], [Event::Established(_)]));
    assert!(matches!(pair.b.events[..], [Event::Established(_)]));
    pair
}

fn end_of(events: &[Event]) -> &Ended {
    match events.last() {
        Some(Event::Ended(ended)) => ended,
        other => panic!("not the last event: {other:?}"),
    }
}

/// The machine refused something: the last event and the peer's error frame say the same.
fn refused(mut solo: Solo, code: Code) {
    assert_eq!(solo.error_frame(), code.as_str());
    let ended = solo.ended();
    assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, code, true), "{ended}");
}

mod handshake {
    use super::*;

    #[test]
    fn a_server_speaks_first_and_waits() {
        let now = Instant::ZERO;
        let mut solo = Solo::new(Session::server(Config::default(), keys(), &Seed::new([3; 32]), now), now);
        solo.run();
        let init = &solo.frames()[0];
        assert_eq!((init.kind(), init.code, init.text()), ("session_init", 1, "Session established"));
        assert!(init.len <= 1024 && init.header.get("pad").is_none());
        let id = init.header["session_id"].as_str().unwrap();
        assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "a UUID, version 4");
        assert_eq!(init.header["features"], serde_json::json!(["chunk"]));
        assert_eq!(init.header["limits"], serde_json::json!({"message": 64 << 20, "unfinished": 8}));
        assert!(solo.events().is_empty());
        let full = solo.command(Command::Send(Message::text("early"))).unwrap_err();
        assert_eq!(full.why, Why::Full);
        solo.peer.id = id.into();
        solo.feed(&solo.peer.ack(FEATURES));
        let [Event::Established(established)] = &solo.events()[..] else { panic!() };
        assert_eq!(&*established.session_id, id);
        assert!(established.features.as_ref().unwrap().chunk());
        assert!(solo.frames().is_empty());
    }

    #[test]
    fn a_client_answers_with_the_same_id() {
        let mut solo =
            Solo::client(Config::builder().accept_chunks(false).unfinished_limit(3).build().unwrap());
        assert!(solo.frames().is_empty());
        for id in ["x".to_owned(), "~ \"\\".repeat(32)] {
            let mut solo = Solo::client(Config::default());
            solo.peer.id = id.clone();
            solo.feed(&solo.peer.init(FEATURES));
            assert_eq!(solo.frames()[0].header["session_id"], id.as_str());
            assert_eq!(solo.side.pump.machine().session_id().map(|id| &**id), Some(&*id));
        }
        solo.feed(&solo.peer.init(FEATURES));
        let ack = &solo.frames()[0];
        assert_eq!((ack.kind(), ack.code, ack.text()), ("session_ack", 2, "Session acknowledged"));
        assert_eq!(ack.header["session_id"], solo.peer.id.as_str());
        assert_eq!(ack.header["features"], serde_json::json!([]));
        assert_eq!(ack.header["limits"]["unfinished"], 3);
        assert!(matches!(solo.events()[..], [Event::Established(_)]));
    }

    #[test]
    fn contents_of_init_and_ack_are_not_checked() {
        let mut solo = Solo::client(Config::default());
        solo.feed(&solo.peer.frame("session_init", FEATURES, b"anything"));
        assert!(matches!(solo.events()[..], [Event::Established(_)]));
        let mut solo = Solo::server(Config::default());
        solo.feed(&solo.peer.frame("session_ack", FEATURES, b"anything"));
        assert!(matches!(solo.events()[..], [Event::Established(_)]));
    }

    #[test]
    fn a_session_id_is_1_to_128_printable_ascii_characters() {
        for id in [String::new(), "x".repeat(129), "a\tb".into(), "é".into(), "\u{7f}".into()] {
            let mut solo = Solo::client(Config::default());
            solo.peer.id = id;
            solo.feed(&solo.peer.init(FEATURES));
            assert_eq!(solo.frames()[0].header["session_id"], serde_json::Value::Null);
            assert_eq!(solo.ended().code, Code::InvalidHeader);
        }
        let mut solo = Solo::client(Config::default());
        let header = r#"{"type": "session_init", "content_type": "a/b", "session_id": null}"#;
        solo.feed(&peer::frame(peer::KEY, header, b"x"));
        refused(solo, Code::InvalidHeader);
    }

    #[test]
    fn an_ack_of_another_session_is_refused() {
        let mut solo = Solo::server(Config::default());
        solo.feed(&Peer::new("another").ack(FEATURES));
        refused(solo, Code::WrongSession);
    }

    #[test]
    fn before_the_ack_header_and_content_are_limited_to_4_kib() {
        for server in [false, true] {
            let solo =
                || if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            let kind = if server { "session_ack" } else { "session_init" };
            let mut fits = solo();
            fits.feed(&fits.peer.frame(kind, FEATURES, &[b'x'; 4096]));
            assert!(matches!(fits.events()[..], [Event::Established(_)]));
            let mut large = solo();
            large.feed(&large.peer.frame(kind, FEATURES, &[b'x'; 4097]));
            refused(large, Code::ContentTooLarge);
            let mut large = solo();
            let keys = format!(r#", "x": "{}""#, " ".repeat(4096));
            large.feed(&large.peer.frame(kind, &keys, b"x"));
            refused(large, Code::HeaderTooLarge);
        }
    }

    #[test]
    fn ten_seconds_in_all_however_bytes_trickle() {
        for server in [false, true] {
            let mut solo =
                if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            let bytes = if server { solo.peer.ack(FEATURES) } else { solo.peer.init(FEATURES) };
            for byte in &bytes[..9] {
                solo.feed(&[*byte]);
                solo.seconds(1);
            }
            assert!(solo.events().is_empty());
            solo.advance(999 * MS);
            assert!(solo.events().is_empty());
            solo.advance(MS);
            // It was answered, if only by a byte: it can be told.
            assert_eq!(solo.error_frame(), "handshake-timeout");
            let ended = solo.ended();
            assert_eq!((ended.code, ended.fault()), (Code::HandshakeTimeout, Fault::Time));
        }
    }

    #[test]
    fn a_server_that_gets_no_answer_says_nothing_more() {
        let mut solo = Solo::server(Config::default());
        solo.seconds(10);
        assert_eq!(solo.frames(), []);
        assert_eq!(solo.ended().code, Code::HandshakeTimeout);
        let mut solo = Solo::server(Config::default());
        solo.close();
        solo.seconds(1);
        assert_eq!(solo.frames(), []);
        assert!(solo.events().is_empty());
        solo.seconds(1);
        assert_eq!(solo.frames(), []);
        assert_eq!(solo.ended().code, Code::Disconnected);
        let mut solo = Solo::server(Config::default());
        solo.command(Command::Fail { code: Code::TooSlow, detail: "x".into() }).unwrap();
        assert_eq!(solo.frames(), []);
        assert_eq!(solo.ended().code, Code::TooSlow);
    }

    #[test]
    fn a_close_before_the_ack_says_goodbye_after_it() {
        let mut solo = Solo::server(Config::default());
        solo.close();
        solo.seconds(1);
        solo.feed(&solo.peer.ack(FEATURES));
        assert_eq!(solo.kinds(), ["disconnect"]);
        assert!(matches!(solo.events()[0], Event::Established(_)));
        assert!(solo.ended().is_orderly());
    }

    #[test]
    fn a_close_before_the_init_ends_at_once() {
        let mut solo = Solo::client(Config::default());
        solo.close();
        assert!(solo.frames().is_empty());
        let ended = solo.ended();
        assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Disconnected, false));
    }

    #[test]
    fn a_newcomer_that_is_one_too_many_is_told_so_in_place_of_the_init() {
        for detail in ["10 sessions are the most".to_owned(), "x".repeat(5000)] {
            let now = Instant::ZERO;
            let error = Error::new(Code::TooManySessions, detail.clone());
            let mut solo = Solo::new(Session::refusing(Config::default(), keys(), &error, now), now);
            solo.run();
            let frames = solo.frames();
            assert_eq!((frames.len(), frames[0].kind()), (1, "error"));
            assert_eq!(frames[0].header["code"], "too-many-sessions");
            assert_eq!(frames[0].header["session_id"], serde_json::Value::Null);
            // Existing clients take the first read of 1,024 bytes for one frame.
            assert!(frames[0].len <= 1024, "{}", frames[0].len);
            let mut client = Solo::client(Config::default());
            client.feed(&solo.side.written);
            assert!(client.frames().is_empty(), "an error is never answered");
            let seen = client.ended();
            assert_eq!(
                (seen.by, seen.code, seen.fault()),
                (EndedBy::PeerError, Code::TooManySessions, Fault::Peer)
            );
            assert!(!seen.detail.is_empty() && detail.starts_with(&seen.detail), "{seen}");
            assert_eq!(solo.ended().code, Code::TooManySessions);
        }
    }

    #[test]
    fn either_side_may_be_refused_by_an_error_in_the_handshake() {
        for id in ["a session by hand", "unknown"] {
            let mut solo = Solo::client(Config::default());
            solo.peer.id = id.into();
            solo.feed(&solo.peer.error("mac-mismatch"));
            let ended = solo.ended();
            assert_eq!(
                (ended.by, ended.code, ended.detail.as_str()),
                (EndedBy::PeerError, Code::MacMismatch, "said by hand")
            );
        }
        let mut solo = Solo::server(Config::default());
        let header = r#"{"type": "error", "content_type": "a/b", "session_id": null}"#;
        solo.feed(&peer::frame(peer::KEY, header, b"who are you"));
        assert!(solo.frames().is_empty());
        assert_eq!(solo.ended().code, Code::PeerError);
    }
}

mod keys_of_a_session {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new_allow_weak(name.as_bytes()).unwrap()
    }

    fn server(keys: Keys) -> Solo {
        let now = Instant::ZERO;
        let mut solo = Solo::new(Session::server(Config::default(), keys, &Seed::new([3; 32]), now), now);
        solo.run();
        solo
    }

    #[test]
    fn the_three_steps_of_a_rollover() {
        let (old, new) = (key("old"), key("new"));
        let both_old = || Keys::new(old.clone()).and_accept(new.clone());
        let both_new = || Keys::new(new.clone()).and_accept(old.clone());
        let combinations = [
            (Keys::new(old.clone()), both_old()),
            (both_old(), Keys::new(old.clone())),
            (both_old(), both_new()),
            (both_new(), both_old()),
            (both_new(), Keys::new(new.clone())),
            (Keys::new(new.clone()), both_new()),
        ];
        for (client, server) in combinations {
            let now = Instant::ZERO;
            let mut pair = Pair::new(
                Session::client(Config::default(), client, now),
                Session::server(Config::default(), server, &Seed::new([1; 32]), now),
                now,
            );
            pair.run();
            for _ in 0..2 {
                pair.a.command(now, Command::Send(Message::text("up"))).unwrap();
                pair.b.command(now, Command::Send(Message::text("down"))).unwrap();
                pair.run();
            }
            assert_eq!(messages(&pair.b.events), ["up", "up"]);
            assert_eq!(messages(&pair.a.events), ["down", "down"]);
        }
    }

    #[test]
    fn the_key_that_verified_the_first_frame_is_the_only_one_from_then_on() {
        let mut solo = server(Keys::new(key("new")).and_accept(key("old")));
        solo.peer.key = b"new".to_vec();
        solo.peer.id = solo.frames()[0].header["session_id"].as_str().unwrap().into();
        solo.peer.key = b"old".to_vec();
        solo.feed(&solo.peer.ack(FEATURES));
        solo.send(Message::text("signed with the old one"));
        assert_eq!(solo.kinds(), ["message"]);
        let changed = Peer { key: b"new".to_vec(), ..solo.peer.clone() };
        solo.feed(&changed.message(b"x"));
        refused(solo, Code::MacMismatch);
    }

    #[test]
    fn a_key_that_nobody_has_is_refused() {
        let mut solo = server(keys());
        solo.frames();
        solo.feed(&Peer { key: b"wrong".to_vec(), ..solo.peer.clone() }.ack(FEATURES));
        refused(solo, Code::MacMismatch);
    }
}

mod peers_without_features {
    use super::*;

    #[test]
    fn every_frame_after_the_init_is_padded_and_alone_in_its_write() {
        for server in [false, true] {
            let mut solo =
                if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            solo.writes.clear();
            let hello = if server { solo.peer.ack("") } else { solo.peer.init("") };
            solo.feed(&hello);
            solo.send(Message::text("small"));
            for len in [1, 600, 700, 800, 5000, 9000, 200_000] {
                solo.side.command(solo.now, Command::Send(Message::binary(vec![b'x'; len]))).unwrap();
            }
            let ping = solo.peer.ping(1);
            solo.feed(&ping);
            solo.run();
            solo.seconds(6);
            solo.close();
            let frames = solo.frames();
            assert!(frames.iter().any(|frame| frame.text() == "pong"));
            assert!(frames.iter().any(|frame| frame.text() == "ping"));
            assert_eq!(frames.last().unwrap().kind(), "disconnect");
            assert_eq!(frames.iter().filter(|frame| frame.kind() == "message").count(), 8);
            for frame in &frames {
                assert!(frame.len >= 1024, "{frame:?}");
                if let Some(pad) = frame.header.get("pad") {
                    assert!(pad.as_str().unwrap().bytes().all(|byte| byte == b' '));
                    assert!(
                        frame.raw.contains(r#", "pad": ""#) && frame.raw.ends_with("\"}"),
                        "not the last key"
                    );
                }
            }
            let lens: Vec<usize> = frames.iter().map(|frame| frame.len).collect();
            assert_eq!(solo.writes, lens, "one frame a write");
        }
    }

    #[test]
    fn errors_too_are_padded_in_both_directions_before_the_peer_is_known() {
        for server in [false, true] {
            let mut solo =
                if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            solo.feed(b"GET / HTTP/1.1");
            assert!(solo.writes.last().is_some_and(|len| *len >= 1024));
            refused(solo, Code::BadMagic);
        }
    }

    #[test]
    fn an_init_stays_alone_in_its_write_even_if_it_had_to_wait() {
        let now = Instant::ZERO;
        let mut solo = Solo::new(Session::server(Config::default(), keys(), &Seed::new([3; 32]), now), now);
        solo.side.hold_output = true;
        solo.feed(b"GET / HTTP/1.1");
        solo.side.hold_output = false;
        solo.run();
        assert_eq!(solo.writes.len(), 2, "{:?}", solo.writes);
        assert_eq!(solo.kinds(), ["session_init", "error"]);
    }

    #[test]
    fn peers_with_features_get_no_padding() {
        for mut solo in Solo::both() {
            solo.send(Message::text("a"));
            solo.close();
            assert!(solo.frames().iter().all(|frame| frame.header.get("pad").is_none() && frame.len < 1024));
        }
        // An empty list is a list: a peer that accepts nothing, but knows of features.
        for mut solo in Solo::both_with(&Config::default(), r#", "features": []"#) {
            solo.send(Message::text("a"));
            assert!(solo.frames()[0].header.get("pad").is_none());
        }
    }

    #[test]
    fn a_message_goes_whole_up_to_10_mib_and_is_refused_above() {
        for mut solo in Solo::both_with(&Config::default(), "") {
            let limit = 10 * 1024 * 1024;
            let over = Message::binary(vec![1; limit + 1]);
            let refused = solo.command(Command::Send(over)).unwrap_err();
            assert_eq!(refused.why, Why::Never(Code::MessageTooLarge));
            assert!(matches!(refused.command, Command::Send(m) if m.content.len() == limit + 1));
            solo.send(Message::binary(vec![1; limit]));
            let frames = solo.frames();
            assert_eq!((frames.len(), frames[0].kind(), frames[0].content.len()), (1, "message", limit));
            let why = solo.command(Command::Begin(Begin::new(ContentType::TEXT))).unwrap_err().why;
            assert_eq!(why, Why::Never(Code::FeatureMissing));
            let why = solo.command(Command::Send(Message::binary(Bytes::new()))).unwrap_err().why;
            assert_eq!(why, Why::Never(Code::EmptyContent));
        }
    }
}

mod types_and_sessions {
    use super::*;

    const ALL: [&str; 7] =
        ["session_init", "session_ack", "heartbeat", "message", "chunk", "error", "disconnect"];

    /// A frame of this type that is right in itself, in this peer's session.
    fn frame(peer: &Peer, kind: &str) -> Vec<u8> {
        match kind {
            "chunk" => peer.chunk(1, 0, true, "", b"x"),
            kind => peer.frame(kind, "", b"x"),
        }
    }

    #[test]
    fn every_type_in_every_state() {
        let talk = ["heartbeat", "message", "chunk", "error", "disconnect"];
        let no_chunk = || Config::builder().accept_chunks(false).build().unwrap();
        let held = |mut solo: Solo| {
            // A goodbye that can't leave yet.
            solo.side.hold_output = true;
            solo.close();
            solo
        };
        let states: [(&str, Vec<Solo>, &[&str]); 6] = [
            ("init", (0..14).map(|_| Solo::client(Config::default())).collect(), &["session_init", "error"]),
            ("ack", (0..14).map(|_| Solo::server(Config::default())).collect(), &["session_ack", "error"]),
            ("client", (0..14).map(|_| Solo::client_with(Config::default(), FEATURES)).collect(), &talk),
            ("server", (0..14).map(|_| Solo::server_with(Config::default(), FEATURES)).collect(), &talk),
            (
                "no chunks",
                (0..14).map(|_| Solo::server_with(no_chunk(), FEATURES)).collect(),
                &["heartbeat", "message", "error", "disconnect"],
            ),
            (
                "closing",
                (0..14).map(|_| held(Solo::server_with(Config::default(), FEATURES))).collect(),
                &talk,
            ),
        ];
        for (state, mut solos, places) in states {
            for kind in ALL {
                for wrong_session in [false, true] {
                    let mut solo = solos.pop().unwrap();
                    let peer = if wrong_session { Peer::new("another") } else { solo.peer.clone() };
                    solo.feed(&frame(&peer, kind));
                    solo.side.hold_output = false;
                    solo.run();
                    if !places.contains(&kind) {
                        // The type is checked before the session.
                        if state == "closing" {
                            assert_eq!(solo.kinds(), ["disconnect"], "a goodbye was said");
                            assert_eq!(solo.ended().code, Code::UnexpectedType);
                        } else {
                            refused(solo, Code::UnexpectedType);
                        }
                    } else if wrong_session && kind == "error" && state != "init" {
                        assert!(!solo.kinds().contains(&"error".into()), "an error is never answered");
                        assert_eq!(solo.ended().code, Code::WrongSession);
                    } else if wrong_session && !["init"].contains(&state) {
                        if state == "closing" {
                            assert_eq!(solo.kinds(), ["disconnect"]);
                            assert_eq!(solo.ended().code, Code::WrongSession);
                        } else {
                            refused(solo, Code::WrongSession);
                        }
                    } else {
                        assert!(!solo.kinds().contains(&"error".into()), "{state} {kind}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_frame_without_a_session_is_of_another_one() {
        for mut solo in Solo::both() {
            solo.feed(&peer::frame(peer::KEY, r#"{"type": "message", "content_type": "a/b"}"#, b"x"));
            refused(solo, Code::WrongSession);
        }
    }

    #[test]
    fn refused_frames_end_the_session_with_their_code() {
        let peer = Peer::new("a session by hand");
        let changed = |at: usize, xor: u8| {
            let mut bytes = peer.message(b"content");
            let at = if at > 1000 { bytes.len() - 1 } else { at };
            bytes[at] ^= xor;
            bytes
        };
        for (bytes, code) in [
            (changed(0, 1), Code::BadMagic),
            (changed(8, 1), Code::UnsupportedVersion),
            (changed(12, 1), Code::HeaderTooLarge),
            (changed(20, 1), Code::ContentTooLarge),
            (changed(70, 1), Code::HeaderCrcMismatch),
            (changed(2000, 1), Code::ContentCrcMismatch),
            (changed(40, 1), Code::MacMismatch),
            (changed(11, 3), Code::TypeMismatch),
            (changed(11, 8), Code::UnknownType),
            (peer.frame("shout", "", b"x"), Code::UnknownType),
            (peer.frame("message", "", b""), Code::EmptyContent),
            (peer.chunk(1, 0, false, "", b""), Code::EmptyContent),
            (peer.frame("message", r#", "type": "message""#, b"x"), Code::InvalidHeader),
        ] {
            let mut solo = Solo::client_with(Config::default(), FEATURES);
            solo.feed(&[peer.message(b"before"), bytes, peer.message(b"after")].concat());
            assert_eq!(messages(&solo.side.events), ["before"]);
            refused(solo, code);
        }
    }
}

mod heartbeats {
    use super::*;

    #[test]
    fn a_client_pings_every_interval_from_one_after_the_handshake_whatever_comes() {
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        for beat in 1..=10_u64 {
            solo.advance(Duration::from_millis(2500));
            solo.feed(&solo.peer.message(b"x"));
            solo.advance(Duration::from_millis(2499));
            assert!(solo.frames().is_empty(), "too early");
            solo.advance(MS);
            let frames = solo.frames();
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].kind(), frames[0].text(), frames[0].code), ("heartbeat", "ping", 3));
            assert_eq!(frames[0].header["seq"], beat);
        }
    }

    #[test]
    fn a_server_pings_only_when_it_received_nothing_for_an_interval() {
        let mut solo = Solo::server_with(Config::default(), FEATURES);
        for _ in 0..10 {
            solo.advance(4999 * MS);
            solo.feed(&solo.peer.message(b"x"));
        }
        assert!(solo.frames().is_empty());
        solo.advance(4999 * MS);
        assert!(solo.frames().is_empty());
        solo.advance(MS);
        assert_eq!(solo.kinds(), ["heartbeat"]);
        solo.seconds(5);
        assert_eq!(solo.kinds(), ["heartbeat"]);
        // Part of a frame is a sign of life too.
        solo.seconds(4);
        let message = solo.peer.message(b"x");
        solo.feed(&message[..10]);
        solo.seconds(4);
        assert!(solo.frames().is_empty());
    }

    #[test]
    fn a_ping_is_answered_with_its_number_and_a_pong_with_nothing() {
        for mut solo in Solo::both() {
            solo.feed(&solo.peer.ping(77));
            let pong = solo.frames().remove(0);
            assert_eq!((pong.kind(), pong.text(), &pong.header["seq"]), ("heartbeat", "pong", &77.into()));
            solo.feed(&solo.peer.frame("heartbeat", "", b"whatever else"));
            let pong = solo.frames().remove(0);
            assert_eq!((pong.text(), pong.header.get("seq")), ("pong", None));
            solo.feed(&[solo.peer.pong(Some(1)), solo.peer.pong(None), solo.peer.pong(Some(99))].concat());
            assert!(solo.frames().is_empty());
            assert!(solo.events().is_empty(), "there was no ping that these answer");
        }
    }

    #[test]
    fn one_pong_is_owed_at_a_time() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            let pings: Vec<u8> = (1..=1000).flat_map(|seq| solo.peer.ping(seq)).collect();
            solo.feed(&pings);
            solo.side.hold_output = false;
            solo.run();
            let frames = solo.frames();
            assert!(frames.len() <= 600, "as many as fit the little that is encoded ahead: {}", frames.len());
            assert_eq!(frames.last().unwrap().header["seq"], 1000);
        }
    }

    #[test]
    fn a_round_trip_time_comes_only_from_a_match() {
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        solo.seconds(10);
        assert_eq!(solo.frames().len(), 2);
        solo.seconds(1);
        solo.feed(&solo.peer.pong(Some(3)));
        assert!(solo.events().is_empty(), "a number that was never sent");
        solo.feed(&solo.peer.pong(Some(2)));
        assert_eq!(round_trips(&solo.events()), [Duration::from_secs(1)]);
        solo.feed(&[solo.peer.pong(Some(2)), solo.peer.pong(Some(1))].concat());
        assert!(solo.events().is_empty(), "an answer counts once, and not after a later one");
        assert_eq!(solo.side.pump.machine().round_trip(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn without_a_number_only_when_one_ping_was_outstanding() {
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        solo.seconds(5);
        solo.advance(300 * MS);
        solo.feed(&solo.peer.pong(None));
        assert_eq!(round_trips(&solo.events()), [300 * MS]);
        solo.seconds(11);
        solo.feed(&solo.peer.pong(None));
        assert!(solo.events().is_empty(), "two were outstanding");
    }

    #[test]
    fn a_server_measures_too_and_a_pair_does() {
        let mut pair = pair();
        pair.advance(Duration::from_secs(60));
        assert_eq!(round_trips(&pair.a.events).len(), 12);
        assert!(pair.b.events.iter().all(|event| !matches!(event, Event::Ended(_))));
        let mut solo = Solo::server_with(Config::default(), FEATURES);
        solo.seconds(5);
        solo.advance(2 * MS);
        solo.feed(&solo.peer.pong(Some(1)));
        assert_eq!(round_trips(&solo.events()), [2 * MS]);
    }

    #[test]
    fn the_first_event_is_that_the_session_is_there_even_if_a_time_was_measured_since() {
        let mut solo = Solo::client(Config::default());
        solo.side.hold_events = true;
        solo.feed(&solo.peer.init(FEATURES));
        solo.seconds(5);
        solo.feed(&solo.peer.pong(Some(1)));
        solo.side.hold_events = false;
        solo.run();
        assert!(matches!(solo.events()[..], [Event::Established(_), Event::RoundTrip(_)]));
    }
}

mod liveness {
    use super::*;

    #[test]
    fn thirty_seconds_of_silence_end_the_session_and_any_byte_resets_them() {
        for mut solo in Solo::both() {
            solo.advance(29_999 * MS);
            solo.feed(&solo.peer.message(b"x")[..1]);
            solo.feed(&solo.peer.message(b"x")[1..]);
            solo.advance(29_999 * MS);
            assert_eq!(messages(&solo.events()), ["x"]);
            solo.frames();
            solo.advance(MS);
            solo.frames();
            let ended = solo.ended();
            assert_eq!(
                (ended.by, ended.code, ended.fault()),
                (EndedBy::Local, Code::PeerSilent, Fault::Time)
            );
        }
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        solo.seconds(29);
        solo.frames();
        solo.advance(999 * MS);
        assert!(solo.frames().is_empty());
        solo.advance(MS);
        assert_eq!(solo.kinds().last().unwrap(), "error");
    }

    #[test]
    fn a_frame_that_has_begun_must_grow_by_4_kib_in_10_s_or_end() {
        for mut solo in Solo::both() {
            let message = solo.peer.message(&[b'x'; 20_000]);
            solo.seconds(3);
            solo.feed(&message[..1]);
            for second in 0..9 {
                solo.seconds(1);
                solo.feed(&message[1 + second..2 + second]);
            }
            solo.advance(999 * MS);
            assert!(solo.side.events.iter().all(|event| !matches!(event, Event::Ended(_))));
            solo.frames();
            solo.advance(MS);
            assert_eq!(solo.kinds().last().unwrap(), "error");
            assert_eq!(solo.ended().code, Code::FrameStalled);
        }
        for mut solo in Solo::both() {
            let message = solo.peer.message(&[b'x'; 20_000]);
            for part in message.chunks(4096) {
                solo.feed(part);
                solo.advance(9_999 * MS);
            }
            assert_eq!(messages(&solo.events()).len(), 1);
        }
    }

    #[test]
    fn the_clocks_stand_still_while_the_application_holds_events() {
        let config = Config::builder().queued_events(1).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.side.hold_events = true;
            let message = solo.peer.message(b"x");
            solo.feed(&message);
            // A frame that has begun and is not read on.
            solo.side.inject(&message[..10]);
            solo.seconds(20);
            solo.side.hold_events = false;
            solo.seconds(9);
            assert_eq!(messages(&solo.events()).len(), 1);
            solo.feed(&message[10..]);
            assert_eq!(messages(&solo.events()).len(), 1, "{:?}", solo.side.events.last());
            // From now on it is silent.
            solo.advance(29_999 * MS);
            assert_eq!(solo.events(), []);
            solo.advance(MS);
            assert_eq!(solo.ended().code, Code::PeerSilent);
        }
    }

    #[test]
    fn what_arrived_while_the_clocks_stood_still_does_not_move_them_into_the_future() {
        let config = Config::builder().queued_events(1).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.side.hold_events = true;
            let message = solo.peer.message(b"x");
            solo.feed(&message);
            solo.seconds(100);
            // A read that was under way when the application fell behind.
            let (rx, _) = solo.side.pump.io();
            rx.extend_from_slice(&message);
            solo.side.pump.handle_read(solo.now, message.len());
            solo.side.hold_events = false;
            solo.advance(29_999 * MS);
            assert_eq!(messages(&solo.events()).len(), 2);
            solo.advance(MS);
            assert_eq!(solo.ended().code, Code::PeerSilent);
        }
    }

    #[test]
    fn a_paused_server_and_a_healthy_client_stay_together_for_five_minutes() {
        let mut pair = pair();
        pair.b.hold_events = true;
        for i in 0..400 {
            pair.a.command(pair.now, Command::Send(Message::text(format!("{i}")))).unwrap();
            pair.run();
        }
        assert!(!pair.b.inbound.is_empty() || pair.b.pump.unparsed() > 0, "it is paused");
        pair.advance(Duration::from_secs(300));
        assert!(
            pair.a.events.iter().all(|event| !matches!(event, Event::Ended(_))),
            "{:?}",
            pair.a.events.last()
        );
        pair.b.hold_events = false;
        pair.advance(Duration::from_secs(60));
        let expected: Vec<String> = (0..400).map(|i| i.to_string()).collect();
        assert_eq!(messages(&pair.b.events), expected);
        assert!(pair.b.events.iter().all(|event| !matches!(event, Event::Ended(_))));
    }

    #[test]
    fn output_that_never_moves_while_we_do_not_read_is_given_up() {
        let config = Config::builder().queued_events(1).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            (solo.side.hold_events, solo.side.hold_output) = (true, true);
            solo.feed(&solo.peer.message(b"x"));
            solo.send(Message::text("never read"));
            solo.advance(Duration::from_secs(119));
            assert!(!solo.side.closed);
            solo.seconds(4);
            assert!(solo.side.closed);
            solo.side.hold_events = false;
            solo.run();
            let ended = solo.ended();
            assert_eq!((ended.code, ended.unsent.len()), (Code::TooSlow, 1));
        }
    }
}

mod messages_and_chunks {
    use super::*;

    #[test]
    fn messages_with_entries_arrive_as_they_were_sent() {
        let mut pair = pair();
        let app = App::from_json(r#"{"room": "a", "n": [1, {"x": null}]}"#).unwrap();
        let sent = [
            Message::text("héllo ✓").with_app(app.clone()),
            Message::new(ContentType::new("x/y; q=\"1\"").unwrap(), "b"),
            Message::binary(vec![7; 100_000]).with_app(app),
            Message::binary(Bytes::new()),
        ];
        for message in &sent {
            pair.a.command(pair.now, Command::Send(message.clone())).unwrap();
            pair.run();
            assert_eq!(pair.b.events.last(), Some(&Event::Message(message.clone())));
        }
        assert_eq!(pair.a.pump.machine().stats().messages_sent, 4);
        assert_eq!(pair.b.pump.machine().stats().messages_received, 4);
    }

    #[test]
    fn unknown_keys_never_reach_the_application() {
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        solo.feed(&solo.peer.frame("message", r#", "app": {"a":1}, "x": 1, "seq": "no", "limits": 5"#, b"c"));
        let [Event::Message(message)] = &solo.events()[..] else { panic!() };
        assert_eq!(message.app.as_json(), Some(r#"{"a":1}"#));
    }

    #[test]
    fn a_large_message_goes_out_in_chunks_and_small_ones_and_heartbeats_overtake_it() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            let large = Message::binary((0..200_000_u32).map(|i| i as u8).collect::<Vec<_>>());
            solo.send(large.clone());
            solo.send(Message::text("small"));
            solo.feed(&solo.peer.ping(5));
            solo.side.hold_output = false;
            solo.run();
            let frames = solo.frames();
            let at = |what: &str| frames.iter().position(|frame| frame.content == what.as_bytes()).unwrap();
            let last = frames.iter().position(|frame| frame.header["last"] == true).unwrap();
            assert_eq!(frames.len(), 25 + 2);
            assert!(at("small") < last && at("pong") < last);
            let before: usize = frames[..at("pong")].iter().map(|frame| frame.len).sum();
            assert!(before <= 64 * 1024 + 9 * 1024, "a heartbeat waits behind {before} bytes");
            let chunks: Vec<_> = frames.iter().filter(|frame| frame.kind() == "chunk").collect();
            for (index, chunk) in chunks.iter().enumerate() {
                assert_eq!((&chunk.header["message_id"], chunk.code), (&1.into(), 5));
                assert_eq!(chunk.header["index"], index);
                assert_eq!(chunk.header["last"], index == 24);
                assert_eq!(chunk.header.get("total_size").is_some(), index == 0);
            }
            assert_eq!(chunks[0].header["total_size"], 200_000);
            let content: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.content.clone()).collect();
            assert_eq!(content, large.content);
        }
    }

    #[test]
    fn violations_of_chunks_each_with_its_code() {
        let config = || {
            Config::builder()
                .message_limit(1000)
                .unfinished_limit(2)
                .content_limit(64 * 1024)
                .build()
                .unwrap()
        };
        let begun =
            |peer: &Peer| [peer.chunk(1, 0, false, "", b"abc"), peer.chunk(1, 1, false, "", b"d")].concat();
        let big = vec![b'x'; 997];
        let cases = |p: &Peer| {
            vec![
                (p.chunk(1, 3, false, "", b"x"), Code::ChunkGap),
                (p.chunk(3, 0, false, "", b"x"), Code::ChunkGap),
                (p.chunk(1, 1, false, "", b"x"), Code::ChunkRepeat),
                (p.chunk(1, 0, false, "", b"x"), Code::ChunkRepeat),
                (p.chunk(2, 1, false, "", b"x"), Code::ChunkWithoutStart),
                (
                    [p.chunk(1, 2, true, "", b""), p.chunk(1, 3, false, "", b"x")].concat(),
                    Code::ChunkWithoutStart,
                ),
                ([p.chunk(1, 2, true, "", b""), p.chunk(1, 0, false, "", b"x")].concat(), Code::ChunkRepeat),
                (p.chunk(2, 0, false, r#", "total_size": 2"#, b"xyz"), Code::ChunkOverrun),
                (p.chunk(2, 0, true, r#", "total_size": 4"#, b"xyz"), Code::ChunkOverrun),
                (p.chunk(2, 0, false, r#", "total_size": 1001"#, b"xyz"), Code::MessageTooLarge),
                (p.chunk(1, 2, false, "", &big), Code::MessageTooLarge),
                (p.chunk(2, 0, false, "", &big), Code::MessageTooLarge),
                (p.message(&[b'x'; 1001]), Code::MessageTooLarge),
                (
                    [p.chunk(2, 0, false, "", b"x"), p.chunk(3, 0, false, "", b"x")].concat(),
                    Code::TooManyUnfinished,
                ),
                (p.chunk(0, 0, false, "", b"x"), Code::InvalidHeader),
                (p.chunk(2, 0, false, r#", "aborted": true"#, b"x"), Code::InvalidHeader),
                (p.chunk(2, 9_007_199_254_740_992, false, "", b"x"), Code::InvalidHeader),
            ]
        };
        for server in [false, true] {
            let solo = || {
                let [client, own] = Solo::both_with(&config(), FEATURES);
                if server { own } else { client }
            };
            for (bytes, code) in cases(&solo().peer) {
                let mut solo = solo();
                solo.feed(&begun(&solo.peer));
                solo.feed(&bytes);
                refused(solo, code);
            }
        }
    }

    #[test]
    fn one_budget_holds_over_all_unfinished_messages_gathered_whole() {
        let config = Config::builder().message_limit(1000).build().unwrap();
        let feed = |solo: &mut Solo| {
            solo.feed(&solo.peer.chunk(1, 0, false, "", &[b'x'; 600]));
            solo.feed(&solo.peer.chunk(2, 0, false, "", &[b'x'; 400]));
            assert!(solo.frames().is_empty());
            solo.feed(&solo.peer.chunk(1, 1, false, "", b"x"));
        };
        for mut solo in Solo::both_with(&config, FEATURES) {
            feed(&mut solo);
            refused(solo, Code::MessageTooLarge);
        }
        // In pieces nothing is held, so the limit is of each message.
        let config = Config::builder().message_limit(1000).receive(Receive::Pieces).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            feed(&mut solo);
            assert_eq!(solo.events().len(), 3);
            assert_eq!(solo.side.pump.machine().unfinished(), (2, 0));
        }
        let config = Config::builder().message_limit(1000).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            for id in 1..100 {
                solo.feed(&solo.peer.chunk(id, 0, false, "", &[b'x'; 600]));
                let keys = if id % 2 == 0 { r#", "aborted": true"# } else { "" };
                solo.feed(&solo.peer.chunk(id, 1, true, keys, b""));
            }
            assert_eq!(messages(&solo.events()).len(), 50, "the budget is given back");
            assert_eq!(solo.side.pump.machine().unfinished(), (0, 0));
        }
    }

    #[test]
    fn a_message_that_the_peer_gives_up() {
        let [mut solo, _] = Solo::both();
        solo.feed(&solo.peer.chunk(1, 0, false, "", b"abc"));
        solo.feed(&solo.peer.chunk(1, 1, true, r#", "aborted": true"#, b""));
        assert!(matches!(solo.events()[..], [Event::Abandoned { received: 3, .. }]));
        let pieces = Config::builder().receive(Receive::Pieces).build().unwrap();
        let mut solo = Solo::client_with(pieces, FEATURES);
        let app = r#", "app": {"a": 1}, "total_size": 9"#;
        solo.feed(&solo.peer.chunk(1, 0, false, app, b"abc"));
        solo.feed(&solo.peer.chunk(1, 1, true, r#", "aborted": true"#, b""));
        let events = solo.events();
        let [Event::Piece(first), Event::Piece(last)] = &events[..] else { panic!("{events:?}") };
        let start = first.start.as_ref().unwrap();
        assert_eq!((start.total_size, start.app.as_json()), (Some(9), Some(r#"{"a": 1}"#)));
        assert_eq!((first.end, last.end, last.content.len()), (PieceEnd::More, PieceEnd::Aborted, 0));
    }

    #[test]
    fn announced_limits_are_refused_at_the_sender() {
        let hello = r#", "features": ["x", "chunk"], "limits": {"message": 100, "unfinished": 1}"#;
        for mut solo in Solo::both_with(&Config::default(), hello) {
            let why = |solo: &mut Solo, command| solo.command(command).unwrap_err().why;
            let over = Command::Send(Message::binary(vec![0; 101]));
            assert_eq!(why(&mut solo, over), Why::Never(Code::MessageTooLarge));
            let over = Command::Begin(Begin::new(ContentType::TEXT).total_size(101));
            assert_eq!(why(&mut solo, over), Why::Never(Code::MessageTooLarge));
            let ticket = solo.command(Command::Begin(Begin::new(ContentType::TEXT))).unwrap();
            let second = Command::Begin(Begin::new(ContentType::TEXT));
            assert_eq!(why(&mut solo, second), Why::Full);
            solo.command(Command::Piece { ticket, content: vec![0; 100].into() }).unwrap();
            let over = Command::Piece { ticket, content: vec![0; 1].into() };
            assert_eq!(why(&mut solo, over), Why::Never(Code::MessageTooLarge));
            solo.send(Message::binary(vec![0; 100]));
            let huge = ContentType::new(&"x".repeat(70_000)).unwrap();
            let over = Command::Send(Message::new(huge, "x"));
            assert_eq!(why(&mut solo, over), Why::Never(Code::HeaderTooLarge));
        }
        // Who did not announce chunks gets none.
        for mut solo in Solo::both_with(&Config::default(), r#", "features": ["x"]"#) {
            solo.send(Message::binary(vec![0; 100_000]));
            assert_eq!(solo.kinds(), ["message"]);
        }
    }

    #[test]
    fn large_messages_keep_to_the_peers_count_and_budget() {
        let hello = r#", "features": ["chunk"], "limits": {"message": 100000, "unfinished": 2}"#;
        for mut solo in Solo::both_with(&Config::default(), hello) {
            solo.side.hold_output = true;
            for len in [50_000, 50_000, 90_000, 20_000, 1] {
                solo.send(Message::binary(vec![0; len]));
            }
            solo.side.hold_output = false;
            solo.chunker = Chunker::random(5, 3000);
            solo.run();
            let mut open: Vec<(u64, u64)> = Vec::new();
            for frame in solo.frames().iter().filter(|frame| frame.kind() == "chunk") {
                let id = frame.header["message_id"].as_u64().unwrap();
                if frame.header["index"] == 0 {
                    open.push((id, frame.header["total_size"].as_u64().unwrap()));
                }
                assert!(open.len() <= 2);
                assert!(open.iter().map(|(_, size)| size).sum::<u64>() <= 100_000);
                if frame.header["last"] == true {
                    open.retain(|(open, _)| *open != id);
                }
            }
            assert!(open.is_empty());
        }
    }

    #[test]
    fn the_peers_budget_is_free_again_after_each_message() {
        let hello = r#", "features": ["chunk"], "limits": {"message": 100000, "unfinished": 2}"#;
        for mut solo in Solo::both_with(&Config::default(), hello) {
            for _ in 0..3 {
                solo.send(Message::binary(vec![0; 90_000]));
            }
            solo.frames();
            solo.side.command(solo.now, Command::Send(Message::binary(vec![0; 50_000]))).unwrap();
            solo.send(Message::binary(vec![0; 50_000]));
            let frames = solo.frames();
            let last = frames.iter().position(|frame| frame.header["last"] == true).unwrap();
            let begun = frames[..last].iter().filter(|frame| frame.header["index"] == 0).count();
            assert_eq!(begun, 2, "both fit, so they take turns");
        }
    }

    #[test]
    fn streams_begin_go_on_and_end_or_are_given_up() {
        let mut pair = pair();
        let now = pair.now;
        let begin =
            |size: Option<u64>| Command::Begin(Begin { total_size: size, ..Begin::new(ContentType::TEXT) });
        let ticket = pair.a.command(now, begin(Some(6))).unwrap();
        let other = pair.a.command(now, begin(Some(100))).unwrap();
        let silent = pair.a.command(now, begin(None)).unwrap();
        let piece = |ticket, content: &'static [u8]| Command::Piece { ticket, content: content.into() };
        pair.a.command(now, piece(ticket, b"abc")).unwrap();
        pair.a.command(now, piece(other, b"xyz")).unwrap();
        pair.run();
        pair.a.command(now, Command::Send(Message::text("between"))).unwrap();
        pair.run();
        let why =
            |result: Result<Ticket, heartwire_core::protocol::Refused<Command>>| result.unwrap_err().why;
        assert_eq!(why(pair.a.command(now, Command::End { ticket })), Why::Never(Code::ChunkOverrun));
        assert_eq!(why(pair.a.command(now, piece(ticket, b"toolong"))), Why::Never(Code::ChunkOverrun));
        pair.a.command(now, piece(ticket, b"def")).unwrap();
        pair.a.command(now, Command::End { ticket }).unwrap();
        pair.a.command(now, Command::Abort { ticket: other }).unwrap();
        pair.a.command(now, Command::Abort { ticket: silent }).unwrap();
        pair.run();
        for ticket in [ticket, other, silent, Ticket::new(99), Ticket::NONE] {
            assert_eq!(why(pair.a.command(now, Command::Abort { ticket })), Why::Never(Code::UnknownTicket));
            assert_eq!(why(pair.a.command(now, Command::End { ticket })), Why::Never(Code::UnknownTicket));
            assert_eq!(why(pair.a.command(now, piece(ticket, b"x"))), Why::Never(Code::UnknownTicket));
        }
        assert_eq!(messages(&pair.b.events), ["between", "abcdef"]);
        assert!(pair.b.events.iter().any(|event| matches!(event, Event::Abandoned { received: 3, .. })));
        assert_eq!(pair.b.pump.machine().unfinished(), (0, 0));
        assert_eq!(pair.a.pump.machine().queued_output(), 0, "everything that was counted is released");
    }

    #[test]
    fn a_stream_of_unknown_size_grows_beyond_its_share_as_far_as_the_others_let_it() {
        // The peer takes 8 messages of 80,000 bytes together.
        let server = Config::builder().message_limit(80_000).build().unwrap();
        let mut pair = Pair::sessions(Config::default(), server, heartwire_tests::solo::keys());
        pair.run();
        let now = pair.now;
        let begin =
            |size: Option<u64>| Command::Begin(Begin { total_size: size, ..Begin::new(ContentType::TEXT) });
        let piece = |ticket, len: usize| Command::Piece { ticket, content: vec![b'x'; len].into() };
        let growing = pair.a.command(now, begin(None)).unwrap();
        let other = pair.a.command(now, begin(Some(30_000))).unwrap();
        pair.a.command(now, piece(growing, 50_000)).unwrap();
        let why = pair.a.command(now, piece(growing, 1)).unwrap_err().why;
        assert_eq!(why, Why::Never(Code::MessageTooLarge), "the other has the rest");
        assert_eq!(pair.a.command(now, begin(None)).unwrap_err().why, Why::Full);
        let large = || Command::Send(Message::binary(vec![1; 9000]));
        assert_eq!(pair.a.command(now, large()).unwrap_err().why, Why::Full);
        pair.a.command(now, Command::Abort { ticket: other }).unwrap();
        pair.a.command(now, piece(growing, 20_000)).unwrap();
        pair.a.command(now, large()).unwrap();
        pair.run();
        pair.a.command(now, piece(growing, 10_000)).unwrap();
        pair.a.command(now, Command::End { ticket: growing }).unwrap();
        pair.run();
        assert_eq!(messages(&pair.b.events).iter().map(String::len).collect::<Vec<_>>(), [9000, 80_000]);
        assert_eq!(pair.a.pump.machine().queued_output(), 0);
    }

    #[test]
    fn giving_up_a_large_message_under_way_tells_the_peer_and_releases_it() {
        let mut pair = pair();
        let now = pair.now;
        pair.a.hold_output = true;
        let ticket = pair.a.command(now, Command::Send(Message::binary(vec![1; 500_000]))).unwrap();
        let queued = pair.a.command(now, Command::Send(Message::binary(vec![1; 500_000]))).unwrap();
        pair.run();
        pair.a.command(now, Command::Abort { ticket }).unwrap();
        pair.a.command(now, Command::Abort { ticket: queued }).unwrap();
        pair.a.hold_output = false;
        pair.run();
        assert!(matches!(pair.b.events[1], Event::Abandoned { received, .. } if received < 500_000));
        assert_eq!(pair.a.pump.machine().queued_output(), 0);
        pair.a.command(now, close()).unwrap();
        pair.run();
        assert!(end_of(&pair.a.events).unsent.is_empty(), "what was given up is not unsent");
    }
}

mod closing {
    use super::*;

    #[test]
    fn a_goodbye_in_order() {
        let mut pair = pair();
        pair.a.command(pair.now, Command::Send(Message::binary(vec![b'x'; 100_000]))).unwrap();
        pair.a.command(pair.now, Command::Close { reason: Some("done \"here\"".into()) }).unwrap();
        pair.run();
        let (ours, theirs) = (end_of(&pair.a.events), end_of(&pair.b.events));
        assert_eq!((ours.by, ours.code, ours.told), (EndedBy::Local, Code::Disconnected, true));
        assert_eq!((theirs.by, theirs.detail.as_str()), (EndedBy::Peer, "done \"here\""));
        assert!(ours.is_orderly() && theirs.is_orderly());
        assert!(ours.unsent.is_empty() && theirs.unsent.is_empty());
        assert_eq!(messages(&pair.b.events).len(), 1, "what was queued leaves before the goodbye");
        let said = |written: &[u8], kind: &str| {
            peer::read_all(peer::KEY, written).iter().filter(|frame| frame.kind() == kind).count()
        };
        assert_eq!(said(&pair.a.written, "disconnect"), 1);
        assert_eq!(said(&pair.b.written, "disconnect"), 0, "it is not answered");
        assert!(pair.a.closed && pair.b.closed);
    }

    #[test]
    fn the_default_reasons() {
        let [mut client, mut server] = Solo::both();
        for (solo, reason) in [(&mut client, "Client disconnecting"), (&mut server, "Server disconnecting")] {
            solo.close();
            let goodbye = solo.frames().remove(0);
            assert_eq!((goodbye.kind(), goodbye.code), ("disconnect", 7));
            assert_eq!(goodbye.header["content_type"], "application/json");
            assert_eq!(goodbye.text(), format!(r#"{{"message": "Disconnecting", "reason": "{reason}"}}"#));
            assert_eq!(solo.ended().detail, reason);
        }
    }

    #[test]
    fn the_last_frame_has_2_s_to_leave() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.send(Message::text("first"));
            solo.close();
            solo.advance(1999 * MS);
            assert!(!solo.side.closed && solo.events().is_empty());
            solo.advance(MS);
            assert!(solo.side.closed);
            let ended = solo.ended();
            assert_eq!((ended.code, ended.told), (Code::Disconnected, false));
            assert_eq!(ended.unsent.len(), 1);
            assert!(ended.unsent[0].begun);
        }
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.feed(b"not a frame");
            solo.advance(1999 * MS);
            assert!(solo.events().is_empty());
            solo.advance(MS);
            let ended = solo.ended();
            assert_eq!((ended.code, ended.told), (Code::BadMagic, false));
        }
    }

    /// Lets some bytes leave every 1.5 s; the peer says something now and then unless it `ended`.
    fn leave_slowly(solo: &mut Solo, times: usize, ended: bool) {
        solo.chunker = Chunker::fixed(70_000);
        for _ in 0..times {
            solo.side.hold_output = true;
            solo.advance(1500 * MS);
            if !ended {
                solo.feed(&solo.peer.message(b"x"));
            }
            solo.side.hold_output = false;
            solo.side.turn(solo.now, &mut solo.chunker);
        }
    }

    #[test]
    fn a_large_queue_that_moves_is_not_cut_and_one_that_stops_is() {
        for stops in [false, true] {
            for mut solo in Solo::both() {
                solo.side.hold_output = true;
                solo.send(Message::binary(vec![1; 3_000_000]));
                solo.close();
                leave_slowly(&mut solo, if stops { 20 } else { 60 }, false);
                if stops {
                    solo.side.hold_output = true;
                    solo.seconds(2);
                }
                let ended = solo.ended();
                assert_eq!((ended.told, ended.unsent.len()), (!stops, usize::from(stops)));
            }
        }
    }

    #[test]
    fn after_the_goodbye_input_is_read_and_discarded_for_64_kib_or_2_s() {
        for mut solo in Solo::both() {
            solo.close();
            assert!(solo.side.half_closed && !solo.side.closed, "our half is closed");
            assert!(
                matches!(solo.events()[..], [Event::Ended(_)]),
                "the last event does not wait for the peer"
            );
            solo.feed(&solo.peer.message(b"late"));
            solo.feed(&[0; 1000]);
            assert_eq!(solo.events(), []);
            solo.advance(1999 * MS);
            assert!(!solo.side.closed);
            solo.advance(MS);
            assert!(solo.side.closed);
            solo.ended();
        }
        for mut solo in Solo::both() {
            solo.close();
            // No more than that is read; but the connection stays, or the goodbye would be destroyed.
            solo.feed(&vec![0; 100_000]);
            assert_eq!(solo.side.inbound.len(), 100_000 - 64 * 1024);
            assert_eq!(solo.side.pump.poll(solo.now).read, 0);
            solo.advance(1999 * MS);
            assert!(!solo.side.closed);
            solo.advance(MS);
            assert!(solo.side.closed);
        }
        for mut solo in Solo::both() {
            solo.close();
            solo.eof();
            assert!(solo.side.closed);
        }
    }

    #[test]
    fn both_say_goodbye_at_once() {
        let mut pair = pair();
        (pair.a.hold_output, pair.b.hold_output) = (true, true);
        pair.a.command(pair.now, close()).unwrap();
        pair.b.command(pair.now, close()).unwrap();
        pair.run();
        (pair.a.hold_output, pair.b.hold_output) = (false, false);
        pair.run();
        for end in [end_of(&pair.a.events), end_of(&pair.b.events)] {
            assert!(end.is_orderly() && end.told);
        }
        assert!(pair.a.closed && pair.b.closed);
    }

    #[test]
    fn the_peers_goodbye_is_answered_by_nothing_and_what_was_queued_is_handed_back() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            let first = solo.send(Message::text("encoded"));
            let large = solo.send(Message::binary(vec![1; 300_000]));
            let queued = solo.send(Message::binary(vec![2; 300_000]));
            let stream = solo.command(Command::Begin(Begin::new(ContentType::TEXT).total_size(10))).unwrap();
            let last = solo.send(Message::text("last"));
            solo.feed(&solo.peer.disconnect("enough"));
            assert!(solo.events().is_empty());
            solo.side.hold_output = false;
            solo.run();
            assert!(solo.kinds().iter().all(|kind| kind == "message" || kind == "chunk"));
            let ended = solo.ended();
            assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "enough"));
            let unsent: Vec<_> = ended.unsent.iter().map(|u| (u.ticket, u.message.is_some())).collect();
            let expected = [(large, true), (queued, true), (stream, false), (last, true)];
            let expected: Vec<_> = expected
                .into_iter()
                .filter(|(ticket, _)| {
                    // A small message overtakes; it may have been encoded with what left.
                    unsent.iter().any(|(seen, _)| seen == ticket) || *ticket != last
                })
                .collect();
            assert_eq!(unsent, expected);
            assert!(!unsent.iter().any(|(ticket, _)| *ticket == first), "it left");
            assert!(ended.unsent[0].begun);
        }
    }

    #[test]
    fn closing_gives_up_streams_that_are_not_ended_and_hands_them_back() {
        let mut pair = pair();
        let now = pair.now;
        let open = pair.a.command(now, Command::Begin(Begin::new(ContentType::TEXT).total_size(9))).unwrap();
        let begun = pair.a.command(now, Command::Begin(Begin::new(ContentType::TEXT).total_size(9))).unwrap();
        pair.a.command(now, Command::Piece { ticket: begun, content: "abc".into() }).unwrap();
        pair.run();
        pair.a.command(now, close()).unwrap();
        pair.run();
        let end = end_of(&pair.a.events);
        let unsent: Vec<_> = end.unsent.iter().map(|u| (u.ticket, u.begun)).collect();
        assert_eq!(unsent, [(open, false), (begun, true)]);
        assert!(pair.b.events.iter().any(|event| matches!(event, Event::Abandoned { received: 3, .. })));
    }

    #[test]
    fn an_end_between_frames_is_its_own_ending() {
        for mut solo in Solo::both() {
            solo.feed(&solo.peer.message(b"x"));
            solo.eof();
            assert!(solo.frames().is_empty() && solo.side.closed, "gone at once");
            let ended = solo.ended();
            assert_eq!((ended.by, ended.code), (EndedBy::Peer, Code::EndedWithoutDisconnect));
        }
        for server in [false, true] {
            let mut solo =
                if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            solo.eof();
            assert_eq!(solo.ended().code, Code::EndedWithoutDisconnect);
        }
    }

    #[test]
    fn an_end_in_a_frame_is_truncated_wherever_it_is() {
        let len = Solo::both()[0].peer.message(b"content").len();
        for end in 1..len {
            for mut solo in Solo::both() {
                let message = solo.peer.message(b"content");
                solo.feed(&message[..end]);
                solo.eof();
                refused(solo, Code::Truncated);
            }
        }
    }

    #[test]
    fn an_end_counts_only_after_everything_before_it_was_taken() {
        let config = Config::builder().queued_events(2).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.side.hold_events = true;
            let bytes: Vec<u8> = (0..9).flat_map(|i| solo.peer.message(format!("{i}").as_bytes())).collect();
            solo.side.inject(&bytes);
            solo.eof();
            solo.seconds(100);
            assert!(!solo.side.closed, "the application has not seen it all");
            solo.side.hold_events = false;
            solo.run();
            assert_eq!(messages(&solo.side.events).len(), 9);
            assert_eq!(solo.ended().code, Code::EndedWithoutDisconnect);
        }
    }

    #[test]
    fn a_peer_that_only_closed_its_writing_side_still_gets_our_goodbye() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.send(Message::binary(vec![1; 3_000_000]));
            solo.close();
            solo.eof();
            assert!(!solo.side.closed);
            // It reads slowly, for longer than a peer may be silent.
            leave_slowly(&mut solo, 60, true);
            assert_eq!(solo.kinds().last().unwrap(), "disconnect");
            let ended = solo.ended();
            assert!(ended.is_orderly() && ended.told && ended.unsent.is_empty(), "{ended}");
        }
    }

    #[test]
    fn not_even_a_faulty_error_is_answered() {
        for (keys, content, code) in [
            (r#", "code": null"#, &b"boom"[..], Code::PeerError),
            (r#", "code": 7"#, b"mac-mismatch: boom", Code::MacMismatch),
            ("", b"", Code::EmptyContent),
            (r#", "content_type": 5"#, b"boom", Code::InvalidHeader),
        ] {
            for mut solo in Solo::both() {
                let header = format!(r#"{{"type":"error","session_id":"{}""#, solo.peer.id);
                let header = if keys.contains("content_type") {
                    format!("{header}{keys}}}")
                } else {
                    format!(r#"{header},"content_type":"text/plain"{keys}}}"#)
                };
                solo.frames();
                solo.feed(&heartwire_tests::peer::frame(&solo.peer.key.clone(), &header, content));
                assert_eq!(solo.kinds(), [""; 0]);
                let ended = solo.ended();
                assert_eq!(ended.code, code);
                assert!(code == Code::EmptyContent || code == Code::InvalidHeader || ended.detail == "boom");
            }
        }
    }

    #[test]
    fn an_error_is_never_answered_and_is_the_end() {
        for mut solo in Solo::both() {
            solo.feed(&[solo.peer.error("chunk-gap"), b"garbage".to_vec()].concat());
            assert!(solo.frames().is_empty());
            let ended = solo.ended();
            assert_eq!(
                (ended.by, ended.code, ended.fault()),
                (EndedBy::PeerError, Code::ChunkGap, Fault::Local)
            );
        }
        // Nor is one of another session, or of none.
        for mut solo in Solo::both() {
            solo.feed(&Peer::new("another").error("chunk-gap"));
            assert!(solo.frames().is_empty());
            assert_eq!(solo.ended().code, Code::WrongSession);
        }
        // An error is no orderly end, whatever it calls itself.
        for mut solo in Solo::both() {
            solo.feed(&solo.peer.error("disconnected"));
            assert!(!solo.ended().is_orderly());
        }
    }

    #[test]
    fn at_most_one_error_is_said() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.feed(&[solo.peer.frame("shout", "", b"x"), b"garbage".to_vec()].concat());
            solo.feed(b"garbage");
            solo.eof();
            solo.side.hold_output = false;
            solo.run();
            refused(solo, Code::UnknownType);
        }
        // Nor one after a goodbye.
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.close();
            solo.feed(b"garbage");
            solo.side.hold_output = false;
            solo.run();
            assert_eq!(solo.kinds(), ["disconnect"]);
            solo.ended();
        }
    }

    #[test]
    fn a_frame_refused_while_queued_messages_leave_still_ends_it() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.send(Message::binary(vec![1; 400_000]));
            solo.close();
            solo.feed(b"garbage");
            solo.side.hold_output = false;
            solo.run();
            let kinds = solo.kinds();
            assert_eq!(kinds.last().unwrap(), "error");
            assert!(!kinds.contains(&"disconnect".into()));
            let ended = solo.ended();
            assert_eq!((ended.code, ended.unsent.len()), (Code::BadMagic, 1));
        }
    }

    #[test]
    fn too_slow_is_said_by_the_application() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.send(Message::binary(vec![1; 900_000]));
            solo.command(Command::Fail { code: Code::TooSlow, detail: "500 messages behind".into() })
                .unwrap();
            solo.side.hold_output = false;
            solo.run();
            let frames = solo.frames();
            assert_eq!(frames.last().unwrap().text(), "too-slow: 500 messages behind");
            let ended = solo.ended();
            assert_eq!((ended.by, ended.code, ended.unsent.len()), (EndedBy::Local, Code::TooSlow, 1));
        }
    }
}

mod cuts {
    use super::*;

    fn failed() -> Cut {
        Cut::ReadFailed("connection reset by peer".into())
    }

    #[test]
    fn reading_failed() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            let ticket = solo.send(Message::text("x"));
            solo.feed(&solo.peer.message(b"content")[..20]);
            solo.cut(failed());
            assert!(solo.side.closed);
            let ended = solo.ended();
            assert_eq!((ended.by, ended.code), (EndedBy::Transport, Code::TransportFailed));
            assert_eq!(ended.detail, "connection reset by peer");
            assert_eq!(ended.unsent[0].ticket, ticket);
        }
    }

    #[test]
    fn reading_failed_with_events_held_back() {
        let config = Config::builder().queued_events(2).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.side.hold_events = true;
            let bytes: Vec<u8> = (0..9).flat_map(|i| solo.peer.message(format!("{i}").as_bytes())).collect();
            solo.feed(&bytes);
            solo.cut(failed());
            solo.seconds(100);
            solo.side.hold_events = false;
            solo.run();
            assert_eq!(messages(&solo.side.events).len(), 9);
            assert_eq!(solo.ended().code, Code::TransportFailed);
        }
    }

    #[test]
    fn writing_failed_with_the_peers_reason_still_to_be_read() {
        for mut solo in Solo::both() {
            let ticket = solo.send(Message::text("sent"));
            solo.side.hold_output = true;
            let lost = solo.send(Message::text("lost"));
            solo.side.pump.handle_cut(solo.now, Cut::WriteFailed("broken pipe".into()));
            let why = solo.side.command(solo.now, Command::Send(Message::text("x"))).unwrap_err().why;
            assert_eq!(why, Why::Closed);
            solo.feed(&[solo.peer.message(b"x"), solo.peer.error("message-too-large")].concat());
            assert_eq!(messages(&solo.side.events), ["x"]);
            let ended = solo.ended();
            assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::MessageTooLarge));
            assert_eq!(ended.unsent.len(), 1);
            assert_eq!(ended.unsent[0].ticket, lost);
            assert_ne!(ticket, lost);
        }
    }

    #[test]
    fn writing_failed_and_nothing_explains_it() {
        for mut solo in Solo::both() {
            solo.cut(Cut::WriteFailed("broken pipe".into()));
            solo.cut(Cut::WriteFailed("again".into()));
            solo.advance(1999 * MS);
            assert!(solo.events().is_empty());
            solo.advance(MS);
            let ended = solo.ended();
            assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Transport, "broken pipe"));
        }
        for mut solo in Solo::both() {
            solo.cut(Cut::WriteFailed("broken pipe".into()));
            solo.eof();
            assert_eq!(solo.ended().detail, "broken pipe");
        }
    }

    #[test]
    fn writing_failed_after_the_end_of_the_stream_with_events_held_back() {
        let config = Config::builder().queued_events(2).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.side.hold_events = true;
            let mut bytes: Vec<u8> =
                (0..9).flat_map(|i| solo.peer.message(format!("{i}").as_bytes())).collect();
            bytes.extend(solo.peer.disconnect("enough"));
            solo.feed(&bytes);
            // A read that was under way finds the end.
            solo.side.pump.handle_read(solo.now, 0);
            solo.cut(Cut::WriteFailed("broken pipe".into()));
            solo.side.hold_events = false;
            solo.run();
            assert_eq!(messages(&solo.side.events).len(), 9);
            let ended = solo.ended();
            assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "enough"));
        }
    }

    #[test]
    fn writing_failed_while_the_application_is_behind_for_long() {
        let config = Config::builder().queued_events(1).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            (solo.side.hold_events, solo.side.hold_output) = (true, true);
            solo.send(Message::text("stuck"));
            solo.feed(&[solo.peer.message(b"x"), solo.peer.error("chunk-gap")].concat());
            solo.cut(Cut::WriteFailed("broken pipe".into()));
            solo.seconds(500);
            solo.side.hold_events = false;
            solo.run();
            let ended = solo.ended();
            assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::ChunkGap), "{ended}");
        }
    }

    #[test]
    fn the_application_lets_go_or_this_side_stops() {
        for cut in [Cut::Dropped, Cut::Stopped, Cut::Crowded] {
            for mut solo in Solo::both() {
                solo.side.hold_output = true;
                solo.send(Message::text("x"));
                solo.cut(cut.clone());
                let ended = solo.ended();
                assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Aborted, false));
                assert_eq!(ended.unsent.len(), 1);
            }
        }
        for server in [false, true] {
            let mut solo =
                if server { Solo::server(Config::default()) } else { Solo::client(Config::default()) };
            solo.cut(Cut::Dropped);
            assert!(solo.frames().is_empty());
            assert_eq!(solo.ended().code, Code::Aborted);
        }
    }

    #[test]
    fn letting_go_of_a_session_that_closes_changes_nothing() {
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.send(Message::text("x"));
            solo.close();
            solo.cut(Cut::Dropped);
            solo.side.hold_output = false;
            solo.run();
            assert_eq!(solo.kinds(), ["message", "disconnect"]);
            assert!(solo.ended().is_orderly());
        }
        for mut solo in Solo::both() {
            solo.side.hold_output = true;
            solo.close();
            solo.cut(Cut::Stopped);
            assert!(solo.side.closed);
            assert_eq!(solo.ended().code, Code::Disconnected);
        }
    }
}
