//! What every adapter must do: the cases, over a small trait of the adapter. [`suite!`](crate::suite!)
//! makes the tests of one adapter, in modules `tcp`, `unix`, `memory`, `heartbeat`, `shutdown`, so that one
//! kind can be selected by its name.
//!
//! No case sleeps to see what happens: it awaits an event, or the clock is a simulated one. Only that nothing
//! happens any more takes a while to see.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use heartwire_core::config::{Config, Receive};
use heartwire_core::error::Code;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::{App, ContentType, Message};
use heartwire_core::protocol::{Protocol, Why};
use heartwire_core::pump::Pump;
use heartwire_core::seed::Seed;
use heartwire_core::server::{Limits, Report};
use heartwire_core::session::{self as core, Begin, EndedBy, Event, PieceEnd};
use heartwire_core::time::Instant as CoreInstant;
use heartwire_std::address::Address;
use heartwire_std::session::{ConnectError, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use crate::mock::{self, Mock, Script};

/// What sessions and servers of the suite are made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Limits and intervals.
    pub config: Arc<Config>,
    /// The keys.
    pub keys: Keys,
    /// A server's limits.
    pub limits: Limits,
    /// A server's grace.
    pub grace: Duration,
}

/// The key of all tests.
#[must_use]
pub fn keys() -> Keys {
    Keys::new(Key::new(b"the key of the whole suite").expect("it is strong enough"))
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Arc::default(),
            keys: keys(),
            limits: Limits::default(),
            grace: Duration::from_secs(3),
        }
    }
}

impl Setup {
    /// With this configuration.
    #[must_use]
    pub fn with(config: Config) -> Self {
        Self { config: Arc::new(config), ..Self::default() }
    }
}

/// What a case needs of an adapter.
pub trait Adapter: 'static {
    /// A server that listens.
    type Server: Send;

    /// Runs a case by the real clock; fails it after a minute.
    fn run<T>(case: impl Future<Output = T>) -> T;
    /// Runs a case by a simulated clock, which moves on when nothing else can happen; fails it after an hour
    /// of that.
    fn run_paused<T>(case: impl Future<Output = T>) -> T;
    /// Runs a task beside the case; gives its result.
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send;
    /// Waits, by the case's clock.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
    /// The case's clock.
    fn now() -> Instant;
    /// A client's session over a transport.
    fn client(io: Mock, setup: &Setup) -> impl Future<Output = Result<Session, ConnectError>> + Send;
    /// A server's session over a transport.
    fn server(io: Mock, setup: &Setup) -> impl Future<Output = Result<Session, ConnectError>> + Send;
    /// A client's session to an address.
    fn connect(
        address: &Address,
        setup: &Setup,
    ) -> impl Future<Output = Result<Session, ConnectError>> + Send;
    /// A server that listens.
    fn bind(addresses: &[Address], setup: &Setup) -> impl Future<Output = io::Result<Self::Server>> + Send;
    /// Where it listens.
    fn addresses(server: &Self::Server) -> Vec<Address>;
    /// Serves until `stop`.
    fn serve<H, F>(
        server: Self::Server,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Report> + Send
    where
        H: Fn(Session) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static;
}

/// What is between the two sides of a case.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// A TCP connection over loopback, to a server.
    Tcp,
    /// A Unix socket, to a server.
    Unix,
    /// Pipes of 4 KiB.
    Memory,
}

/// Both sides of a session.
pub struct Pair {
    /// The side that connected.
    pub client: Session,
    /// The side that accepted.
    pub server: Session,
}

impl Link {
    /// A session over this link.
    pub async fn pair<A: Adapter>(self, client: &Setup, server: &Setup) -> Pair {
        match self {
            Self::Memory => memory::<A>(4096, Script::free(), Script::free(), client, server).await,
            Self::Tcp => {
                listen::<A>("tcp://127.0.0.1:0".parse().expect("an address"), None, client, server).await
            }
            Self::Unix => {
                let directory = tempfile::tempdir().expect("a directory");
                let address = Address::Unix(directory.path().join("socket"));
                listen::<A>(address, Some(directory), client, server).await
            }
        }
    }
}

/// A session in memory.
pub async fn memory<A: Adapter>(
    capacity: usize,
    a: Script,
    b: Script,
    client: &Setup,
    server: &Setup,
) -> Pair {
    let (a, b) = mock::pair(capacity, a, b);
    let (client, server) = tokio::join!(A::client(a, client), A::server(b, server));
    let (client, server) = (client.expect("a session"), server.expect("a session"));
    Pair { client, server }
}

async fn listen<A: Adapter>(
    address: Address,
    directory: Option<tempfile::TempDir>,
    client: &Setup,
    server: &Setup,
) -> Pair {
    let server = A::bind(&[address], server).await.expect("it listens");
    let address = A::addresses(&server).remove(0);
    let (give, mut take) = mpsc::unbounded_channel();
    let handler = move |session| {
        let _ = give.send(session);
        async {}
    };
    // It serves until the case ends, and its directory goes then.
    drop(A::spawn(A::serve(server, handler, async move {
        let _directory = directory;
        std::future::pending().await
    })));
    let client = A::connect(&address, client).await.expect("a session");
    let server = take.recv().await.expect("a session");
    Pair { client, server }
}

/// A content that shows where a byte was lost or doubled.
#[must_use]
pub fn content(len: usize, salt: usize) -> Bytes {
    (0..len).map(|at| (at.wrapping_mul(31) ^ (at >> 8) ^ salt) as u8).collect::<Vec<u8>>().into()
}

