//! Rates with a driver, over real sockets: they hold, everything arrives, and an orderly end is heard behind it.

#[path = "adapters/tokio.rs"]
mod adapter;

use std::time::{Duration, Instant};

use heartwire_core::rate::Rate;
use heartwire_tests::solo::keys;
use heartwire_tests::suite::Adapter;
use heartwire_tokio::connection::lines::{Line, Lines, Settings};
use heartwire_tokio::connection::{self, Connection};
use heartwire_tokio::{
    Code, Config, ConnectionOptions, Message, Options, Server, Session, accept_io, connect, connect_io,
};

use adapter::Tokio;

const MESSAGES: usize = 60;
const LEN: usize = 5000;

fn rate(per_second: u64, burst: u64) -> Option<Rate> {
    Some(Rate::new(per_second, burst).unwrap())
}

/// Sends everything, and says goodbye.
async fn send(session: Session) {
    for at in 0..MESSAGES {
        session.send(Message::binary(vec![at as u8; LEN])).await.unwrap();
    }
    session.close(None).await;
}

/// Receives everything and the goodbye behind it; gives how long it took.
async fn receive(mut session: Session) -> Duration {
    let start = tokio::time::Instant::now();
    for at in 0..MESSAGES {
        let message = session.recv_message().await.unwrap();
        assert_eq!((message.content.len(), message.content[0]), (LEN, at as u8));
    }
    let took = start.elapsed();
    assert_eq!(session.recv_message().await.unwrap_err().code, Code::Disconnected);
    took
}

#[test]
fn a_session_by_a_simulated_clock() {
    Tokio::run_paused(async {
        let slow = Config::builder().message_rate(rate(4, 20)).build().unwrap();
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let options = Options::new(keys());
        let slow = options.clone().config(slow);
        let (client, server) = tokio::join!(connect_io(theirs, &options), accept_io(ours, &slow));
        let sending = Tokio::spawn(send(client.unwrap()));
        let took = receive(server.unwrap()).await;
        sending.await;
        let exact = Duration::from_secs(10);
        assert!(took >= exact && took < exact + Duration::from_millis(50), "{took:?}");
    });
}

#[test]
fn a_session_over_tcp() {
    Tokio::run(async {
        let slow = Config::builder().byte_rate(rate(400_000, 100_000)).build().unwrap();
        let options = Options::new(keys());
        let address = &["tcp://127.0.0.1:0".parse().unwrap()];
        let server = Server::bind(address, options.clone().config(slow)).await.unwrap();
        let address = server.local_addresses()[0].clone();
        let (done, took) = tokio::sync::oneshot::channel();
        let done = std::sync::Mutex::new(Some(done));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let handler = move |session| {
            let done = done.lock().unwrap().take();
            async move { done.unwrap().send(receive(session).await).unwrap() }
        };
        let serving = Tokio::spawn(server.serve(handler, stopped));
        send(connect(&address, &options).await.unwrap()).await;
        let took = took.await.unwrap();
        // At 300,000 bytes.
        assert!(took >= Duration::from_millis(500), "{took:?}");
        stop.send(()).unwrap();
        serving.await;
    });
}

#[test]
fn lines_over_tcp() {
    Tokio::run(async {
        let config = connection::Config::builder().message_rate(rate(100, 10)).build().unwrap();
        let options = ConnectionOptions::<Lines>::new(Settings::default());
        let address = &["tcp://127.0.0.1:0".parse().unwrap()];
        let server = Server::bind(address, options.clone().config(config)).await.unwrap();
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let echo = |mut connection: Connection<Lines>| async move {
            while let Some(line) = connection.recv().await {
                connection.send(line).await.unwrap();
            }
            connection.close().await;
        };
        let serving = Tokio::spawn(server.serve(echo, stopped));
        let mut client = connect(&address, &options).await.unwrap();
        let start = Instant::now();
        for at in 0..60 {
            client.send(Line::new(format!("line {at}")).unwrap()).await.unwrap();
        }
        // The end of the stream is there long before the last line is let pass.
        client.sender().finish();
        for at in 0..60 {
            assert_eq!(client.recv().await.unwrap().as_str(), format!("line {at}"));
        }
        assert!(start.elapsed() >= Duration::from_millis(500), "{:?}", start.elapsed());
        assert!(client.recv().await.is_none());
        stop.send(()).unwrap();
        serving.await;
    });
}
