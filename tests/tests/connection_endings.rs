//! How a connection without a session ends: in order from either side, refused, cut.

use std::time::Duration;

use heartwire_core::connection::{Command, Config, Connection, EndedBy, Event};
use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::{Close, Cut, Ticket, Why};
use heartwire_core::seed::Seed;
use heartwire_core::testing::{Chunker, Pair};
use heartwire_core::time::Instant;
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_tests::lone::Lone;

const MS: Duration = Duration::from_millis(1);

fn line(text: &str) -> Line {
    Line::new(text.to_owned()).unwrap()
}

fn lone() -> Lone<Lines> {
    lone_with(Config::default())
}

fn lone_with(config: Config) -> Lone<Lines> {
    Lone::client(config, &Settings::with_limit(1 << 20))
}

mod in_order {
    use super::*;

    #[test]
    fn we_finish_first_and_receive_for_as_long_as_it_takes() {
        let mut lone = lone();
        lone.send(line("all"));
        lone.finish();
        assert_eq!(lone.written(), b"all\n");
        assert_eq!(lone.interest().close, Close::AfterFlush);
        assert!(lone.side.half_closed);
        for _ in 0..100 {
            lone.seconds(100_000);
            lone.feed(b"still here\n");
            assert_eq!(lone.items(), [line("still here")]);
        }
        assert_eq!(lone.deadline(), None);
        lone.feed(b"last");
        assert!(lone.items().is_empty());
        lone.side.inbound_ended = true;
        lone.run();
        let mut events = lone.events();
        let Some(Event::Ended(ended)) = events.pop() else { panic!("{events:?}") };
        assert_eq!(events, [Event::Received(line("last"))]);
        assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Disconnected, true));
        assert!(lone.outcome().unwrap().in_order);
    }

    #[test]
    fn the_peer_finishes_first_and_is_answered_for_as_long_as_it_takes() {
        let mut lone = lone();
        lone.feed(b"one\ntwo");
        lone.eof();
        let events = lone.events();
        assert_eq!(events, [Event::Received(line("one")), Event::Received(line("two")), Event::Finished]);
        for _ in 0..100 {
            lone.seconds(100_000);
            lone.send(line("still here"));
        }
        assert_eq!(lone.deadline(), None);
        assert_eq!(lone.interest().read, 0);
        lone.finish();
        assert_eq!(lone.written().len(), 1100);
        let ended = lone.ended();
        assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Peer, Code::Disconnected, true));
        assert_eq!(ended.to_string(), "closed by the peer: the end of its stream");
    }

    #[test]
    fn both_at_once() {
        let mut lone = lone();
        lone.side.hold_output = true;
        lone.send(line("mine"));
        lone.finish();
        lone.eof();
        lone.peer_finished();
        lone.seconds(1000);
        assert!(lone.events().is_empty(), "what is queued has all the time there is");
        lone.side.hold_output = false;
        lone.run();
        assert_eq!(lone.written(), b"mine\n");
        assert!(lone.ended().is_orderly());
    }

    #[test]
    fn between_two_machines_in_every_order() {
        for (first, second) in [(Command::Finish, Command::Finish), (Command::Close, Command::Close)]
            .into_iter()
            .chain([(Command::Finish, Command::Close), (Command::Close, Command::Finish)])
        {
            for at_once in [false, true] {
                let now = Instant::ZERO;
                let machine = |seed, role| {
                    Connection::<Lines>::new(
                        Config::default(),
                        &Settings::default(),
                        role,
                        &Seed::new([seed; 32]),
                        now,
                    )
                };
                let mut pair = Pair::new(
                    machine(1, heartwire_core::role::Role::Client),
                    machine(2, heartwire_core::role::Role::Server),
                    now,
                );
                pair.a.command(now, Command::Send(line("from a"))).unwrap();
                pair.b.command(now, Command::Send(line("from b"))).unwrap();
                if !at_once {
                    pair.run();
                }
                pair.a.command(now, first.clone()).unwrap();
                if !at_once {
                    pair.run();
                }
                // The other's close may have ended it already.
                let _ = pair.b.command(now, second.clone());
                pair.run();
                assert!(pair.a.closed && pair.b.closed, "{first:?}, {second:?}, {at_once}");
                for side in [&pair.a, &pair.b] {
                    let Some(Event::Ended(ended)) = side.events.last() else { panic!("{:?}", side.events) };
                    assert!(ended.is_orderly() && ended.told, "{first:?}, {second:?}, {at_once}: {ended}");
                }
                assert_eq!((&pair.a.written[..], &pair.b.written[..]), (&b"from a\n"[..], &b"from b\n"[..]));
            }
        }
    }

    #[test]
    fn that_the_peer_finished_is_said_once_and_behind_everything_it_sent() {
        for eof_early in [false, true] {
            let mut lone = lone_with(Config::builder().queued_events(3).build().unwrap());
            lone.side.hold_events = true;
            lone.side.inject(b"1\n2\n3\n4\n5\n6\n7");
            lone.run();
            if eof_early {
                // A read was under way.
                lone.side.pump.handle_read(lone.now, 0);
                lone.side.pump.handle_read(lone.now, 0);
            }
            assert_eq!(lone.machine().queued_events().0, 3);
            lone.side.hold_events = false;
            lone.run();
            lone.eof();
            lone.eof();
            let mut events = lone.events();
            assert_eq!(events.pop(), Some(Event::Finished));
            let lines: Vec<_> = (1..=7).map(|n| Event::Received(line(&n.to_string()))).collect();
            assert_eq!(events, lines);
        }
    }
}

