//! Sessions: transports that behave badly, in memory.

use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::session::{Begin, EndedBy};

use super::adapter::Over;
use super::fixtures::{content, options};
use super::heartbeat::intervals;
use super::links::{Link, Memory, memory};
use super::raw::Raw;
use crate::mock::{self, Mock, Script};

/// A transport that fails while reading or while writing: it is said, and what did not leave is handed back.
pub async fn transport_fails<A: Over<Mock>>() {
    for (read, write) in [(Some(1000), None), (None, Some(3000))] {
        let script = Script { fail_read_at: read, fail_write_at: write, ..Script::free() };
        let options = options();
        let (mut client, mut server) = memory::<A, _>(4096, script, Script::free(), &options, &options).await;
        let mut accepted = Vec::new();
        for at in 0..20 {
            if let Ok(ticket) = client.try_send(Message::binary(content(500, at))) {
                accepted.push(ticket);
            }
            let _ = server.try_send(Message::binary(content(500, at)));
        }
        let ended = loop {
            if let Err(ended) = client.recv_message().await {
                break ended;
            }
        };
        let mut arrived = 0;
        while server.recv_message().await.is_ok() {
            arrived += 1;
        }
        assert_eq!((ended.by, ended.code), (EndedBy::Transport, Code::TransportFailed), "{ended:?}");
        assert!(ended.detail.contains("as planned"), "{ended}");
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
        assert_eq!(unsent, accepted[accepted.len() - unsent.len()..]);
        assert!(arrived + unsent.len() <= accepted.len(), "none is both sent and handed back");
        if write.is_some() {
            assert_eq!(arrived + unsent.len(), accepted.len());
            assert!(!unsent.is_empty());
        }
    }
}

/// What a transport holds back is passed on: messages, heartbeats, and the goodbye of either kind.
pub async fn transport_that_needs_flushing<A: Over<Mock>>() {
    for seed in 0..60 {
        let script = if seed < 3 { Script::free() } else { Script::seed(seed) }.buffered();
        let time = |seconds| <Memory as Link<A>>::seconds(seconds);
        let options = intervals(Config::builder(), time);
        let (mut client, mut server) = memory::<A, _>(4096, script.clone(), script, &options, &options).await;
        client.send(Message::text("there")).await.expect("accepted");
        assert_eq!(server.recv_message().await.expect("it arrives").content, "there");
        server.send(Message::binary(content(20_000, 9))).await.expect("accepted");
        assert_eq!(client.recv_message().await.expect("it arrives").content, content(20_000, 9));
        if seed % 2 == 0 {
            A::sleep(time(12)).await;
            assert!(client.round_trip().is_some(), "seed {seed}");
        }
        if seed % 3 == 0 {
            client.send(Message::text("last words")).await.expect("accepted");
            let (_, message) = tokio::join!(client.close(None), server.recv_message());
            assert_eq!(message.expect("it arrives").content, "last words", "seed {seed}");
            assert!(server.recv_message().await.expect_err("it ended").is_orderly(), "seed {seed}");
        } else {
            server.fail(Code::TooSlow, "you are");
            let ended = client.recv_message().await.expect_err("it ended");
            assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::TooSlow), "seed {seed}");
        }
    }
}

/// The peer's stream has ended when we say our last: it still reaches who reads on.
pub async fn goodbye_after_the_peers_end<A: Over<Mock>>() {
    for seed in 0..30 {
        let (a, b) = mock::pair(4096, Script::seed(3 * seed), Script::free());
        let mut raw = Raw::client(b);
        let options = options();
        let (session, ()) = tokio::join!(A::server(a, &options), raw.establish());
        let session = session.expect("a session");
        session.send(Message::binary(content(30_000, 1))).await.expect("accepted");
        session.start_close(Some("closing".to_string()));
        let mut io = raw.into_io();
        io.finish().await.expect("it ends");
        let (rest, outcome) = tokio::join!(io.read_to_end(), session.closed());
        let rest = rest.expect("it arrives");
        assert!(rest.windows(7).any(|bytes| bytes == b"closing"), "seed {seed}: the goodbye is missing");
        assert!(outcome.expect("it ended").in_order, "seed {seed}");
    }
}

/// Small messages overtake a large one that was sent before them.
pub async fn overtaking<A: Over<Mock>>() {
    let options = options();
    let (client, mut server) = memory::<A, _>(4096, Script::free(), Script::free(), &options, &options).await;
    let large = content(900_000, 1);
    // By a real clock all of it might be gone before the small ones come.
    let begun = if A::SIMULATED {
        client.try_send(Message::binary(large.clone())).expect("accepted");
        None
    } else {
        let begun = client.begin(Begin::new(ContentType::BINARY)).await.expect("accepted");
        begun.send(large.slice(..500_000)).await.expect("accepted");
        Some(begun)
    };
    for at in 0..10 {
        client.try_send(Message::text(format!("small {at}"))).expect("accepted");
    }
    for at in 0..10 {
        assert!(server.recv_message().await.expect("it arrives").content == format!("small {at}"));
    }
    if let Some(begun) = begun {
        begun.send(large.slice(500_000..)).await.expect("accepted");
        begun.end().expect("it ends");
    }
    assert!(server.recv_message().await.expect("it arrives").content == large);
}

/// A minute of nothing costs a few turns of the driver for each heartbeat, not more.
pub async fn idle_costs_nothing<A: Over<Mock>>() {
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let counters = [a.counter(), b.counter()];
    let time = |seconds| <Memory as Link<A>>::seconds(seconds);
    let options = intervals(Config::builder(), time);
    let (client, server) = tokio::join!(A::client(a, &options), A::server(b, &options));
    let (client, server) = (client.expect("a session"), server.expect("a session"));
    A::sleep(time(1)).await;
    let before = counters.each_ref().map(|counter| counter.calls());
    let began = A::now();
    A::sleep(time(60)).await;
    // A sleep by a real clock may be long.
    let beats = (A::now() - began).div_duration_f64(time(5)).ceil() as u64;
    for (counter, before) in counters.iter().zip(before) {
        let after = counter.calls();
        // As many pings and pongs: the alarm, what arrived, what left; each looks for more once.
        let (reads, writes) = (after.reads - before.reads, after.writes - before.writes);
        assert!(reads <= beats * 10, "{reads} reads");
        let flushes = after.flushes - before.flushes;
        if A::SIMULATED {
            assert_eq!(writes, 12);
            assert!(flushes <= 12);
        } else {
            // Where time is real there may be too little of it; and a pong may leave apart from the next ping.
            assert!((2..=2 * beats + 1).contains(&writes), "{writes} writes");
            assert!(flushes <= 2 * beats + 1, "{flushes} flushes");
        }
    }
    assert!(!client.is_closing() && !server.is_closing());
}