/// Waits until a session knows that everything left: its driver says so when it is back from writing, a moment
/// after the peer may have it.
async fn all_left(session: &Session) {
    while session.queued_bytes() > 0 {
        tokio::task::yield_now().await;
    }
}

/// A peer that does as it is told: a machine that the case moves by hand.
pub struct Raw {
    io: Mock,
    /// The machine.
    pub pump: Pump<core::Session>,
}

impl Raw {
    /// A peer on the server's side.
    #[must_use]
    pub fn server(io: Mock) -> Self {
        let seed = Seed::new([7; 32]);
        Self {
            io,
            pump: Pump::new(core::Session::server(Config::default(), keys(), &seed, CoreInstant::ZERO)),
        }
    }

    /// A peer on the client's side.
    #[must_use]
    pub fn client(io: Mock) -> Self {
        Self { io, pump: Pump::new(core::Session::client(Config::default(), keys(), CoreInstant::ZERO)) }
    }

    /// Writes what there is to write.
    pub async fn write(&mut self) {
        loop {
            let mut out = [&[][..]; 16];
            if !self.pump.poll(CoreInstant::ZERO).write {
                return self.io.flush().await.expect("it leaves");
            }
            let (_, machine) = self.pump.io();
            let used = machine.transmit_slices(&mut out);
            let bytes = out[..used].concat();
            self.io.write_all(&bytes).await.expect("it leaves");
            self.pump.handle_transmitted(CoreInstant::ZERO, bytes.len());
        }
    }

    /// Queues a message; [`write`](Self::write) has it leave.
    pub fn send(&mut self, content: impl Into<Bytes>) {
        let send = core::Command::Send(Message::binary(content));
        self.pump.handle_command(CoreInstant::ZERO, send).expect("accepted");
    }

    /// Reads once. Gives the number of bytes.
    pub async fn read(&mut self) -> usize {
        let mut bytes = BytesMut::with_capacity(65536);
        let n = self.io.read_buf(&mut bytes).await.expect("it arrives");
        let (rx, _) = self.pump.io();
        rx.extend_from_slice(&bytes);
        self.pump.handle_read(CoreInstant::ZERO, n);
        n
    }

    /// Goes on until the handshake is done.
    pub async fn establish(&mut self) {
        while !self.pump.machine().is_established() {
            self.write().await;
            if !self.pump.machine().is_established() {
                self.read().await;
            }
        }
        self.write().await;
    }

    /// Gives the transport back.
    #[must_use]
    pub fn into_io(self) -> Mock {
        self.io
    }
}

// Both ways, over every link.

/// The handshake settles one id and what each side takes, and both sides know where they are.
pub async fn handshake<A: Adapter>(link: Link) {
    let small =
        Setup::with(Config::builder().message_limit(12345).unfinished_limit(3).build().expect("valid"));
    let Pair { client, server } = &link.pair::<A>(&Setup::default(), &small).await;
    assert_eq!(client.id(), server.id());
    assert_eq!(client.id().len(), 36);
    let limits = client.established().limits;
    assert_eq!((limits.message, limits.unfinished), (12345, 3));
    match link {
        Link::Tcp => {
            assert_eq!(client.local_address(), server.peer_address());
            assert_eq!(client.peer_address(), server.local_address());
            assert!(client.peer_address().is_some() && client.local_address().is_some());
        }
        Link::Unix => assert_eq!(client.peer_address(), server.local_address()),
        Link::Memory => assert_eq!((client.peer_address(), client.local_address()), (None, None)),
    }
}

/// Messages of many sizes arrive as they were sent, both ways, their entries and types with them.
pub async fn messages<A: Adapter>(link: Link) {
    let Pair { mut client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let sizes = [0, 1, 2, 63, 64, 1000, 4096, 4097, 8192, 8193, 8194, 20_000, 65_536, 300_000];
    let message = |at: usize| {
        let app = App::from_json(&format!("{{\"at\": {at}}}")).expect("entries");
        let content_type = ContentType::new(&format!("kind/{at}")).expect("a type");
        Message::new(content_type, content(sizes[at], at)).with_app(app)
    };
    for (one, other) in [(0, 1), (1, 0), (0, 1)] {
        let (from, to) = if one < other { (&mut client, &mut server) } else { (&mut server, &mut client) };
        for at in 0..sizes.len() {
            from.send(message(at)).await.expect("it is accepted");
            assert_eq!(to.recv_message().await.expect("it arrives"), message(at));
        }
    }
    all_left(&client).await;
    let (sent, received) = (client.stats(), server.stats());
    assert_eq!(sent.messages_sent, 2 * sizes.len() as u64);
    assert_eq!(received.messages_received, sent.messages_sent);
    assert_eq!(received.bytes_received, sent.bytes_sent);
    let (ended, other) = tokio::join!(client.close(Some("done".to_string())), server.recv_message());
    assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::Disconnected));
    let other = other.expect_err("it ended");
    assert_eq!((other.by, other.code, other.detail.as_str()), (EndedBy::Peer, Code::Disconnected, "done"));
}

