//! Receivers whose end of stream confirms that everything was dealt with: it comes in order or not at all. Over TCP any
//! other end is a reset; over Unix sockets, which have none, a byte comes before it that nothing begins with.

use std::io;
use std::time::Duration;

use heartwire_core::connection::{Config, EndedBy};
use heartwire_core::error::Code;
use heartwire_core::server::Limits;
use heartwire_core::wire::lines::Lines;
use heartwire_std::address::Address;
use heartwire_std::connection::Connection;
use heartwire_std::options::ConnectionOptions;

use super::fixtures::{line, lines};
use crate::suite::adapter::Adapter;
use crate::suite::links::{Hosted, listen};
use crate::suite::raw::Channel;
use crate::suite::sockets::Socket;

fn confirming() -> ConnectionOptions<Lines> {
    lines().config(Config::builder().end_confirms(true).build().expect("a configuration"))
}

/// Sends a line, and that there will be no other.
async fn say_all(raw: &mut Channel) {
    raw.write_all(b"all\n").await.expect("it is written");
    raw.finish().await.expect("it is open");
}

/// Receives that line, and that there is no other.
async fn hear_all(served: &mut Connection<Lines>) {
    assert_eq!(served.recv().await, Some(line("all")));
    assert_eq!(served.recv().await, None);
    assert!(served.ended().is_none());
}

