//! Rates of what a peer may send: what is above them waits, whatever it is, and nobody is cut for it.

use std::time::Duration;

use heartwire_core::config::{Config, ConfigBuilder};
use heartwire_core::connection;
use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::protocol::Cut;
use heartwire_core::rate::Rate;
use heartwire_core::role::Role;
use heartwire_core::session::{Command, EndedBy, Event};
use heartwire_core::testing::{Chunker, Pair};
use heartwire_core::time::Instant;
use heartwire_core::wire::json_header::JsonHeader;
use heartwire_core::wire::length_prefixed::LengthPrefixed;
use heartwire_core::wire::lines::Lines;
use heartwire_core::wire::sealed::Sealed;
use heartwire_tests::connection_rig::Subject;
use heartwire_tests::lone::Lone;
use heartwire_tests::peer::FEATURES;
use heartwire_tests::solo::{Solo, keys};
use heartwire_tests::streams::{codec, encode_with};

const SECOND: Duration = Duration::from_secs(1);

fn rate(per_second: u64, burst: u64) -> Option<Rate> {
    Some(Rate::new(per_second, burst).unwrap())
}

fn messages(per_second: u64, burst: u64) -> ConfigBuilder {
    Config::builder().message_rate(rate(per_second, burst))
}

fn bytes(per_second: u64, burst: u64) -> ConfigBuilder {
    Config::builder().byte_rate(rate(per_second, burst))
}

/// Both roles in a session with a peer by hand.
fn both(config: ConfigBuilder) -> [Solo; 2] {
    Solo::both_with(&config.build().unwrap(), FEATURES)
}

/// How many messages came since the last call, where nothing else did.
fn received(solo: &mut Solo) -> u64 {
    let events = solo.events();
    assert!(events.iter().all(|event| matches!(event, Event::Message(_))), "{events:?}");
    events.len() as u64
}

fn bytes_received(solo: &Solo) -> u64 {
    solo.side.pump.machine().stats().bytes_received
}

fn is_throttled(solo: &Solo) -> bool {
    solo.side.pump.machine().is_throttled()
}

/// Random sizes, always the same.
fn sizes(seed: u64, largest: usize) -> impl Iterator<Item = usize> {
    let mut chunker = Chunker::random(seed, largest);
    std::iter::from_fn(move || Some(chunker.next_size()))
}

mod a_session {
    use super::*;

    #[test]
    fn receives_messages_at_their_rate() {
        for (per_second, burst) in [(5, 20), (100, 50), (7, 2), (1000, 3000)] {
            for mut solo in both(messages(per_second, burst)) {
                let (minutes, all) = (3, burst + 180 * per_second);
                solo.feed(&solo.peer.message(b"one of many").repeat(all as usize + 10));
                assert_eq!(received(&mut solo), burst, "the burst passes at once");
                for second in 0..minutes * 60 {
                    assert!(is_throttled(&solo));
                    solo.seconds(1);
                    assert_eq!(received(&mut solo), per_second, "{per_second} {burst}: second {second}");
                }
                solo.seconds(10);
                assert_eq!(received(&mut solo), 10);
                assert!(!is_throttled(&solo));
            }
        }
    }

    #[test]
    fn receives_bytes_at_their_rate() {
        for (per_second, burst) in [(1000, 2500), (30, 40), (1_000_000, 100_000)] {
            for mut solo in both(bytes(per_second, burst)) {
                let before = bytes_received(&solo);
                let minute = usize::try_from(burst + 60 * per_second).unwrap();
                while solo.side.inbound.len() < minute + 2000 {
                    solo.side.inject(&solo.peer.message(&[7; 900]));
                }
                solo.run();
                for second in 0..=60 {
                    assert_eq!(bytes_received(&solo) - before, burst + second * per_second);
                    assert!(is_throttled(&solo));
                    solo.seconds(1);
                }
                assert!(solo.events().iter().all(|event| matches!(event, Event::Message(_))));
            }
        }
    }

