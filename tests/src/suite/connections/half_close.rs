//! One half of a connection ends before the other.

use heartwire_core::connection::EndedBy;
use heartwire_core::protocol::Why;

use super::fixtures::{line, lines};
use crate::suite::adapter::Adapter;
use crate::suite::links::{Hosted, listen};

/// A peer that finishes first still receives; one that we finish first still sends.
pub async fn half_closed<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write_all(b"one\ntwo").await.expect("it is written");
    raw.finish().await.expect("it is open");
    assert_eq!(served.recv().await, Some(line("one")));
    assert_eq!(served.recv().await, Some(line("two")));
    assert_eq!(served.recv().await, None);
    assert!(served.ended().is_none());
    served.send(line("three")).await.expect("it still receives");
    served.finish();
    assert_eq!(raw.read_to_end().await.expect("it ends in order"), b"three\n");
    let ended = served.end().await;
    assert!(ended.is_orderly() && ended.by == EndedBy::Peer, "{ended}");

    let (mut raw, mut served) = server.raw().await;
    served.send(line("one")).await.expect("accepted");
    served.finish();
    assert_eq!(served.send(line("two")).await.expect_err("finished").why, Why::Closed);
    assert_eq!(raw.read_to_end().await.expect("it ends in order"), b"one\n");
    raw.write_all(b"still\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("still")));
    raw.finish().await.expect("it is open");
    assert_eq!(served.recv().await, None);
    let ended = served.end().await;
    assert!(ended.is_orderly() && ended.by == EndedBy::Local, "{ended}");
}