/// The end, at this address, of a stream that confirms nothing.
async fn assert_unconfirmed(raw: &mut Channel, address: &Address) {
    let read = raw.read_to_end().await;
    if matches!(address, Address::Unix(_)) {
        assert_eq!(read.expect("there are no resets"), b"\xff");
    } else {
        let error = read.expect_err("nothing was confirmed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
    }
}

/// Who has dealt with everything finishes, or closes: the peer sees the end of the stream, behind what was sent.
pub async fn in_order<A: Adapter, L: Hosted<A>>() {
    let options = confirming();
    let mut server = listen::<A, L, _>(&options).await;
    for closes in [false, true] {
        let (mut raw, mut served) = server.raw().await;
        say_all(&mut raw).await;
        hear_all(&mut served).await;
        // So much that it is still on its way when the connection is closed.
        for _ in 0..20 {
            served.send(line(&"x".repeat(60_000))).await.expect("accepted");
        }
        let end = async {
            match closes {
                true => served.close().await,
                false => {
                    served.finish();
                    served.end().await
                }
            }
        };
        let (ended, answer) = tokio::join!(end, raw.read_to_end());
        assert!(ended.is_orderly() && ended.told, "{ended}");
        assert_eq!(answer.expect("it ends in order").len(), 20 * 60_001);
    }
    // Nor does it matter who is first.
    let (mut raw, mut served) = server.raw().await;
    raw.write_all(b"all\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("all")));
    served.finish();
    assert!(raw.read_to_end().await.expect("it ends in order").is_empty());
    raw.finish().await.expect("it is open");
    assert!(served.end().await.is_orderly());
    // Both sides with this option, too.
    let (client, mut served) = server.pair::<A>(&options).await;
    let (sender, mut receiver) = client.split();
    sender.send(line("all")).await.expect("accepted");
    sender.finish();
    hear_all(&mut served).await;
    served.finish();
    let ended = receiver.end().await;
    assert!(ended.is_orderly() && ended.told, "{ended}");
}

/// Who lets go of the connection, or gives it up, has confirmed nothing, though it read everything.
pub async fn let_go<A: Adapter, L: Hosted<A>>() {
    let options = confirming();
    let mut server = listen::<A, L, _>(&options).await;
    for fails in [false, true] {
        let (mut raw, mut served) = server.raw().await;
        say_all(&mut raw).await;
        hear_all(&mut served).await;
        if fails {
            served.sender().fail(Code::Aborted, "the disk is full");
        }
        drop(served);
        assert_unconfirmed(&mut raw, &server.address).await;
    }
    let unconfirmed = match server.address {
        Address::Unix(_) => (EndedBy::Local, Code::InvalidUtf8),
        _ => (EndedBy::Transport, Code::TransportFailed),
    };
    let (client, mut served) = server.pair::<A>(&options).await;
    let (sender, mut receiver) = client.split();
    sender.send(line("all")).await.expect("accepted");
    sender.finish();
    hear_all(&mut served).await;
    drop(served);
    let ended = receiver.end().await;
    assert_eq!((ended.by, ended.code), unconfirmed, "{ended}");
    // A client that receives, too.
    let (mut client, mut served) = server.pair::<A>(&options).await;
    served.send(line("all")).await.expect("accepted");
    served.finish();
    hear_all(&mut client).await;
    drop(client);
    let ended = served.end().await;
    assert_eq!((ended.by, ended.code), unconfirmed, "{ended}");
}

/// Nor has a handler that panics.
pub async fn panicked<A: Adapter, L: Hosted<A>>() {
    let handler = |mut served: Connection<Lines>| async move {
        hear_all(&mut served).await;
        panic!("as planned");
    };
    let (address, _serving) = L::serve(&confirming(), handler).await.expect("it listens");
    let mut raw = Channel::from(Socket::connect(&address).await);
    say_all(&mut raw).await;
    assert_unconfirmed(&mut raw, &address).await;
}

/// What a newcomer too many sent is not confirmed. Who sent something wrong has nothing to be confirmed.
pub async fn refused<A: Adapter, L: Hosted<A>>() {
    let limits = Limits::builder().max_sessions(1).build().expect("limits");
    let mut server = listen::<A, L, _>(&confirming().limits(limits)).await;
    let (mut raw, mut served) = server.raw().await;
    let mut newcomer = Channel::from(Socket::connect(&server.address).await);
    assert_unconfirmed(&mut newcomer, &server.address).await;
    raw.write_all(b"good\n\xff\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("good")));
    assert_eq!(served.end().await.code, Code::InvalidUtf8);
    assert!(raw.read_to_end().await.expect("it ends as ever").is_empty());
}

/// A stop lets what was begun come to its end, and the application confirm it.
pub async fn stop_waits<A: Adapter, L: Hosted<A>>() {
    let mut server = listen::<A, L, _>(&confirming().grace(Duration::from_secs(50))).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write_all(b"first\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("first")));
    let (mut silent, mut unheard) = server.raw().await;
    let report = server.serving.stop();
    // With this one the stop has begun.
    assert_eq!(unheard.end().await.code, Code::Aborted);
    assert_unconfirmed(&mut silent, &server.address).await;
    say_all(&mut raw).await;
    hear_all(&mut served).await;
    served.finish();
    assert!(raw.read_to_end().await.expect("it ends in order").is_empty());
    assert!(served.end().await.is_orderly());
    let report = report.await.expect("it stops");
    assert_eq!((report.told, report.closed, report.failed, report.cut.len()), (2, 1, 1, 0), "{report}");
}

/// A stop whose grace is over before the application is done confirms nothing.
pub async fn stop_at_the_deadline<A: Adapter, L: Hosted<A>>() {
    let mut server = listen::<A, L, _>(&confirming().grace(Duration::from_millis(200))).await;
    let (mut raw, mut served) = server.raw().await;
    say_all(&mut raw).await;
    hear_all(&mut served).await;
    let report = server.serving.stop();
    assert_unconfirmed(&mut raw, &server.address).await;
    let report = report.await.expect("it stops");
    assert_eq!((report.told, report.closed, report.cut.len()), (1, 0, 1), "{report}");
    assert!(report.took >= Duration::from_millis(200), "{report}");
}

/// Without this option the end of the stream says nothing, and comes however the connection ends.
pub async fn unasked<A: Adapter, L: Hosted<A>>() {
    let mut server = listen::<A, L, _>(&lines()).await;
    let (mut raw, mut served) = server.raw().await;
    say_all(&mut raw).await;
    hear_all(&mut served).await;
    drop(served);
    assert!(raw.read_to_end().await.expect("it ends in order").is_empty());
    let (mut raw, mut served) = server.raw().await;
    say_all(&mut raw).await;
    hear_all(&mut served).await;
    let report = server.serving.stop();
    assert!(raw.read_to_end().await.expect("it ends in order").is_empty());
    assert!(served.end().await.is_orderly());
    let report = report.await.expect("it stops");
    assert!(report.closed >= 1 && report.cut.is_empty(), "{report}");
}
