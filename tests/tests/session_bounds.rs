//! What a session holds stays within its bounds, whatever the peer and the application do.

use bytes::{Bytes, BytesMut};
use heartwire_core::config::{Config, Receive};
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::{Protocol, Why};
use heartwire_core::session::{Begin, Command, Event, Session};
use heartwire_core::testing::Side;
use heartwire_core::time::Instant;
use heartwire_tests::peer::{FEATURES, Peer};
use heartwire_tests::solo::{Solo, keys};

const MIB: usize = 1024 * 1024;
/// What frames take beside their contents, in what is encoded ahead.
const HEADS: usize = 64 * 1024;

#[test]
fn queued_output_is_passed_by_one_message_at_most() {
    for hello in [FEATURES, ""] {
        for mut solo in Solo::both_with(&Config::default(), hello) {
            for len in [1, 100, 10_000, 300_000] {
                solo.side.hold_output = true;
                let mut accepted = 0_usize;
                let why = loop {
                    let command = Command::Send(Message::binary(vec![1; len]));
                    match solo.side.command(solo.now, command) {
                        Ok(_) => accepted += 1,
                        Err(refused) => break refused.why,
                    }
                    solo.side.pump.poll(solo.now);
                    let queued = solo.side.pump.machine().queued_output();
                    assert!(queued <= MIB + len + HEADS, "{queued} bytes queued");
                    assert!(accepted < 10_000, "small messages are not counted");
                };
                assert_eq!(why, Why::Full);
                // Where a large message passed the limit, small ones still get in behind it, up to the
                // limit without it.
                while solo.side.command(solo.now, Command::Send(Message::binary(vec![2; 1000]))).is_ok() {
                    let queued = solo.side.pump.machine().queued_output();
                    assert!(queued <= MIB + len + 2000 + HEADS, "{queued} bytes queued");
                }
                assert!(!solo.side.pump.poll(solo.now).commands);
                solo.side.hold_output = false;
                solo.run();
                assert!(solo.side.pump.poll(solo.now).commands);
                assert_eq!(solo.side.pump.machine().queued_output(), 0, "what was counted is released");
            }
        }
    }
}

#[test]
fn small_messages_get_in_behind_a_large_one_that_passed_the_limit() {
    for mut solo in Solo::both_with(&Config::default(), FEATURES) {
        solo.side.hold_output = true;
        let large = |solo: &mut Solo| {
            let command = Command::Send(Message::binary(vec![1; 16 * MIB]));
            solo.side.command(solo.now, command).map_err(|refused| refused.why)
        };
        let first = large(&mut solo).unwrap();
        assert!(solo.side.pump.poll(solo.now).commands);
        assert_eq!(large(&mut solo), Err(Why::Full), "one large message passes the limit, not two");
        solo.command(Command::Send(Message::text("small"))).unwrap();
        solo.command(Command::Abort { ticket: first }).unwrap();
        large(&mut solo).unwrap();
        solo.side.hold_output = false;
        solo.run();
        assert_eq!(solo.side.pump.machine().queued_output(), 0);
    }
}

#[test]
fn beginnings_and_pieces_are_counted_too() {
    let hello =
        r#", "features": ["chunk"], "limits": {"message": 9007199254740991, "unfinished": 9007199254740991}"#;
    for mut solo in Solo::both_with(&Config::default(), hello) {
        solo.side.hold_output = true;
        let wide = ContentType::new(&"x".repeat(10_000)).unwrap();
        let mut tickets = Vec::new();
        while let Ok(ticket) =
            solo.side.command(solo.now, Command::Begin(Begin::new(wide.clone()).total_size(9)))
        {
            tickets.push(ticket);
            assert!(solo.side.pump.machine().queued_output() <= MIB + 20_000);
            assert!(tickets.len() < 1000);
        }
        for ticket in tickets {
            solo.command(Command::Abort { ticket }).unwrap();
        }
        assert_eq!(solo.side.pump.machine().queued_output(), 0);
        let ticket = solo.command(Command::Begin(Begin::new(wide.clone()))).unwrap();
        let piece = || Command::Piece { ticket, content: vec![1; 5000].into() };
        while solo.side.command(solo.now, piece()).is_ok() {
            assert!(solo.side.pump.machine().queued_output() <= MIB + 20_000);
        }
        // It has begun, and most of it waits.
        solo.run();
        solo.command(Command::Abort { ticket }).unwrap();
        assert!(solo.side.pump.machine().queued_output() <= 128 * 1024, "what waited is released");
        solo.side.hold_output = false;
        solo.run();
        assert_eq!(solo.side.pump.machine().queued_output(), 0);
    }
}

