//! What went wrong in libraries of this kind, each by its name, so that it does not here.

use std::time::{Duration, Instant as Clock};

use heartwire_core::config::{Config, Receive};
use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::protocol::{Close, Cut};
use heartwire_core::session::{Command, Event};
use heartwire_core::testing::{Chunker, Pair};
use heartwire_core::time::Instant;
use heartwire_tests::peer::FEATURES;
use heartwire_tests::solo::{Solo, keys};

fn alive(solo: &Solo) -> bool {
    solo.side.events.iter().all(|event| !matches!(event, Event::Ended(_)))
}

/// Reading that waits for writing: both sides write more than anything between them holds.
#[test]
fn reading_never_waits_for_writing() {
    for mut solo in Solo::both() {
        // Nothing leaves, and the queue is full to the brim; still everything that comes is taken.
        solo.side.hold_output = true;
        while solo.side.command(solo.now, Command::Send(Message::binary(vec![1; 50_000]))).is_ok() {}
        for _ in 0..1000 {
            let bytes = [solo.peer.message(&[2; 5000]), solo.peer.ping(1)].concat();
            solo.feed(&bytes);
        }
        assert_eq!(solo.events().len(), 1000);
        assert!(solo.side.inbound.is_empty() && alive(&solo));
    }
}

/// A limit checked after parsing lets the same bytes pass or fail by how they arrive: limits are checked on
/// the prefix, at every split alike.
#[test]
fn limits_do_not_depend_on_how_the_bytes_arrive() {
    let mut codes = Vec::new();
    for chunker in [Chunker::whole(), Chunker::fixed(1), Chunker::fixed(28), Chunker::random(3, 500)] {
        let mut solo = Solo::client(Config::default());
        solo.chunker = chunker;
        solo.feed(&solo.peer.frame("session_init", FEATURES, &[b'x'; 4097]));
        codes.push(solo.ended().code);
        // A frame behind the answer has the larger limits, even if it came with it.
        let mut solo = Solo::client(Config::default());
        solo.feed(&[solo.peer.init(FEATURES), solo.peer.message(&[b'x'; 9000])].concat());
        assert_eq!(solo.events().len(), 2);
    }
    assert_eq!(codes, [Code::ContentTooLarge; 4]);
}

/// A slow application must not close its own healthy connection because it did not look at a pong.
#[test]
fn received_bytes_are_the_sign_of_life_not_what_the_application_took() {
    let config = Config::builder().queued_events(1).build().unwrap();
    for mut solo in Solo::both_with(&config, FEATURES) {
        solo.side.hold_events = true;
        solo.feed(&[solo.peer.message(b"1"), solo.peer.message(b"2"), solo.peer.pong(None)].concat());
        solo.seconds(3600);
        solo.side.hold_events = false;
        solo.run();
        assert!(alive(&solo));
    }
}

/// A process that was suspended finds its deadline passed and the peer's bytes waiting: those count first.
#[test]
fn after_a_suspension_waiting_bytes_count_before_the_clock() {
    for mut solo in Solo::both() {
        solo.now = solo.now + Duration::from_secs(3600);
        // The application wakes first and asks for events, and sends: that alone tells nothing of the peer.
        assert_eq!(solo.side.pump.poll_event(solo.now), None);
        solo.side.command(solo.now, Command::Send(Message::text("x"))).unwrap();
        solo.side.inject(&solo.peer.message(b"was there all along"));
        solo.run();
        assert!(alive(&solo), "{:?}", solo.side.events);
    }
}

/// Contracts that the compiler can't check get broken: calls in any order, and calls again, are harmless.
#[test]
fn calls_out_of_order_are_harmless_and_an_idle_poll_is_free() {
    for mut solo in Solo::both() {
        let pump = &mut solo.side.pump;
        let now = solo.now;
        let interest = pump.poll(now);
        for _ in 0..3 {
            pump.handle_transmitted(now, 1000);
            pump.handle_timeout(now);
            pump.handle_timeout(Instant::ZERO);
            assert_eq!(pump.poll(now), interest);
        }
        let begun = Clock::now();
        for _ in 0..100_000 {
            assert_eq!(pump.poll(now), interest);
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "an idle poll costs something");
        pump.handle_cut(now, Cut::WriteFailed("x".into()));
        pump.handle_cut(now, Cut::ReadFailed("x".into()));
        pump.handle_cut(now, Cut::Dropped);
        assert_eq!(pump.poll(now).close, Close::Now);
        assert!(matches!(pump.poll_event(now), Some(Event::Ended(_))));
    }
}

