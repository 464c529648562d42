//! Sealed packets as requests and responses: a server takes one request at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::connection::{Command, Config, Connection, EndedBy, Event};
use heartwire_core::error::Code;
use heartwire_core::protocol::{Close, Cut, Why};
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::sealed::{Sealed, SecretKey, Settings};
use heartwire_tests::lone::Lone;
use heartwire_tests::peers::sealed::{LIMIT, nonce, packet, read};
use heartwire_tests::streams::encode_with;

const KEY: [u8; 32] = [7; 32];

fn settings() -> Settings {
    Settings::new(SecretKey::new(KEY))
}

fn server() -> Lone<Sealed> {
    Lone::new(Config::default(), &settings(), Role::Server)
}

fn requests(texts: &[&str]) -> Vec<u8> {
    (0..).zip(texts).flat_map(|(number, text)| packet(&KEY, &nonce(number), text.as_bytes())).collect()
}

/// The plaintexts of what was written.
fn answers(lone: &mut Lone<Sealed>) -> Vec<Vec<u8>> {
    let written = lone.written();
    let (mut rest, mut plaintexts) = (&written[..], Vec::new());
    while let Some(opened) = read(&mut rest, &KEY, LIMIT).unwrap() {
        plaintexts.push(opened.plaintext);
    }
    plaintexts
}

#[test]
fn a_client_may_send_many_and_receives_many() {
    let mut client = Lone::<Sealed>::client(Config::default(), &settings());
    for text in ["a", "b", ""] {
        client.send(text.into());
    }
    assert_eq!(answers(&mut client), [&b"a"[..], b"b", b""]);
    client.feed(&requests(&["x", "y", "z"]));
    assert_eq!(client.items(), ["x", "y", "z"]);
}

#[test]
fn a_server_reads_the_next_request_when_it_has_answered() {
    let mut server = server();
    server.feed(&requests(&["one"]));
    assert_eq!(server.items(), ["one"]);
    assert_eq!(server.interest().read, 0);
    // What is on its way stays where it is.
    server.feed(&requests(&["two"]));
    assert!(server.items().is_empty());
    assert_eq!((server.side.pump.unparsed(), server.side.inbound.is_empty()), (0, false));
    server.send("first".into());
    assert_eq!(server.items(), ["two"]);
    assert_eq!(answers(&mut server), [b"first"]);
    assert_eq!(server.interest().read, 0);
    server.send("second".into());
    assert!(server.interest().read > 0);
}

#[test]
fn requests_that_came_in_one_read_come_out_one_by_one() {
    for eof in [false, true] {
        let mut server = server();
        server.feed(&requests(&["one", "two", "three"]));
        if eof {
            server.eof();
        }
        for (request, answer) in [("one", "1"), ("two", "2"), ("three", "3")] {
            assert_eq!(server.items(), [request]);
            server.seconds(1000);
            assert!(server.items().is_empty());
            server.send(answer.into());
            assert_eq!(answers(&mut server), [answer.as_bytes()]);
            if request == "three" && eof {
                server.peer_finished();
            }
        }
        server.finish();
        if !eof {
            server.eof();
        }
        let ended = server.ended();
        let by = if eof { EndedBy::Peer } else { EndedBy::Local };
        assert_eq!((ended.by, ended.code, ended.told), (by, Code::Disconnected, true));
    }
}

/// A driver polls when bytes left, and whoever waits for events is woken when there are some: nobody asks for
/// events in between.
#[test]
fn the_next_request_is_there_as_soon_as_the_answer_is_encoded() {
    for eof in [false, true] {
        let mut server = server();
        server.side.hold_events = true;
        server.side.inject(&requests(&["one", "two"]));
        server.run();
        let (now, pump) = (server.now, &mut server.side.pump);
        assert!(matches!(pump.poll_event(now), Some(Event::Received(request)) if request == "one"));
        assert!(pump.poll_event(now).is_none());
        pump.handle_command(now, Command::Send("1".into())).unwrap();
        assert!(pump.poll_event(now).is_none(), "not before it is encoded");
        assert!(pump.poll(now).events);
        assert!(matches!(pump.poll_event(now), Some(Event::Received(request)) if request == "two"));
        if eof {
            // It was noticed by a read that was under way.
            pump.handle_read(now, 0);
            pump.handle_command(now, Command::Send("2".into())).unwrap();
            assert!(pump.poll(now).events);
            assert!(matches!(pump.poll_event(now), Some(Event::Finished)));
        }
    }
}

#[test]
fn an_answer_that_is_accepted_but_not_encoded_does_not_count_yet() {
    let mut server = server();
    server.feed(&requests(&["one"]));
    server.side.hold_output = true;
    // So much waits for the transport that nothing more is encoded.
    server.send(vec![1; 100_000].into());
    server.feed(&requests(&["two"]));
    assert_eq!(server.items(), ["one", "two"]);
    server.send("2".into());
    server.feed(&requests(&["three"]));
    assert!(server.items().is_empty());
    server.side.hold_output = false;
    server.run();
    assert_eq!(server.items(), ["three"]);
    assert_eq!(answers(&mut server).len(), 2);
}

#[test]
fn a_server_that_finishes_without_an_answer_hears_how_the_peer_ends() {
    let mut server = server();
    server.feed(&requests(&["one", "two"]));
    server.finish();
    assert_eq!(server.interest().close, Close::AfterFlush);
    // What can't be answered any more need not be waited for.
    assert_eq!(server.items(), ["one", "two"]);
    server.feed(&requests(&["three"]));
    assert_eq!(server.items(), ["three"]);
    server.eof();
    let ended = server.ended();
    assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::Disconnected));
}