/// 32 MB each way at once, neither side waiting for the other.
pub async fn much_both_ways<A: Adapter>(link: Link) {
    const COUNT: usize = 32;
    let Pair { client, server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let one = content(1_000_000, 5);
    let mut halves = Vec::new();
    for session in [client, server] {
        let (sender, mut receiver) = session.split();
        let one = one.clone();
        halves.push(A::spawn(async move {
            let receive = async {
                for _ in 0..COUNT {
                    assert!(receiver.recv_message().await.expect("it arrives").content == one);
                }
            };
            let send = async {
                for _ in 0..COUNT {
                    sender.send(Message::binary(one.clone())).await.expect("it is accepted");
                }
            };
            tokio::join!(receive, send);
            (sender, receiver)
        }));
    }
    // Whoever is done first must not take the other's messages with it: both are kept until both are done.
    let (second, first) = (halves.pop().expect("two"), halves.pop().expect("two"));
    let _kept = tokio::join!(first, second);
}

/// A large message reaches the application in pieces, if that is asked for.
pub async fn pieces<A: Adapter>(link: Link) {
    let setup = Setup::with(Config::builder().receive(Receive::Pieces).build().expect("valid"));
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &setup).await;
    let whole = content(100_000, 2);
    client.send(Message::binary(whole.clone())).await.expect("accepted");
    client.start_close(None);
    let (mut got, mut pieces, mut last) = (Vec::new(), 0, false);
    loop {
        match server.recv().await.expect("an event") {
            Event::Piece(piece) => {
                assert_eq!(piece.start.as_ref().and_then(|start| start.total_size).is_some(), pieces == 0);
                got.extend_from_slice(&piece.content);
                (pieces, last) = (pieces + 1, piece.end == PieceEnd::Last);
            }
            Event::Ended(ended) => break assert!(ended.is_orderly()),
            other => panic!("{other:?}"),
        }
    }
    assert!(server.recv().await.is_none(), "nothing after the last event");
    assert!(last && pieces >= 12 && got == whole, "{pieces} pieces");
}

/// A message is sent piece by piece; one that is dropped on the way is given up.
pub async fn streams<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let begin = || Begin::new(ContentType::BINARY);
    let whole = content(3_000_000, 3);
    let send = async {
        let outgoing = client.begin(begin()).await.expect("accepted");
        for piece in whole.chunks(77_777) {
            outgoing.send(whole.slice_ref(piece)).await.expect("accepted");
        }
        outgoing.end().expect("it ends");
    };
    let ((), message) = tokio::join!(send, server.recv_message());
    assert!(message.expect("it arrives").content == whole);
    let outgoing = client.begin(begin().total_size(50_000)).await.expect("accepted");
    outgoing.send(content(20_000, 4)).await.expect("accepted");
    // Only of one that has begun the peer is told; it has when a message behind it arrives.
    client.send(Message::text("behind it")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "behind it");
    drop(outgoing);
    match server.recv().await {
        Some(Event::Abandoned { received, .. }) => assert!(received <= 20_000),
        other => panic!("{other:?}"),
    }
    client.send(Message::text("after it")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "after it");
}

/// Who waits for room for a message gets it, and does not wait in vain when the session is closing.
pub async fn room_for_a_message<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let large = Message::binary(content(4_000_000, 1));
    let mut sent = 0;
    // The recipe by which nothing is lost with a future that is dropped: it must not spin.
    let send = async {
        for _ in 0..4 {
            let mut tries = 0;
            loop {
                client.ready_for(&large).await;
                match client.try_send(large.clone()) {
                    Ok(_) => break,
                    Err(refused) => assert_eq!(refused.why, Why::Full),
                }
                tries += 1;
                assert!(tries < 1000, "it spins");
            }
            sent += 1;
        }
    };
    let receive = async {
        for _ in 0..4 {
            assert_eq!(server.recv_message().await.expect("it arrives").content.len(), 4_000_000);
        }
    };
    tokio::join!(send, receive);
    assert_eq!(sent, 4);
    // A task that keeps a message open still sends others.
    let open = client.begin(Begin::new(ContentType::BINARY)).await.expect("accepted");
    client.send(Message::binary(content(9000, 2))).await.expect("accepted");
    let another = client.begin(Begin::new(ContentType::BINARY)).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content.len(), 9000);
    drop((open, another));
    // The server does not receive any more: the queue fills, and nobody waits for room once it closes.
    while client.try_send(large.clone()).is_ok() {}
    while client.try_send(Message::binary(content(1000, 3))).is_ok() {}
    client.start_close(None);
    client.ready().await;
    client.ready_for(&large).await;
    assert_eq!(client.try_send(large).expect_err("it closes").why, Why::Closed);
    client.abort_connection();
}

/// The halves work in two tasks at once.
pub async fn split_halves<A: Adapter>(link: Link) {
    let Pair { client, server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let (sender, mut receiver) = server.split();
    let echo = A::spawn(async move {
        while let Ok(message) = receiver.recv_message().await {
            sender.send(message).await.expect("accepted");
        }
        receiver
    });
    let (sender, mut receiver) = client.split();
    let send = A::spawn(async move {
        for at in 0..500 {
            sender.send(Message::text(format!("{at}"))).await.expect("accepted");
        }
        sender
    });
    let receive = A::spawn(async move {
        for at in 0..500 {
            assert_eq!(receiver.recv_message().await.expect("it arrives").content, format!("{at}"));
        }
        receiver
    });
    let (sender, receiver) = tokio::join!(send, receive);
    sender.start_close(None);
    drop((sender, receiver));
    let receiver = echo.await;
    assert!(receiver.ended().expect("it ended").is_orderly());
}

/// A peer that lets go of the connection without a goodbye.
pub async fn end_of_stream<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    // Dropping the last handle cuts the connection.
    drop(client);
    let ended = server.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.code), (EndedBy::Peer, Code::EndedWithoutDisconnect));
    let outcome = server.closed().await.expect("it ended");
    assert!(!outcome.in_order && outcome.code == Code::EndedWithoutDisconnect);
    let refused = server.send(Message::text("late")).await.expect_err("it ended");
    assert_eq!((refused.why, refused.command), (Why::Closed, Message::text("late")));
    assert!(server.begin(Begin::new(ContentType::TEXT)).await.is_err());
    server.ready().await;
}

