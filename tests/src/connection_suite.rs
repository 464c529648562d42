//! What every adapter must do with the protocols that have no session: the cases, over a small trait of the adapter.
//! [`connection_suite!`](crate::connection_suite!) makes the tests of one adapter, in modules `tcp`, `unix`, `memory`
//! and others, so that one kind can be selected by its name.
//!
//! As in the [suite](mod@crate::suite) no case sleeps to see what happens.

use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::connection::{Config, EndedBy, Gatherer};
use heartwire_core::error::Code;
use heartwire_core::protocol::Why;
use heartwire_core::server::{Limits, Report};
use heartwire_core::wire::body::{Part, Whole};
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_std::address::Address;
use heartwire_std::connection::Connection;
use heartwire_std::options::ConnectionOptions;
use heartwire_std::session::ConnectError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};

use crate::cancel::{Cut, again};
use crate::mock::{self, Mock, Script};
use crate::peers;
use crate::suite::content;

const KEY: [u8; 32] = [7; 32];

/// What a case needs of an adapter.
pub trait Adapter: 'static {
    /// A server that listens.
    type Server<C: Codec>: Send;

    /// Runs a case by the real clock; fails it after a minute.
    fn run<T>(case: impl Future<Output = T>) -> T;
    /// Runs a case by a simulated clock, which moves on when nothing else can happen; fails it after an hour
    /// of that.
    fn run_paused<T>(case: impl Future<Output = T>) -> T;
    /// Runs a task beside the case; gives its result.
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send;
    /// A client's connection over a transport.
    fn client<C: Codec>(
        io: Mock,
        options: &ConnectionOptions<C>,
    ) -> impl Future<Output = Result<Connection<C>, ConnectError>> + Send;
    /// A server's connection over a transport.
    fn server<C: Codec>(
        io: Mock,
        options: &ConnectionOptions<C>,
    ) -> impl Future<Output = Result<Connection<C>, ConnectError>> + Send;
    /// A client's connection to an address.
    fn connect<C: Codec>(
        address: &Address,
        options: &ConnectionOptions<C>,
    ) -> impl Future<Output = Result<Connection<C>, ConnectError>> + Send;
    /// A server that listens.
    fn bind<C: Codec>(
        addresses: &[Address],
        options: ConnectionOptions<C>,
    ) -> impl Future<Output = io::Result<Self::Server<C>>> + Send;
    /// Where it listens.
    fn addresses<C: Codec>(server: &Self::Server<C>) -> Vec<Address>;
    /// Serves until `stop`.
    fn serve<C, H, F>(
        server: Self::Server<C>,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Report> + Send
    where
        C: Codec,
        H: Fn(Connection<C>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static;
}

/// What is between the two sides of a case.
#[derive(Clone, Copy, Debug)]
pub enum Link {
    /// A TCP connection over loopback.
    Tcp,
    /// A Unix socket.
    Unix,
}

/// A server that hands every connection to the case, and where it is.
struct Listening<C: Codec> {
    address: Address,
    accepted: mpsc::UnboundedReceiver<Connection<C>>,
    stop: Option<oneshot::Sender<()>>,
    report: oneshot::Receiver<Report>,
    _directory: Option<tempfile::TempDir>,
}

impl Link {
    async fn listen<A: Adapter, C: Codec>(self, options: &ConnectionOptions<C>) -> Listening<C> {
        let (address, directory) = match self {
            Self::Tcp => ("tcp://127.0.0.1:0".parse().expect("an address"), None),
            Self::Unix => {
                let directory = tempfile::tempdir().expect("a directory");
                (Address::Unix(directory.path().join("socket")), Some(directory))
            }
        };
        let server = A::bind(&[address], options.clone()).await.expect("it listens");
        let address = A::addresses(&server).remove(0);
        let (give, accepted) = mpsc::unbounded_channel();
        let handler = move |connection| {
            let _ = give.send(connection);
            async {}
        };
        let ((stop, stopped), (done, report)) = (oneshot::channel(), oneshot::channel());
        drop(A::spawn(async move {
            let report = A::serve(server, handler, async { drop(stopped.await) }).await;
            let _ = done.send(report);
        }));
        Listening { address, accepted, stop: Some(stop), report, _directory: directory }
    }
}

impl<C: Codec> Listening<C> {
    async fn pair<A: Adapter>(&mut self, options: &ConnectionOptions<C>) -> (Connection<C>, Connection<C>) {
        let client = A::connect(&self.address, options).await.expect("a connection");
        (client, self.accepted.recv().await.expect("a connection"))
    }

    /// A peer that does as it is told, and the connection to it.
    async fn raw(&mut self) -> (Raw, Connection<C>) {
        let raw = Raw::connect(&self.address).await;
        (raw, self.accepted.recv().await.expect("a connection"))
    }
}

/// A socket alone.
struct Raw(Box<dyn Socket>);

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Raw {
    async fn connect(address: &Address) -> Self {
        Self(match address {
            Address::Tcp { host, port } => {
                Box::new(tokio::net::TcpStream::connect((host.as_str(), *port)).await.expect("it connects"))
            }
            #[cfg(unix)]
            Address::Unix(path) => {
                Box::new(tokio::net::UnixStream::connect(path).await.expect("it connects"))
            }
            other => panic!("no sockets at {other}"),
        })
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("it is written");
    }

    async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes).await.expect("it ends in order");
        bytes
    }

    async fn finish(&mut self) {
        self.0.shutdown().await.expect("it is open");
    }
}

