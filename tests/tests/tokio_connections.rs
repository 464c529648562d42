//! What is tokio's own of the protocols without a session; the rest is in the suite.

use heartwire_std::address::Address;
use heartwire_tokio::connection::Connection;
use heartwire_tokio::{ConnectionOptions, Server};

/// Without a handshake there are none in progress, however many come at once: only the limit of connections counts.
#[tokio::test]
async fn a_burst_of_newcomers_is_served_up_to_the_limit_of_connections() {
    use heartwire_core::server::Limits;
    use heartwire_core::wire::lines::{Lines, Settings};
    use std::io::{Read, Write};

    const LIMIT: usize = 8;
    let limits = Limits::builder().max_handshakes(1).max_sessions(LIMIT).build().unwrap();
    let options = ConnectionOptions::<Lines>::new(Settings::default()).limits(limits);
    let server = Server::bind(&["tcp://127.0.0.1:0".parse().unwrap()], options).await.unwrap();
    let Address::Tcp { host, port } = server.local_addresses()[0].clone() else { panic!("not TCP") };
    // All of them wait to be accepted when the server begins to.
    let mut clients: Vec<_> =
        (0..LIMIT).map(|_| std::net::TcpStream::connect((&*host, port)).unwrap()).collect();
    clients.iter_mut().for_each(|client| client.write_all(b"here\n").unwrap());
    let served = tokio::task::spawn_blocking(move || {
        let echoed = clients.into_iter().filter_map(|mut client| {
            let mut line = [0; 5];
            client.read_exact(&mut line).is_ok().then_some(client)
        });
        // Kept, so that each is one more.
        echoed.collect::<Vec<_>>().len()
    });
    let handler = |mut connection: Connection<Lines>| async move {
        while let Some(line) = connection.recv().await {
            let _ = connection.send(line).await;
        }
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let count = async {
        let served = served.await.unwrap();
        let _ = stop.send(());
        served
    };
    let (_, served) = tokio::join!(server.serve(handler, stopped), count);
    assert_eq!(served, LIMIT);
}
