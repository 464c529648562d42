//! What a session makes of a stream does not depend on how the stream was split.

use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::protocol::Protocol;
use heartwire_core::pump::Pump;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Event, Session};
use heartwire_core::time::Instant;
use heartwire_tests::peer::{FEATURES, Peer};
use heartwire_tests::solo::Solo;
use heartwire_tests::unprotected::Unprotected;

/// The handshake and what follows, as the peer of either role says it.
fn stream(peer: &Peer, server: bool) -> Vec<u8> {
    let hello = if server { peer.ack(FEATURES) } else { peer.init(FEATURES) };
    [
        hello,
        peer.message(b"1"),
        peer.chunk(1, 0, false, r#", "app": {}"#, b"ab"),
        peer.frame("message", r#", "app": {"a": 1}"#, "zwei ✓".as_bytes()),
        peer.chunk(1, 1, true, "", b"c"),
        peer.message(b"3"),
    ]
    .concat()
}

fn peer(server: bool) -> Peer {
    if server { Solo::server(Config::default()).peer } else { Peer::new("s") }
}

/// The events of a machine, its bytes arriving in these pieces. Checksums and MAC are left out where
/// the splits are many: they are computed over whole frames only.
fn events<'a>(
    server: bool,
    protect: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Vec<u8>) {
    let (now, seed) = (Instant::ZERO, Seed::new([3; 32]));
    let keys = Keys::new(Key::new(heartwire_tests::peer::KEY).unwrap());
    let config = Config::default();
    match (protect, server) {
        (true, true) => take(Session::server(config, keys, &seed, now), pieces),
        (true, false) => take(Session::client(config, keys, now), pieces),
        (false, true) => take(Session::server_with(config, Unprotected, &seed, now), pieces),
        (false, false) => take(Session::client_with(config, Unprotected, now), pieces),
    }
}

fn take<'a, P: heartwire_core::wire::envelope::Protection>(
    machine: Session<P>,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Vec<u8>) {
    let now = Instant::ZERO;
    let (mut pump, mut events, mut written) = (Pump::new(machine), Vec::new(), Vec::new());
    for piece in pieces {
        if !piece.is_empty() {
            pump.io().0.extend_from_slice(piece);
            pump.handle_read(now, piece.len());
        }
        events.extend(std::iter::from_fn(|| pump.poll_event(now)));
    }
    while pump.poll(now).write {
        let mut slices = [&[][..]; 8];
        let used = pump.io().1.transmit_slices(&mut slices);
        let bytes = slices[..used].concat();
        written.extend_from_slice(&bytes);
        pump.handle_transmitted(now, bytes.len());
    }
    (events, written)
}

#[test]
fn every_one_split_and_byte_by_byte() {
    for server in [false, true] {
        let bytes = stream(&peer(server), server);
        let whole = events(server, true, [&bytes[..]]);
        assert_eq!(whole.0.len(), 5, "{:?}", whole.0);
        for at in 0..=bytes.len() {
            assert_eq!(events(server, true, [&bytes[..at], &bytes[at..]]), whole, "split at {at}");
        }
        assert_eq!(events(server, true, bytes.chunks(1)), whole);
    }
}

#[test]
fn every_two_split() {
    for server in [false, true] {
        let bytes = stream(&peer(server), server);
        let whole = events(server, false, [&bytes[..]]);
        assert_eq!(whole.0.len(), 5);
        for first in 0..=bytes.len() {
            // The second split only from the first on: the others were there.
            for second in first..=bytes.len() {
                let pieces = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(events(server, false, pieces), whole, "splits at {first} and {second}");
            }
        }
    }
}

#[test]
fn a_refused_stream_is_refused_alike_at_every_split() {
    for server in [false, true] {
        let peer = peer(server);
        let good = stream(&peer, server);
        for bad in [
            peer.chunk(2, 1, true, "", b"c"),
            peer.frame("message", "", b""),
            peer.frame("shout", "", b"x"),
            [peer.message(b"x"), b"garbage".to_vec()].concat(),
            [peer.disconnect("enough"), b"garbage".to_vec()].concat(),
            [peer.error("chunk-gap"), peer.message(b"late")].concat(),
        ] {
            let bytes = [good.clone(), bad].concat();
            let whole = events(server, true, [&bytes[..]]);
            assert!(whole.0.len() >= 5);
            for at in 0..=bytes.len() {
                assert_eq!(events(server, true, [&bytes[..at], &bytes[at..]]), whole, "split at {at}");
            }
        }
    }
}