    #[test]
    fn is_woken_a_few_times_a_second_not_for_each_byte() {
        for mut solo in both(bytes(100_000, 50_000)) {
            solo.side.inject(&solo.peer.message(&[7; 9000]).repeat(100));
            let start = solo.now;
            let mut wakes = 0;
            while solo.now < start + 3 * SECOND {
                solo.run();
                solo.now = solo.deadline().unwrap();
                wakes += 1;
            }
            assert!(wakes <= 32, "{wakes} wakes in three seconds");
        }
    }

    #[test]
    fn has_a_handshake_that_waits_for_nothing() {
        let narrow = || messages(1, 1).byte_rate(rate(1, 1)).build().unwrap();
        let mut pair = Pair::sessions(narrow(), narrow(), keys());
        pair.chunker = Chunker::random(3, 50);
        pair.run();
        assert!(matches!(pair.a.events[..], [Event::Established(_)]));
        assert!(matches!(pair.b.events[..], [Event::Established(_)]));
        assert!(!pair.a.pump.machine().is_throttled() && !pair.b.pump.machine().is_throttled());
    }

    #[test]
    fn counts_what_comes_at_once_with_the_end_of_the_handshake() {
        let mut solo = Solo::server(bytes(100, 50).build().unwrap());
        let message = solo.peer.message(&[1; 150]);
        solo.feed(&[solo.peer.ack(FEATURES), message.clone(), message.clone()].concat());
        assert_eq!(solo.events().len(), 3);
        assert!(is_throttled(&solo));
        solo.feed(b"x");
        // What is owed, and a tenth of a second's worth.
        let owed = 2 * message.len() as u64 - 50;
        solo.advance(Duration::from_millis((owed + 10) * 10 - 1));
        assert_eq!(solo.side.inbound.len(), 1);
        solo.advance(Duration::from_millis(1));
        assert!(solo.side.inbound.is_empty());
    }

    #[test]
    fn stays_while_its_peer_sends_more_than_it_may() {
        // Heartbeats of the peer wait behind what it sent, for much longer than it may be silent.
        for config in [bytes(300, 1000), messages(1, 1)] {
            for throttled_server in [false, true] {
                let (narrow, wide) = (config.clone().build().unwrap(), Config::default());
                let (client, server) = if throttled_server { (wide, narrow) } else { (narrow, wide) };
                let mut pair = Pair::sessions(client, server, keys());
                pair.run();
                for _ in 0..200 {
                    let message = Command::Send(Message::binary(vec![7; 200]));
                    let sender = if throttled_server { &mut pair.a } else { &mut pair.b };
                    sender.command(pair.now, message).unwrap();
                }
                pair.advance(100 * SECOND);
                let narrow = if throttled_server { &pair.b } else { &pair.a };
                assert!(narrow.pump.machine().is_throttled());
                assert!(narrow.pump.machine().stats().messages_received < 110);
                pair.advance(3000 * SECOND);
                for side in [&pair.a, &pair.b] {
                    let machine = side.pump.machine();
                    assert!(machine.is_established(), "{:?}", side.events.last());
                    assert!(!machine.is_throttled(), "it never comes to an end");
                }
                let narrow = if throttled_server { &pair.b } else { &pair.a };
                assert_eq!(narrow.pump.machine().stats().messages_received, 200);
            }
        }
    }

    #[test]
    fn goes_on_pinging_and_does_not_miss_its_peer_in_one_long_pause() {
        for mut solo in both(bytes(10, 100)) {
            // A read that was under way brings far more than was asked for.
            let all = solo.peer.message(&[7; 800]).repeat(10);
            solo.side.pump.io().0.extend_from_slice(&all);
            solo.side.pump.handle_read(solo.now, all.len());
            solo.run();
            assert_eq!(received(&mut solo), 10, "what was read is paid for");
            let pause = (all.len() as u64 - 100 + 1) / 10;
            assert!(pause > 300);
            solo.seconds(pause);
            assert!(is_throttled(&solo));
            assert!(solo.events().is_empty());
            let pings = solo.kinds();
            assert_eq!(pings.len() as u64, pause / 5);
            assert!(pings.iter().all(|kind| kind == "heartbeat"));
            // When it is over the peer is missed again, not before.
            solo.seconds(25);
            assert!(!is_throttled(&solo) && solo.events().is_empty());
            solo.seconds(10);
            assert_eq!(solo.ended().code, Code::PeerSilent);
        }
    }