fn lines() -> ConnectionOptions<Lines> {
    ConnectionOptions::new(Settings::default())
}

fn line(text: &str) -> Line {
    Line::new(text.to_owned()).expect("it is a line")
}

/// Both sides part in order: who closes, and the other, which answers the end of the stream with its own.
async fn part<C: Codec>(closing: Connection<C>, mut other: Connection<C>) {
    let close = closing.close();
    let answer = async {
        while other.recv().await.is_some() {}
        other.finish();
        other.end().await
    };
    let (closed, answered) = tokio::join!(close, answer);
    assert!(closed.is_orderly() && closed.told && closed.by == EndedBy::Local, "{closed}");
    assert!(answered.is_orderly() && answered.told && answered.by == EndedBy::Peer, "{answered}");
}

/// Lines there and back.
pub async fn lines_both_ways<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let (mut client, mut served) = server.pair::<A>(&options).await;
    for number in 0..300 {
        client.send(line(&format!("up {number}"))).await.expect("accepted");
        served.send(line(&format!("down {number}\r"))).await.expect("accepted");
    }
    for number in 0..300 {
        assert_eq!(served.recv().await, Some(line(&format!("up {number}"))));
        assert_eq!(client.recv().await, Some(line(&format!("down {number}\r"))));
    }
    part(client, served).await;
}

/// Messages behind their length there and back, whole and in pieces, larger than every buffer.
pub async fn lengths_both_ways<A: Adapter>(link: Link) {
    const SIZES: [usize; 6] = [0, 1, 8192, 65_537, 1 << 20, 5_000_000];
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default());
    let mut server = link.listen::<A, _>(&options).await;
    let (client, served) = server.pair::<A>(&options).await;
    let (client, served) = (client.split(), served.split());
    let whole = async |sender: &heartwire_std::connection::Sender<LengthPrefixed>| {
        for (salt, size) in SIZES.into_iter().enumerate() {
            sender.send(Whole::from(content(size, salt))).await.expect("accepted");
        }
        sender.finish();
    };
    let pieces = async |sender: &heartwire_std::connection::Sender<LengthPrefixed>| {
        for (salt, size) in SIZES.into_iter().enumerate() {
            let head = length_prefixed::Head { size: size as u64 };
            let outgoing = sender.begin(head).await.expect("accepted");
            let body = content(size, salt);
            let mut rest = body.clone();
            while !rest.is_empty() {
                outgoing.send(rest.split_to(rest.len().min(70_000))).await.expect("accepted");
            }
            outgoing.end().expect("it is whole");
        }
        sender.finish();
    };
    let receive = async |mut receiver: heartwire_std::connection::Receiver<LengthPrefixed>| {
        let mut gatherer = Gatherer::new(u64::MAX);
        for (salt, size) in SIZES.into_iter().enumerate() {
            let message = receiver.recv_whole(&mut gatherer).await.expect("not too large").expect("it comes");
            assert!(message.body == content(size, salt), "{size} bytes are others");
        }
        assert_eq!(receiver.recv_whole(&mut gatherer).await, Ok(None));
        assert!(receiver.end().await.is_orderly());
    };
    tokio::join!(whole(&client.0), pieces(&served.0), receive(client.1), receive(served.1));
}