/// Everything accepted before the session is closed and let go arrives, and the goodbye behind it.
pub async fn dropped_after_close<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    for at in 0..50 {
        client.send(Message::binary(content(10_000, at))).await.expect("accepted");
    }
    client.start_close(Some("that was all".to_string()));
    drop(client);
    for at in 0..50 {
        assert!(server.recv_message().await.expect("it arrives").content == content(10_000, at));
    }
    let ended = server.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "that was all"));
}

/// A sender goes on when the receiver is dropped; what arrives is dropped, and counted.
pub async fn receiver_dropped<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let (sender, receiver) = client.split();
    drop(receiver);
    // More than would wait in the queue of events.
    for at in 0..40 {
        server.send(Message::binary(content(100_000, at))).await.expect("accepted");
        sender.send(Message::text(format!("{at}"))).await.expect("accepted");
        assert_eq!(server.recv_message().await.expect("it arrives").content, format!("{at}"));
    }
    server.start_close(None);
    let outcome = sender.closed().await.expect("it ended");
    assert!(outcome.in_order);
    // With the last event.
    assert_eq!(sender.discarded(), 41);
}

/// What is known of a session.
pub async fn information<A: Adapter>(link: Link) {
    struct Name(&'static str);
    let before = A::now();
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    assert!(client.since() >= before && client.since() <= A::now());
    assert!(client.last_heard() >= client.since());
    all_left(&client).await;
    assert!(!client.is_closing() && client.round_trip().is_none());
    let one = client.sender().clone();
    assert!(one.value::<Name>().is_none() && one.set_value(Name("a")).is_none());
    assert_eq!(client.value::<Name>().expect("it was set").0, "a");
    assert_eq!(client.set_value(Name("b")).expect("it was set").0, "a");
    assert!(one.is_same(&client) && !one.is_same(&server));
    client.send(Message::text("hello")).await.expect("accepted");
    server.recv_message().await.expect("it arrives");
    let stats = server.stats();
    assert_eq!((stats.messages_received, stats.messages_sent), (1, 0));
    assert_eq!((stats.frames_received, stats.frames_sent), (2, 1));
    assert!(stats.bytes_received > 128 && stats.bytes_sent > 64);
    client.start_close(None);
    assert!(client.is_closing());
}

/// An application that does not receive stops its peer, in bounded memory, and nothing is lost.
pub async fn slow_application<A: Adapter>(link: Link) {
    let Pair { client, mut server } = link.pair::<A>(&Setup::default(), &Setup::default()).await;
    let mut sent = 0;
    // A real kernel's buffers take some megabytes as well.
    let limit = if matches!(link, Link::Memory) { 350 } else { 3000 };
    loop {
        match client.try_send(Message::binary(content(8000, sent))) {
            Ok(_) => sent += 1,
            Err(refused) => {
                assert_eq!(refused.why, Why::Full);
                // Full for good when no room comes, however long one waits.
                let longest = A::sleep(Duration::from_millis(100));
                tokio::select! {
                    () = client.ready() => {}
                    () = longest => break,
                }
            }
        }
        assert!(client.queued_bytes() <= 1024 * 1024 + 80_000);
        assert!(sent < limit, "{sent} messages of 8,000 bytes were accepted");
    }
    assert!(sent > 200, "{sent}");
    for at in 0..sent {
        assert!(server.recv_message().await.expect("it arrives").content == content(8000, at));
    }
    client.send(Message::text("room again")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "room again");
}

// In memory, by a simulated clock.

/// Small messages overtake a large one that was sent before them.
pub async fn overtaking<A: Adapter>() {
    let setup = Setup::default();
    let Pair { client, mut server } = memory::<A>(4096, Script::free(), Script::free(), &setup, &setup).await;
    client.try_send(Message::binary(content(900_000, 1))).expect("accepted");
    for at in 0..10 {
        client.try_send(Message::text(format!("small {at}"))).expect("accepted");
    }
    for at in 0..10 {
        assert!(server.recv_message().await.expect("it arrives").content == format!("small {at}"));
    }
    assert!(server.recv_message().await.expect("it arrives").content == content(900_000, 1));
}

/// A peer that never reads: sending stops at the limit, and what was accepted is handed back.
pub async fn peer_never_reads<A: Adapter>() {
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let mut raw = Raw::server(b);
    let setup = Setup::default();
    let (session, ()) = tokio::join!(A::client(a, &setup), raw.establish());
    let mut session = session.expect("a session");
    let mut tickets = Vec::new();
    while let Ok(ticket) = session.try_send(Message::binary(content(1000, 0))) {
        tickets.push(ticket);
        A::sleep(Duration::ZERO).await;
    }
    assert!((700..1100).contains(&tickets.len()), "{}", tickets.len());
    assert!(session.queued_bytes() < 1024 * 1024 + 2000);
    // It heard nothing for long enough; that can't be told to who does not read.
    let began = A::now();
    let ended = loop {
        if let Err(ended) = session.recv_message().await {
            break ended;
        }
    };
    assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::PeerSilent, false));
    assert!((25..40).contains(&(A::now() - began).as_secs()), "{:?}", A::now() - began);
    // Each is handed back or was taken: the last ones are handed back, none is missing.
    let unsent: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
    assert_eq!(unsent, tickets[tickets.len() - unsent.len()..]);
    assert!(tickets.len() - unsent.len() <= 4, "the pipe holds 4 KiB");
    assert!(ended.unsent.iter().all(|u| u.message.as_ref().is_some_and(|m| m.content == content(1000, 0))));
    drop(raw);
}