    #[test]
    fn gives_a_frame_all_the_time_that_it_takes_to_be_read() {
        // 100 bytes a second are far below what a frame must grow by.
        for mut solo in both(bytes(100, 100)) {
            solo.feed(&solo.peer.message(&[7; 10_000]));
            solo.seconds(99);
            assert_eq!(received(&mut solo), 0);
            solo.seconds(10);
            assert_eq!(received(&mut solo), 1);
        }
    }

    #[test]
    fn is_not_ended_because_its_output_waits_while_reading_pauses() {
        for mut solo in both(messages(1, 1).stall_timeout(5 * SECOND)) {
            solo.side.hold_output = true;
            solo.command(Command::Send(Message::text("waits"))).unwrap();
            solo.feed(&solo.peer.message(b"x").repeat(61));
            solo.seconds(60);
            assert_eq!(received(&mut solo), 61);
        }
    }

    #[test]
    fn receives_a_large_message_at_the_rate_of_bytes() {
        let server = bytes(50_000, 10_000).build().unwrap();
        let mut pair = Pair::sessions(Config::default(), server, keys());
        pair.run();
        let large = Message::binary(vec![7; 300_000]);
        pair.a.command(pair.now, Command::Send(large.clone())).unwrap();
        pair.advance(5 * SECOND);
        assert!(!pair.b.events.contains(&Event::Message(large.clone())));
        pair.advance(SECOND * 2);
        assert!(pair.b.events.contains(&Event::Message(large)));
    }