/// Files and texts there and back.
pub async fn headers_both_ways<A: Adapter>(link: Link) {
    let options = ConnectionOptions::<JsonHeader>::new(JsonFormat::new());
    let mut server = link.listen::<A, _>(&options).await;
    let (mut client, served) = server.pair::<A>(&options).await;
    let file = json_header::Head { kind: Kind::Csv, size: 300_000, filename: "a/é.csv".into() };
    let body = content(300_000, 1);
    let text = Whole { head: json_header::Head::text(5), body: Bytes::from("hello") };
    let send = async {
        served.send(text.clone()).await.expect("accepted");
        let outgoing = served.begin(file.clone()).await.expect("accepted");
        for piece in body.chunks(64 * 1024) {
            outgoing.send(Bytes::copy_from_slice(piece)).await.expect("accepted");
        }
        outgoing.end().expect("it is whole");
    };
    let receive = async {
        let mut gatherer = Gatherer::new(1 << 20);
        let receiver = client.receiver();
        assert_eq!(receiver.recv_whole(&mut gatherer).await, Ok(Some(text.clone())));
        let message = receiver.recv_whole(&mut gatherer).await.expect("not too large").expect("it comes");
        assert!(message.head == file && message.body == body, "another file");
    };
    tokio::join!(send, receive);
    client.send(text.clone()).await.expect("accepted");
    let mut served = served;
    assert_eq!(served.recv().await, Some(Part::Head(text.head)));
    part(client, served).await;
}

/// Requests, one after another and all at once, each with its answer; also for who asks for the next before it
/// has answered, in another task.
pub async fn requests_and_responses<A: Adapter>(link: Link) {
    let options = ConnectionOptions::<Sealed>::new(sealed::Settings::new(SecretKey::new(KEY)));
    let mut server = link.listen::<A, _>(&options).await;
    let (mut client, mut served) = server.pair::<A>(&options).await;
    for size in [0, 1, 70_000, 1 << 20] {
        let request = content(size, 3);
        client.send(request.clone()).await.expect("accepted");
        assert!(served.recv().await.expect("a request") == request);
        served.send(request.clone()).await.expect("accepted");
        assert!(client.recv().await.expect("an answer") == request);
    }
    part(client, served).await;

    let requests: Vec<u8> = (0..20_u8)
        .flat_map(|number| peers::sealed::packet(&KEY, &peers::sealed::nonce(number.into()), &[number; 10]))
        .collect();
    let (mut raw, served) = server.raw().await;
    raw.write(&requests).await;
    raw.finish().await;
    let (sender, mut receiver) = served.split();
    let (give, mut take) = mpsc::unbounded_channel();
    let receive = async {
        while let Some(request) = receiver.recv().await {
            give.send(request).expect("it is taken");
        }
        drop(give);
        receiver
    };
    let answer = async {
        while let Some(request) = take.recv().await {
            assert!(take.is_empty(), "one at a time");
            sender.send(request).await.expect("accepted");
        }
        sender.finish();
    };
    let (mut receiver, ()) = tokio::join!(receive, answer);
    let (answers, ended) = tokio::join!(raw.rest(), receiver.end());
    assert!(ended.is_orderly() && ended.told, "{ended}");
    let mut answers = &answers[..];
    for number in 0..20_u8 {
        let answer = peers::sealed::read(&mut answers, &KEY, peers::sealed::LIMIT).expect("it opens");
        assert_eq!(answer.expect("an answer").plaintext, [number; 10]);
    }
    assert!(answers.is_empty());
}

