//! What a peer claims costs nothing, and what it sends stays within the limits, for the protocols without a session.

use std::hint::black_box;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use heartwire_core::connection::{Command, Config, Connection};
use heartwire_core::protocol::Protocol;
use heartwire_core::pump::Pump;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::time::Instant;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::json_header::{JsonFormat, JsonHeader};
use heartwire_core::wire::length_prefixed::{Format, LengthPrefixed};
use heartwire_core::wire::lines::{Lines, Settings};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_tests::peers;

const KEY: [u8; 32] = [7; 32];
/// What is read at once, at most, unless a message that has come in parts is larger.
const READ: usize = 64 * 1024;
/// How much of an endless stream is fed.
const ENDLESS: usize = 16 * 1024 * 1024;

fn pump<C: Codec>(config: Config, settings: &C::Settings, role: Role) -> Pump<Connection<C>> {
    Pump::new(Connection::new(config, settings, role, &Seed::new([1; 32]), Instant::ZERO))
}

/// Bytes arrive as far as they are wanted. Gives how many.
fn feed<C: Codec>(pump: &mut Pump<Connection<C>>, bytes: &[u8]) -> usize {
    let now = Instant::ZERO;
    let mut fed = 0;
    loop {
        let n = pump.poll(now).read.min(bytes.len() - fed);
        if n == 0 {
            return fed;
        }
        pump.io().0.extend_from_slice(&bytes[fed..fed + n]);
        pump.handle_read(now, n);
        fed += n;
    }
}

fn sealed_settings() -> sealed::Settings {
    sealed::Settings::new(SecretKey::new(KEY))
}

/// Nothing but what little arrived is allocated, however much is said to follow.
fn claims<C: Codec>(settings: &C::Settings, claim: &[u8]) {
    let mut pump = pump::<C>(Config::default(), settings, Role::Client);
    let info = measure(|| {
        assert_eq!(feed(&mut pump, claim), claim.len());
        let interest = pump.poll(Instant::ZERO);
        assert!(interest.read <= READ, "{} bytes are wanted at once", interest.read);
        black_box(&mut pump);
    });
    assert!(info.bytes_max < 8 * 1024, "{} bytes for a claim", info.bytes_max);
    assert!(!pump.machine().is_closing());
}

#[test]
fn lengths_that_are_claimed_allocate_nothing() {
    claims::<LengthPrefixed>(&Format::default(), &peers::length_prefixed::length(u32::MAX));
    let header = peers::json_header::Header::new("TEXT", u64::MAX, "a").bytes();
    claims::<JsonHeader>(&JsonFormat::new(), &header);
    claims::<JsonHeader>(&JsonFormat::new(), &peers::json_header::head_claiming(64 * 1024, b"{"));
    let head = peers::sealed::head(1, 24, peers::sealed::LIMIT);
    claims::<Sealed>(&sealed_settings(), &head);
    claims::<Sealed>(&sealed_settings(), &[&head[..], &[7; 100]].concat());
}

/// What is read at once follows what has come, never what is said to come.
#[test]
fn reads_grow_with_what_has_arrived() {
    let mut pump = pump::<Sealed>(Config::default(), &sealed_settings(), Role::Client);
    feed(&mut pump, &peers::sealed::head(1, 24, peers::sealed::LIMIT));
    let mut arrived = 9;
    while arrived < 12 << 20 {
        let read = pump.poll(Instant::ZERO).read;
        assert!(read <= READ.max(arrived), "{read} bytes are wanted when {arrived} have come");
        arrived += feed(&mut pump, &vec![7; read]);
    }
}

/// Where a line ends is not known before: that it is long already is no reason to read it in small bites.
#[test]
fn a_long_line_is_read_no_slower_than_short_ones() {
    const LIMIT: usize = 1 << 20;
    let mut pump = pump::<Lines>(Config::default(), &Settings::with_limit(LIMIT), Role::Client);
    let mut fed = 0;
    let mut reads = 0;
    while fed < LIMIT {
        let read = pump.poll(Instant::ZERO).read.min(LIMIT - fed);
        fed += feed(&mut pump, &vec![b'x'; read]);
        reads += 1;
    }
    assert!(reads <= 4 + LIMIT / READ, "{reads} reads for a line of {LIMIT} bytes");
    feed(&mut pump, b"\n");
    assert_eq!(pump.machine().queued_events().0, 1);
}

/// The most that was allocated while an endless stream was fed as far as it was wanted, nobody taking events.
fn endless<C: Codec>(config: Config, settings: &C::Settings, begin: &[u8], repeat: &[u8]) -> (usize, usize) {
    let mut pump = pump::<C>(config, settings, Role::Client);
    let mut fed = feed(&mut pump, begin);
    let repeat = repeat.repeat((READ / repeat.len()).max(1));
    let info = measure(|| {
        while fed < ENDLESS && !pump.machine().is_closing() {
            let n = feed(&mut pump, &repeat);
            fed += n;
            if n < repeat.len() {
                break;
            }
        }
    });
    black_box(&mut pump);
    (usize::try_from(info.bytes_max).unwrap(), fed)
}