    #[test]
    fn counts_messages_that_are_given_up() {
        for mut solo in both(messages(1, 2)) {
            let aborted = |id| solo.peer.chunk(id, 0, true, r#", "aborted": true"#, b"x");
            let all: Vec<u8> = (1..=5).flat_map(aborted).collect();
            solo.feed(&all);
            for _ in 0..3 {
                solo.seconds(1);
            }
            assert_eq!(solo.events().len(), 5);
            assert!(is_throttled(&solo));
        }
    }

    #[test]
    fn does_not_let_heartbeats_count_as_messages() {
        for mut solo in both(messages(1, 1)) {
            for _ in 0..50 {
                solo.feed(&solo.peer.ping(1));
            }
            assert!(!is_throttled(&solo));
            assert_eq!(solo.kinds().len(), 50);
        }
    }

    /// Five messages, and something behind them in the same read.
    fn five(solo: &mut Solo, behind: &[u8]) {
        let all = [solo.peer.message(b"x").repeat(5), behind.to_vec()].concat();
        solo.side.pump.io().0.extend_from_slice(&all);
        solo.side.pump.handle_read(solo.now, all.len());
    }

    #[test]
    fn understands_the_end_of_the_stream_behind_what_waits() {
        for (goodbye, code) in [(true, Code::Disconnected), (false, Code::EndedWithoutDisconnect)] {
            for mut solo in both(messages(1, 2)) {
                let goodbye = if goodbye { solo.peer.disconnect("bye") } else { Vec::new() };
                five(&mut solo, &goodbye);
                solo.side.pump.handle_read(solo.now, 0);
                solo.run();
                assert_eq!(received(&mut solo), 2);
                for _ in 0..2 {
                    solo.seconds(1);
                    assert_eq!(received(&mut solo), 1);
                }
                solo.seconds(2);
                assert!(matches!(solo.events()[0], Event::Message(_)));
                let ended = solo.ended();
                assert_eq!((ended.by, ended.code), (EndedBy::Peer, code));
            }
        }
    }

    #[test]
    fn loses_nothing_when_reading_or_writing_fails() {
        for mut solo in both(messages(1, 2)) {
            five(&mut solo, b"");
            solo.cut(Cut::ReadFailed("reset".into()));
            assert_eq!(received(&mut solo), 2);
            solo.seconds(10);
            let count = solo.side.events.iter().filter(|event| matches!(event, Event::Message(_))).count();
            assert_eq!((count, solo.ended().code), (5, Code::TransportFailed));
        }
        for mut solo in both(messages(1, 2)) {
            five(&mut solo, b"");
            solo.cut(Cut::WriteFailed("broken".into()));
            // In all it takes longer than there is to hear a peer that is gone.
            for at in 0..15 {
                solo.side.inject(&solo.peer.message(b"x"));
                assert_eq!(received(&mut solo), 1 + u64::from(at == 0), "{at}");
                solo.seconds(1);
            }
            assert_eq!(received(&mut solo), 1);
            solo.seconds(3);
            assert_eq!(received(&mut solo), 3);
            solo.seconds(3);
            assert_eq!(solo.ended().code, Code::TransportFailed);
        }
    }

    #[test]
    fn hears_a_peer_that_is_gone_after_a_long_pause() {
        for mut solo in both(bytes(10, 100)) {
            let all = solo.peer.message(&[7; 800]);
            solo.side.pump.io().0.extend_from_slice(&all);
            solo.side.pump.handle_read(solo.now, all.len());
            solo.cut(Cut::WriteFailed("broken".into()));
            solo.side.inject(&solo.peer.error("too-slow"));
            solo.seconds(60);
            assert_eq!((received(&mut solo), is_throttled(&solo)), (1, true));
            solo.seconds(60);
            // It often says why.
            assert_eq!((solo.ended().by, solo.ended().code), (EndedBy::PeerError, Code::TooSlow));
        }
    }

    #[test]
    fn has_all_the_time_to_hear_a_peer_that_is_gone_after_each_pause() {
        for mut solo in both(bytes(100, 100)) {
            let one = solo.peer.message(&[7; 100]);
            solo.side.pump.io().0.extend_from_slice(&one);
            solo.side.pump.handle_read(solo.now, one.len());
            solo.cut(Cut::WriteFailed("broken".into()));
            let pause = Duration::from_millis((one.len() as u64 - 90) * 10);
            assert!(pause > SECOND);
            // Late in the pause a driver may tell that time passed before it asks for anything.
            solo.now = solo.now + pause * 3;
            solo.side.pump.handle_timeout(solo.now);
            solo.advance(Duration::from_millis(1900));
            solo.side.inject(&one);
            solo.advance(2 * pause);
            assert_eq!(solo.events().iter().filter_map(content_len).count(), 2);
        }
        for mut solo in both(bytes(100, 100)) {
            let one = solo.peer.message(&[7; 100]);
            solo.side.pump.io().0.extend_from_slice(&one);
            solo.side.pump.handle_read(solo.now, one.len());
            solo.cut(Cut::WriteFailed("broken".into()));
            solo.advance(Duration::from_millis((one.len() as u64 - 90) * 10 + 1900));
            solo.feed(&one);
            solo.seconds(4);
            assert_eq!(solo.events().iter().filter_map(content_len).count(), 2);
        }
    }

    #[test]
    fn closes_without_waiting_for_a_rate() {
        for mut solo in both(messages(1, 1).byte_rate(rate(1, 1))) {
            five(&mut solo, b"");
            solo.run();
            assert_eq!(received(&mut solo), 1);
            solo.close();
            solo.feed(&solo.peer.message(b"late").repeat(50));
            solo.eof();
            assert!(solo.side.inbound.is_empty() && !is_throttled(&solo));
            assert_eq!(solo.ended().code, Code::Disconnected);
            let count = solo.side.events.iter().filter(|event| matches!(event, Event::Message(_))).count();
            assert!(count >= 5, "{count}");
        }
    }

    /// Who took all events before it must not wait then.
    #[test]
    fn says_that_a_poll_let_something_pass() {
        for mut solo in both(messages(1, 1)) {
            solo.feed(&solo.peer.message(b"one of many").repeat(3));
            assert_eq!(received(&mut solo), 1);
            solo.now = solo.now + SECOND;
            assert!(solo.side.pump.poll(solo.now).events);
        }
    }

    #[test]
    fn takes_up_what_waits_for_both_the_rate_and_the_application() {
        for mut solo in both(messages(1, 3).queued_events(2)) {
            solo.side.hold_events = true;
            five(&mut solo, b"");
            solo.run();
            assert_eq!(solo.side.pump.machine().queued_events().0, 2);
            assert!(!is_throttled(&solo));
            solo.side.hold_events = false;
            solo.run();
            assert_eq!(received(&mut solo), 3);
            assert!(is_throttled(&solo));
            solo.side.hold_events = true;
            solo.seconds(100);
            solo.side.hold_events = false;
            solo.run();
            assert_eq!(received(&mut solo), 2);
        }
    }
}

mod a_connection {
    use super::*;

