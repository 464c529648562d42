//! Callbacks.

mod common;

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use common::*;
use heartwire_blocking::callbacks::{CallbackError, Callbacks, Channel, Gathering, JoinError};
use heartwire_blocking::connection::length_prefixed::{Format, LengthPrefixed};
use heartwire_blocking::connection::lines::{Line, Lines, Settings};
use heartwire_blocking::*;

/// A channel that tells of every callback, in order; a message "panic" makes the one panic that is named.
fn noting(session: Session, panics: &'static str) -> (Channel<Session>, Receiver<String>) {
    let (note, notes) = mpsc::channel();
    let (error, close): (Sender<String>, Sender<String>) = (note.clone(), note.clone());
    let channel = Callbacks::new(session)
        .on_message(move |_, message| {
            note.send(String::from_utf8(message.content.to_vec()).unwrap()).unwrap();
            assert!(panics != "on_message", "in on_message");
        })
        .on_error(move |_, said| {
            let kind = if matches!(said, CallbackError::Panicked(_)) { "panicked" } else { "error" };
            error.send(kind.into()).unwrap();
            assert!(panics != "on_error", "in on_error");
        })
        .on_close(move |_| {
            close.send("closed".into()).unwrap();
            assert!(panics != "on_close", "in on_close");
        })
        .start()
        .unwrap();
    (channel, notes)
}

fn all(notes: Receiver<String>) -> Vec<String> {
    notes.into_iter().collect()
}

#[test]
fn messages_come_in_order_and_the_close_comes_last_and_once() {
    let (client, server) = pair(&options());
    let (channel, notes) = noting(client, "none");
    for n in 0..100 {
        server.send(Message::text(n.to_string())).unwrap();
    }
    server.close(None);
    assert!(in_time(|| channel.join()).unwrap().is_orderly());
    let mut expected: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    expected.push("closed".into());
    assert_eq!(all(notes), expected);
}

#[test]
fn what_is_not_in_order_is_an_error() {
    let (client, server) = pair(&options());
    let (channel, notes) = noting(client, "none");
    drop(server);
    assert_eq!(in_time(|| channel.join()).unwrap().code, Code::EndedWithoutDisconnect);
    assert_eq!(all(notes), ["error", "closed"]);
}

#[test]
fn a_panic_ends_the_session_and_is_told_everywhere() {
    let (client, mut server) = pair(&options());
    let (channel, notes) = noting(client, "on_message");
    server.send(Message::text("panic")).unwrap();
    let ended = server.recv_message_timeout(LONG).unwrap().unwrap_err();
    assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::Aborted), "{ended}");
    let Err(JoinError::Panicked(panicked)) = in_time(|| channel.join()) else { panic!() };
    assert_eq!((panicked.callback, panicked.said.as_str()), ("on_message", "in on_message"));
    assert_eq!(all(notes), ["panic", "panicked", "closed"]);
}

#[test]
fn a_panic_of_the_one_that_is_told_of_errors_is_not_told_to_it() {
    let (client, server) = pair(&options());
    let (channel, notes) = noting(client, "on_error");
    drop(server);
    let Err(JoinError::Panicked(panicked)) = in_time(|| channel.join()) else { panic!() };
    assert_eq!(panicked.callback, "on_error");
    assert_eq!(all(notes), ["error", "closed"]);
}

#[test]
fn a_panic_at_the_end_is_told_to_who_joins() {
    let (client, server) = pair(&options());
    let (channel, notes) = noting(client, "on_close");
    server.close(None);
    let failed = in_time(|| channel.join()).unwrap_err();
    assert_eq!(failed.to_string(), "a connection's on_close panicked: in on_close");
    assert_eq!(all(notes), ["closed"]);
}