/// Everything the peer sends, against an application that takes nothing; then one event at a time.
fn behind(config: &Config, frame: &dyn Fn(&Peer, u64) -> Vec<u8>, largest: usize) {
    for mut solo in Solo::both_with(config, FEATURES) {
        solo.side.hold_events = true;
        let all: Vec<u8> = (0..2000).flat_map(|i| frame(&solo.peer, i)).collect();
        solo.feed(&all);
        let check = |side: &Side<Session>| {
            let (events, bytes) = side.pump.machine().queued_events();
            assert!(events <= config.queued_events() + 1, "{events} events");
            assert!(bytes <= config.queued_event_bytes() + largest, "{bytes} bytes of events");
            assert!(side.pump.unparsed() <= 64 * 1024 + largest, "{} bytes unparsed", side.pump.unparsed());
        };
        check(&solo.side);
        assert_eq!(solo.side.pump.poll(solo.now).read, 0);
        assert!(!solo.side.inbound.is_empty(), "not everything was read");
        let mut taken = 0;
        while let Some(event) = solo.side.pump.poll_event(solo.now) {
            assert!(!matches!(event, Event::Ended(_)), "{event:?}");
            taken += 1;
            solo.run();
            check(&solo.side);
        }
        assert!(taken >= 1000 && solo.side.inbound.is_empty(), "{taken} events");
    }
}

#[test]
fn queued_events_and_unparsed_bytes_are_bounded_for_a_slow_application() {
    let config = Config::default();
    behind(&config, &|peer, _| peer.message(b"small"), 10_000);
    behind(&config, &|peer, _| peer.message(&[7; 9000]), 20_000);
    let narrow = Config::builder().queued_events(1).queued_event_bytes(1).build().unwrap();
    behind(&narrow, &|peer, _| peer.message(b"small"), 10_000);
    let pieces = Config::builder().receive(Receive::Pieces).build().unwrap();
    behind(&pieces, &|peer, i| peer.chunk(1, i, false, "", &[7; 3000]), 10_000);
}

#[test]
fn messages_given_up_are_counted_with_their_content_types() {
    let frame = |peer: &Peer, i: u64| {
        let header = format!(
            r#"{{"type": "chunk", "content_type": "{}", "session_id": "{}", "message_id": {}, "index": 0, "last": true, "aborted": true}}"#,
            "x".repeat(30_000),
            peer.id,
            i + 1
        );
        heartwire_tests::peer::frame(&peer.key, &header, b"")
    };
    behind(&Config::default(), &frame, 70_000);
    for mut solo in Solo::both() {
        solo.side.hold_events = true;
        let all: Vec<u8> = (0..100).flat_map(|i| frame(&solo.peer, i)).collect();
        solo.feed(&all);
        let (events, _) = solo.side.pump.machine().queued_events();
        assert!(events <= MIB / 30_000 + 1, "{events} of them wait");
    }
}

#[test]
fn a_million_pings_owe_one_pong() {
    for mut solo in Solo::both() {
        let pings: Vec<u8> = (0..1000).flat_map(|seq| solo.peer.ping(seq)).collect();
        let pump = &mut solo.side.pump;
        for _ in 0..500 {
            pump.io().0.extend_from_slice(&pings);
            pump.handle_read(solo.now, pings.len());
            pump.poll(solo.now);
            // What is encoded ahead is bounded, and what is owed behind it is one number.
            let queued = pump.machine().queued_output();
            assert!(queued < HEADS + 1024, "{queued} bytes are owed");
            assert_eq!(pump.poll_event(solo.now), None);
        }
        let before = solo.side.pump.machine().stats().frames_sent;
        solo.run();
        assert_eq!(solo.side.pump.machine().stats().frames_sent, before + 1);
    }
}

#[test]
fn round_trip_times_do_not_fill_the_queue() {
    for mut solo in Solo::both() {
        solo.side.hold_events = true;
        for seq in 1..=1000 {
            solo.seconds(5);
            solo.feed(&solo.peer.pong(Some(seq)));
        }
        assert!(solo.side.pump.poll(solo.now).read > 0);
        solo.side.hold_events = false;
        solo.run();
        assert_eq!(solo.events().len(), 1);
    }
}

#[test]
fn unfinished_messages_and_what_is_gathered_of_them_are_bounded() {
    let config = Config::builder().message_limit(10_000).build().unwrap();
    for mut solo in Solo::both_with(&config, FEATURES) {
        for id in 1..=8 {
            solo.feed(&solo.peer.chunk(id, 0, false, "", &[1; 1000]));
        }
        for index in 1.. {
            if solo.side.closed || solo.side.half_closed {
                break;
            }
            let (count, bytes) = solo.side.pump.machine().unfinished();
            assert!(count <= 8 && bytes <= 10_000);
            solo.feed(&solo.peer.chunk(1 + index % 8, index.div_ceil(8), false, "", &[1; 100]));
        }
        assert_eq!(solo.ended().code, Code::MessageTooLarge);
    }
}