/// A peer that finishes first still receives; one that we finish first still sends.
pub async fn half_closed<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write(b"one\ntwo").await;
    raw.finish().await;
    assert_eq!(served.recv().await, Some(line("one")));
    assert_eq!(served.recv().await, Some(line("two")));
    assert_eq!(served.recv().await, None);
    assert!(served.ended().is_none());
    served.send(line("three")).await.expect("it still receives");
    served.finish();
    assert_eq!(raw.rest().await, b"three\n");
    let ended = served.end().await;
    assert!(ended.is_orderly() && ended.by == EndedBy::Peer, "{ended}");

    let (mut raw, mut served) = server.raw().await;
    served.send(line("one")).await.expect("accepted");
    served.finish();
    assert_eq!(served.send(line("two")).await.expect_err("finished").why, Why::Closed);
    assert_eq!(raw.rest().await, b"one\n");
    raw.write(b"still\n").await;
    assert_eq!(served.recv().await, Some(line("still")));
    raw.finish().await;
    assert_eq!(served.recv().await, None);
    let ended = served.end().await;
    assert!(ended.is_orderly() && ended.by == EndedBy::Local, "{ended}");
}

/// A peer that goes with what it was sent unread, which resets the connection: what it sent before is heard.
pub async fn reset<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write(b"last words\n").await;
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
pub async fn never_reads<A: Adapter>(link: Link) {
    let config = Config::builder()
        .queued_output(100_000)
        .flush_timeout(Duration::from_millis(100))
        .build()
        .expect("a configuration");
    let options = lines().config(config);
    let mut server = link.listen::<A, _>(&options).await;
    let (_raw, served) = server.raw().await;
    let long = line(&"x".repeat(60_000));
    // Until the sockets' buffers are full.
    let blocked = loop {
        match served.try_send(long.clone()) {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused)
                if tokio::time::timeout(Duration::from_millis(200), served.ready_for(&refused.command))
                    .await
                    .is_err() =>
            {
                break refused;
            }
            Err(_) => {}
        }
    };
    assert_eq!(blocked.why, Why::Full);
    assert!(served.queued_bytes() < 100_000 + 60_100, "{}", served.queued_bytes());
    let ended = served.close().await;
    assert!(!ended.told && !ended.unsent.is_empty(), "{ended}");
    assert!(ended.unsent.iter().all(|unsent| unsent.message.as_ref() == Some(&long)));
}

/// What is refused ends the connection without a word.
pub async fn refused_without_a_word<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let (mut raw, mut served) = server.raw().await;
    raw.write(b"good\n\xff\nlater\n").await;
    assert_eq!(served.recv().await, Some(line("good")));
    assert_eq!(served.recv().await, None);
    assert_eq!(served.end().await.code, Code::InvalidUtf8);
    assert!(raw.rest().await.is_empty());
}

/// Above the limit a newcomer is closed without a word; when there is room again, the next is served.
pub async fn too_many<A: Adapter>(link: Link) {
    let limits = Limits::builder().max_sessions(1).build().expect("limits");
    let options = lines().limits(limits);
    let mut server = link.listen::<A, _>(&options).await;
    let (mut first, mut served) = server.raw().await;
    let mut second = Raw::connect(&server.address).await;
    assert!(second.rest().await.is_empty());
    first.write(b"still here\n").await;
    assert_eq!(served.recv().await, Some(line("still here")));
    drop(served);
    assert!(first.rest().await.is_empty());
    // The first may not be gone yet when the next comes.
    loop {
        let mut next = Raw::connect(&server.address).await;
        let _ = next.0.write_all(b"me now\n").await;
        tokio::select! {
            biased;
            Some(mut served) = server.accepted.recv() => {
                assert_eq!(served.recv().await, Some(line("me now")));
                break;
            }
            // Closing what was written to may reset it.
            _ = next.0.read_u8() => {}
        }
    }
}

/// A stop sends what is queued, ends every connection, and says how that went.
pub async fn graceful_stop<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let mut peers = Vec::new();
    let mut served = Vec::new();
    for number in 0..5 {
        let (raw, connection) = server.raw().await;
        connection.send(line(&format!("to {number}"))).await.expect("accepted");
        peers.push(raw);
        served.push(connection);
    }
    drop(server.stop.take());
    for (number, raw) in peers.iter_mut().enumerate() {
        assert_eq!(raw.rest().await, format!("to {number}\n").as_bytes());
        raw.finish().await;
    }
    for connection in &mut served {
        assert!(connection.end().await.is_orderly());
    }
    let report = server.report.await.expect("it stops");
    assert_eq!((report.told, report.closed, report.failed, report.cut.len()), (5, 5, 0, 0), "{report}");
    assert_eq!(report.unsent, 0);
}