/// A transport that fails while reading or while writing: it is said, and what did not leave is handed back.
pub async fn transport_fails<A: Adapter>() {
    for (read, write) in [(Some(1000), None), (None, Some(3000))] {
        let script = Script { fail_read_at: read, fail_write_at: write, ..Script::free() };
        let setup = Setup::default();
        let Pair { mut client, mut server } = memory::<A>(4096, script, Script::free(), &setup, &setup).await;
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

/// A reset after the session was closed in order changes nothing about how it ended.
pub async fn reset_after_the_goodbye<A: Adapter>() {
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let mut raw = Raw::server(b);
    let setup = Setup::default();
    let (session, ()) = tokio::join!(A::client(a, &setup), raw.establish());
    let mut session = session.expect("a session");
    session.start_close(None);
    let ended = session.recv_message().await.expect_err("it ended");
    assert!(ended.is_orderly() && ended.told);
    raw.into_io().reset();
    let outcome = session.closed().await.expect("it ended");
    assert_eq!((outcome.code, outcome.in_order), (Code::Disconnected, true));
}

/// A peer that stalls in the handshake, or lets bytes trickle in.
pub async fn stalled_handshake<A: Adapter>() {
    let setup = Setup::default();
    for trickle in [false, true] {
        for server in [false, true] {
            let (a, b) = mock::pair(4096, Script::free(), Script::free());
            let peer = A::spawn(async move {
                let mut io = b;
                let mut bytes = Vec::new();
                if trickle {
                    let mut raw = if server { Raw::client(io) } else { Raw::server(io) };
                    if server {
                        raw.read().await;
                    }
                    raw.pump.poll(CoreInstant::ZERO);
                    let mut out = [&[][..]; 4];
                    let (_, machine) = raw.pump.io();
                    let used = machine.transmit_slices(&mut out);
                    bytes = out[..used].concat();
                    io = raw.into_io();
                }
                for byte in bytes {
                    if io.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    A::sleep(Duration::from_secs(1)).await;
                }
                let mut rest = Vec::new();
                let _ = io.read_to_end(&mut rest).await;
            });
            let began = A::now();
            let result = if server { A::server(a, &setup).await } else { A::client(a, &setup).await };
            let Err(ConnectError::Handshake(ended)) = result else { panic!("{result:?}") };
            assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::HandshakeTimeout));
            let took = A::now() - began;
            assert!((10_000..14_100).contains(&took.as_millis()), "{took:?}");
            peer.await;
        }
    }
}

