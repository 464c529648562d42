//! Sessions: heartbeats.

use std::time::Duration;

use heartwire_core::config::{Config, ConfigBuilder};
use heartwire_core::message::Message;
use heartwire_core::session::Event;
use heartwire_std::options::Options;

use super::adapter::Adapter;
use super::fixtures::{content, with};
use super::links::Link;

/// The intervals that are the default, of this clock.
pub(super) fn intervals(builder: ConfigBuilder, time: impl Fn(u64) -> Duration) -> Options {
    let builder = builder.heartbeat_interval(time(5)).silence_timeout(time(30)).stall_timeout(time(120));
    with(
        builder
            .progress_timeout(time(10))
            .handshake_timeout(time(10).max(Duration::from_secs(5)))
            .build()
            .expect("valid"),
    )
}

/// Heartbeats go on, with round-trip times, while neither application does anything; also when both are behind.
pub async fn heartbeats_while_busy<A: Adapter, L: Link<A>>() {
    let options = intervals(Config::builder(), L::seconds);
    let (mut client, mut server, _serving) = L::pair(&options, &options).await;
    A::sleep(L::seconds(if L::SIMULATED { 600 } else { 30 })).await;
    assert!(client.round_trip().is_some(), "the client pings");
    assert!(!client.is_closing() && !server.is_closing());
    let (frames, silent) = (server.stats().frames_received, A::now() - server.last_heard());
    if L::SIMULATED {
        assert!((119..130).contains(&frames), "a ping every 5 s: {frames}");
        assert!(silent <= Duration::from_secs(6), "{silent:?}");
    } else {
        // Where time is real there may be too little of it.
        assert!((3..20).contains(&frames), "about 6 pings: {frames}");
    }
    // Both applications are behind, so that nobody reads: still nobody is dropped.
    for session in [&client, &server] {
        while session.try_send(Message::binary(content(100_000, 0))).is_ok() {
            A::sleep(Duration::from_millis(1)).await;
        }
    }
    // Longer than the peer may be silent.
    A::sleep(L::seconds(if L::SIMULATED { 90 } else { 45 })).await;
    assert!(!client.is_closing() && !server.is_closing());
    let (a, b) = tokio::join!(client.recv_message(), server.recv_message());
    assert!(a.is_ok() && b.is_ok());
    // At most one round-trip time waits, however long it was.
    let mut trips = 0;
    let (_sender, mut receiver) = client.split();
    while let Some(event) = receiver.try_recv() {
        trips += usize::from(matches!(event, Event::RoundTrip(_)));
    }
    assert!(trips <= 1, "{trips}");
}

/// Where nothing happens, a ping and its answer are all that is sent, and the session stays.
pub async fn idle_is_quiet<A: Adapter, L: Link<A>>() {
    let options = intervals(Config::builder(), L::seconds);
    let (client, server, _serving) = L::pair(&options, &options).await;
    A::sleep(L::seconds(1)).await;
    let before = [client.stats().frames_sent, server.stats().frames_sent];
    // Longer than the peer may be silent.
    let seconds = if L::SIMULATED { 60 } else { 40 };
    A::sleep(L::seconds(seconds)).await;
    for (session, before) in [&client, &server].into_iter().zip(before) {
        let frames = session.stats().frames_sent - before;
        // Real time may last longer than it was asked to.
        let most = if L::SIMULATED { seconds / 5 } else { seconds };
        assert!((2..=most).contains(&frames), "{frames} frames");
        assert!(!session.is_closing());
    }
    assert!(client.round_trip().is_some());
}