/// A stop does not wait longer than its grace for a peer that takes nothing.
pub async fn stop_at_the_deadline<A: Adapter>(link: Link) {
    let config = Config::builder().flush_timeout(Duration::from_secs(100)).build().expect("a configuration");
    let options = lines().config(config).grace(Duration::from_millis(200));
    let mut server = link.listen::<A, _>(&options).await;
    let (_raw, mut served) = server.raw().await;
    let long = line(&"x".repeat(60_000));
    while tokio::time::timeout(Duration::from_millis(200), served.send(long.clone())).await.is_ok() {}
    drop(server.stop.take());
    let ended = served.end().await;
    assert!(!ended.told && !ended.unsent.is_empty(), "{ended}");
    let report = server.report.await.expect("it stops");
    assert_eq!((report.told, report.cut.len()), (1, 1), "{report}");
    assert_eq!(report.unsent, ended.unsent.len() as u64);
}

/// Who only sends may let go of the half that receives.
pub async fn receiver_dropped<A: Adapter>(link: Link) {
    let options = lines();
    let mut server = link.listen::<A, _>(&options).await;
    let (client, served) = server.pair::<A>(&options).await;
    let (sender, receiver) = client.split();
    drop(receiver);
    let (served, mut heard) = served.split();
    for number in 0..2000 {
        served.send(line(&format!("nobody hears {number}"))).await.expect("accepted");
        sender.send(line(&number.to_string())).await.expect("accepted");
        assert_eq!(heard.recv().await, Some(line(&number.to_string())));
    }
    served.start_close();
    sender.start_close();
    assert!(heard.end().await.is_orderly());
    assert!(sender.closed().await.expect("it ended").in_order);
}

/// A connection on which nothing moves ends by itself, if it is asked to.
pub async fn idle<A: Adapter>() {
    let config =
        Config::builder().idle_timeout(Some(Duration::from_secs(30))).build().expect("a configuration");
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let mut client = A::client(a, &lines().config(config)).await.expect("a connection");
    let mut server = A::server(b, &lines()).await.expect("a connection");
    client.send(line("hello")).await.expect("accepted");
    assert_eq!(server.recv().await, Some(line("hello")));
    assert_eq!(client.end().await.code, Code::PeerSilent);
    assert_eq!(server.recv().await, None);
}

/// A body that was cut short is noticed only when the application takes what came before; what is queued then has
/// the time that it has after any refusal, though nothing moves and nobody asks for anything.
pub async fn cut_short_behind_events<A: Adapter>() {
    let config = Config::builder().queued_events(2).build().expect("a configuration");
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default()).config(config);
    let (io, mut peer) = mock::pair(1000, Script::free(), Script::free());
    // The head and a piece, which fill the queue of events, and the end in the same read.
    peer.write_all(&[&peers::length_prefixed::length(100)[..], b"cut"].concat())
        .await
        .expect("it takes them");
    peer.shutdown().await.expect("it can");
    let mut connection = A::client(io, &options).await.expect("a connection");
    connection.send(content(1 << 20, 1).into()).await.expect("it is queued");
    while connection.ask(|machine| machine.queued_events().0) < 2 || connection.stats().bytes_sent == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(connection.recv().await, Some(Part::Head(_))));
    assert_eq!(connection.recv().await, Some(Part::Piece("cut".into())));
    assert_eq!(connection.recv().await, None);
    let ended = connection.ended().expect("it ended");
    assert_eq!((ended.code, ended.told, ended.unsent.len()), (Code::Truncated, false, 1));
}

