//! What runs out on a connection without a session, and what stands still when: idle, progress, stall.

use std::time::Duration;

use heartwire_core::connection::{Config, ConfigBuilder, EndedBy};
use heartwire_core::error::Code;
use heartwire_core::testing::Chunker;
use heartwire_core::wire::length_prefixed::{Format, LengthPrefixed};
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_tests::lone::Lone;
use heartwire_tests::peers::length_prefixed::length;

const SECOND: Duration = Duration::from_secs(1);

fn line(text: &str) -> Line {
    Line::new(text.to_owned()).unwrap()
}

fn lines(config: ConfigBuilder) -> Lone<Lines> {
    Lone::client(config.build().unwrap(), &Settings::default())
}

fn idle() -> ConfigBuilder {
    Config::builder().idle_timeout(Some(30 * SECOND))
}

fn progress() -> ConfigBuilder {
    Config::builder().progress_timeout(Some(10 * SECOND))
}

mod by_default {
    use super::*;

    #[test]
    fn nothing_runs_out() {
        let mut lone = lines(Config::builder());
        for _ in 0..10 {
            lone.feed(b"x");
            assert_eq!(lone.deadline(), None);
            lone.seconds(1_000_000);
        }
        lone.side.hold_output = true;
        lone.send(line("waits"));
        lone.eof();
        lone.seconds(1_000_000);
        assert_eq!(lone.deadline(), None);
        assert_eq!(lone.events().len(), 2);
    }
}

mod idle {
    use super::*;

    #[test]
    fn a_connection_on_which_nothing_moves_ends_without_a_word() {
        let mut lone = lines(idle());
        lone.seconds(29);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        let ended = lone.ended();
        assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::PeerSilent));
        assert!(lone.written().is_empty());
    }

    #[test]
    fn either_direction_counts() {
        let mut lone = lines(idle());
        for _ in 0..5 {
            lone.seconds(29);
            lone.feed(b"x");
            lone.seconds(29);
            lone.send(line("y"));
        }
        assert!(lone.events().is_empty());
        lone.seconds(29);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        assert_eq!(lone.ended().code, Code::PeerSilent);
    }

    #[test]
    fn what_is_queued_and_does_not_leave_is_not_movement() {
        let mut lone = lines(idle());
        lone.side.hold_output = true;
        lone.seconds(20);
        lone.send(line("waits"));
        lone.seconds(9);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        lone.side.hold_output = false;
        lone.run();
        assert_eq!(lone.ended().code, Code::PeerSilent);
    }

    #[test]
    fn it_stands_still_while_the_application_is_behind() {
        let mut lone = lines(idle().queued_events(2));
        lone.seconds(10);
        lone.side.hold_events = true;
        lone.feed(b"1\n2\n3\n");
        lone.seconds(10_000);
        assert_eq!(lone.deadline(), None);
        lone.side.hold_events = false;
        lone.run();
        assert_eq!(lone.items().len(), 3);
        lone.seconds(29);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        assert_eq!(lone.ended().code, Code::PeerSilent);
    }

    #[test]
    fn after_the_peer_has_finished_nothing_is_expected_of_it() {
        let mut lone = lines(idle());
        lone.eof();
        lone.peer_finished();
        lone.seconds(10_000);
        assert!(lone.events().is_empty());
        lone.finish();
        assert!(lone.ended().is_orderly());
    }

    #[test]
    fn after_we_have_finished_the_peer_is_still_expected_to_end() {
        let mut lone = lines(idle());
        lone.finish();
        lone.seconds(29);
        lone.feed(b"x\n");
        assert_eq!(lone.items().len(), 1);
        lone.seconds(29);
        assert!(lone.events().is_empty());
        lone.seconds(1);
        assert_eq!(lone.ended().code, Code::PeerSilent);
    }
}

mod stalls {
    use super::*;

    /// While nothing is read, only what leaves shows that the peer is there.
    #[test]
    fn output_that_does_not_move_while_nothing_is_read_ends_it() {
        for eof in [false, true] {
            let mut lone = lines(idle().queued_events(2));
            lone.side.hold_output = true;
            lone.send(line("waits"));
            lone.send(line("waits too"));
            if eof {
                lone.eof();
                lone.peer_finished();
            } else {
                lone.side.hold_events = true;
                lone.feed(b"1\n2\n3\n");
            }
            lone.seconds(29);
            assert!(!lone.machine().is_closing());
            // A byte that leaves is a sign of life.
            let now = lone.now;
            lone.side.hold_output = false;
            lone.side.turn(now, &mut Chunker::fixed(1));
            lone.side.hold_output = true;
            lone.seconds(29);
            assert!(!lone.machine().is_closing());
            lone.seconds(1);
            assert!(lone.machine().is_closing());
            lone.seconds(2);
            lone.side.hold_events = false;
            lone.run();
            if !eof {
                let events = lone.events();
                assert_eq!(events.len(), 3, "{events:?}");
                continue;
            }
            let ended = lone.ended();
            assert_eq!((ended.code, ended.told, ended.unsent.len()), (Code::TooSlow, false, 2));
        }
    }

