//! Messages whose bodies come piece by piece, given and received.

use bytes::Bytes;
use heartwire_core::connection::{Command, CommandOf, Config, EndedBy, Event};
use heartwire_core::error::Code;
use heartwire_core::protocol::{Ticket, Why};
use heartwire_core::testing::Chunker;
use heartwire_core::wire::body::{Part, Whole};
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind, MAX_HEADER};
use heartwire_core::wire::length_prefixed::{Format, Head, LengthPrefixed, MAX_MESSAGE};
use heartwire_tests::lone::Lone;
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::length_prefixed::{length, message};
use heartwire_tests::streams::{Stream, parts};

type Asked = Command<Whole<Head>, Head>;

fn lone() -> Lone<LengthPrefixed> {
    Lone::client(Config::default(), &Format::default())
}

fn begin(lone: &mut Lone<LengthPrefixed>, size: u64) -> Ticket {
    lone.command(Command::Begin(Head { size })).unwrap()
}

fn piece(ticket: Ticket, content: impl Into<Bytes>) -> Asked {
    Command::Piece { ticket, content: content.into() }
}

fn why(lone: &mut Lone<LengthPrefixed>, command: CommandOf<LengthPrefixed>) -> Why {
    let kept = command.clone();
    let refused = lone.command(command).unwrap_err();
    assert_eq!(refused.command, kept, "handed back whole");
    refused.why
}

mod given {
    use super::*;

    #[test]
    fn pieces_small_and_large() {
        for size in [0, 1, 100, 4096, 4097, 70_000] {
            for step in [1, 7, 4096, 4097, 100_000] {
                if size / step > 5000 {
                    continue;
                }
                let content = bytes(size);
                let mut lone = lone();
                let ticket = begin(&mut lone, size as u64);
                for part in content.chunks(step) {
                    assert_eq!(lone.command(piece(ticket, part.to_vec())), Ok(ticket));
                }
                assert_eq!(lone.machine().stats().messages_sent, 0);
                assert_eq!(lone.command(Command::End { ticket }), Ok(ticket));
                assert!(lone.written() == message(&content), "{size} by {step}");
                assert_eq!(lone.machine().stats().messages_sent, 1);
                assert_eq!(lone.machine().queued_output(), 0);
            }
        }
    }

    #[test]
    fn no_more_than_was_announced_and_no_less() {
        let mut lone = lone();
        let ticket = begin(&mut lone, 5);
        assert_eq!(why(&mut lone, piece(ticket, "123456")), Why::Never(Code::ChunkOverrun));
        assert_eq!(why(&mut lone, Command::End { ticket }), Why::Never(Code::ChunkOverrun));
        lone.command(piece(ticket, "123")).unwrap();
        assert_eq!(why(&mut lone, piece(ticket, "456")), Why::Never(Code::ChunkOverrun));
        assert_eq!(why(&mut lone, Command::End { ticket }), Why::Never(Code::ChunkOverrun));
        lone.command(piece(ticket, "")).unwrap();
        lone.command(piece(ticket, "45")).unwrap();
        lone.command(piece(ticket, "")).unwrap();
        assert_eq!(why(&mut lone, piece(ticket, "6")), Why::Never(Code::ChunkOverrun));
        lone.command(Command::End { ticket }).unwrap();
        assert_eq!(lone.written(), message(b"12345"));
    }

    #[test]
    fn only_the_message_that_is_open_can_be_named() {
        let mut lone = lone();
        let unknown = Why::Never(Code::UnknownTicket);
        let whole = lone.send(Bytes::from("whole").into());
        for ticket in [Ticket::NONE, whole, Ticket::new(2)] {
            assert_eq!(why(&mut lone, piece(ticket, "")), unknown);
            assert_eq!(why(&mut lone, Command::End { ticket }), unknown);
            assert_eq!(why(&mut lone, Command::Abort { ticket }), unknown);
        }
        let ticket = begin(&mut lone, 0);
        assert_eq!(ticket, Ticket::new(2));
        assert_eq!(why(&mut lone, piece(whole, "")), unknown);
        lone.command(Command::End { ticket }).unwrap();
        assert_eq!(why(&mut lone, Command::End { ticket }), unknown);
        assert_eq!(why(&mut lone, Command::Abort { ticket }), unknown);
        assert!(!lone.machine().is_closing());
    }

