//! What the suite needs of an adapter.

use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use heartwire_core::role::Role;
use heartwire_core::server::Report;
use heartwire_std::address::Address;
use heartwire_std::service::Service;
use heartwire_std::session::ConnectError;

/// An adapter, with a runtime to run it on.
///
/// No future of these methods may block its thread: who has only calls that block makes them on a thread of their
/// own, with [`blocking`](super::blocking).
pub trait Adapter: 'static {
    /// A server that listens.
    type Server<V: Service>: Send;

    /// Whether [`run_paused`](Self::run_paused) simulates the clock. Where it does not, cases take a twentieth of the
    /// time and look at the order of what happens, not at how long it took.
    const SIMULATED: bool = false;

    /// Runs a case by the real clock; fails it when it hangs, after a minute say.
    fn run<T>(case: impl Future<Output = T>) -> T;

    /// Runs a case by a simulated clock, which moves on when nothing else can happen; fails it after an hour of
    /// that. Without such a clock the same as [`run`](Self::run).
    fn run_paused<T>(case: impl Future<Output = T>) -> T {
        assert!(!Self::SIMULATED, "an adapter with a simulated clock says how to run a case by it");
        Self::run(case)
    }

    /// Runs a task beside the case, also while nobody awaits its result and when that is dropped.
    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send;

    /// Waits, by the case's clock.
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;

    /// The case's clock.
    #[must_use]
    fn now() -> Instant {
        Instant::now()
    }

    /// A client's session or connection to an address.
    fn connect<V: Service>(
        address: &Address,
        options: &V,
    ) -> impl Future<Output = Result<V::Handle, ConnectError>> + Send;

    /// A server that listens.
    fn bind<V: Service>(
        addresses: &[Address],
        options: V,
    ) -> impl Future<Output = io::Result<Self::Server<V>>> + Send;

    /// Where it listens.
    fn addresses<V: Service>(server: &Self::Server<V>) -> Vec<Address>;

    /// Serves until `stop`.
    fn serve<V, H, F>(
        server: Self::Server<V>,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = Report> + Send
    where
        V: Service,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static;
}

/// An adapter that takes such a transport, whoever made it: sockets of the standard library (which block until they
/// are told not to), and [`Mock`](crate::mock::Mock).
pub trait Over<T>: Adapter {
    /// One side of a session or connection.
    fn over<V: Service>(
        io: T,
        role: Role,
        options: &V,
    ) -> impl Future<Output = Result<V::Handle, ConnectError>> + Send;

    /// The client's side.
    fn client<V: Service>(
        io: T,
        options: &V,
    ) -> impl Future<Output = Result<V::Handle, ConnectError>> + Send {
        Self::over(io, Role::Client, options)
    }

    /// The server's side.
    fn server<V: Service>(
        io: T,
        options: &V,
    ) -> impl Future<Output = Result<V::Handle, ConnectError>> + Send {
        Self::over(io, Role::Server, options)
    }
}

/// Waits at most so long.
pub(super) async fn within<A: Adapter, T>(time: Duration, future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = future => Some(done),
        () = A::sleep(time) => None,
    }
}