/// A slice of a few bytes pins a whole buffer.
#[test]
fn a_few_bytes_kept_do_not_keep_the_buffer() {
    for mut solo in Solo::both() {
        for _ in 0..100 {
            let before = solo.side.pump.io().0.as_ptr_range();
            solo.feed(&solo.peer.message(b"kept"));
            let Some(Event::Message(message)) = solo.events().pop() else { panic!() };
            assert!(!before.contains(&message.content.as_ptr()));
        }
    }
}

/// Parse state kept in a future is lost with it: here it lives in the machine, so that a driver may be
/// stopped at any byte and another one go on.
#[test]
fn a_frame_that_is_half_there_survives_its_driver() {
    for mut solo in Solo::both() {
        let message = solo.peer.message(b"in two drivers");
        for byte in &message {
            solo.side.inject(&[*byte]);
            // A turn that is made up anew for every byte.
            let mut sizes = Chunker::whole();
            solo.side.turn(solo.now, &mut sizes);
        }
        assert_eq!(solo.events().len(), 1);
    }
}

/// A timer that was not cleared after it fired, or a deadline in the past, is a busy loop.
#[test]
fn no_timer_stays_due_after_it_fired() {
    let config = Config::builder().queued_events(1).build().unwrap();
    // Every state that time ends, entered and then left alone: `advance` fails if a timer is still due.
    let states: [fn(&mut Solo); 8] = [
        |_| {},
        |solo| solo.feed(&solo.peer.message(b"half")[..50]),
        |solo| solo.close(),
        |solo| {
            solo.side.hold_output = true;
            solo.close();
        },
        |solo| solo.cut(Cut::WriteFailed("x".into())),
        |solo| {
            (solo.side.hold_events, solo.side.hold_output) = (true, true);
            solo.send(Message::text("x"));
            solo.feed(&[solo.peer.message(b"1"), solo.peer.message(b"2")].concat());
        },
        |solo| {
            (solo.side.hold_events, solo.side.hold_output) = (true, true);
            solo.send(Message::text("x"));
            solo.feed(&[solo.peer.message(b"1"), solo.peer.message(b"2")].concat());
            solo.cut(Cut::WriteFailed("x".into()));
        },
        |solo| solo.feed(b"garbage"),
    ];
    for enter in states {
        for mut solo in Solo::both_with(&config, FEATURES) {
            enter(&mut solo);
            solo.seconds(600);
            solo.now = solo.now + Duration::from_secs(100_000);
            solo.run();
            solo.side.hold_events = false;
            solo.seconds(600);
            assert!(!alive(&solo), "it waits for ever");
        }
    }
}

/// Memory without bound from gaps in reassembly: a gap is refused, nothing is kept for it.
#[test]
fn gaps_in_reassembly_keep_nothing() {
    for receive in [Receive::Whole, Receive::Pieces] {
        let config = Config::builder().receive(receive).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.feed(&solo.peer.chunk(1, 0, false, "", b"x"));
            solo.feed(&solo.peer.chunk(1, 9_007_199_254_740_991, false, "", &[1; 5000]));
            assert_eq!(solo.side.pump.machine().unfinished().1, u64::from(receive == Receive::Whole));
            assert_eq!(solo.ended().code, Code::ChunkGap);
        }
    }
}

