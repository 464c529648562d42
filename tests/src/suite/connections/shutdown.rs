//! How a server stops.

use std::time::Duration;

use heartwire_core::connection::Config;

use super::fixtures::{line, lines};
use crate::suite::adapter::{Adapter, within};
use crate::suite::links::{Hosted, listen};

/// A stop sends what is queued, ends every connection, and says how that went.
pub async fn graceful_stop<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let mut peers = Vec::new();
    let mut served = Vec::new();
    for number in 0..5 {
        let (raw, connection) = server.raw().await;
        connection.send(line(&format!("to {number}"))).await.expect("accepted");
        peers.push(raw);
        served.push(connection);
    }
    let report = server.serving.stop();
    for (number, raw) in peers.iter_mut().enumerate() {
        assert_eq!(raw.read_to_end().await.expect("it ends in order"), format!("to {number}\n").as_bytes());
        raw.finish().await.expect("it is open");
    }
    for connection in &mut served {
        assert!(connection.end().await.is_orderly());
    }
    let report = report.await.expect("it stops");
    assert_eq!((report.told, report.closed, report.failed, report.cut.len()), (5, 5, 0, 0), "{report}");
    assert_eq!(report.unsent, 0);
}

/// A stop does not wait longer than its grace for a peer that takes nothing.
pub async fn stop_at_the_deadline<A: Adapter, L: Hosted<A>>() {
    let config = Config::builder().flush_timeout(Duration::from_secs(100)).build().expect("a configuration");
    let options = lines().config(config).grace(Duration::from_millis(200));
    let mut server = listen::<A, L, _>(&options).await;
    let (_raw, mut served) = server.raw().await;
    let long = line(&"x".repeat(60_000));
    while within::<A, _>(Duration::from_millis(200), served.send(long.clone())).await.is_some() {}
    let report = server.serving.stop();
    let ended = served.end().await;
    assert!(!ended.told && !ended.unsent.is_empty(), "{ended}");
    let report = report.await.expect("it stops");
    assert_eq!((report.told, report.cut.len()), (1, 1), "{report}");
    assert_eq!(report.unsent, ended.unsent.len() as u64);
}
