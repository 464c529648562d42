//! What is between the two sides of a case.

use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::thread;
use std::time::Duration;

use heartwire_core::role::Role;
use heartwire_core::server::Report;
use heartwire_std::address::Address;
use heartwire_std::service::Service;
use heartwire_std::session::ConnectError;
use tokio::sync::{mpsc, oneshot};

use super::adapter::{Adapter, Over};
use super::raw::{Channel, Raw};
use super::sockets::{Socket, Sockets};
use crate::mock::{self, Mock, Script};

/// What is between the two sides of a case.
pub trait Link<A: Adapter>: 'static {
    /// Whether the clock of its cases is simulated.
    const SIMULATED: bool;
    /// Whether bytes wait in a kernel as well, some megabytes of them.
    const KERNEL: bool;

    /// Both sides of a session or connection, the client first; and the server between them, if there is one.
    fn pair<V: Service>(
        client: &V,
        server: &V,
    ) -> impl Future<Output = (V::Handle, V::Handle, Option<Serving>)>;

    /// One side, to come, and what its peer has in hand.
    fn against<V: Service>(
        role: Role,
        options: &V,
    ) -> (impl Future<Output = Result<V::Handle, ConnectError>> + Send, Channel);

    /// So much time on a simulated clock, and a twentieth of it on a real one.
    #[must_use]
    fn time(time: Duration) -> Duration {
        if Self::SIMULATED { time } else { (time / 20).max(time.min(Duration::from_millis(10))) }
    }

    /// So many seconds, as [`time`](Self::time).
    #[must_use]
    fn seconds(seconds: u64) -> Duration {
        Self::time(Duration::from_secs(seconds))
    }
}

/// Pipes of 4 KiB.
#[derive(Debug)]
pub struct Memory;

impl<A: Over<Mock>> Link<A> for Memory {
    const SIMULATED: bool = A::SIMULATED;
    const KERNEL: bool = false;

    async fn pair<V: Service>(client: &V, server: &V) -> (V::Handle, V::Handle, Option<Serving>) {
        let (client, server) = memory::<A, _>(4096, Script::free(), Script::free(), client, server).await;
        (client, server, None)
    }

    fn against<V: Service>(
        role: Role,
        options: &V,
    ) -> (impl Future<Output = Result<V::Handle, ConnectError>> + Send, Channel) {
        let (a, b) = mock::pair(4096, Script::free(), Script::free());
        (A::over(a, role, options), b.into())
    }
}

impl<A: Over<L::Stream>, L: Sockets> Link<A> for L {
    const SIMULATED: bool = false;
    const KERNEL: bool = true;

    async fn pair<V: Service>(client: &V, server: &V) -> (V::Handle, V::Handle, Option<Serving>) {
        accepted::<A, L, V>(client, server).await
    }

    fn against<V: Service>(
        role: Role,
        options: &V,
    ) -> (impl Future<Output = Result<V::Handle, ConnectError>> + Send, Channel) {
        let (ours, theirs) = L::connected(None).expect("they connect");
        let theirs: Socket = theirs.into();
        (A::over(ours, role, options), theirs.into())
    }
}

/// A link to a server.
pub trait Hosted<A: Adapter>: Link<A> {
    /// Runs a server beside the case; gives where it listens.
    fn serve<V, H, F>(options: &V, handler: H) -> impl Future<Output = io::Result<(Address, Serving)>>
    where
        V: Service,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static;
}

impl<A: Over<L::Stream>, L: Sockets> Hosted<A> for L {
    async fn serve<V, H, F>(options: &V, handler: H) -> io::Result<(Address, Serving)>
    where
        V: Service,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let place = L::place();
        let server = A::bind(&[place.address], options.clone()).await?;
        let address = A::addresses(&server).remove(0);
        let (serving, stopped, done) = Serving::new();
        drop(A::spawn(async move {
            let report = A::serve(server, handler, async { drop(stopped.await) }).await;
            drop(place.directory);
            let _ = done.send(report);
        }));
        Ok((address, serving))
    }
}

/// A server of another runtime, in a thread of its own, over such sockets. What it accepts is the case's like
/// everything else: handles belong to no runtime.
pub struct To<B, L>(PhantomData<fn() -> (B, L)>);

impl<A: Over<L::Stream>, B: Adapter, L: Sockets> Link<A> for To<B, L> {
    const SIMULATED: bool = false;
    const KERNEL: bool = true;

    async fn pair<V: Service>(client: &V, server: &V) -> (V::Handle, V::Handle, Option<Serving>) {
        accepted::<A, Self, V>(client, server).await
    }

    fn against<V: Service>(
        role: Role,
        options: &V,
    ) -> (impl Future<Output = Result<V::Handle, ConnectError>> + Send, Channel) {
        <L as Link<A>>::against(role, options)
    }
}