mod closing {
    use super::*;

    #[test]
    fn what_is_queued_leaves_first_and_the_end_is_told_when_it_has() {
        let mut lone = lone();
        lone.side.hold_output = true;
        for text in ["1", "2", "3"] {
            lone.send(line(text));
        }
        lone.close();
        lone.feed(b"heard\n");
        assert_eq!(lone.items(), [line("heard")]);
        lone.advance(1999 * MS);
        assert!(lone.events().is_empty());
        lone.side.hold_output = false;
        lone.run();
        assert_eq!(lone.written(), b"1\n2\n3\n");
        assert!(lone.side.half_closed && !lone.side.closed);
        let ended = lone.ended();
        assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Disconnected, true));
    }

    #[test]
    fn output_that_stands_still_is_cut_and_handed_back() {
        let mut lone = lone();
        lone.side.hold_output = true;
        let tickets = [lone.send(line("1")), lone.send(line("2"))];
        lone.close();
        lone.advance(1999 * MS);
        assert!(lone.events().is_empty());
        lone.advance(MS);
        assert!(lone.side.closed);
        let ended = lone.ended();
        assert!(!ended.told);
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
        assert_eq!(unsent, tickets);
    }

    #[test]
    fn output_that_moves_has_as_long_as_it_takes() {
        for (step, goes) in [(4096, true), (4095, false)] {
            let mut lone = lone();
            lone.side.hold_output = true;
            lone.send(line(&"x".repeat(100_000)));
            lone.send(line("last"));
            lone.close();
            lone.chunker = Chunker::fixed(step);
            let mut turns = 0;
            while !lone.side.closed && lone.events().is_empty() {
                lone.advance(1999 * MS);
                if lone.side.closed {
                    break;
                }
                lone.side.hold_output = false;
                let now = lone.now;
                lone.side.turn(now, &mut Chunker::fixed(step));
                lone.side.hold_output = true;
                turns += 1;
            }
            // Where it moves by less, two turns come within a time that began before.
            assert_eq!(lone.written().len() == 100_006, goes, "{step}: {turns} turns");
        }
    }

    #[test]
    fn the_peers_end_is_awaited_for_a_while() {
        let mut lone = lone();
        lone.close();
        lone.advance(1999 * MS);
        assert!(!lone.side.closed);
        lone.feed(b"discarded\n");
        lone.advance(MS);
        assert!(lone.side.closed);
        assert!(lone.ended().is_orderly());
    }

    #[test]
    fn what_comes_meanwhile_is_discarded_up_to_a_limit() {
        let mut lone = lone_with(Config::builder().drain_bytes(1000).build().unwrap());
        lone.close();
        assert_eq!(lone.interest().read, 1000);
        lone.feed(&[b'x'; 600]);
        assert_eq!(lone.interest().read, 400);
        lone.feed(&[b'x'; 600]);
        assert_eq!((lone.interest().read, lone.side.inbound.len()), (0, 200));
        assert!(!lone.side.closed, "an early end would destroy what was sent last");
        lone.eof();
        assert!(!lone.side.closed);
        lone.seconds(2);
        assert!(lone.side.closed);
        assert!(lone.ended().is_orderly());
    }

    #[test]
    fn an_application_that_is_behind_does_not_keep_it_open() {
        let mut lone = lone_with(Config::builder().queued_events(2).build().unwrap());
        lone.side.hold_events = true;
        lone.side.hold_output = true;
        lone.feed(b"1\n2\n3\n4\n");
        lone.send(line("last"));
        lone.close();
        lone.side.hold_output = false;
        lone.seconds(4);
        assert!(lone.side.closed);
        lone.side.hold_events = false;
        lone.run();
        let events = lone.events();
        assert_eq!(events.len(), 3, "{events:?}");
        assert!(matches!(&events[2], Event::Ended(ended) if ended.is_orderly() && ended.told));
    }

    #[test]
    fn a_closed_connection_can_still_be_closed_after_finishing() {
        let mut lone = lone();
        lone.side.hold_output = true;
        lone.send(line("1"));
        lone.finish();
        lone.seconds(1000);
        lone.close();
        lone.seconds(1);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        let ended = lone.ended();
        assert_eq!((ended.told, ended.unsent.len()), (false, 1));
    }
}

