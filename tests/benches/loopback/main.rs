//! Messages over loopback TCP, both ends in one process on two threads: `one way` as fast as they go, and
//! `ping-pong` there and back, one at a time. Held against what else one could take: the bare socket; a
//! length-prefixing codec as it is, with CRC and HMAC by hand, with a header like ours beside them;
//! WebSocket; TLS.
//!
//! `cargo bench -p heartwire-tests --bench loopback`: a minute. criterion's flags follow after `--`.

#[path = "../support/mod.rs"]
mod support;

mod checked;
mod framed;
mod ours;
mod raw;
mod tls;
mod websocket;
mod wire;

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use support::compare::{Contestant, Contests, Group};
use support::report::{Row, Target};
use wire::{Play, RoundTrips, Wire};

/// What ours is held against, in the order of [`wires`], where ours is the first.
const PEERS: [&str; 6] = [RAW, "a codec", CHECKED, HEADED, "WebSocket", "a codec over TLS"];
const RAW: &str = "the raw socket";
const CHECKED: &str = "a codec with CRC and HMAC";
const HEADED: &str = "a codec with CRC, HMAC, header";

const SIZES: [(&str, usize); 3] = [("64 B", 64), ("8 KiB", 8 * 1024), ("64 KiB", 64 * 1024)];

/// What `one way` should reach.
const ONE_WAY: [(&str, &str, f64); 4] =
    [("64 KiB", CHECKED, 1.05), ("8 KiB", CHECKED, 1.2), ("64 B", CHECKED, 0.8), ("64 B", HEADED, 1.0)];
/// What `ping-pong` should reach.
const PING_PONG: (&str, &str, f64) = ("64 B", RAW, 1.15);

fn main() {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut contests = Contests::new("loopback", Duration::from_secs(8));
    let mut group = contests.group("one way");
    for (name, len) in SIZES {
        one_way(&mut group, &mut wires(&runtime, len), name, len);
    }
    drop(group);
    let mut group = contests.group("ping-pong");
    for (name, len) in SIZES {
        ping_pong(&mut group, &mut wires(&runtime, len), name, len);
    }
    drop(group);
    contests.finish();
}

/// A connection of ours, and one of each peer.
fn wires(runtime: &Runtime, len: usize) -> [Box<dyn Play + '_>; 7] {
    let content = &Bytes::from(vec![7; len]);
    runtime.block_on(async {
        [
            Box::new(Wire::new(runtime, content, ours::ends().await)) as Box<dyn Play>,
            Box::new(Wire::new(runtime, content, raw::ends(len).await)),
            Box::new(Wire::new(runtime, content, framed::tcp_ends().await)),
            Box::new(Wire::new(runtime, content, checked::ends(b"").await)),
            Box::new(Wire::new(runtime, content, checked::ends(checked::HEADER).await)),
            Box::new(Wire::new(runtime, content, websocket::ends().await)),
            Box::new(Wire::new(runtime, content, framed::tls_ends().await)),
        ]
    })
}

fn one_way(group: &mut Group<'_>, wires: &mut [Box<dyn Play + '_>], name: &str, len: usize) {
    let play = |wire| -> Contestant<'_, Duration> {
        let wire: &mut Box<dyn Play> = wire;
        Box::new(|times| wire.one_way(times))
    };
    let mut contestants: Vec<_> = wires.iter_mut().map(play).collect();
    let Some(samples) = group.run(name, len, &mut contestants) else { return };
    for (peer, against) in (1..).zip(PEERS) {
        // As many messages: so many times their messages a second is their time by ours.
        let ratios = samples.ratios(peer, 0, Duration::as_secs_f64);
        let row = Row::of_samples(("one way", name, against), "x its messages/s", ratios);
        let target = ONE_WAY.iter().find(|(of, by, _)| (*of, *by) == (name, against));
        group.add(match target {
            Some((_, _, least)) => row.target(Target::AtLeast(*least)),
            None => row,
        });
    }
}

fn ping_pong(group: &mut Group<'_>, wires: &mut [Box<dyn Play + '_>], name: &str, len: usize) {
    let play = |wire| -> Contestant<'_, RoundTrips> {
        let wire: &mut Box<dyn Play> = wire;
        Box::new(|times| wire.ping_pong(times))
    };
    let mut contestants: Vec<_> = wires.iter_mut().map(play).collect();
    let Some(samples) = group.run(name, len, &mut contestants) else { return };
    for (peer, against) in (1..).zip(PEERS) {
        let ratios = samples.ratios(0, peer, |trips| trips.median.as_secs_f64());
        let row = Row::of_samples(("ping-pong", name, against), "x its time", ratios);
        let (of, by, most) = PING_PONG;
        group.add(if (of, by) == (name, against) { row.target(Target::AtMost(most)) } else { row });
    }
    let p99 = "ping-pong, 99th percentile";
    let us = |trips: &RoundTrips| trips.p99.as_secs_f64() * 1e6;
    group.add(Row::of_samples((p99, &format!("{name}, ours"), ""), "µs", samples.values(0, us)));
    group.add(Row::of_samples((p99, &format!("{name}, raw socket"), ""), "µs", samples.values(1, us)));
    group.add(Row::of_samples((p99, name, RAW), "x its time", samples.ratios(0, 1, us)));
}
