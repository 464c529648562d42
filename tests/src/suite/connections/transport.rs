//! Peers that behave badly.

use std::time::Duration;

use heartwire_core::connection::{Config, EndedBy};
use heartwire_core::error::Code;
use heartwire_core::protocol::Why;

use super::fixtures::{line, lines};
use crate::suite::adapter::{Adapter, within};
use crate::suite::links::{Hosted, listen};

/// A peer that goes with what it was sent unread, which resets the connection: what it sent before is heard.
pub async fn reset<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write_all(b"last words\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("last words")));
    served.send(line("never read")).await.expect("accepted");
    while served.queued_bytes() > 0 {
        tokio::task::yield_now().await;
    }
    drop(raw);
    // Until then it may be accepted, and be lost.
    while served.send(line("into nothing")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let ended = served.end().await;
    assert_eq!((ended.by, ended.code), (EndedBy::Transport, Code::TransportFailed), "{ended}");
}

/// A peer that never reads: the queue stays bounded, and closing does not wait for it for ever.
pub async fn never_reads<A: Adapter, L: Hosted<A>>() {
    let config = Config::builder()
        .queued_output(100_000)
        .flush_timeout(Duration::from_millis(100))
        .build()
        .expect("a configuration");
    let options = lines().config(config);
    let mut server = listen::<A, L, _>(&options).await;
    let (_raw, served) = server.raw().await;
    let long = line(&"x".repeat(60_000));
    // Until the sockets' buffers are full.
    let blocked = loop {
        match served.try_send(long.clone()) {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused) => {
                let room = served.ready_for(&refused.command);
                if within::<A, _>(Duration::from_millis(200), room).await.is_none() {
                    break refused;
                }
            }
        }
    };
    assert_eq!(blocked.why, Why::Full);
    assert!(served.queued_bytes() < 100_000 + 60_100, "{}", served.queued_bytes());
    let ended = served.close().await;
    assert!(!ended.told && !ended.unsent.is_empty(), "{ended}");
    assert!(ended.unsent.iter().all(|unsent| unsent.message.as_ref() == Some(&long)));
}

/// What is refused ends the connection without a word.
pub async fn refused_without_a_word<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write_all(b"good\n\xff\nlater\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("good")));
    assert_eq!(served.recv().await, None);
    assert_eq!(served.end().await.code, Code::InvalidUtf8);
    assert!(raw.read_to_end().await.expect("it ends in order").is_empty());
}