    fn config(
        message_rate: Option<Rate>,
        byte_rate: Option<Rate>,
        idle: Option<Duration>,
    ) -> connection::Config {
        connection::Config::builder()
            .message_rate(message_rate)
            .byte_rate(byte_rate)
            .idle_timeout(idle)
            .progress_timeout(idle)
            .build()
            .unwrap()
    }

    /// A client (a sealed server owes answers), and so many messages of its peer.
    fn with<C: Subject>(config: connection::Config, lens: impl Iterator<Item = usize>) -> (Lone<C>, Vec<u8>) {
        let lone = Lone::client(config, &C::settings());
        let mut peer = codec::<C>(&C::settings(), Role::Server);
        let bytes = lens.flat_map(|len| encode_with(&mut peer, C::message(len, len as u8))).collect();
        (lone, bytes)
    }

    fn counts<C: Subject>(lone: &Lone<C>) -> (u64, u64) {
        let stats = lone.machine().stats();
        (stats.messages_received, stats.bytes_received)
    }

    fn trace<C: Subject>(items: &[C::Item]) -> Vec<u8> {
        let mut trace = Vec::new();
        items.iter().for_each(|item| C::trace(item, &mut trace));
        trace
    }

    /// For every protocol.
    macro_rules! each {
        ($name:ident $check:ident) => {
            #[test]
            fn $name() {
                $check::<JsonHeader>();
                $check::<LengthPrefixed>();
                $check::<Lines>();
                $check::<Sealed>();
            }
        };
    }

    fn message_rate<C: Subject>() {
        let config = config(rate(5, 20), None, Some(2 * SECOND));
        let (mut lone, bytes) = with::<C>(config, std::iter::repeat_n(30, 20 + 60 * 5 + 1));
        lone.feed(&bytes);
        for second in 0..=60 {
            assert_eq!(counts(&lone).0, 20 + 5 * second, "{}", C::NAME);
            assert!(lone.machine().is_throttled());
            lone.seconds(1);
        }
        lone.items();
    }
    each!(receives_messages_at_their_rate message_rate);

    fn byte_rate<C: Subject>() {
        let config = config(None, rate(300, 500), Some(2 * SECOND));
        let (mut lone, bytes) = with::<C>(config, std::iter::repeat_n(3000, 10));
        lone.feed(&bytes);
        for second in 0..=90 {
            assert_eq!(counts(&lone).1, 500 + 300 * second, "{}", C::NAME);
            assert!(lone.machine().is_throttled());
            lone.seconds(1);
        }
        lone.items();
    }
    each!(receives_bytes_at_their_rate byte_rate);

    fn end<C: Subject>() {
        let (mut lone, bytes) = with::<C>(config(rate(1, 2), None, Some(SECOND)), std::iter::repeat_n(9, 5));
        lone.side.hold_output = true;
        lone.send(C::message(10, 1));
        lone.side.pump.io().0.extend_from_slice(&bytes);
        lone.side.pump.handle_read(lone.now, bytes.len());
        lone.side.pump.handle_read(lone.now, 0);
        lone.run();
        for second in 0..3 {
            assert_eq!(counts(&lone).0, 2 + second, "{}", C::NAME);
            lone.items();
            lone.seconds(1);
        }
        lone.side.hold_output = false;
        lone.seconds(1);
        assert_eq!(counts(&lone).0, 5);
        assert!(matches!(lone.events().last(), Some(connection::Event::Finished)));
    }
    each!(understands_the_end_of_the_stream_behind_what_waits end);

