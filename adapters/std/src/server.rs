//! A server: accepts, limits, hands connections to a handler, stops gracefully. The same on every runtime.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::{Cut, Protocol};
use heartwire_core::role::Role;
use heartwire_core::server::{Admitted, ConnectionId, Report};

use crate::address::Address;
use crate::driver::Transport;
use crate::handle::{Commands, Endpoints, Events, Watch};
use crate::listener::{Accepting, Listener, Stream};
use crate::options::Options;
use crate::registry::{Registry, accept_hint};
use crate::reset::ResetGuard;
use crate::runtime::{AsyncRuntime, Drive, Runtime, caught};
use crate::service::Service;
use crate::tasks::Tasks;
use crate::upgrade::Upgrading;

/// How many connections are accepted, less one, before other tasks run.
const TURNS: usize = 32;

/// Listens, and serves sessions, or connections of another protocol: what its options are made for.
///
/// Accept errors are logged and never end it: when the system is out of files it waits a moment. Above
/// the limits of its options a newcomer is told `too-many-sessions` (without a session: is closed without a word);
/// when too many handshakes are in progress the oldest is cut.
pub struct Server<R: Runtime, V = Options, W = Plain> {
    listeners: Vec<Listener<R>>,
    addresses: Vec<Address>,
    options: V,
    registry: Arc<Registry>,
    secure: W,
}

/// What a server makes of a TCP connection that came to a `tls://` address.
pub trait Secure<R: Runtime, V>: Send + Sync + 'static {
    /// What the machine runs over.
    type Io: Drive<R>;

    /// Makes it, or begins to.
    fn secure(&self, stream: R::Tcp, options: &V) -> Self::Io;
}

/// For a server without TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain;

impl<R: Runtime, V> Secure<R, V> for Plain {
    type Io = R::Tcp;

    /// Not called: without TLS no `tls://` address is listened on.
    fn secure(&self, stream: R::Tcp, _: &V) -> R::Tcp {
        stream
    }
}

/// For a server with TLS: by this function.
#[derive(Clone, Debug)]
pub struct Tls<S>(Arc<S>);

impl<R, V, S, F, T> Secure<R, V> for Tls<S>
where
    R: AsyncRuntime,
    V: Service,
    S: Fn(R::Tcp) -> F + Send + Sync + 'static,
    F: Future<Output = io::Result<T>> + Send + 'static,
    T: Transport + Send + Unpin + 'static,
{
    type Io = Upgrading<T, R::Timer>;

    fn secure(&self, stream: R::Tcp, options: &V) -> Self::Io {
        // Called in the connection's own task: where it panics, others go on.
        let secure = Arc::clone(&self.0);
        Upgrading::new(async move { secure(stream).await }, options.connect_timeout(), R::Timer::default())
    }
}

impl<R: Runtime, V: Service> Server<R, V> {
    /// Listens on all of these addresses.
    ///
    /// # Errors
    ///
    /// What stands against the first that can't be listened on; the error names it. A `tls://` address can't: see
    /// [`bind_tls`](Self::bind_tls).
    pub async fn bind(addresses: &[Address], options: V) -> io::Result<Self> {
        if let Some(address) = addresses.iter().find(|address| matches!(address, Address::Tls { .. })) {
            let text =
                format!("can't listen on {address}: TLS is made by a function of yours; give it to bind_tls");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Self::listen(addresses, options, Plain).await
    }

    /// The same, and on `tls://` addresses too: `secure` makes TLS, or what else there is, of a TCP connection.
    ///
    /// It runs in the connection's own task, as a part of the connection's handshake, and within the time that making
    /// a connection may take. A connection that does not get so far is dropped; the log says why.
    ///
    /// # Errors
    ///
    /// What stands against the first that can't be listened on; the error names it.
    pub async fn bind_tls<S, F, T>(
        addresses: &[Address],
        options: V,
        secure: S,
    ) -> io::Result<Server<R, V, Tls<S>>>
    where
        R: AsyncRuntime,
        S: Fn(R::Tcp) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<T>> + Send + 'static,
        T: Transport + Send + Unpin + 'static,
    {
        Server::listen(addresses, options, Tls(Arc::new(secure))).await
    }
}

impl<R: Runtime, V: Service, W: Secure<R, V>> Server<R, V, W> {
    async fn listen(addresses: &[Address], options: V, secure: W) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            let named = |error: io::Error| io::Error::new(error.kind(), format!("can't listen on {error}"));
            listeners.push(Listener::bind(address).await.map_err(named)?);
        }
        let addresses = listeners.iter().map(Listener::local_address).collect();
        let registry = Arc::new(Registry::new::<R::Timer>(V::UNIT, options.limits()));
        Ok(Self { listeners, addresses, options, registry, secure })
    }

    /// Where it listens, with the ports that the operating system chose.
    #[must_use]
    pub fn local_addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The live connections, for who wants to count them while the server runs.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        Arc::clone(&self.registry)
    }

    /// Serves until `shutdown` is done, whatever it comes to, then stops gracefully: every connection is told, has the grace of
    /// the options to end, and is cut after it. Says how that went.
    ///
    /// Each connection runs `handler` in a task of its own; it receives the session once the handshake is
    /// done. A handler that returns without closing cuts the connection.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops at once: listening ends, and every connection is cut.
    pub async fn serve<H, F, S>(self, handler: H, shutdown: S) -> Report
    where
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
        S: Future,
    {
        let Self { listeners, options, registry, secure, .. } = self;
        let handler = Arc::new(handler);
        let tasks = Tasks::default();
        {
            let mut shutdown = pin!(shutdown);
            let mut accepting = Accepting::new(&listeners);
            let mut turn = 0;
            let mut next = async || {
                poll_fn(|cx| {
                    if shutdown.as_mut().poll(cx).is_ready() {
                        return Poll::Ready(None);
                    }
                    turn = (turn + 1) % TURNS;
                    if turn == 0 {
                        // However many come at once, those that are there get on.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    accepting.poll_next(cx).map(Some)
                })
                .await
            };
            while let Some((stream, endpoints)) = next().await {
                let guard = match stream.reset_guard(&options) {
                    Ok(guard) => guard,
                    Err(error) => {
                        tracing::warn!("a connection was dropped: {error}{}", accept_hint(&error));
                        continue;
                    }
                };
                let task = Connection { registry: Arc::clone(&registry), options: options.clone(), guard };
                match stream {
                    Stream::Tcp(stream) => task.start(stream, endpoints, &handler, &tasks),
                    Stream::Tls(stream) => {
                        task.start(secure.secure(stream, &options), endpoints, &handler, &tasks);
                    }
                    #[cfg(unix)]
                    Stream::Unix(stream) => task.start(stream, endpoints, &handler, &tasks),
                }
            }
        }
        // Nobody new: the sockets are closed, and a Unix socket's file is gone, before anybody is told.
        drop(listeners);
        let report = registry.stop(options.grace(), R::Timer::default()).await;
        if R::ENDS_TASKS {
            tasks.end().await;
        }
        report
    }
}