#[test]
fn a_server_that_finishes_behind_its_answer_takes_no_request_before_that() {
    let mut server = server();
    server.feed(&requests(&["one"]));
    server.side.hold_output = true;
    server.send(vec![1; 100_000].into());
    server.feed(&requests(&["two", "three"]));
    server.send("2".into());
    server.finish();
    assert_eq!(server.items(), ["one", "two"]);
    server.side.hold_output = false;
    server.run();
    assert_eq!(server.items(), ["three"]);
    server.eof();
    assert!(server.ended().is_orderly());
}

#[test]
fn a_server_whose_answer_can_not_leave_ends_though_it_owes_another() {
    let mut server = server();
    server.side.hold_output = true;
    server.feed(&requests(&["one"]));
    server.send(vec![1; 100].into());
    server.feed(&requests(&["two", "three"]));
    assert_eq!(server.items(), ["one", "two"]);
    server.write_fails();
    assert_eq!(server.command(Command::Send("2".into())).unwrap_err().why, Why::Closed);
    assert_eq!(server.items(), ["three"], "what the peer sent before it went");
    server.seconds(2);
    let ended = server.ended();
    assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Transport, Code::TransportFailed, false));
    assert_eq!(ended.unsent.len(), 1);
}

#[test]
fn a_reset_counts_when_the_answer_was_given() {
    let mut server = server();
    server.feed(&requests(&["one", "two"]));
    server.read_fails();
    assert_eq!(server.items(), ["one"]);
    server.side.hold_output = true;
    server.send("1".into());
    assert_eq!(server.items(), ["two"]);
    server.send("2".into());
    let ended = server.ended();
    assert_eq!((ended.by, ended.code, &*ended.detail), (EndedBy::Transport, Code::TransportFailed, "reset"));
    assert_eq!(ended.unsent.len(), 2);
}

#[test]
fn closing_and_cutting_do_not_wait_for_an_answer() {
    let mut closing = server();
    closing.feed(&requests(&["one", "two"]));
    closing.items();
    closing.close();
    let ended = closing.ended();
    assert!(ended.is_orderly() && ended.told);
    for cut in [Cut::Dropped, Cut::Aborted, Cut::Stopped, Cut::Crowded] {
        let mut server = server();
        server.feed(&requests(&["one", "two"]));
        server.items();
        server.cut(cut);
        assert_eq!(server.ended().code, Code::Aborted);
    }
}

#[test]
fn a_stop_waits_for_the_answer_and_for_nothing_once_none_can_be_given() {
    for finish_first in [false, true] {
        let mut server = server();
        server.feed(&requests(&["one"]));
        assert_eq!(server.items(), ["one"]);
        let commands =
            if finish_first { [Command::Finish, Command::Stop] } else { [Command::Stop, Command::Finish] };
        for command in commands {
            assert!(server.outcome().is_none());
            server.command(command).unwrap();
        }
        assert!(server.deadline().is_some(), "the peer is not awaited for ever");
        assert!(server.ended().is_orderly());
    }
}

#[test]
fn the_idle_time_stands_still_while_an_answer_is_owed() {
    let config = Config::builder().idle_timeout(Some(Duration::from_secs(30))).build().unwrap();
    let mut server = Lone::<Sealed>::new(config, &settings(), Role::Server);
    server.seconds(10);
    server.feed(&requests(&["one"]));
    server.seconds(1000);
    assert_eq!(server.items(), ["one"]);
    assert_eq!(server.deadline(), None);
    server.send("1".into());
    // That it left counts as well.
    server.seconds(29);
    assert!(server.items().is_empty());
    server.seconds(1);
    assert_eq!(server.ended().code, Code::PeerSilent);
}

#[test]
fn a_packet_that_does_not_open_ends_the_connection_without_a_word() {
    let mut bytes = requests(&["one", "two"]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut client = Lone::<Sealed>::client(Config::default(), &settings());
    client.feed(&bytes);
    let events = client.events();
    assert!(matches!(&events[0], Event::Received(item) if item == "one"), "{events:?}");
    assert!(matches!(&events[1], Event::Ended(ended) if ended.code == Code::DecryptionFailed), "{events:?}");
    assert!(client.written().is_empty());
}

#[test]
fn only_what_fits_the_limit_is_sent() {
    let mut client = Lone::<Sealed>::client(Config::default(), &settings().limit(100));
    client.send(vec![0; 84].into());
    let refused = client.command(Command::Send(vec![0; 85].into())).unwrap_err();
    assert_eq!(refused.why, Why::Never(Code::CiphertextTooLarge));
    assert_eq!(answers(&mut client), [[0; 84]]);
}

#[test]
fn no_two_nonces_are_alike() {
    const PACKETS: usize = 10_000;
    let mut seen = BTreeSet::new();
    for seed in 0..3 {
        let mut codec = Sealed::new(&settings(), Role::Client, &Seed::new([seed; 32]));
        for _ in 0..PACKETS {
            let bytes = encode_with(&mut codec, Bytes::from_static(b"the same"));
            assert!(seen.insert(<[u8; 24]>::try_from(&bytes[9..33]).unwrap()));
        }
    }
    assert_eq!(seen.len(), 3 * PACKETS);
    // Neither do the two sides of one connection share any, nor two machines with seeds of their own.
    for (seed, role) in [(10, Role::Client), (11, Role::Server)] {
        let now = heartwire_core::time::Instant::ZERO;
        let machine = Connection::new(Config::default(), &settings(), role, &Seed::new([seed; 32]), now);
        let mut lone = Lone::<Sealed>::with(machine, now);
        for _ in 0..100 {
            lone.send("the same".into());
        }
        for bytes in lone.written().chunks(9 + 24 + 16 + 8) {
            assert!(seen.insert(bytes[9..33].try_into().unwrap()));
        }
    }
    assert_eq!(seen.len(), 3 * PACKETS + 200);
}