#[test]
fn one_may_send_and_close_from_within() {
    let (client, mut server) = pair(&options());
    let channel = Callbacks::new(client)
        .on_message(|sender, message| {
            sender.send(message).unwrap();
            sender.start_close(String::from("enough"));
        })
        .start()
        .unwrap();
    server.send(Message::text("hello")).unwrap();
    assert_eq!(server.recv_message_timeout(LONG).unwrap().unwrap().content, "hello");
    assert_eq!(server.recv_message_timeout(LONG).unwrap().unwrap_err().detail, "enough");
    assert!(in_time(|| channel.join()).unwrap().is_orderly());
}

#[test]
fn a_slow_callback_holds_the_peer_back() {
    let (client, server) = pair(&options());
    let (release, released) = mpsc::channel::<()>();
    let channel =
        Callbacks::new(client).on_message(move |_, _| assert!(released.recv().is_err())).start().unwrap();
    let mut sent = 0;
    while server.send_timeout(Message::binary(vec![7; 100_000]), ms(300)).is_ok() {
        sent += 1;
        assert!(sent < 1000, "100 MB wait somewhere");
    }
    drop(release);
    let closing = thread::spawn(move || server.close(None));
    assert!(in_time(|| channel.join()).unwrap().is_orderly());
    assert!(closing.join().unwrap().unsent.is_empty());
}

#[test]
fn a_callback_that_would_wait_for_itself_is_told_so() {
    let (client, server) = pair(&options());
    let place = Arc::new(Mutex::new(None::<Channel<Session>>));
    let (result, results) = mpsc::channel();
    let within = Arc::clone(&place);
    let mut own = place.lock().unwrap();
    let channel = Callbacks::new(client)
        .on_message(move |_, _| {
            let channel = within.lock().unwrap().take().unwrap();
            result.send(channel.join().map(drop)).unwrap();
        })
        .start()
        .unwrap();
    *own = Some(channel);
    drop(own);
    server.send(Message::text("join")).unwrap();
    assert_eq!(results.recv_timeout(LONG).unwrap(), Err(JoinError::WithinCallback));
    assert!(in_time(|| server.close(None)).is_orderly());
}

#[test]
fn a_channel_that_is_dropped_goes_on() {
    let (client, server) = pair(&options());
    let (channel, notes) = noting(client, "none");
    drop(channel);
    server.send(Message::text("hello")).unwrap();
    assert_eq!(notes.recv_timeout(LONG).unwrap(), "hello");
    server.close(None);
    assert_eq!(all(notes), ["closed"]);
}

#[test]
fn messages_without_a_session_are_gathered_up_to_a_limit() {
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default());
    let (client, server) = connections(&options);
    let (got, bodies) = mpsc::channel();
    let (failed, errors) = mpsc::channel();
    let channel = Callbacks::new(Gathering::new(client, 1_000_000))
        .on_message(move |_, whole| got.send(whole.body).unwrap())
        .on_error(move |_, error| failed.send(error.to_string()).unwrap())
        .start()
        .unwrap();
    for size in [0, 1, 1_000_000, 1_000_001] {
        server.send(bytes::Bytes::from(vec![1; size]).into()).unwrap();
    }
    assert_eq!(in_time(|| channel.join()).unwrap().code, Code::MessageTooLarge);
    assert_eq!(bodies.into_iter().map(|body| body.len()).collect::<Vec<_>>(), [0, 1, 1_000_000]);
    assert_eq!(errors.into_iter().count(), 1);
}

#[test]
fn lines_are_called_back_and_a_peer_that_has_finished_is_answered_and_left() {
    let (client, mut server) = connections(&ConnectionOptions::<Lines>::new(Settings::default()));
    let channel =
        Callbacks::new(client).on_message(|sender, line| assert!(sender.send(line).is_ok())).start().unwrap();
    for n in 0..100 {
        server.send(Line::new(n.to_string()).unwrap()).unwrap();
    }
    server.finish();
    for n in 0..100 {
        assert_eq!(server.recv_timeout(LONG).unwrap().unwrap().as_str(), n.to_string());
    }
    assert_eq!(server.recv_timeout(LONG).unwrap(), None);
    assert!(in_time(|| channel.join()).unwrap().is_orderly());
}