impl<A: Over<L::Stream>, B: Adapter, L: Sockets> Hosted<A> for To<B, L> {
    async fn serve<V, H, F>(options: &V, handler: H) -> io::Result<(Address, Serving)>
    where
        V: Service,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (bound, listens) = oneshot::channel();
        let (serving, stopped, done) = Serving::new();
        let options = options.clone();
        thread::spawn(move || {
            B::run(async move {
                let place = L::place();
                let server = match B::bind(&[place.address], options).await {
                    Ok(server) => server,
                    Err(error) => return drop(bound.send(Err(error))),
                };
                let _ = bound.send(Ok(B::addresses(&server).remove(0)));
                let report = B::serve(server, handler, async { drop(stopped.await) }).await;
                drop(place.directory);
                let _ = done.send(report);
            });
        });
        Ok((listens.await.expect("it does not panic")?, serving))
    }
}

/// Both sides of a connection to a server that runs beside the case.
async fn accepted<A: Adapter, L: Hosted<A>, V: Service>(
    client: &V,
    server: &V,
) -> (V::Handle, V::Handle, Option<Serving>) {
    let mut listening = listen::<A, L, V>(server).await;
    let client = A::connect(&listening.address, client).await.unwrap_or_else(|error| panic!("{error}"));
    let server = listening.accepted.recv().await.expect("it is accepted");
    (client, server, Some(listening.serving))
}

/// A session or connection in memory: the client's side, and the server's.
pub async fn memory<A: Over<Mock>, V: Service>(
    capacity: usize,
    a: Script,
    b: Script,
    client: &V,
    server: &V,
) -> (V::Handle, V::Handle) {
    let (a, b) = mock::pair(capacity, a, b);
    let (client, server) = tokio::join!(A::client(a, client), A::server(b, server));
    let client = client.unwrap_or_else(|error| panic!("{error}"));
    (client, server.unwrap_or_else(|error| panic!("{error}")))
}

/// A session with a peer that does as it is told.
pub async fn with_raw<A: Adapter, L: Link<A>, V: Service>(role: Role, options: &V) -> (V::Handle, Raw) {
    let (session, channel) = L::against(role, options);
    let other = if role == Role::Client { Role::Server } else { Role::Client };
    let mut raw = Raw::new(channel, other);
    let (session, ()) = tokio::join!(session, raw.establish());
    (session.unwrap_or_else(|error| panic!("{error}")), raw)
}

/// A server that runs beside the case. Dropping it stops it.
#[derive(Debug)]
pub struct Serving {
    stop: oneshot::Sender<()>,
    report: oneshot::Receiver<Report>,
}

impl Serving {
    /// What is told it to stop, and where its report goes.
    fn new() -> (Self, oneshot::Receiver<()>, oneshot::Sender<Report>) {
        let ((stop, stopped), (done, report)) = (oneshot::channel(), oneshot::channel());
        (Self { stop, report }, stopped, done)
    }

    /// Stops it, without waiting until it has.
    pub fn stop(self) -> oneshot::Receiver<Report> {
        drop(self.stop);
        self.report
    }

    /// Stops it, and says how that went.
    ///
    /// # Panics
    ///
    /// If it does.
    pub async fn stopped(self) -> Report {
        self.stop().await.expect("it stops")
    }
}

/// A server that hands to the case what it accepts.
pub struct Listening<V: Service> {
    /// Where it listens.
    pub address: Address,
    /// What it accepted.
    pub accepted: mpsc::UnboundedReceiver<V::Handle>,
    /// The server.
    pub serving: Serving,
}

/// Runs a server that hands to the case what it accepts.
pub async fn listen<A: Adapter, L: Hosted<A>, V: Service>(options: &V) -> Listening<V> {
    let (give, accepted) = mpsc::unbounded_channel();
    let handler = move |handle| {
        let _ = give.send(handle);
        async {}
    };
    let (address, serving) = L::serve(options, handler).await.expect("it listens");
    Listening { address, accepted, serving }
}

impl<V: Service> Listening<V> {
    /// A connection to it, both sides, the client first.
    pub async fn pair<A: Adapter>(&mut self, options: &V) -> (V::Handle, V::Handle) {
        let client = A::connect(&self.address, options).await.unwrap_or_else(|error| panic!("{error}"));
        (client, self.accepted.recv().await.expect("it is accepted"))
    }

    /// A socket alone, and the connection to it.
    pub async fn raw(&mut self) -> (Channel, V::Handle) {
        let socket = Socket::connect(&self.address).await;
        (socket.into(), self.accepted.recv().await.expect("it is accepted"))
    }
}
