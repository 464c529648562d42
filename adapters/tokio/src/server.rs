//! A server: accepts, limits, hands connections to a handler, stops gracefully.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::{Cut, Protocol};
use heartwire_core::role::Role;
use heartwire_core::server::{Admitted, ConnectionId, Report};
use heartwire_std::address::Address;
use heartwire_std::handle::{Commands, Endpoints, Events, Watch};
use heartwire_std::options::Options;
use heartwire_std::registry::Registry;
use heartwire_std::service::Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::connect::spawn;
use crate::driver::Sleep;
use crate::listener::{Accepting, Listener, Stream};

/// Listens, and serves sessions, or connections of another protocol: what its options are made for.
///
/// Accept errors are logged and never end it: when the system is out of files it waits a moment. Above
/// the limits of its options a newcomer is told `too-many-sessions` (without a session: is closed without a word);
/// when too many handshakes are in progress the oldest is cut.
#[derive(Debug)]
pub struct Server<V = Options> {
    listeners: Vec<Listener>,
    addresses: Vec<Address>,
    options: V,
    registry: Arc<Registry>,
}

impl<V: Service> Server<V> {
    /// Listens on all of these addresses.
    ///
    /// # Errors
    ///
    /// What stands against the first that can't be listened on; the error names it.
    pub async fn bind(addresses: &[Address], options: V) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut bound = Vec::new();
        for address in addresses {
            let listener = Listener::bind(address)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("can't listen on {error}")))?;
            bound.push(listener.local_address()?);
            listeners.push(listener);
        }
        let registry = Arc::new(Registry::new::<Sleep>(V::UNIT, options.limits()));
        Ok(Self { listeners, addresses: bound, options, registry })
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

    /// Serves until `shutdown` is done, then stops gracefully: every connection is told, has the grace of
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
        S: Future<Output = ()>,
    {
        let Self { listeners, options, registry, .. } = self;
        let handler = Arc::new(handler);
        let mut tasks = JoinSet::new();
        {
            let mut shutdown = pin!(shutdown);
            let mut accepting = Accepting::new(&listeners);
            loop {
                tokio::select! {
                    () = &mut shutdown => break,
                    (stream, endpoints) = accepting.next() => {
                        let task = Connection { registry: Arc::clone(&registry), options: options.clone() };
                        match stream {
                            Stream::Tcp(stream) => task.start(stream, endpoints, &handler, &mut tasks),
                            #[cfg(unix)]
                            Stream::Unix(stream) => task.start(stream, endpoints, &handler, &mut tasks),
                        }
                    }
                    Some(done) = tasks.join_next() => report_panic(done),
                }
            }
        }
        // Nobody new: the sockets are closed, and a Unix socket's file is gone, before anybody is told.
        drop(listeners);
        let report = registry.stop(options.grace(), Sleep::default()).await;
        tasks.abort_all();
        while let Some(done) = tasks.join_next().await {
            report_panic(done);
        }
        report
    }
}

/// A handler that panics ends its connection, not the server; nobody shall have to guess.
fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a connection's handler panicked: {error}");
    }
}

/// What a connection is served with.
struct Connection<V> {
    registry: Arc<Registry>,
    options: V,
}

impl<V: Service> Connection<V> {
    fn start<T, H, F>(self, stream: T, endpoints: Endpoints, handler: &Arc<H>, tasks: &mut JoinSet<()>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Fn(V::Handle) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let seed = match heartwire_std::seed::seed() {
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
        let (commands, events) = spawn(stream, endpoints, |now| match refused {
            false => self.options.machine(Role::Server, &seed, now),
            true => self.options.refusing(&self.too_many(), &seed, now),
        });
        self.registry.attach(id, &commands, V::goodbye);
        let gone = Gone { registry: Arc::clone(&self.registry), id, watch: commands.watch() };
        let handler = Arc::clone(handler);
        tasks.spawn(async move {
            if let Some(handle) = self.establish(id, refused, commands, events).await {
                handler(handle).await;
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