    fn closing<C: Subject>() {
        let (mut lone, bytes) = with::<C>(config(rate(1, 2), rate(1, 1000), None), std::iter::repeat_n(9, 5));
        lone.feed(&bytes);
        assert_eq!(counts(&lone).0, 2);
        lone.side.hold_output = true;
        lone.send(C::message(10, 1));
        lone.close();
        assert_eq!(counts(&lone).0, 5, "{}", C::NAME);
        assert!(!lone.machine().is_throttled());
    }
    each!(closes_without_waiting_for_a_rate closing);

    fn finished<C: Subject>() {
        let (mut lone, bytes) = with::<C>(config(rate(1, 2), None, None), std::iter::repeat_n(9, 5));
        lone.feed(&bytes);
        lone.finish();
        lone.seconds(1);
        assert_eq!(counts(&lone).0, 3, "{}: its own end changes nothing", C::NAME);
        lone.eof();
        lone.seconds(10);
        assert_eq!(counts(&lone).0, 5);
        assert!(matches!(lone.events().last(), Some(connection::Event::Ended(_))));
    }
    each!(keeps_the_rates_when_it_has_finished_itself finished);

    fn gone<C: Subject>() {
        let (mut lone, bytes) = with::<C>(config(rate(1, 2), None, None), std::iter::repeat_n(9, 8));
        lone.feed(&bytes);
        lone.write_fails();
        for second in 0..=6 {
            assert_eq!(counts(&lone).0, 2 + second, "{}", C::NAME);
            lone.items();
            lone.seconds(1);
        }
        lone.seconds(3);
        assert_eq!(lone.ended().code, Code::TransportFailed);
    }
    each!(hears_a_peer_that_is_gone gone);

    fn long_pause<C: Subject>() {
        let (mut lone, bytes) = with::<C>(config(None, rate(10, 20), None), std::iter::repeat_n(300, 2));
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        lone.side.pump.io().0.extend_from_slice(first);
        lone.side.pump.handle_read(lone.now, first.len());
        lone.write_fails();
        lone.side.inject(rest);
        lone.seconds(20);
        assert_eq!(counts(&lone).1, first.len() as u64, "{}", C::NAME);
        lone.seconds(80);
        assert_eq!(counts(&lone).0, 2, "{}", C::NAME);
    }
    each!(hears_a_peer_that_is_gone_after_a_long_pause long_pause);

    fn stall<C: Subject>() {
        let config = config(rate(1, 1), None, Some(3 * SECOND));
        let (mut lone, bytes) = with::<C>(config, std::iter::repeat_n(9, 31));
        lone.side.hold_output = true;
        lone.send(C::message(10, 1));
        lone.feed(&bytes);
        lone.seconds(30);
        assert_eq!(counts(&lone).0, 31, "{}", C::NAME);
        lone.items();
    }
    each!(is_not_ended_because_its_output_waits_while_reading_pauses stall);