/// Endless empty frames: none is without content but a last chunk, and that ends something.
#[test]
fn endless_empty_frames_are_refused_at_the_first() {
    for kind in ["heartbeat", "message", "error", "disconnect"] {
        for mut solo in Solo::both() {
            solo.feed(&solo.peer.frame(kind, "", b""));
            assert_eq!(solo.ended().code, Code::EmptyContent);
        }
    }
    for mut solo in Solo::both() {
        solo.feed(&solo.peer.chunk(1, 0, false, "", b""));
        assert_eq!(solo.ended().code, Code::EmptyContent);
    }
    // Empty messages are messages: they wait in the queue, and it is bounded.
    for mut solo in Solo::both() {
        solo.side.hold_events = true;
        let all: Vec<u8> = (1..1000).flat_map(|id| solo.peer.chunk(id, 0, true, "", b"")).collect();
        solo.feed(&all);
        assert_eq!(solo.side.pump.machine().queued_events().0, 256);
    }
}

/// An overflow in a reserve from a peer's number: lengths up to the largest there are.
#[test]
fn no_number_of_the_peer_is_reserved_or_added_up_unchecked() {
    for (at, len, code) in [(12, 4, Code::HeaderTooLarge), (20, 8, Code::ContentTooLarge)] {
        for mut solo in Solo::both() {
            let mut bytes = solo.peer.message(b"x");
            bytes[at..at + len].fill(255);
            solo.feed(&bytes[..at + len - 1]);
            assert!(solo.side.pump.poll(solo.now).read <= 64 * 1024);
            solo.feed(&bytes[at + len - 1..]);
            assert_eq!(solo.ended().code, code);
        }
    }
    let most = 9_007_199_254_740_991_u64;
    let hello = format!(r#", "features": ["chunk"], "limits": {{"message": {most}, "unfinished": {most}}}"#);
    for mut solo in Solo::both_with(&Config::default(), &hello) {
        solo.send(Message::binary(vec![1; 100_000]));
        assert_eq!(solo.frames().len(), 13);
        solo.feed(&solo.peer.ping(most));
        assert_eq!(solo.frames()[0].header["seq"], most);
        solo.feed(&solo.peer.chunk(1, 0, false, &format!(r#", "total_size": {most}"#), b"x"));
        assert_eq!(solo.ended().code, Code::MessageTooLarge);
    }
    for mut solo in Solo::both() {
        solo.feed(&solo.peer.chunk(most, most, true, "", b"x"));
        assert_eq!(solo.ended().code, Code::ChunkWithoutStart);
    }
}

/// A loop without progress: a pair that is given bytes one at a time, in both directions, comes to rest.
#[test]
fn nothing_loops_without_progress() {
    let mut pair = Pair::sessions(Config::default(), Config::default(), keys());
    pair.chunker = Chunker::fixed(1);
    pair.run();
    for i in 0..20 {
        pair.a.command(pair.now, Command::Send(Message::binary(vec![i; 1000]))).unwrap();
        pair.b.command(pair.now, Command::Send(Message::binary(vec![i; 1000]))).unwrap();
    }
    pair.run();
    pair.advance(Duration::from_secs(30));
    pair.a.command(pair.now, Command::Close { reason: None }).unwrap();
    pair.run();
    assert!(pair.a.closed && pair.b.closed);
    assert_eq!(pair.b.pump.machine().stats().messages_received, 20);
}

/// The same header parsed again on every read: a frame that comes byte by byte costs no more than its bytes.
#[test]
fn a_header_is_not_parsed_again_with_every_read() {
    let mut solo = Solo::client_with(Config::default(), FEATURES);
    // A header as large as it may be, and a content behind it; checked again for each byte, this would be
    // two billion bytes of JSON and checksums.
    let keys = format!(r#", "app": {{"a": "{}"}}"#, "x".repeat(8000));
    let keys = format!(r#"{keys}, "x": "{}""#, "y".repeat(50_000));
    let message = solo.peer.frame("message", &keys, &[7; 40_000]);
    let begun = Clock::now();
    let now = solo.now;
    for byte in &message {
        solo.side.pump.io().0.extend_from_slice(&[*byte]);
        solo.side.pump.handle_read(now, 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(matches!(solo.side.pump.poll_event(now), Some(Event::Message(_))));
}