    #[test]
    fn it_is_not_asked_while_we_read_or_nothing_waits() {
        let mut lone = lines(idle().queued_events(2));
        lone.side.hold_output = true;
        lone.send(line("waits"));
        for _ in 0..10 {
            lone.seconds(29);
            lone.feed(b"x");
        }
        assert!(!lone.machine().is_closing(), "the peer is heard");
        let mut lone = lines(idle());
        lone.eof();
        lone.seconds(10_000);
        assert!(!lone.machine().is_closing(), "nothing waits");
    }
}

mod progress {
    use super::*;

    #[test]
    fn a_line_that_trickles_is_refused() {
        let mut lone = lines(progress());
        lone.feed(b"x");
        for _ in 0..9 {
            lone.seconds(1);
            lone.feed(b"x");
        }
        assert!(lone.events().is_empty());
        lone.seconds(1);
        let ended = lone.ended();
        assert_eq!(ended.code, Code::FrameStalled);
        assert!(lone.written().is_empty());
    }

    #[test]
    fn between_lines_there_is_all_the_time_there_is() {
        let mut lone = lines(progress());
        for _ in 0..10 {
            lone.seconds(1000);
            assert_eq!(lone.deadline(), None);
            lone.feed(b"half");
            lone.seconds(9);
            lone.feed(b"\n");
            assert_eq!(lone.items().len(), 1);
        }
    }

    #[test]
    fn each_line_has_a_time_of_its_own() {
        let mut lone = lines(progress());
        lone.feed(b"a");
        for _ in 0..10 {
            lone.seconds(9);
            // The end of one and the beginning of the next, in one read.
            lone.feed(b"b\nc");
        }
        assert_eq!(lone.items().len(), 10);
        lone.seconds(10);
        assert_eq!(lone.ended().code, Code::FrameStalled);
    }

    #[test]
    fn a_body_must_grow_by_so_much_in_each_time() {
        for (bytes, goes) in [(512, true), (256, false)] {
            let config = progress().build().unwrap();
            let mut lone = Lone::<LengthPrefixed>::client(config, &Format::default());
            lone.feed(&length(1 << 20));
            for _ in 0..100 {
                lone.feed(&vec![7; bytes]);
                lone.seconds(1);
            }
            assert_eq!(!lone.machine().is_closing(), goes, "{bytes} bytes a second");
        }
    }

    #[test]
    fn the_rest_of_a_body_is_enough() {
        let config = progress().build().unwrap();
        let mut lone = Lone::<LengthPrefixed>::client(config, &Format::default());
        for _ in 0..10 {
            lone.feed(&length(3));
            lone.seconds(9);
            lone.feed(b"abc");
            assert_eq!(lone.deadline(), None);
        }
        lone.feed(&length(3)[..2]);
        lone.seconds(9);
        assert!(!lone.machine().is_closing());
        lone.seconds(1);
        assert!(lone.machine().is_closing(), "half a length has begun something");
    }

    #[test]
    fn it_stands_still_while_the_application_is_behind() {
        let config = progress().queued_events(4).build().unwrap();
        let mut lone = Lone::<LengthPrefixed>::client(config, &Format::default());
        lone.feed(&length(1000));
        lone.seconds(5);
        lone.side.hold_events = true;
        for _ in 0..4 {
            lone.feed(b"x");
        }
        lone.seconds(10_000);
        assert!(!lone.machine().is_closing());
        lone.side.hold_events = false;
        lone.run();
        lone.seconds(4);
        assert!(!lone.machine().is_closing());
        lone.seconds(1);
        assert!(lone.machine().is_closing());
    }

    #[test]
    fn after_the_end_of_the_stream_nothing_is_expected() {
        let mut lone = lines(progress().idle_timeout(Some(5 * SECOND)));
        lone.feed(b"x");
        lone.eof();
        assert_eq!(lone.events().len(), 2);
        lone.seconds(10_000);
        assert!(!lone.machine().is_closing());
    }
}
