//! The suite of the protocols without a session that every adapter passes, on tokio.

use std::future::Future;
use std::io;

use heartwire_core::server::Report;
use heartwire_core::wire::codec::Codec;
use heartwire_std::address::Address;
use heartwire_std::session::ConnectError;
use heartwire_tests::mock::Mock;
use heartwire_tests::runtime;
use heartwire_tokio::connection::Connection;
use heartwire_tokio::{ConnectionOptions, Server, accept_io, connect, connect_io};

struct Tokio;

impl heartwire_tests::connection_suite::Adapter for Tokio {
    type Server<C: Codec> = Server<ConnectionOptions<C>>;

    fn run<T>(case: impl Future<Output = T>) -> T {
        runtime::run(case)
    }

    fn run_paused<T>(case: impl Future<Output = T>) -> T {
        runtime::run_paused(case)
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        runtime::spawn(task)
    }

    async fn client<C: Codec>(
        io: Mock,
        options: &ConnectionOptions<C>,
    ) -> Result<Connection<C>, ConnectError> {
        connect_io(io, options).await
    }

    async fn server<C: Codec>(
        io: Mock,
        options: &ConnectionOptions<C>,
    ) -> Result<Connection<C>, ConnectError> {
        accept_io(io, options).await
    }

    async fn connect<C: Codec>(
        address: &Address,
        options: &ConnectionOptions<C>,
    ) -> Result<Connection<C>, ConnectError> {
        connect(address, options).await
    }

    async fn bind<C: Codec>(
        addresses: &[Address],
        options: ConnectionOptions<C>,
    ) -> io::Result<Self::Server<C>> {
        Server::bind(addresses, options).await
    }

    fn addresses<C: Codec>(server: &Self::Server<C>) -> Vec<Address> {
        server.local_addresses().to_vec()
    }

    async fn serve<C, H, F>(
        server: Self::Server<C>,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Report
    where
        C: Codec,
        H: Fn(Connection<C>) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        server.serve(handler, stop).await
    }
}

heartwire_tests::connection_suite!(Tokio);

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
    let (_, served) = tokio::join!(server.serve(handler, async { drop(stopped.await) }), count);
    assert_eq!(served, LIMIT);
}
