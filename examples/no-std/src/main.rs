//! An embedding without the standard library, as on a small device: bytes come and go over a wire that holds 64 of them,
//! and what time it is a counter says. `platform.rs` has an allocator and a panic handler: if this links and runs, the
//! core needs neither std nor an operating system.
//!
//! ```text
//! client: established
//! server: established
//! server: got "hello"
//! client: a heartbeat was answered
//! server: a heartbeat was answered
//! client: closed here: that was all
//! server: closed by the peer: that was all
//! server: a line, "hello"
//! server: a sealed packet, "hello"
//! ```
#![no_std]
#![no_main]

extern crate alloc;

mod platform;

use alloc::collections::VecDeque;
use alloc::string::String;
use core::time::Duration;

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::connection::{self, Connection};
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::{Close, Protocol};
use heartwire_core::pump::Pump;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::time::Instant;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::lines::{self, Line, Lines};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};

/// How many bytes a wire holds.
const ROOM: usize = 64;

/// One direction of the connection.
#[derive(Default)]
struct Wire {
    bytes: VecDeque<u8>,
    ended: bool,
}

/// One turn of a machine: reads once what is there, lets time pass, writes what there is room for. Says whether
/// anything moved; if nothing did, a device sleeps until bytes come or the deadline of the machine has.
fn turn<P: Protocol>(pump: &mut Pump<P>, now: Instant, from: &mut Wire, to: &mut Wire) -> bool {
    let interest = pump.poll(now);
    let mut moved = false;
    if interest.read > 0 && (from.ended || !from.bytes.is_empty()) {
        let n = from.bytes.len().min(interest.read);
        pump.io().0.extend(from.bytes.drain(..n));
        // None: the end of the stream.
        pump.handle_read(now, n);
        moved = true;
    }
    if pump.is_due(now) {
        pump.handle_timeout(now);
        moved = true;
    }
    if interest.write && to.bytes.len() < ROOM {
        let mut slices = [&[][..]; 4];
        let used = pump.machine().transmit_slices(&mut slices);
        let before = to.bytes.len();
        to.bytes.extend(slices[..used].iter().copied().flatten().take(ROOM - before));
        let n = to.bytes.len() - before;
        // The rest stays with the machine.
        pump.handle_transmitted(now, n);
        moved = true;
    }
    let end = interest.close == Close::Now || (interest.close == Close::AfterFlush && !interest.write);
    if end && !to.ended {
        to.ended = true;
        moved = true;
    }
    moved
}

/// Two machines, and the wires between them.
struct Pair<P> {
    now: Instant,
    client: Pump<P>,
    server: Pump<P>,
    to_server: Wire,
    to_client: Wire,
}

impl<P: Protocol> Pair<P> {
    fn new(now: Instant, client: P, server: P) -> Self {
        let (client, server) = (Pump::new(client), Pump::new(server));
        Self { now, client, server, to_server: Wire::default(), to_client: Wire::default() }
    }

    /// Turns of both until nothing moves any more; then what happened, for the application.
    fn run(&mut self, mut tell: impl FnMut(&str, P::Event)) {
        let Self { now, client, server, to_server, to_client } = self;
        loop {
            let moved = turn(client, *now, to_client, to_server) | turn(server, *now, to_server, to_client);
            for (name, side) in [("client", &mut *client), ("server", &mut *server)] {
                while let Some(event) = side.poll_event(*now) {
                    tell(name, event);
                }
            }
            if !moved {
                return;
            }
        }
    }
}

macro_rules! say {
    ($($text:tt)*) => { platform::say(format_args!($($text)*)) };
}

fn run() {
    session();
    let line = Line::new("hello").unwrap();
    one_message::<Lines>(&lines::Settings::default(), line, |line| say!("server: a line, {line:?}"));
    let settings = sealed::Settings::new(SecretKey::new([7; 32]));
    one_message::<Sealed>(&settings, Bytes::from_static(b"hello"), |packet| {
        say!("server: a sealed packet, {:?}", text(packet));
    });
}

fn session() {
    let keys = Keys::new(Key::new(b"a key that both sides have").unwrap());
    let now = Instant::ZERO;
    // A device takes it from its generator of random numbers, a new one for each machine.
    let seed = Seed::new([7; 32]);
    let server = Session::server(Config::default(), keys.clone(), &seed, now);
    let mut pair = Pair::new(now, Session::client(Config::default(), keys, now), server);
    let tell = |name: &str, event| match event {
        Event::Established(_) => say!("{name}: established"),
        Event::Message(message) => say!("{name}: got {:?}", text(&message.content)),
        Event::RoundTrip(_) => say!("{name}: a heartbeat was answered"),
        Event::Ended(ended) => say!("{name}: {ended}"),
        _ => {}
    };
    pair.run(tell);
    pair.client.handle_command(now, Command::Send(Message::text("hello"))).unwrap();
    pair.run(tell);
    pair.now = now + Duration::from_secs(5);
    pair.run(tell);
    let goodbye = Command::Close { reason: Some("that was all".into()) };
    pair.client.handle_command(pair.now, goodbye).unwrap();
    pair.run(tell);
}

/// One message from a client to a server, and both part in order.
fn one_message<C: Codec>(settings: &C::Settings, message: C::Message, mut tell: impl FnMut(&C::Item)) {
    use connection::{Command, Config, Event};
    let now = Instant::ZERO;
    let machine =
        |role, seed| Connection::<C>::new(Config::default(), settings, role, &Seed::new([seed; 32]), now);
    let mut pair = Pair::new(now, machine(Role::Client, 1), machine(Role::Server, 2));
    let mut ends = 0;
    let mut told = |_: &str, event| match event {
        Event::Received(item) => tell(&item),
        Event::Ended(ended) if ended.is_orderly() => ends += 1,
        Event::Ended(ended) => panic!("{ended}"),
        _ => {}
    };
    assert!(pair.client.handle_command(now, Command::Send(message)).is_ok());
    pair.run(&mut told);
    // There is no goodbye: each side ends its own direction.
    assert!(pair.client.handle_command(now, Command::Finish).is_ok());
    pair.run(&mut told);
    assert!(pair.server.handle_command(now, Command::Finish).is_ok());
    pair.run(&mut told);
    assert_eq!(ends, 2);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
