//! The protocols without a session.

mod common;

use common::*;
use heartwire_blocking::connection::length_prefixed::{Format, LengthPrefixed};
use heartwire_blocking::connection::lines::{Line, Lines, Settings};
use heartwire_blocking::connection::{Connection, Gatherer};
use heartwire_blocking::*;

fn line(text: &str) -> Line {
    Line::new(text.to_owned()).unwrap()
}

#[test]
fn lines_are_answered_after_the_peer_has_finished() {
    let options = ConnectionOptions::<Lines>::new(Settings::default());
    let running =
        Running::start("tcp://127.0.0.1:0", options.clone(), |mut connection: Connection<Lines>| {
            let mut lines = Vec::new();
            while let Some(line) = connection.recv() {
                lines.push(line);
            }
            for line in lines.into_iter().rev() {
                connection.send(line).unwrap();
            }
            connection.close();
        });
    let mut client = connect(&running.address, &options).unwrap();
    for n in 0..1000 {
        client.send(line(&n.to_string())).unwrap();
    }
    client.finish();
    assert!(client.send(line("late")).is_err());
    for n in (0..1000).rev() {
        assert_eq!(client.recv_timeout(LONG).unwrap(), Some(line(&n.to_string())));
    }
    assert_eq!(client.recv_timeout(LONG).unwrap(), None);
    assert!(client.close().is_orderly());
    running.end();
}

#[test]
fn large_bodies_go_both_ways_and_each_side_ends_its_half() {
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::with_limit(100_000_000));
    let (client, server) = connections(&options);
    let talk = |mut connection: Connection<LengthPrefixed>, byte: u8| {
        std::thread::spawn(move || {
            let mut gatherer = Gatherer::new(100_000_000);
            let sender = connection.sender().clone();
            let sending = std::thread::spawn(move || {
                sender.send(bytes::Bytes::from(vec![byte; 32_000_000]).into()).unwrap();
                sender.finish();
            });
            let whole = connection.recv_whole(&mut gatherer).unwrap().unwrap();
            assert_eq!(whole.body.len(), 32_000_000);
            assert!(whole.body.iter().all(|other| *other == whole.body[0] && *other != byte));
            assert_eq!(connection.recv_whole(&mut gatherer), Ok(None));
            sending.join().unwrap();
            assert!(connection.close().is_orderly());
        })
    };
    let (client, server) = (talk(client, 1), talk(server, 2));
    client.join().unwrap();
    server.join().unwrap();
}

#[test]
fn bodies_are_sent_piece_by_piece() {
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::with_limit(100));
    let (client, mut server) = connections(&options);
    let outgoing = client.begin(connection::length_prefixed::Head { size: 11 }).unwrap();
    outgoing.send("hello ").unwrap();
    outgoing.send("world").unwrap();
    outgoing.end().unwrap();
    let whole = server.recv_whole(&mut Gatherer::new(100)).unwrap().unwrap();
    assert_eq!(whole.body, "hello world");
    drop(client);
    assert_eq!(server.recv_timeout(LONG), Ok(None), "cut between messages: finished");
}

#[test]
fn an_idle_connection_is_ended_and_one_that_is_not_goes_on() {
    let config = connection::Config::builder().idle_timeout(Some(ms(300))).build().unwrap();
    let patient = ConnectionOptions::<Lines>::new(Settings::default());
    let (client, server) = tcp();
    // The client would end it as well.
    let client = connect_io(client, &patient).unwrap();
    let mut server = accept_io(server, &patient.clone().config(config)).unwrap();
    let began = std::time::Instant::now();
    while began.elapsed() < ms(900) {
        client.send(line("x")).unwrap();
        assert_eq!(server.recv_timeout(LONG).unwrap(), Some(line("x")));
        assert_eq!(server.recv_timeout(ms(30)), Err(TimedOut));
    }
    assert_eq!(server.recv_timeout(LONG).unwrap(), None);
    assert_eq!(server.end().code, Code::PeerSilent);
}