/// Heartbeats go on, with round-trip times, while neither application does anything.
pub async fn heartbeats_while_busy<A: Adapter>() {
    let setup = Setup::default();
    let Pair { mut client, mut server } =
        memory::<A>(4096, Script::free(), Script::free(), &setup, &setup).await;
    A::sleep(Duration::from_secs(600)).await;
    assert!(client.round_trip().is_some(), "the client pings");
    assert!(!client.is_closing() && !server.is_closing());
    assert!(A::now() - server.last_heard() <= Duration::from_secs(6));
    let frames = server.stats().frames_received;
    assert!((119..130).contains(&frames), "a ping every 5 s: {frames}");
    // Both applications are behind, so that nobody reads: still nobody is dropped.
    for session in [&client, &server] {
        while session.try_send(Message::binary(content(100_000, 0))).is_ok() {
            A::sleep(Duration::from_millis(1)).await;
        }
    }
    A::sleep(Duration::from_secs(90)).await;
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

/// A minute of nothing costs a few turns of the driver for each heartbeat, not more.
pub async fn idle_is_quiet<A: Adapter>() {
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let counters = [a.counter(), b.counter()];
    let setup = Setup::default();
    let (client, server) = tokio::join!(A::client(a, &setup), A::server(b, &setup));
    let (client, server) = (client.expect("a session"), server.expect("a session"));
    A::sleep(Duration::from_secs(1)).await;
    let before = counters.each_ref().map(|counter| counter.calls());
    A::sleep(Duration::from_secs(60)).await;
    for (counter, before) in counters.iter().zip(before) {
        let after = counter.calls();
        // 12 pings and 12 pongs: the alarm, what arrived, what left; each looks for more once.
        assert!(after.reads - before.reads <= 12 * 10, "{} reads", after.reads - before.reads);
        assert_eq!(after.writes - before.writes, 12);
        assert!(after.flushes - before.flushes <= 12, "{} flushes", after.flushes - before.flushes);
    }
    assert!(!client.is_closing() && !server.is_closing());
}

/// What a transport holds back is passed on: messages, heartbeats, and the goodbye of either kind.
pub async fn transport_that_needs_flushing<A: Adapter>() {
    for seed in 0..60 {
        let script = if seed < 3 { Script::free() } else { Script::seed(seed) }.buffered();
        let setup = Setup::default();
        let Pair { mut client, mut server } = memory::<A>(4096, script.clone(), script, &setup, &setup).await;
        client.send(Message::text("there")).await.expect("accepted");
        assert_eq!(server.recv_message().await.expect("it arrives").content, "there");
        server.send(Message::binary(content(20_000, 9))).await.expect("accepted");
        assert_eq!(client.recv_message().await.expect("it arrives").content, content(20_000, 9));
        if seed % 2 == 0 {
            A::sleep(Duration::from_secs(12)).await;
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
pub async fn goodbye_after_the_peers_end<A: Adapter>() {
    for seed in 0..30 {
        let (a, b) = mock::pair(4096, Script::seed(3 * seed), Script::free());
        let mut raw = Raw::client(b);
        let setup = Setup::default();
        let (session, ()) = tokio::join!(A::server(a, &setup), raw.establish());
        let session = session.expect("a session");
        session.send(Message::binary(content(30_000, 1))).await.expect("accepted");
        session.start_close(Some("closing".to_string()));
        let mut io = raw.into_io();
        io.shutdown().await.expect("it ends");
        let (mut rest, closed) = (Vec::new(), session.closed());
        let (read, outcome) = tokio::join!(io.read_to_end(&mut rest), closed);
        read.expect("it arrives");
        assert!(rest.windows(7).any(|bytes| bytes == b"closing"), "seed {seed}: the goodbye is missing");
        assert!(outcome.expect("it ended").in_order, "seed {seed}");
    }
}

/// Every way of waiting to send ends when there is room, whatever made it.
pub async fn room_wakes_who_waits<A: Adapter>() {
    let setup = Setup::with(Config::builder().queued_output(200_000).build().expect("valid"));
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let mut raw = Raw::server(b);
    let (session, ()) = tokio::join!(A::client(a, &setup), raw.establish());
    let session = session.expect("a session");
    let mut tickets = Vec::new();
    loop {
        match session.try_send(Message::binary(content(100_000, 0))) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => break assert_eq!(refused.why, Why::Full),
        }
        A::sleep(Duration::from_millis(1)).await;
    }
    // The peer does not read. What is given up makes room.
    let sender = session.sender().clone();
    let waiting = A::spawn(async move { sender.send(Message::text("after the others")).await.map(drop) });
    let sender = session.sender().clone();
    let ready = A::spawn(async move { sender.ready().await });
    A::sleep(Duration::from_millis(1)).await;
    let last = tickets.pop().expect("one");
    let began = A::now();
    for ticket in tickets {
        let _ = session.abort(ticket);
    }
    session.abort(last).expect("it has not left");
    ready.await;
    waiting.await.expect("accepted");
    assert!(A::now() - began < Duration::from_secs(1), "woken at once, not by a heartbeat");

    // A stream that was given up before its first piece makes room for another.
    let small = Setup::with(Config::builder().unfinished_limit(2).build().expect("valid"));
    let Pair { client, server } = memory::<A>(4096, Script::free(), Script::free(), &setup, &small).await;
    let first = client.begin(Begin::new(ContentType::TEXT)).await.expect("accepted");
    let sender = client.sender().clone();
    let waiting = A::spawn(async move { sender.begin(Begin::new(ContentType::TEXT)).await.map(drop) });
    A::sleep(Duration::from_millis(1)).await;
    let began = A::now();
    drop(first);
    waiting.await.expect("accepted");
    assert!(A::now() - began < Duration::from_secs(1), "woken at once, not by a heartbeat");
    drop(server);
}

/// An application whose queue two events fill, and that has a heartbeat every 15 seconds.
fn narrow() -> Setup {
    let config = Config::builder().queued_events(2).heartbeat_interval(Duration::from_secs(15));
    Setup::with(config.build().expect("valid"))
}

/// A peer of such an application that has sent two messages.
async fn filled<A: Adapter>() -> (Session, Raw) {
    let (a, b) = mock::pair(64 * 1024, Script::free(), Script::free());
    let mut raw = Raw::server(b);
    let setup = narrow();
    let (session, ()) = tokio::join!(A::client(a, &setup), raw.establish());
    // Past the first heartbeat: from here on the driver sleeps until the second.
    A::sleep(Duration::from_secs(16)).await;
    for text in ["one", "two"] {
        raw.send(text);
    }
    raw.write().await;
    (session.expect("a session"), raw)
}

async fn expect(session: &mut Session, expected: impl Into<Bytes>) {
    assert_eq!(session.recv_message().await.expect("it arrives").content, expected.into());
}

/// An application takes what filled its queue, and asks for no more for a while. The driver reads on at
/// once, though what was left was too little to be understood: it is not late.
pub async fn full_queue_is_taken<A: Adapter>() {
    let (mut session, mut raw) = filled::<A>().await;
    // More than is read at once, so that nothing but the application can wake the driver.
    raw.send(content(40_000, 3));
    raw.write().await;
    A::sleep(Duration::from_millis(10)).await;
    expect(&mut session, "one").await;
    A::sleep(Duration::from_secs(20)).await;
    expect(&mut session, "two").await;
    expect(&mut session, content(40_000, 3)).await;
}

/// The same where nothing was left but the end of the stream: taking the last event is enough to have the connection closed.
pub async fn full_queue_is_taken_at_the_end<A: Adapter>() {
    let (mut session, raw) = filled::<A>().await;
    let mut io = raw.into_io();
    io.shutdown().await.expect("it ends");
    A::sleep(Duration::from_millis(10)).await;
    expect(&mut session, "one").await;
    expect(&mut session, "two").await;
    let began = A::now();
    assert_eq!(session.recv_message().await.expect_err("it ended").code, Code::EndedWithoutDisconnect);
    assert_eq!(session.closed().await.expect("it ended").code, Code::EndedWithoutDisconnect);
    assert!(A::now() - began < Duration::from_secs(1), "by a heartbeat: {:?}", A::now() - began);
}

// Servers, by the real clock.

fn local() -> Vec<Address> {
    vec!["tcp://127.0.0.1:0".parse().expect("an address")]
}

/// Runs a server beside a case; gives its address, what stops it, and its report.
#[allow(clippy::type_complexity)]
async fn serve<A: Adapter, H, F>(
    setup: &Setup,
    handler: H,
) -> (Address, oneshot::Sender<()>, impl Future<Output = Report>)
where
    H: Fn(Session) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let server = A::bind(&local(), setup).await.expect("it listens");
    let address = A::addresses(&server).remove(0);
    let (stop, stopped) = oneshot::channel::<()>();
    let report = A::spawn(A::serve(server, handler, async { drop(stopped.await) }));
    (address, stop, report)
}

async fn echo(mut session: Session) {
    while let Ok(message) = session.recv_message().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// A server that is full tells a newcomer so, and takes the next when somebody left.
pub async fn too_many_sessions<A: Adapter>() {
    let limits = Limits::builder().max_sessions(2).build().expect("valid");
    let setup = Setup { limits, ..Setup::default() };
    let (address, stop, report) = serve::<A, _, _>(&setup, echo).await;
    let connect = || A::connect(&address, &setup);
    let (mut first, mut second) = (connect().await.expect("a session"), connect().await.expect("a session"));
    // Both count when they answer.
    for session in [&mut first, &mut second] {
        session.send(Message::text("one")).await.expect("accepted");
        session.recv_message().await.expect("it arrives");
    }
    match connect().await {
        Err(ConnectError::Handshake(ended)) => {
            assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::TooManySessions));
        }
        other => panic!("{other:?}"),
    }
    first.close(None).await;
    // The server hears of it a moment later.
    let mut third = loop {
        if let Ok(session) = connect().await {
            break session;
        }
    };
    third.send(Message::text("three")).await.expect("accepted");
    third.recv_message().await.expect("it arrives");
    drop(stop);
    let report = report.await;
    assert_eq!((report.told, report.closed, report.cut.len()), (2, 2, 0), "{report}");
    drop(third);
}

/// Too many handshakes in progress: the oldest is cut.
pub async fn oldest_handshake_is_cut<A: Adapter>() {
    let limits = Limits::builder().max_handshakes(2).build().expect("valid");
    let setup = Setup { limits, ..Setup::default() };
    let (address, stop, report) = serve::<A, _, _>(&setup, echo).await;
    let Address::Tcp { port, .. } = address else { panic!("{address}") };
    let (ended, mut oldest) = mpsc::unbounded_channel();
    let mut others = Vec::new();
    for at in 0..3 {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        others.push(stream.try_clone().expect("a handle"));
        let ended = ended.clone();
        std::thread::spawn(move || {
            let _ = io::copy(&mut &stream, &mut io::sink());
            let _ = ended.send(at);
        });
    }
    assert_eq!(oldest.recv().await, Some(0));
    drop(stop);
    let report = report.await;
    assert_eq!((report.handshakes, report.told), (2, 0), "{report}");
    assert!(oldest.recv().await.is_some() && oldest.recv().await.is_some());
}

/// A stop tells everybody, and who takes it in time is closed in order.
pub async fn all_are_told<A: Adapter>() {
    let setup = Setup::default();
    let (address, stop, report) = serve::<A, _, _>(&setup, echo).await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let mut session = A::connect(&address, &setup).await.expect("a session");
        session.send(Message::text("one")).await.expect("accepted");
        session.recv_message().await.expect("it arrives");
        sessions.push(session);
    }
    drop(stop);
    for mut session in sessions {
        let ended = session.recv_message().await.expect_err("it ended");
        assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "Server shutting down"));
    }
    let report = report.await;
    assert_eq!((report.told, report.closed, report.failed), (20, 20, 0), "{report}");
    assert!(report.cut.is_empty() && report.unsent == 0);
    // Nobody listens any more.
    assert!(matches!(A::connect(&address, &setup).await, Err(ConnectError::Io { .. })));
}

