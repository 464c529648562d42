//! A server: accepts, limits, hands connections to a handler, stops gracefully.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use heartwire_core::server::Report;
use heartwire_std::address::Address;
use heartwire_std::options::Options;
use heartwire_std::registry::Registry;
use heartwire_std::server as shared;
use parking_lot::Mutex;

use crate::park::block_on;
use crate::runtime::Threads;
use crate::service::Blocking;

/// Listens, and serves sessions, or connections of another protocol: what its options are made for.
///
/// Accept errors are logged and never end it: when the system is out of files it waits a moment. Above
/// the limits of its options a newcomer is told `too-many-sessions` (without a session: is closed without a word);
/// when too many handshakes are in progress the oldest is cut.
///
/// A connection has three threads: one reads, one writes, one runs the handler. A listener has one.
pub struct Server<V: Blocking = Options> {
    inner: shared::Server<Threads, V>,
}

impl<V: Blocking> Server<V> {
    /// Listens on all of these addresses.
    ///
    /// # Errors
    ///
    /// What stands against the first that can't be listened on; the error names it. A `tls://` address can't.
    pub fn bind(addresses: &[Address], options: V) -> io::Result<Self> {
        if let Some(address) = addresses.iter().find(|address| matches!(address, Address::Tls { .. })) {
            let text = format!("can't listen on {address}: {}", crate::connect::NO_TLS);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        block_on(shared::Server::bind(addresses, options)).map(|inner| Self { inner })
    }

    /// Where it listens, with the ports that the operating system chose.
    #[must_use]
    pub fn local_addresses(&self) -> &[Address] {
        self.inner.local_addresses()
    }

    /// The live connections, for who wants to count them while the server runs.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.registry()
    }

    /// Serves until `shutdown` is done, as [`stop`]'s is, then stops gracefully: every connection is told, has the
    /// grace of the options to end, and is cut after it. Says how that went.
    ///
    /// Each connection runs `handler` in a thread of its own, which receives the session once the handshake is
    /// done. A handler that returns without closing cuts the connection. One that panics ends its connection, and
    /// the log says so. One that does not return after the stop, because it waits for something else than its
    /// connection, can't be ended: its connection is cut, and its thread left behind.
    pub fn serve<H>(self, handler: H, shutdown: impl Future) -> Report
    where
        H: Fn(V::BlockingHandle) + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        let handler = move |handle| {
            let handler = Arc::clone(&handler);
            // Polled once, in a thread for this connection alone.
            async move { handler(V::wrap(handle)) }
        };
        block_on(self.inner.serve(handler, shutdown))
    }
}

impl<V: Blocking + fmt::Debug> fmt::Debug for Server<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// What stops a server from any thread, and what [`Server::serve`] waits for.
pub fn stop() -> (Stop, Stopped) {
    let state = Arc::new(Mutex::new(State { stopped: false, handles: 1, waiting: None }));
    (Stop(Arc::clone(&state)), Stopped(state))
}

/// Stops a server: by [`stop`](Self::stop), or when the last clone is dropped.
pub struct Stop(Arc<Mutex<State>>);

/// Done when its [`Stop`] says so.
#[must_use = "it is for Server::serve"]
pub struct Stopped(Arc<Mutex<State>>);

struct State {
    stopped: bool,
    handles: usize,
    waiting: Option<Waker>,
}

impl Stop {
    /// Stops. Returns at once: [`Server::serve`] waits for the end.
    pub fn stop(&self) {
        let mut state = self.0.lock();
        state.stopped = true;
        let waker = state.waiting.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Clone for Stop {
    fn clone(&self) -> Self {
        self.0.lock().handles += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        let last = {
            let mut state = self.0.lock();
            state.handles -= 1;
            state.handles == 0
        };
        if last {
            self.stop();
        }
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.stopped {
            return Poll::Ready(());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("stopped", &self.0.lock().stopped).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopped").finish_non_exhaustive()
    }
}