#[test]
fn a_line_without_an_end_is_refused_at_the_limit() {
    for limit in [1000, 64 * 1024, 1 << 20] {
        let (most, fed) = endless::<Lines>(Config::default(), &Settings::with_limit(limit), b"", b"x");
        assert!(fed <= limit + 2 * READ.max(limit), "{fed} bytes were read of a line of {limit}");
        assert!(most <= 4 * limit + 4 * READ, "{most} bytes for lines of {limit}");
    }
}

#[test]
fn a_header_without_an_end_is_held_no_longer_than_it_may_be() {
    let begin = peers::json_header::head_claiming(64 * 1024, b"{");
    let (most, fed) = endless::<JsonHeader>(Config::default(), &JsonFormat::new(), &begin, b" ");
    assert!(fed <= 3 * READ && most <= 6 * READ, "{most} bytes, {fed} fed");
}

/// Events wait up to their limits, and then nothing more is read.
fn backpressure<C: Codec>(name: &str, settings: &C::Settings, begin: &[u8], repeat: &[u8]) {
    const BYTES: usize = 200_000;
    let config = Config::builder().queued_event_bytes(BYTES).queued_events(1 << 20).build().unwrap();
    let (most, fed) = endless::<C>(config, settings, begin, repeat);
    assert!(fed < BYTES + 4 * READ, "{name}: {fed} bytes were read");
    // Each event is counted with what it takes itself; buffers may be twice what is in them.
    assert!(most < 3 * BYTES + 8 * READ, "{name}: {most} bytes were held");
    let config = Config::builder().queued_events(10).build().unwrap();
    let (most, fed) = endless::<C>(config, settings, begin, repeat);
    assert!(fed < 11 * READ && most < 24 * READ, "{name}: {most} bytes held, {fed} read");
}

#[test]
fn nothing_more_is_read_when_nobody_takes_events() {
    backpressure::<LengthPrefixed>(
        "a body",
        &Format::default(),
        &peers::length_prefixed::length(u32::MAX),
        b"x",
    );
    backpressure::<LengthPrefixed>("bodies", &Format::default(), b"", &peers::length_prefixed::message(b"x"));
    backpressure::<LengthPrefixed>("nothings", &Format::default(), b"", &[0; 4]);
    let header = peers::json_header::Header::new("TEXT", u64::MAX, "a").bytes();
    backpressure::<JsonHeader>("a payload", &JsonFormat::new(), &header, b"x");
    let name = "n".repeat(60_000);
    backpressure::<JsonHeader>(
        "names",
        &JsonFormat::new(),
        b"",
        &peers::json_header::message("TEXT", &name, b""),
    );
    backpressure::<Lines>("lines", &Settings::default(), b"", b"\n");
    backpressure::<Lines>("long lines", &Settings::default(), b"", &peers::lines::line(&"x".repeat(9000)));
    let packet = peers::sealed::packet(&KEY, &peers::sealed::nonce(0), &[7; 1000]);
    backpressure::<Sealed>("packets", &sealed_settings(), b"", &packet);
}

/// A server holds one request, and what came with it.
#[test]
fn a_sealed_server_does_not_gather_requests() {
    let packet = peers::sealed::packet(&KEY, &peers::sealed::nonce(0), &[7; 100]);
    let mut pump = pump::<Sealed>(Config::default(), &sealed_settings(), Role::Server);
    let fed = feed(&mut pump, &packet.repeat(10_000));
    assert!(fed <= READ, "{fed} bytes");
    assert_eq!(pump.machine().queued_events().0, 1);
}

/// A few bytes that the application keeps do not keep what they were read into.
#[test]
fn small_items_do_not_pin_large_buffers() {
    const KEPT: usize = 64;
    let lines = peers::lines::line("small").repeat(10_000);
    let mut kept = Vec::new();
    let mut codec = Lines::with_settings(Settings::default());
    let info = measure(|| {
        for _ in 0..KEPT {
            let mut rx = BytesMut::from(&lines[..]);
            kept.push(codec.decode(&mut rx).unwrap().unwrap());
        }
    });
    black_box(&kept);
    assert!(info.bytes_current < 64 * 1024, "{} bytes are kept for {KEPT} lines", info.bytes_current);
}

/// How often the heap is asked in steady state, for a message of 64 bytes there and back.
#[test]
fn small_messages_take_few_allocations() {
    const TIMES: u64 = 1000;
    let mut client = pump::<LengthPrefixed>(Config::default(), &Format::default(), Role::Client);
    let mut server = pump::<LengthPrefixed>(Config::default(), &Format::default(), Role::Server);
    let now = Instant::ZERO;
    let body = Bytes::from(vec![7; 64]);
    drop(body.clone());
    let mut once = || {
        client.handle_command(now, Command::Send(body.clone().into())).unwrap();
        while client.poll(now).write {
            let mut slices = [&[][..]; 4];
            let used = client.io().1.transmit_slices(&mut slices);
            let mut n = 0;
            for slice in &slices[..used] {
                server.io().0.extend_from_slice(slice);
                n += slice.len();
            }
            client.handle_transmitted(now, n);
            server.handle_read(now, n);
        }
        let mut events = 0;
        while server.poll_event(now).is_some() {
            events += 1;
        }
        assert_eq!(events, 3);
    };
    (0..TIMES).for_each(|_| once());
    let count = measure(|| (0..TIMES).for_each(|_| once())).count_total;
    // The piece that is received; what is read into grows now and then.
    assert!(count <= 2 * TIMES, "{count} allocations for {TIMES} messages");
}