/// A peer that does not read is cut at the deadline, and what it did not get is counted.
pub async fn cut_at_the_deadline<A: Adapter>() {
    let grace = Duration::from_millis(300);
    // More than the kernel and the peer's queue take.
    let config = Config::builder().queued_output(64_000_000).build().expect("valid");
    let setup = Setup { grace, ..Setup::with(config) };
    let (full, mut filled) = mpsc::unbounded_channel();
    let handler = move |session: Session| {
        let full = full.clone();
        async move {
            let one = content(1_000_000, 0);
            for _ in 0..32 {
                session.try_send(Message::binary(one.clone())).expect("there is room");
            }
            let _ = full.send(());
            session.closed().await;
        }
    };
    let (address, stop, report) = serve::<A, _, _>(&setup, handler).await;
    let stuck = A::connect(&address, &setup).await.expect("a session");
    filled.recv().await;
    let began = Instant::now();
    drop(stop);
    let report = report.await;
    assert_eq!((report.told, report.closed, report.cut.len()), (1, 0, 1), "{report}");
    assert!(report.unsent > 0, "{report}");
    assert!(report.took >= grace && began.elapsed() < grace * 5, "{report}");
    drop(stuck);
}

/// A handler that does not come back does not keep the server, and does not make a session that was closed in
/// order one that was cut; one that panics ends its own session only.
pub async fn handlers_that_misbehave<A: Adapter>() {
    let grace = Duration::from_millis(300);
    let setup = Setup { grace, ..Setup::default() };
    let dropped = Arc::new(AtomicU64::new(0));
    let handler = {
        let dropped = Arc::clone(&dropped);
        move |mut session: Session| {
            let dropped = Arc::clone(&dropped);
            async move {
                struct Count(Arc<AtomicU64>);
                impl Drop for Count {
                    fn drop(&mut self) {
                        self.0.fetch_add(1, Ordering::SeqCst);
                    }
                }
                let _count = Count(dropped);
                let message = session.recv_message().await.expect("it arrives");
                match &message.content[..] {
                    b"panic" => panic!("as planned"),
                    b"hang" => {
                        session.send(message).await.expect("accepted");
                        // It keeps the session, and never looks at it again.
                        std::future::pending::<()>().await;
                    }
                    _ => echo(session).await,
                }
            }
        }
    };
    let (address, stop, report) = serve::<A, _, _>(&setup, handler).await;
    let mut panics = A::connect(&address, &setup).await.expect("a session");
    panics.send(Message::text("panic")).await.expect("accepted");
    let ended = panics.recv_message().await.expect_err("it ended");
    assert_eq!(ended.code, Code::EndedWithoutDisconnect, "{ended}");
    let mut hangs = A::connect(&address, &setup).await.expect("a session");
    hangs.send(Message::text("hang")).await.expect("accepted");
    hangs.recv_message().await.expect("it arrives");
    let began = Instant::now();
    drop(stop);
    let ended = hangs.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "Server shutting down"));
    drop(hangs);
    let report = report.await;
    assert!(began.elapsed() < Duration::from_secs(3), "{report}");
    assert_eq!((report.told, report.closed, report.cut.len()), (1, 1, 0), "{report}");
    assert_eq!(dropped.load(Ordering::SeqCst), 2, "no handler outlives the server");
}