mod refusals {
    use super::*;

    #[test]
    fn nothing_is_written_about_it_and_what_is_not_encoded_comes_back() {
        let mut lone = lone();
        lone.side.hold_output = true;
        let tickets: Vec<_> =
            [70_000, 10, 20].into_iter().map(|len| lone.send(line(&"x".repeat(len)))).collect();
        assert_eq!(tickets, [1, 2, 3].map(Ticket::new));
        lone.feed(b"ok\n\xff\nlater\n");
        assert_eq!(lone.items(), [line("ok")]);
        lone.side.hold_output = false;
        lone.run();
        assert_eq!(lone.written().len(), 70_001, "what was begun leaves whole");
        let ended = lone.ended();
        assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::InvalidUtf8));
        assert!(!ended.told, "not everything left that was queued");
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| (unsent.ticket, unsent.begun)).collect();
        assert_eq!(unsent, [(tickets[1], false), (tickets[2], false)]);
        assert_eq!(ended.unsent[1].message, Some(line(&"x".repeat(20))));
    }

    /// Cut behind every byte.
    #[test]
    fn what_was_written_in_part_is_begun() {
        let texts = ["first", "second", "", "third"];
        let all: Vec<u8> = texts.iter().flat_map(|text| [text.as_bytes(), b"\n"].concat()).collect();
        for written in 0..all.len() {
            let mut lone = lone();
            lone.side.hold_output = true;
            for text in texts {
                lone.send(line(text));
            }
            lone.side.hold_output = written == 0;
            let now = lone.now;
            lone.side.turn(now, &mut Chunker::fixed(written));
            lone.side.hold_output = true;
            lone.cut(Cut::Aborted);
            assert_eq!(lone.written(), all[..written]);
            let ended = lone.ended();
            let unsent: Vec<_> =
                ended.unsent.iter().map(|unsent| (unsent.ticket.get(), unsent.begun)).collect();
            let mut end = 0;
            let mut expected = Vec::new();
            for (ticket, text) in (1..).zip(texts) {
                let start = end;
                end += text.len() + 1;
                if end > written {
                    expected.push((ticket, start < written));
                }
            }
            assert_eq!(unsent, expected, "{written} bytes were written");
            assert_eq!(lone.machine().stats().messages_sent as usize, texts.len() - expected.len());
        }
    }

    /// Who was lent bytes may have written them when the connection is cut.
    #[test]
    fn what_was_lent_is_begun() {
        let mut lone = lone();
        lone.side.hold_output = true;
        for text in ["first", "second"] {
            lone.send(line(text));
        }
        let mut lent = heartwire_core::buf::TransmitQueue::new();
        lone.side.pump.lend_transmit(&mut lent);
        assert_eq!(lent.pending(), 13);
        lone.send(line("third"));
        lone.cut(Cut::Aborted);
        let ended = lone.ended();
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| (unsent.ticket.get(), unsent.begun)).collect();
        assert_eq!(unsent, [(1, true), (2, true), (3, false)]);
    }

    #[test]
    fn the_same_detail_however_it_arrived() {
        let details: Vec<_> = [1, 7, 100, 1000]
            .into_iter()
            .map(|size| {
                let mut lone = Lone::<Lines>::client(Config::default(), &Settings::with_limit(16));
                lone.chunker = Chunker::fixed(size);
                lone.feed(&[b'x'; 100]);
                let ended = lone.ended();
                assert_eq!(ended.code, Code::LineTooLong);
                ended.detail
            })
            .collect();
        assert!(details.iter().all(|detail| *detail == details[0]), "{details:?}");
    }

    #[test]
    fn a_newcomer_that_is_one_too_many_is_closed_without_a_word() {
        let now = Instant::ZERO;
        let error = Error::new(Code::TooManySessions, "10 are the most");
        let machine = Connection::<Lines>::refusing(
            Config::default(),
            &Settings::default(),
            &Seed::new([1; 32]),
            &error,
            now,
        );
        let mut lone = Lone::with(machine, now);
        assert!(lone.interest().closed);
        lone.run();
        assert!(lone.side.half_closed && !lone.side.closed);
        lone.feed(b"hello\n");
        let ended = lone.ended();
        assert_eq!(
            (ended.by, ended.code, &*ended.detail),
            (EndedBy::Local, Code::TooManySessions, "10 are the most")
        );
        assert!(lone.written().is_empty());
    }

    #[test]
    fn failing_ends_at_once_for_that_reason() {
        let mut lone = lone();
        lone.side.hold_output = true;
        lone.send(line("1"));
        lone.command(Command::Fail { code: Code::MessageTooLarge, detail: "too large".into() }).unwrap();
        assert!(lone.side.closed);
        let ended = lone.ended();
        assert_eq!(
            (ended.by, ended.code, &*ended.detail, ended.told),
            (EndedBy::Local, Code::MessageTooLarge, "too large", false)
        );
    }
}

