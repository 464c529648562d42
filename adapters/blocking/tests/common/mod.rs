//! What several of the tests do.
#![allow(dead_code, unreachable_pub)]

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use heartwire_blocking::connection::Connection;
use heartwire_blocking::connection::codec::Codec;
use heartwire_blocking::*;

/// Longer than anything takes.
pub const LONG: Duration = Duration::from_secs(30);

pub const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn options() -> Options {
    Options::new(Keys::new(Key::new(b"the key of the whole suite").unwrap()))
}

pub fn configured(config: ConfigBuilder) -> Options {
    options().config(config.build().unwrap())
}

pub fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A client and a server over these.
pub fn over<A: Socket, B: Socket>(
    (client, server): (A, B),
    client_options: &Options,
    server_options: &Options,
) -> (Session, Session) {
    thread::scope(|scope| {
        let server = scope.spawn(|| accept_io(server, server_options).unwrap());
        (connect_io(client, client_options).unwrap(), server.join().unwrap())
    })
}

pub fn pair(options: &Options) -> (Session, Session) {
    over(tcp(), options, options)
}

pub fn connections<C: Codec>(options: &ConnectionOptions<C>) -> (Connection<C>, Connection<C>) {
    let (client, server) = tcp();
    (connect_io(client, options).unwrap(), accept_io(server, options).unwrap())
}

/// A server that runs in a thread.
pub struct Running {
    pub address: Address,
    pub stop: Stop,
    serving: JoinHandle<Report>,
}

impl Running {
    pub fn start<V: Blocking>(
        address: &str,
        options: V,
        handler: impl Fn(V::BlockingHandle) + Send + Sync + 'static,
    ) -> Self {
        let server = Server::bind(&[address.parse().unwrap()], options).unwrap();
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = stop();
        Self { address, stop, serving: thread::spawn(move || server.serve(handler, stopped)) }
    }

    pub fn end(self) -> Report {
        self.stop.stop();
        self.serving.join().unwrap()
    }
}

pub fn echo(mut session: Session) {
    while let Ok(message) = session.recv_message() {
        if session.send(message).is_err() {
            break;
        }
    }
}

/// Runs `act` in a thread; fails if it takes too long.
pub fn in_time<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(act()));
    result.recv_timeout(LONG).expect("it takes too long, or panicked")
}

/// Waits until this holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < late, "{what}");
        thread::park_timeout(ms(1));
    }
}

/// With buffers of 4 KiB.
pub fn small<S>(socket: S) -> S
where
    for<'a> socket2::SockRef<'a>: From<&'a S>,
{
    {
        let reference = socket2::SockRef::from(&socket);
        reference.set_send_buffer_size(4096).unwrap();
        reference.set_recv_buffer_size(4096).unwrap();
    }
    socket
}
