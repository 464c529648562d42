//! The runtimes, as the bench needs them.

use std::future::Future;
use std::net::{TcpListener, TcpStream};
use std::pin::Pin;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_std::options::Options;
use heartwire_std::session::Session;
use heartwire_tests::suite::keys;

/// One end's part in a game, which gives the end back.
pub type Part = Pin<Box<dyn Future<Output = Session> + Send>>;

pub trait OnRuntime {
    /// Both ends of a session over TCP.
    fn sessions(&self) -> (Session, Session);
    /// Plays both parts beside each other.
    fn both(&self, one: Part, other: Part) -> (Session, Session);
}

/// The defaults, but a content of 64 KiB is one frame, and no heartbeat is measured.
fn options() -> Options {
    let hour = Duration::from_secs(60 * 60);
    let config = Config::builder().chunk_size(64 * 1024).heartbeat_interval(hour).silence_timeout(2 * hour);
    Options::new(keys()).config(config.build().expect("it is valid"))
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
    let one = TcpStream::connect(listener.local_addr().expect("it has one")).expect("it connects");
    let (other, _) = listener.accept().expect("it connects");
    for socket in [&one, &other] {
        socket.set_nodelay(true).expect("it can");
    }
    (one, other)
}

fn nonblocking() -> (TcpStream, TcpStream) {
    let (one, other) = sockets();
    for socket in [&one, &other] {
        socket.set_nonblocking(true).expect("it can");
    }
    (one, other)
}

pub struct Tokio(tokio::runtime::Runtime);

impl Tokio {
    pub fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self(runtime.expect("a runtime"))
    }
}

impl OnRuntime for Tokio {
    fn sessions(&self) -> (Session, Session) {
        let ((one, other), options) = (nonblocking(), options());
        self.0.block_on(async {
            let socket = |socket| tokio::net::TcpStream::from_std(socket).expect("a socket");
            let (one, other) = (socket(one), socket(other));
            let (client, server) = tokio::join!(
                heartwire_tokio::connect_io(one, &options),
                heartwire_tokio::accept_io(other, &options)
            );
            (client.expect("a session"), server.expect("a session"))
        })
    }

    fn both(&self, one: Part, other: Part) -> (Session, Session) {
        let (one, other) = (self.0.spawn(one), self.0.spawn(other));
        self.0.block_on(async { (one.await.expect("it plays"), other.await.expect("it plays")) })
    }
}

pub struct Smol;

impl OnRuntime for Smol {
    fn sessions(&self) -> (Session, Session) {
        let ((one, other), options) = (sockets(), options());
        smol::block_on(async {
            let socket = |socket| smol::net::TcpStream::try_from(socket).expect("a socket");
            let (one, other) = (socket(one), socket(other));
            let client = heartwire_smol::connect_io(one, &options);
            let server = heartwire_smol::accept_io(other, &options);
            smol::future::try_zip(client, server).await.expect("a session")
        })
    }

    fn both(&self, one: Part, other: Part) -> (Session, Session) {
        smol::block_on(smol::future::zip(smol::spawn(one), smol::spawn(other)))
    }
}

pub struct AsyncStd;

impl OnRuntime for AsyncStd {
    fn sessions(&self) -> (Session, Session) {
        let ((one, other), options) = (sockets(), options());
        async_std::task::block_on(async {
            let socket = |socket| heartwire_async_std::Socket(async_std::net::TcpStream::from(socket));
            let (one, other) = (socket(one), socket(other));
            let client = heartwire_async_std::connect_io(one, &options);
            let server = heartwire_async_std::accept_io(other, &options);
            smol::future::try_zip(client, server).await.expect("a session")
        })
    }

    fn both(&self, one: Part, other: Part) -> (Session, Session) {
        use async_std::task::{block_on, spawn};
        block_on(smol::future::zip(spawn(one), spawn(other)))
    }
}

pub struct Blocking;

impl OnRuntime for Blocking {
    fn sessions(&self) -> (Session, Session) {
        let ((one, other), options) = (sockets(), options());
        let server = {
            let options = options.clone();
            std::thread::spawn(move || heartwire_blocking::accept_io(other, &options).expect("a session"))
        };
        let client = heartwire_blocking::connect_io(one, &options).expect("a session");
        (client.into_async(), server.join().expect("it does not panic").into_async())
    }

    fn both(&self, one: Part, other: Part) -> (Session, Session) {
        let other = std::thread::spawn(|| heartwire_blocking::block_on(other));
        (heartwire_blocking::block_on(one), other.join().expect("it plays"))
    }
}
