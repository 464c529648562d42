//! Sessions over loopback TCP with both ends in this process.

use std::time::Duration;

use heartwire_tests::suite::keys;
use heartwire_tokio::{Config, Options, Session, accept_io, connect_io};
use tokio::net::{TcpListener, TcpStream};

/// Two connected sockets.
pub async fn sockets(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().expect("it has one");
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (a, (b, _)) = (a.expect("it connects"), b.expect("it connects"));
    a.set_nodelay(true).expect("it can");
    b.set_nodelay(true).expect("it can");
    (a, b)
}

/// A socket that listens where there is room.
pub async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("it listens")
}

/// The defaults, but so few heartbeats that none is measured.
pub fn quiet() -> Options {
    let hour = Duration::from_secs(60 * 60);
    let config = Config::builder().heartbeat_interval(hour).silence_timeout(2 * hour);
    Options::new(keys()).config(config.build().expect("it is valid"))
}

/// So many clients, each with its server.
pub async fn pairs(count: usize) -> Vec<(Session, Session)> {
    let (listener, options) = (listener().await, quiet());
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        let (a, b) = sockets(&listener).await;
        let (client, server) = tokio::join!(connect_io(a, &options), accept_io(b, &options));
        pairs.push((client.expect("a session"), server.expect("a session")));
    }
    pairs
}