/// Every call dropped at every poll and made again, over transports that wait: nothing is lost or doubled.
pub async fn dropped_futures<A: Adapter>() {
    const MESSAGES: usize = 12;
    let dropped = AtomicUsize::new(0);
    for polls in 1..=4 {
        for woken in [false, true] {
            for pace in [mock::Pace::Stutter(3), mock::Pace::Seed(polls as u64, 700)] {
                let at = Cut { polls, woken };
                let config =
                    Config::builder().queued_output(3000).queued_events(2).build().expect("a configuration");
                let options = ConnectionOptions::<LengthPrefixed>::new(Format::default()).config(config);
                let script = || Script { pace, ..Script::free() };
                let (a, b) = mock::pair(1000, script(), script());
                let client = A::client(a, &options).await.expect("a connection");
                let server = A::server(b, &options).await.expect("a connection");
                let (sender, mut answers) = client.split();
                let (answering, receiver) = server.split();
                let send = async {
                    for number in 0..MESSAGES {
                        let body = content(1500, number);
                        if number.is_multiple_of(2) {
                            let message = Whole::from(body);
                            again(at, &dropped, async || sender.ready_for(&message).await).await;
                            again(at, &dropped, async || {
                                sender.send(message.clone()).await.expect("accepted")
                            })
                            .await;
                            continue;
                        }
                        let head = length_prefixed::Head { size: 1500 };
                        let outgoing =
                            again(at, &dropped, async || sender.begin(head).await.expect("accepted")).await;
                        for piece in body.chunks(400) {
                            let piece = Bytes::copy_from_slice(piece);
                            again(at, &dropped, async || {
                                outgoing.send(piece.clone()).await.expect("accepted")
                            })
                            .await;
                        }
                        outgoing.end().expect("it is whole");
                    }
                    sender.finish();
                };
                let receive = async {
                    let state = tokio::sync::Mutex::new((receiver, Gatherer::new(u64::MAX)));
                    for number in 0..MESSAGES {
                        let message = again(at, &dropped, async || {
                            let (receiver, gatherer) = &mut *state.lock().await;
                            receiver.recv_whole(gatherer).await.expect("not too large").expect("it comes")
                        })
                        .await;
                        assert!(message.body == content(1500, number), "message {number} is another");
                        let answer = Whole::from(content(10, number));
                        again(at, &dropped, async || answering.send(answer.clone()).await.expect("accepted"))
                            .await;
                    }
                    answering.finish();
                    let ended = again(at, &dropped, async || state.lock().await.0.end().await).await;
                    assert!(ended.is_orderly(), "{ended}");
                };
                let hear = async {
                    let mut gatherer = Gatherer::new(u64::MAX);
                    let mut heard = 0;
                    while let Some(answer) = answers.recv_whole(&mut gatherer).await.expect("not too large") {
                        assert!(answer.body == content(10, heard), "answer {heard} is another");
                        heard += 1;
                    }
                    assert_eq!(heard, MESSAGES);
                };
                tokio::join!(send, receive, hear);
                assert!(
                    again(at, &dropped, async || sender.closed().await).await.expect("it ended").in_order
                );
            }
        }
    }
    assert!(dropped.load(Ordering::Relaxed) > 100, "hardly any call was dropped");
}

/// Makes the tests of an adapter.
#[macro_export]
macro_rules! connection_suite {
    ($adapter:ty) => {
        $crate::connection_suite!(@link $adapter, tcp Tcp);
        $crate::connection_suite!(@link $adapter, unix Unix);
        mod memory {
            use super::*;
            use $crate::connection_suite::Adapter;

            #[test]
            fn idle() {
                <$adapter as Adapter>::run_paused($crate::connection_suite::idle::<$adapter>());
            }

            #[test]
            fn a_body_cut_short_behind_events_that_wait() {
                <$adapter as Adapter>::run_paused($crate::connection_suite::cut_short_behind_events::<$adapter>());
            }

            #[test]
            fn dropped_futures() {
                <$adapter as Adapter>::run_paused($crate::connection_suite::dropped_futures::<$adapter>());
            }
        }
    };
    (@link $adapter:ty, $name:ident $link:ident) => {
        $crate::connection_suite!(@cases $adapter, $name $link;
            lines_both_ways lengths_both_ways headers_both_ways requests_and_responses half_closed reset
            never_reads refused_without_a_word too_many graceful_stop stop_at_the_deadline receiver_dropped);
    };
    (@cases $adapter:ty, $name:ident $link:ident; $($case:ident)+) => {
        mod $name {
            use super::*;
            use $crate::connection_suite::{Adapter, Link};
            $(#[test]
            fn $case() {
                <$adapter as Adapter>::run($crate::connection_suite::$case::<$adapter>(Link::$link));
            })+
        }
    };
}