impl<R: Runtime, V: fmt::Debug, W> fmt::Debug for Server<R, V, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addresses", &self.addresses)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a connection is served with.
struct Connection<V> {
    registry: Arc<Registry>,
    options: V,
    guard: Option<ResetGuard>,
}

impl<V: Service> Connection<V> {
    fn start<R, T, H, F>(mut self, stream: T, endpoints: Endpoints, handler: &Arc<H>, tasks: &Tasks)
    where
        R: Runtime,
        T: Drive<R>,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let seed = match crate::seed::seed() {
            Ok(seed) => seed,
            Err(error) => {
                tracing::error!("a connection was dropped: the operating system gave no randomness: {error}");
                return;
            }
        };
        let admitted = self.registry.admit();
        let id = admitted.id();
        // Before the next one is admitted: where there is no handshake none is in progress.
        let accepted = matches!(admitted, Admitted::Accepted { .. });
        let refused = !accepted || (!V::UNIT.has_handshake() && !self.registry.established(id));
        let (commands, events) = stream.drive(endpoints, self.guard.take(), |now| match refused {
            false => self.options.machine(Role::Server, &seed, now),
            true => self.options.refusing(&self.too_many(), &seed, now),
        });
        self.registry.attach(id, &commands, V::goodbye);
        let gone = Gone { registry: Arc::clone(&self.registry), id, watch: commands.watch() };
        let handler = Arc::clone(handler);
        tasks.spawn::<R>(async move {
            if let Some(handle) = self.establish(id, refused, commands, events).await {
                caught(async { handler(handle).await }).await;
            }
            gone.watch.closed().await;
        });
    }

    /// Waits for the handshake, if there is one. None: there is nobody to serve.
    async fn establish(
        &self,
        id: ConnectionId,
        refused: bool,
        commands: Commands<V::Machine>,
        events: Events<V::Machine>,
    ) -> Option<V::Handle> {
        let watch = commands.watch();
        let peer = || {
            let peer = watch.endpoints().peer.as_ref();
            peer.map_or_else(|| "a local client".into(), ToString::to_string)
        };
        let established = V::establish(commands, events).await;
        let handle = match established {
            Ok(handle) => handle,
            Err(ended) => {
                tracing::info!("no {} with {}: {ended}", V::UNIT, peer());
                return None;
            }
        };
        if !refused && (!V::UNIT.has_handshake() || self.registry.established(id)) {
            return Some(handle);
        }
        let error = self.too_many();
        if watch.try_command(V::fail(&error)).is_ok() || refused {
            tracing::info!("turned away {}: {error}", peer());
        }
        // With its handle the connection stays until the peer was told.
        watch.closed().await;
        None
    }

    fn too_many(&self) -> Error {
        let (most, unit) = (self.options.limits().max_sessions(), V::UNIT);
        let detail = format!("this server holds {most} {unit}s, the most it may; try later");
        Error::new(Code::TooManySessions, detail)
    }
}

/// Sees to it that a connection is gone when its task ends, however it does, and tells the registry: the
/// application may have taken the session elsewhere, and the server's end is the end of it all the same.
struct Gone<P: Protocol> {
    registry: Arc<Registry>,
    id: ConnectionId,
    watch: Watch<P>,
}

impl<P: Protocol> Drop for Gone<P> {
    fn drop(&mut self) {
        self.watch.cut(Cut::Stopped);
        self.registry.closed(self.id, self.watch.ended());
    }
}
