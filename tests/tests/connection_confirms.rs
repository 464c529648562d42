//! Connections whose end of stream tells the peer that everything it sent was dealt with.

use std::time::Duration;

use heartwire_core::connection::{Command, Config, ConfigBuilder, Ended, EndedBy, Event};
use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::{Close, Cut, Protocol};
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::time::Instant;
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_tests::lone::Lone;

fn config() -> ConfigBuilder {
    Config::builder().end_confirms(true)
}

fn confirming(config: ConfigBuilder) -> Lone<Lines> {
    Lone::new(config.build().unwrap(), &Settings::with_limit(100), Role::Server)
}

fn stop(lone: &mut Lone<Lines>) {
    lone.command(Command::Stop).unwrap();
}

/// It ended at once, without the end of the stream: after that, it would have been told, and the peer be awaited.
fn unconfirmed(lone: &mut Lone<Lines>, code: Code) -> Ended<Line> {
    assert_eq!(lone.interest().close, Close::Now);
    let ended = lone.ended();
    assert_eq!((ended.code, ended.told), (code, false), "{ended}");
    ended
}

#[test]
fn a_stop_waits_for_the_application_and_hears_the_peer_meanwhile() {
    for closes in [false, true] {
        let mut lone = confirming(config());
        lone.feed(b"first\n");
        stop(&mut lone);
        lone.feed(b"second\n");
        assert_eq!(lone.items().len(), 2);
        lone.eof();
        lone.peer_finished();
        lone.send(Line::new("an answer".to_owned()).unwrap());
        lone.seconds(1_000_000);
        assert!(lone.events().is_empty());
        assert_eq!((lone.interest().close, lone.deadline()), (Close::Open, None));
        lone.command(if closes { Command::Close } else { Command::Finish }).unwrap();
        let ended = lone.ended();
        assert!(ended.is_orderly() && ended.told, "{ended}");
        assert_eq!(lone.written(), b"an answer\n");
    }
}

#[test]
fn half_a_message_is_something_received() {
    let mut lone = confirming(config());
    lone.feed(b"fir");
    stop(&mut lone);
    lone.feed(b"st\n");
    assert_eq!(lone.items().len(), 1);
    assert_eq!(lone.interest().close, Close::Open);
}

#[test]
fn where_nothing_was_received_a_stop_ends_it_at_once_and_confirms_nothing() {
    let mut lone = confirming(config());
    stop(&mut lone);
    assert_eq!(unconfirmed(&mut lone, Code::Aborted).by, EndedBy::Local);
    // Unless it is known that nothing was sent.
    let mut lone = confirming(config());
    lone.eof();
    lone.peer_finished();
    stop(&mut lone);
    let ended = lone.ended();
    assert!(ended.is_orderly() && ended.told, "{ended}");
}

#[test]
fn who_has_finished_has_confirmed_and_is_stopped_as_ever() {
    for stops_first in [false, true] {
        let mut lone = confirming(config());
        lone.feed(b"first\n");
        lone.items();
        if stops_first {
            stop(&mut lone);
            lone.finish();
        } else {
            lone.finish();
            stop(&mut lone);
        }
        assert_eq!(lone.interest().close, Close::AfterFlush);
        assert!(lone.deadline().is_some(), "the peer is not awaited for ever");
        let ended = lone.ended();
        assert!(ended.is_orderly() && ended.told, "{ended}");
    }
}

#[test]
fn a_stop_is_over_when_the_grace_is() {
    let mut lone = confirming(config());
    lone.feed(b"first\n");
    lone.items();
    stop(&mut lone);
    lone.cut(Cut::Stopped);
    unconfirmed(&mut lone, Code::Aborted);
}

#[test]
fn clocks_run_while_a_stop_waits() {
    let mut lone = confirming(config().idle_timeout(Some(Duration::from_secs(30))));
    lone.feed(b"first\n");
    lone.items();
    stop(&mut lone);
    lone.seconds(29);
    assert!(lone.events().is_empty());
    lone.seconds(1);
    unconfirmed(&mut lone, Code::PeerSilent);
}

#[test]
fn a_write_that_fails_ends_what_is_being_stopped_as_ever() {
    for eof in [false, true] {
        let mut lone = confirming(config());
        lone.feed(b"first\n");
        stop(&mut lone);
        lone.items();
        if eof {
            lone.eof();
            lone.peer_finished();
        }
        lone.write_fails();
        lone.seconds(2);
        unconfirmed(&mut lone, Code::TransportFailed);
    }
}

#[test]
fn nothing_but_the_application_ends_the_stream() {
    type Act = fn(&mut Lone<Lines>);
    let acts: [(Code, Act); 4] = [
        (Code::TooSlow, |lone| {
            lone.command(Command::Fail { code: Code::TooSlow, detail: "late".into() }).unwrap();
        }),
        (Code::Aborted, |lone| lone.cut(Cut::Dropped)),
        (Code::Aborted, |lone| lone.cut(Cut::Aborted)),
        (Code::TransportFailed, Lone::read_fails),
    ];
    for (code, act) in acts {
        let mut lone = confirming(config());
        lone.feed(b"first\n");
        lone.items();
        act(&mut lone);
        unconfirmed(&mut lone, code);
        // What waits to be sent doesn't leave either, or it would be the end of the stream that follows it.
        let mut lone = confirming(config());
        lone.side.hold_output = true;
        lone.send(Line::new("queued".to_owned()).unwrap());
        act(&mut lone);
        assert_eq!(unconfirmed(&mut lone, code).unsent.len(), 1);
    }
}

#[test]
fn what_is_refused_ends_as_ever() {
    for (code, bytes) in [(Code::InvalidUtf8, &b"\xff\n"[..]), (Code::LineTooLong, &[b'x'; 101])] {
        let mut lone = confirming(config());
        lone.feed(b"first\n");
        lone.items();
        lone.feed(bytes);
        assert_eq!(lone.interest().close, Close::AfterFlush);
        assert_eq!(lone.ended().code, code);
    }
}

#[test]
fn a_handle_that_is_dropped_after_finishing_takes_nothing_back() {
    let mut lone = confirming(config());
    lone.feed(b"first\n");
    lone.eof();
    assert_eq!(lone.events().len(), 2);
    lone.side.hold_output = true;
    lone.send(Line::new("queued".to_owned()).unwrap());
    lone.finish();
    lone.cut(Cut::Dropped);
    lone.side.hold_output = false;
    let ended = {
        lone.run();
        lone.ended()
    };
    assert!(ended.is_orderly() && ended.told, "{ended}");
}

#[test]
fn a_newcomer_too_many_is_told_nothing() {
    let error = Error::new(Code::TooManySessions, "this server is full");
    let (config, now) = (config().build().unwrap(), Instant::ZERO);
    let mut machine = heartwire_core::connection::Connection::<Lines>::refusing(
        config,
        &Settings::default(),
        &Seed::new([1; 32]),
        &error,
        now,
    );
    assert_eq!(machine.poll(now).close, Close::Now);
    let Some(Event::Ended(ended)) = machine.poll_event() else { panic!("it ended") };
    assert_eq!((ended.code, ended.told), (Code::TooManySessions, false));
}