mod failing_transports {
    use super::*;

    #[test]
    fn a_reset_is_heard_behind_what_came_before() {
        let mut lone = lone();
        lone.side.inject(b"one\ntwo\nhal");
        lone.run();
        lone.read_fails();
        let mut events = lone.events();
        let Some(Event::Ended(ended)) = events.pop() else { panic!("{events:?}") };
        assert_eq!(events.len(), 2);
        assert_eq!((ended.by, &*ended.detail), (EndedBy::Transport, "reset"));
    }

    #[test]
    fn what_the_peer_sent_before_writing_failed_is_heard_for_a_while() {
        let mut lone = lone();
        lone.write_fails();
        lone.feed(b"why\n");
        assert_eq!(lone.items(), [line("why")]);
        assert_eq!(lone.command(Command::Send(line("late"))).unwrap_err().why, Why::Closed);
        lone.advance(1999 * MS);
        assert!(lone.events().is_empty());
        lone.advance(MS);
        let ended = lone.ended();
        assert_eq!(
            (ended.by, ended.code, &*ended.detail),
            (EndedBy::Transport, Code::TransportFailed, "broken")
        );
        let mut lone = self::lone();
        lone.write_fails();
        lone.feed(b"why");
        lone.eof();
        let events = lone.events();
        assert_eq!(events[0], Event::Received(line("why")));
        assert!(
            matches!(&events[1], Event::Ended(ended) if ended.code == Code::TransportFailed),
            "{events:?}"
        );
        assert_eq!(events.len(), 2, "that it finished is nobody's matter any more");
    }

    #[test]
    fn an_application_that_is_behind_still_gets_everything() {
        let mut lone = lone_with(Config::builder().queued_events(4).build().unwrap());
        lone.side.hold_events = true;
        lone.feed(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        lone.write_fails();
        lone.seconds(1000);
        assert!(!lone.side.closed);
        lone.side.hold_events = false;
        lone.run();
        assert_eq!(lone.items().len(), 9);
        lone.seconds(2);
        assert_eq!(lone.ended().code, Code::TransportFailed);
    }

    #[test]
    fn letting_go_cuts_unless_it_is_finished() {
        let mut open = lone();
        open.side.hold_output = true;
        open.send(line("1"));
        open.cut(Cut::Dropped);
        assert!(open.side.closed);
        assert_eq!(open.ended().unsent.len(), 1);
        let mut finishing = lone();
        finishing.side.hold_output = true;
        finishing.send(line("1"));
        finishing.finish();
        finishing.cut(Cut::Dropped);
        assert!(!finishing.side.closed);
        finishing.side.hold_output = false;
        finishing.run();
        assert_eq!(finishing.written(), b"1\n");
        assert!(finishing.ended().told);
    }

    /// Nothing is due any more, however much was left, and whatever happens then.
    #[test]
    fn an_ended_connection_has_no_deadline() {
        let config = Config::builder()
            .idle_timeout(Some(Duration::from_secs(5)))
            .progress_timeout(Some(Duration::from_secs(5)))
            .build()
            .unwrap();
        let cuts: [fn(&mut Lone<Lines>); 3] = [
            |l| l.cut(Cut::Stopped),
            Lone::read_fails,
            |l| drop(l.command(Command::Fail { code: Code::TooSlow, detail: String::new() })),
        ];
        for eof in [false, true] {
            for cut in cuts {
                let mut lone = lone_with(config.clone());
                lone.side.hold_output = true;
                lone.send(line("1"));
                if eof {
                    lone.eof();
                    lone.peer_finished();
                }
                cut(&mut lone);
                if eof && !lone.side.closed {
                    lone.cut(Cut::Stopped);
                }
                let (now, machine) = (lone.now, &mut lone.side.pump);
                machine.handle_timeout(now);
                machine.handle_read(now, 0);
                assert_eq!(lone.interest().deadline, None);
                assert!(lone.ended().unsent.len() == 1);
            }
        }
    }
}