/// Dropping the server's future stops at once: listening ends and every session is cut, wherever it is.
pub async fn dropped_server<A: Adapter>() {
    let setup = Setup::default();
    let server = A::bind(&local(), &setup).await.expect("it listens");
    let address = A::addresses(&server).remove(0);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let kept = Arc::clone(&kept);
        move |session: Session| {
            kept.lock().expect("it is whole").push(session);
            async {}
        }
    };
    let mut client = {
        let serving = std::pin::pin!(A::serve(server, handler, std::future::pending()));
        tokio::select! {
            _ = serving => panic!("it stopped by itself"),
            session = A::connect(&address, &setup) => session.expect("a session"),
        }
    };
    let ended = client.recv_message().await.expect_err("it ended");
    // Where the ack was not read yet, closing resets the connection.
    let cut = [Code::EndedWithoutDisconnect, Code::TransportFailed];
    assert!(cut.contains(&ended.code), "{ended}");
    assert!(A::connect(&address, &setup).await.is_err());
    drop(kept);
}

/// Makes the tests of an adapter.
#[macro_export]
macro_rules! suite {
    ($adapter:ty) => {
        $crate::suite!(@links $adapter, tcp Tcp);
        $crate::suite!(@links $adapter, unix Unix);
        $crate::suite!(@links $adapter, memory Memory);
        $crate::suite!(@cases $adapter, run_paused, transport;
            overtaking peer_never_reads transport_fails reset_after_the_goodbye stalled_handshake
            transport_that_needs_flushing goodbye_after_the_peers_end room_wakes_who_waits
            full_queue_is_taken full_queue_is_taken_at_the_end);
        $crate::suite!(@cases $adapter, run_paused, heartbeat; heartbeats_while_busy idle_is_quiet);
        $crate::suite!(@cases $adapter, run, shutdown;
            too_many_sessions oldest_handshake_is_cut all_are_told cut_at_the_deadline
            handlers_that_misbehave dropped_server);
    };
    (@links $adapter:ty, $name:ident $link:ident) => {
        $crate::suite!(@link $adapter, $name $link;
            handshake messages much_both_ways pieces streams room_for_a_message split_halves end_of_stream
            dropped_after_close receiver_dropped information slow_application);
    };
    (@link $adapter:ty, $name:ident $link:ident; $($case:ident)+) => {
        mod $name {
            use super::*;
            use $crate::suite::{Adapter, Link};
            $(#[test]
            fn $case() {
                <$adapter as Adapter>::run($crate::suite::$case::<$adapter>(Link::$link));
            })+
        }
    };
    (@cases $adapter:ty, $run:ident, $name:ident; $($case:ident)+) => {
        mod $name {
            use super::*;
            use $crate::suite::Adapter;
            $(#[test]
            fn $case() {
                <$adapter as Adapter>::$run($crate::suite::$case::<$adapter>());
            })+
        }
    };
}
