//! Threads, as the suite runs on them.

use std::future::Future;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use heartwire_blocking::{
    Address, Blocking, ConnectError, Limits, Server, Service, accept_io, block_on, block_on_until, connect,
    connect_io,
};
use heartwire_core::error::Error;
use heartwire_core::protocol::Protocol;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::server::{Report, Unit};
use heartwire_core::session::Ended;
use heartwire_core::time::Instant as CoreInstant;
use heartwire_std::handle::{Commands, Events};
use heartwire_tests::suite::{Adapter, Over, blocking};

pub(crate) struct Threads;

impl Adapter for Threads {
    type Server<V: Service> = Server<Same<V>>;

    fn run<T>(case: impl Future<Output = T>) -> T {
        block_on_until(Instant::now() + Duration::from_secs(60), case).expect("it hangs")
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        blocking(|| block_on(task))
    }

    async fn sleep(time: Duration) {
        heartwire_std::sleep::sleep::<heartwire_blocking::Alarm>(time).await;
    }

    async fn connect<V: Service>(address: &Address, options: &V) -> Result<V::Handle, ConnectError> {
        let (address, options) = (address.clone(), Same(options.clone()));
        blocking(move || connect(&address, &options)).await
    }

    async fn bind<V: Service>(addresses: &[Address], options: V) -> io::Result<Self::Server<V>> {
        Server::bind(addresses, Same(options))
    }

    fn addresses<V: Service>(server: &Self::Server<V>) -> Vec<Address> {
        server.local_addresses().to_vec()
    }

    async fn serve<V, H, F>(
        server: Self::Server<V>,
        handler: H,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Report
    where
        V: Service,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        blocking(move || server.serve(move |handle| block_on(handler(handle)), stop)).await
    }
}

/// Sockets, as the adapter takes them.
macro_rules! over {
    ($($socket:ty),+) => {
        $(impl Over<$socket> for Threads {
            async fn over<V: Service>(
                socket: $socket,
                role: Role,
                options: &V,
            ) -> Result<V::Handle, ConnectError> {
                let options = Same(options.clone());
                let make = move || match role {
                    Role::Client => connect_io(socket, &options),
                    Role::Server => accept_io(socket, &options),
                };
                blocking(make).await
            }
        })+
    };
}

over!(TcpStream);

#[cfg(unix)]
over!(UnixStream);

/// A service whose handles stay what they are in the other adapters, so that the cases can use them.
#[derive(Clone, Debug)]
pub(crate) struct Same<V>(V);

impl<V: Service> Blocking for Same<V> {
    type BlockingHandle = V::Handle;

    fn wrap(handle: V::Handle) -> V::Handle {
        handle
    }
}

impl<V: Service> Service for Same<V> {
    type Machine = V::Machine;
    type Handle = V::Handle;

    const UNIT: Unit = V::UNIT;

    fn limits(&self) -> Limits {
        self.0.limits()
    }

    fn grace(&self) -> Duration {
        self.0.grace()
    }

    fn connect_timeout(&self) -> Duration {
        self.0.connect_timeout()
    }

    fn end_confirms(&self) -> bool {
        self.0.end_confirms()
    }

    fn machine(&self, role: Role, seed: &Seed, now: CoreInstant) -> V::Machine {
        self.0.machine(role, seed, now)
    }

    fn refusing(&self, error: &Error, seed: &Seed, now: CoreInstant) -> V::Machine {
        self.0.refusing(error, seed, now)
    }

    fn goodbye() -> <V::Machine as Protocol>::Command {
        V::goodbye()
    }

    fn fail(error: &Error) -> <V::Machine as Protocol>::Command {
        V::fail(error)
    }

    fn establish(
        commands: Commands<V::Machine>,
        events: Events<V::Machine>,
    ) -> impl Future<Output = Result<V::Handle, Box<Ended>>> + Send {
        V::establish(commands, events)
    }
}
