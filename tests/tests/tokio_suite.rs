//! The suite that every adapter passes, on tokio; and what is tokio's own.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use heartwire_core::server::Report;
use heartwire_std::address::Address;
use heartwire_std::session::{ConnectError, Session};
use heartwire_tests::mock::Mock;
use heartwire_tests::runtime;
use heartwire_tests::suite::Setup;
use heartwire_tokio::{Options, Server, accept_io, connect, connect_io};

struct Tokio;

fn options(setup: &Setup) -> Options {
    Options::new(setup.keys.clone()).config(setup.config.clone()).limits(setup.limits).grace(setup.grace)
}

impl heartwire_tests::suite::Adapter for Tokio {
    type Server = Server;

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

    fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(time)
    }

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    async fn client(io: Mock, setup: &Setup) -> Result<Session, ConnectError> {
        connect_io(io, &options(setup)).await
    }

    async fn server(io: Mock, setup: &Setup) -> Result<Session, ConnectError> {
        accept_io(io, &options(setup)).await
    }

    async fn connect(address: &Address, setup: &Setup) -> Result<Session, ConnectError> {
        connect(address, &options(setup)).await
    }

    async fn bind(addresses: &[Address], setup: &Setup) -> io::Result<Server> {
        Server::bind(addresses, options(setup)).await
    }

    fn addresses(server: &Server) -> Vec<Address> {
        server.local_addresses().to_vec()
    }

    async fn serve<H, F>(
        server: Server,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Report
    where
        H: Fn(Session) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        server.serve(handler, stop).await
    }
}

heartwire_tests::suite!(Tokio);
