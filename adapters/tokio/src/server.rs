//! A server: accepts, limits, hands sessions to a handler, stops gracefully.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use heartwire_core::error::{Code, Error};
use heartwire_core::protocol::Cut;
use heartwire_core::server::{Admitted, ConnectionId, Report};
use heartwire_core::session::{self as core, Command, Event};
use heartwire_std::address::Address;
use heartwire_std::handle::{Commands, Endpoints, Events, Watch};
use heartwire_std::registry::Registry;
use heartwire_std::session::Session;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::connect::spawn;
use crate::driver::Sleep;
use crate::listener::{Accepting, Listener, Stream};
use crate::options::Options;

/// What a stopping server says.
const GOODBYE: &str = "Server shutting down";

/// Listens, and serves sessions.
///
/// Accept errors are logged and never end it: when the system is out of files it waits a moment. Above
/// the limits of its [`Options`] a newcomer is told `too-many-sessions`; when too many handshakes are in
/// progress the oldest is cut.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<Listener>,
    addresses: Vec<Address>,
    options: Options,
    registry: Arc<Registry>,
}

impl Server {
    /// Listens on all of these addresses.
    ///
    /// # Errors
    ///
    /// What stands against the first that can't be listened on; the error names it.
    pub async fn bind(addresses: &[Address], options: Options) -> io::Result<Self> {
        let mut listeners = Vec::new();
        let mut bound = Vec::new();
        for address in addresses {
            let listener = Listener::bind(address)
                .await
                .map_err(|error| io::Error::new(error.kind(), format!("can't listen on {error}")))?;
            bound.push(listener.local_address()?);
            listeners.push(listener);
        }
        let registry = Arc::new(Registry::new::<Sleep>(options.limits));
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

    /// Serves until `shutdown` is done, then stops gracefully: every session is told, has the grace of
    /// the options to end, and is cut after it. Says how that went.
    ///
    /// Each session runs `handler` in a task of its own; it receives the session once the handshake is
    /// done. A handler that returns without closing its session cuts it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops at once: listening ends, and every session is cut.
    pub async fn serve<H, F, S>(self, handler: H, shutdown: S) -> Report
    where
        H: Fn(Session) -> F + Send + Sync + 'static,
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
        let report = registry.stop(options.grace, Sleep::default()).await;
        tasks.abort_all();
        while let Some(done) = tasks.join_next().await {
            report_panic(done);
        }
        report
    }
}

/// A handler that panics ends its session, not the server; nobody shall have to guess.
fn report_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a session's handler panicked: {error}");
    }
}

/// What a connection is served with.
struct Connection {
    registry: Arc<Registry>,
    options: Options,
}

impl Connection {
    fn start<T, H, F>(self, stream: T, endpoints: Endpoints, handler: &Arc<H>, tasks: &mut JoinSet<()>)
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Fn(Session) -> F + Send + Sync + 'static,
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
        let Options { config, keys, .. } = &self.options;
        let (commands, events) = spawn(stream, endpoints, |now| match admitted {
            Admitted::Accepted { .. } => core::Session::server(config.clone(), keys.clone(), &seed, now),
            Admitted::Refused { .. } => {
                core::Session::refusing(config.clone(), keys.clone(), &too_many(&self.options), now)
            }
        });
        let id = admitted.id();
        self.registry.attach(id, &commands, || Command::Close { reason: Some(GOODBYE.into()) });
        let gone = Gone { registry: Arc::clone(&self.registry), id, watch: commands.watch() };
        let handler = Arc::clone(handler);
        tasks.spawn(async move {
            if let Some(session) = self.establish(id, commands, events).await {
                handler(session).await;
            }
            gone.watch.closed().await;
        });
    }

    async fn establish(
        &self,
        id: ConnectionId,
        commands: Commands<core::Session>,
        mut events: Events<core::Session>,
    ) -> Option<Session> {
        loop {
            match events.next().await {
                Some(Event::Established(established)) => {
                    if self.registry.established(id) {
                        return Some(Session::new(commands, events, established));
                    }
                    let error = too_many(&self.options);
                    let (code, detail) = (error.code(), error.detail().into());
                    let _ = commands.try_command(Command::Fail { code, detail });
                }
                Some(Event::Ended(ended)) => {
                    let peer = &commands.endpoints().peer;
                    let peer = peer.as_ref().map_or_else(|| "a local client".into(), ToString::to_string);
                    tracing::info!("no session with {peer}: {ended}");
                }
                Some(_) => {}
                None => return None,
            }
        }
    }
}

fn too_many(options: &Options) -> Error {
    let most = options.limits.max_sessions();
    Error::new(
        Code::TooManySessions,
        format!("this server holds {most} sessions, the most it may; try later"),
    )
}

/// Sees to it that a connection is gone when its task ends, however it does, and tells the registry: the
/// application may have taken the session elsewhere, and the server's end is the end of it all the same.
struct Gone {
    registry: Arc<Registry>,
    id: ConnectionId,
    watch: Watch<core::Session>,
}

impl Drop for Gone {
    fn drop(&mut self) {
        self.watch.cut(Cut::Stopped);
        self.registry.closed(self.id, self.watch.ended());
    }
}