    #[test]
    fn nothing_else_begins_meanwhile() {
        let mut lone = lone();
        let ticket = begin(&mut lone, 1);
        let other = Whole::from(Bytes::from("other"));
        assert_eq!(why(&mut lone, Command::Send(other.clone())), Why::Full);
        assert_eq!(why(&mut lone, Command::Begin(Head { size: 1 })), Why::Full);
        assert_eq!(lone.machine().can_send(&other), Err(Why::Full));
        assert!(!lone.interest().commands, "nobody is promised room");
        assert_eq!(lone.machine().can_begin(&Head { size: 0 }), Err(Why::Full));
        lone.command(piece(ticket, "x")).unwrap();
        assert_eq!(lone.machine().can_send(&other), Err(Why::Full));
        lone.command(Command::End { ticket }).unwrap();
        assert_eq!(lone.machine().can_send(&other), Ok(()));
        assert_eq!(lone.send(other), Ticket::new(2));
    }

    #[test]
    fn what_can_not_be_sent_is_refused_for_good() {
        let mut lone = lone();
        let too_large = Head { size: MAX_MESSAGE + 1 };
        assert_eq!(why(&mut lone, Command::Begin(too_large)), Why::Never(Code::MessageTooLarge));
        let other_len = Whole { head: Head { size: 4 }, body: Bytes::from("three") };
        assert_eq!(why(&mut lone, Command::Send(other_len)), Why::Never(Code::ChunkOverrun));
        let ticket = begin(&mut lone, MAX_MESSAGE);
        assert_eq!(lone.written(), length(u32::MAX));
        lone.command(Command::Abort { ticket }).unwrap();
        let head = json_header::Head { kind: Kind::Text, size: 1, filename: "é".repeat(MAX_HEADER / 6) };
        let mut lone = Lone::<JsonHeader>::client(Config::default(), &JsonFormat::new());
        let refused = lone.command(Command::Begin(head)).unwrap_err();
        assert_eq!(refused.why, Why::Never(Code::HeaderTooLarge));
    }

    #[test]
    fn giving_up_ends_the_connection_so_that_the_peer_sees_it() {
        let mut lone = lone();
        lone.send(Bytes::from("first").into());
        let ticket = begin(&mut lone, 10);
        lone.command(piece(ticket, "12345")).unwrap();
        lone.command(Command::Abort { ticket }).unwrap();
        let written = lone.written();
        assert!(lone.side.half_closed);
        let ended = lone.ended();
        assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Aborted, false));
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| (unsent.ticket, unsent.begun)).collect();
        assert_eq!(unsent, [(ticket, true)]);
        let mut peer = self::lone();
        peer.feed(&written);
        peer.eof();
        let mut events = peer.events();
        assert!(matches!(events.pop(), Some(Event::Ended(ended)) if ended.code == Code::Truncated));
    }

    #[test]
    fn closing_with_an_open_body_hands_it_back() {
        for close in [Command::Finish, Command::Close] {
            let mut lone = lone();
            let ticket = begin(&mut lone, 10);
            lone.command(piece(ticket, "12345")).unwrap();
            lone.command(close).unwrap();
            assert_eq!(why(&mut lone, piece(ticket, "6")), Why::Closed);
            assert_eq!(why(&mut lone, Command::End { ticket }), Why::Closed);
            assert_eq!(why(&mut lone, Command::Abort { ticket }), Why::Closed);
            assert_eq!(lone.written(), [&length(10)[..], b"12345"].concat());
            assert!(lone.side.half_closed);
            lone.eof();
            let ended = lone.ended();
            assert!(!ended.told && ended.code == Code::Disconnected, "{ended}");
            assert_eq!(ended.unsent.len(), 1);
            assert_eq!(
                (ended.unsent[0].ticket, ended.unsent[0].message.is_none(), ended.unsent[0].begun),
                (ticket, true, true)
            );
        }
    }

    #[test]
    fn the_queue_is_passed_by_one_piece_at_most() {
        const LIMIT: usize = 10_000;
        let mut lone = Lone::<LengthPrefixed>::client(
            Config::builder().queued_output(LIMIT).build().unwrap(),
            &Format::default(),
        );
        lone.side.hold_output = true;
        let ticket = begin(&mut lone, 1 << 30);
        let mut accepted = 0;
        while lone.command(piece(ticket, vec![0; 3000])).is_ok() {
            accepted += 1;
            assert!(lone.machine().queued_output() < LIMIT + 3000 + 64);
        }
        assert_eq!(accepted, 4);
        assert_eq!(why(&mut lone, piece(ticket, "x")), Why::Full);
        lone.side.hold_output = false;
        lone.run();
        lone.command(piece(ticket, "x")).unwrap();
    }

    #[test]
    fn an_end_is_accepted_however_full_the_queue_is() {
        let mut lone = Lone::<LengthPrefixed>::client(
            Config::builder().queued_output(100).build().unwrap(),
            &Format::default(),
        );
        lone.side.hold_output = true;
        let ticket = begin(&mut lone, 200_000);
        lone.command(piece(ticket, vec![0; 200_000])).unwrap();
        lone.command(Command::End { ticket }).unwrap();
        lone.cut(heartwire_core::protocol::Cut::Stopped);
        assert_eq!(lone.ended().unsent.len(), 1);
    }

    #[test]
    fn a_body_that_had_left_before_it_was_ended_is_sent_when_it_is() {
        let mut lone = lone();
        let ticket = begin(&mut lone, 3);
        lone.command(piece(ticket, "abc")).unwrap();
        assert_eq!(lone.machine().queued_output(), 0);
        let mut cut = self::lone();
        let open = begin(&mut cut, 3);
        cut.command(piece(open, "abc")).unwrap();
        cut.cut(heartwire_core::protocol::Cut::Stopped);
        assert_eq!(cut.ended().unsent.len(), 1, "nobody said that this was all");
        lone.command(Command::End { ticket }).unwrap();
        lone.close();
        let ended = lone.ended();
        assert!(ended.unsent.is_empty() && ended.told);
    }
}