    /// Whatever the rates, the same is received; and in no time more than they say.
    fn random<C: Subject>() {
        for seed in 1..40 {
            let mut any = sizes(seed, 1000).map(|size| size as u64);
            let mut next = || any.next().unwrap();
            let message = (next() / 50 + 1, next() / 50 + 1);
            let byte = (next() * 10, next() * 5);
            let config = config(rate(message.0, message.1), rate(byte.0, byte.1), Some(2 * SECOND));
            let (mut lone, bytes) = with::<C>(config, sizes(seed * 7, 1500).take(100));
            let (mut free, again) = with::<C>(connection::Config::default(), sizes(seed * 7, 1500).take(100));
            lone.chunker = Chunker::random(seed, 3000);
            free.feed(&again);
            lone.side.inject(&bytes);
            lone.side.inbound_ended = true;
            let mut passed: Vec<(Instant, u64, u64)> = vec![(lone.now, 0, 0)];
            while let (_, Some(deadline)) = (lone.run(), lone.deadline()) {
                let (messages, bytes) = counts(&lone);
                passed.push((lone.now, messages, bytes));
                for window in 1..passed.len() {
                    // What passed from one moment on, itself included.
                    let (_, messages_before, bytes_before) = passed[window - 1];
                    let time = lone.now.since(passed[window].0).as_nanos();
                    let most = |(per_second, burst): (u64, u64)| {
                        u128::from(burst) + time * u128::from(per_second) / 1_000_000_000
                    };
                    assert!(u128::from(messages - messages_before) <= most(message), "{seed}");
                    assert!(u128::from(bytes - bytes_before) <= most(byte), "{seed}");
                }
                if lone.side.inbound.is_empty() && counts(&lone).0 == 100 {
                    break;
                }
                lone.now = deadline;
            }
            let items = |lone: &mut Lone<C>| {
                let received = |event| match event {
                    connection::Event::Received(item) => Some(item),
                    _ => None,
                };
                trace::<C>(&C::joined(lone.events().into_iter().filter_map(received).collect()))
            };
            assert!(items(&mut lone) == items(&mut free), "{}: {seed}", C::NAME);
            assert_eq!(counts(&lone), (100, bytes.len() as u64));
        }
    }
    each!(receives_the_same_as_without_rates_and_never_faster random);
}

#[test]
fn sessions_receive_the_same_as_without_rates_and_never_faster() {
    for seed in 1..40 {
        let mut any = sizes(seed, 1000).map(|size| size as u64);
        let mut next = || any.next().unwrap();
        let message = (next() / 50 + 1, next() / 50 + 1);
        let byte = (next() * 10, next() * 5);
        let config = messages(message.0, message.1).byte_rate(rate(byte.0, byte.1)).build().unwrap();
        for mut solo in Solo::both_with(&config, FEATURES) {
            solo.chunker = Chunker::random(seed, 3000);
            let lens: Vec<usize> = sizes(seed * 7, 1500).take(60).collect();
            let all: Vec<u8> = lens.iter().flat_map(|len| solo.peer.message(&vec![1; *len])).collect();
            let before = bytes_received(&solo);
            solo.side.inject(&all);
            solo.side.inject(&solo.peer.disconnect("bye"));
            let mut passed = vec![(solo.now, 0, 0)];
            while let (_, Some(deadline)) = (solo.run(), solo.deadline()) {
                let stats = *solo.side.pump.machine().stats();
                let (messages, bytes) = (stats.messages_received, stats.bytes_received - before);
                passed.push((solo.now, messages, bytes));
                for window in 1..passed.len() {
                    let (_, messages_before, bytes_before) = passed[window - 1];
                    let time = solo.now.since(passed[window].0).as_nanos();
                    let most = |(per_second, burst): (u64, u64)| {
                        u128::from(burst) + time * u128::from(per_second) / 1_000_000_000
                    };
                    assert!(u128::from(messages - messages_before) <= most(message), "{seed}");
                    assert!(u128::from(bytes - bytes_before) <= most(byte), "{seed}");
                }
                if solo.side.inbound.is_empty() && messages == 60 {
                    break;
                }
                solo.now = deadline;
            }
            solo.seconds(10);
            solo.eof();
            let ended = solo.side.events.iter().find_map(|event| match event {
                Event::Ended(ended) => Some((ended.by, ended.code)),
                _ => None,
            });
            assert_eq!(ended, Some((EndedBy::Peer, Code::Disconnected)));
            let received: Vec<usize> = solo.side.events.iter().filter_map(content_len).collect();
            assert_eq!(received, lens, "{seed}");
        }
    }
}

fn content_len(event: &Event) -> Option<usize> {
    match event {
        Event::Message(message) => Some(message.content.len()),
        _ => None,
    }
}