#[test]
fn empty_chunks_are_refused_at_the_first() {
    for mut solo in Solo::both() {
        solo.feed(&solo.peer.chunk(1, 0, false, "", b"x"));
        solo.feed(&solo.peer.chunk(1, 1, false, "", b""));
        assert_eq!(solo.ended().code, Code::EmptyContent);
    }
}

#[test]
fn what_a_peer_claims_is_not_what_is_read_or_reserved() {
    for mut solo in Solo::both() {
        // The largest frame there is: the prefix and a little more of it.
        let message = solo.peer.message(&vec![1; 10 * MIB]);
        for at in [20, 28, 64, 200, 1000] {
            solo.feed(&message[..at][solo.side.pump.unparsed()..]);
            let read = solo.side.pump.poll(solo.now).read;
            assert!(read <= 64 * 1024, "{read} bytes wanted after {at}");
            assert!(solo.side.pump.io().0.capacity() <= 128 * 1024);
        }
        // A gathered one, of the largest size announced.
        let mut solo = Solo::client_with(Config::default(), FEATURES);
        for id in 1..=8 {
            solo.feed(&solo.peer.chunk(id, 0, false, r#", "total_size": 67108864"#, b"x"));
        }
        assert_eq!(solo.side.pump.machine().unfinished(), (8, 8));
    }
}

#[test]
fn how_much_is_read_grows_with_what_came_and_not_beyond() {
    for mut solo in Solo::both() {
        let message = solo.peer.message(&vec![1; 5 * MIB]);
        let mut given = 0;
        while given < message.len() {
            let read = solo.side.pump.poll(solo.now).read.min(message.len() - given);
            assert!(read > 0 && read <= given.max(64 * 1024), "{read} after {given}");
            solo.side.pump.io().0.extend_from_slice(&message[given..given + read]);
            solo.side.pump.handle_read(solo.now, read);
            given += read;
        }
        assert_eq!(solo.side.pump.unparsed(), 0);
        assert!(solo.side.pump.io().0.capacity() <= 64 * 1024, "the large block is not kept");
        let Some(Event::Message(message)) = solo.side.pump.poll_event(solo.now) else { panic!() };
        assert_eq!(message.content.len(), 5 * MIB);
    }
}

#[test]
fn a_small_content_pins_no_buffer() {
    for mut solo in Solo::both() {
        let small = solo.peer.message(b"small");
        let large = solo.peer.message(&vec![7; 50_000]);
        solo.side.pump.io().0.extend_from_slice(&[small, large].concat());
        let len = solo.side.pump.unparsed();
        let block = solo.side.pump.io().0.as_ptr_range();
        solo.side.pump.handle_read(solo.now, len);
        let contents: Vec<Bytes> = std::iter::from_fn(|| solo.side.pump.poll_event(solo.now))
            .map(|event| if let Event::Message(message) = event { message.content } else { panic!() })
            .collect();
        assert!(!block.contains(&contents[0].as_ptr()), "copied out");
        assert!(block.contains(&contents[1].as_ptr()), "not copied");
    }
}

#[test]
fn an_idle_session_keeps_no_buffer() {
    for mut solo in Solo::both() {
        solo.feed(&solo.peer.message(b"x"));
        solo.seconds(6);
        assert_eq!(solo.side.pump.io().0.capacity(), 0);
    }
}

#[test]
fn discarded_input_is_not_held() {
    for mut solo in Solo::both() {
        solo.side.hold_output = true;
        solo.feed(b"garbage");
        for _ in 0..100 {
            solo.feed(&vec![0; 60_000]);
            assert_eq!(solo.side.pump.unparsed(), 0);
        }
    }
}

#[test]
fn a_machine_without_a_pump_reads_nothing_behind_frames_that_wait() {
    let config = Config::builder().queued_events(2).build().unwrap();
    let (now, peer) = (Instant::ZERO, Peer::new("s"));
    let mut machine = Session::client(config, keys(), now);
    let mut rx = BytesMut::from(&peer.init(FEATURES)[..]);
    rx.extend_from_slice(&[peer.message(b"1"), peer.message(b"2"), peer.message(b"3")].concat());
    let fresh = rx.len();
    machine.handle_input(now, &mut rx, fresh);
    assert_eq!(machine.poll(now).read, 0);
    assert!(machine.poll_event().is_some());
    // There is room, but not for more than what is there already.
    assert_eq!(machine.poll(now).read, 0);
    machine.handle_input(now, &mut rx, 0);
    assert_eq!(machine.poll(now).read, 0, "the next one fills it");
    while machine.poll_event().is_some() {
        machine.handle_input(now, &mut rx, 0);
    }
    assert!(rx.is_empty() && machine.poll(now).read > 0);
}