mod received {
    use super::*;

    #[test]
    fn bodies_of_any_length_however_they_arrive() {
        for size in [0, 1, 8191, 8192, 8193, 300_000] {
            let content = bytes(size);
            for chunker in [Chunker::whole(), Chunker::fixed(1000), Chunker::random(size as u64, 10_000)] {
                let mut lone = lone();
                lone.chunker = chunker;
                lone.feed(&[message(&content), message(b"next")].concat());
                let head = |len: usize| Head { size: len as u64 };
                let expected = [parts(head(size), &content), parts(head(4), b"next")].concat();
                assert!(LengthPrefixed::joined(lone.items()) == expected, "{size} bytes");
            }
        }
    }

    #[test]
    fn a_body_of_nothing_has_an_end_at_once() {
        let mut lone = lone();
        lone.feed(&[length(0), length(0)].concat());
        let empty = [Part::Head(Head { size: 0 }), Part::End];
        assert_eq!(lone.items(), [empty.clone(), empty].concat());
        assert_eq!(lone.machine().stats().messages_received, 2);
        lone.eof();
        lone.peer_finished();
    }

    /// The end of a body needs no byte: it must not be forgotten when there was no room for it.
    #[test]
    fn the_last_piece_or_the_end_comes_when_there_is_room_again() {
        for events in 1..=8 {
            for eof in [false, true] {
                let config = Config::builder().queued_events(events).build().unwrap();
                let mut lone = Lone::<LengthPrefixed>::client(config, &Format::default());
                lone.side.hold_events = true;
                lone.feed(&[message(b"one"), message(b""), message(b"three")].concat());
                assert_eq!(lone.machine().queued_events().0, events.min(8));
                if eof {
                    lone.side.inbound_ended = true;
                    lone.run();
                    lone.side.pump.handle_read(lone.now, 0);
                }
                lone.side.hold_events = false;
                lone.run();
                let mut met = lone.events();
                if eof {
                    assert_eq!(met.pop(), Some(Event::Finished), "{events}");
                }
                let met: Vec<_> = met
                    .into_iter()
                    .map(|event| if let Event::Received(item) = event { item } else { panic!() })
                    .collect();
                let head = |size| Head { size };
                let expected =
                    [parts(head(3), b"one"), parts(head(0), b""), parts(head(5), b"three")].concat();
                assert_eq!(LengthPrefixed::joined(met), expected, "room for {events}");
            }
        }
    }

    #[test]
    fn a_stream_that_ends_within_a_message_is_cut_short() {
        let bytes = message(b"12345");
        for len in 1..bytes.len() {
            let mut lone = lone();
            lone.feed(&bytes[..len]);
            lone.eof();
            let mut events = lone.events();
            let Some(Event::Ended(ended)) = events.pop() else { panic!("{events:?}") };
            assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::Truncated), "{len}");
            assert!(lone.side.closed);
        }
    }
}
