//! Accepting in a thread, one connection at a time, and only when it is asked for.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// How long it takes to see the word to stop, or a connection, where one can't wait for both.
#[cfg(not(unix))]
const LOOK: Duration = Duration::from_millis(20);
/// How long it is before waiting for connections is tried again after it failed.
#[cfg(unix)]
const AGAIN: Duration = Duration::from_millis(100);

/// A listening socket.
pub trait Accept: Waitable + Send + 'static {
    /// A connection.
    type Stream: Send + 'static;

    /// Whether accepting waits.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()>;

    /// Accepts.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn accept(&self) -> io::Result<Self::Stream>;
}

/// What can be waited for together with something else.
#[cfg(unix)]
pub trait Waitable: std::os::fd::AsFd {}
#[cfg(unix)]
impl<L: std::os::fd::AsFd> Waitable for L {}
/// What can't be waited for together with something else.
#[cfg(not(unix))]
pub trait Waitable {}
#[cfg(not(unix))]
impl<L> Waitable for L {}

macro_rules! accept {
    ($listener:ty, $stream:ty) => {
        impl Accept for $listener {
            type Stream = $stream;

            fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
                <$listener>::set_nonblocking(self, nonblocking)
            }

            fn accept(&self) -> io::Result<$stream> {
                <$listener>::accept(self).map(|(stream, _)| stream)
            }
        }
    };
}

accept!(std::net::TcpListener, std::net::TcpStream);
#[cfg(unix)]
accept!(std::os::unix::net::UnixListener, std::os::unix::net::UnixStream);

/// A listening socket in a thread of its own. Dropping it closes the socket, and waits for that.
pub struct Listener<L: Accept> {
    shared: Arc<Shared<L::Stream>>,
    thread: Option<JoinHandle<()>>,
    /// Closed to end what the thread waits in. Made beforehand: nothing has to be opened to stop.
    #[cfg(unix)]
    word: Option<std::os::unix::net::UnixStream>,
}

struct Shared<S> {
    state: Mutex<State<S>>,
    asked: Condvar,
}

struct State<S> {
    /// Somebody wants the next connection.
    wanted: Option<Waker>,
    accepted: Option<io::Result<S>>,
    stopping: bool,
}

impl<L: Accept> Listener<L> {
    /// Takes a listening socket over.
    ///
    /// # Errors
    ///
    /// There is no thread, or no socket to stop it with.
    pub fn new(listener: L) -> io::Result<Self> {
        // Who was there when we looked may be gone when we accept.
        listener.set_nonblocking(true)?;
        let state = State { wanted: None, accepted: None, stopping: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), asked: Condvar::new() });
        let accepting = Arc::clone(&shared);
        #[cfg(unix)]
        let (word, stop) = std::os::unix::net::UnixStream::pair()?;
        let thread = thread::Builder::new().name("heartwire accept".into()).spawn(move || {
            while accepting.wait_until_asked() {
                #[cfg(unix)]
                let ready = wait(&listener, &stop);
                #[cfg(not(unix))]
                let ready = Ok(());
                accepting.hand_over(ready.and_then(|()| listener.accept()));
            }
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
            #[cfg(unix)]
            word: Some(word),
        })
    }

    /// The next connection. It is accepted only while somebody asks; if nobody does any more when it is, it is
    /// there for who asks next. One at a time: of several that wait only the last to ask is woken.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    pub async fn accept(&self) -> io::Result<L::Stream> {
        poll_fn(|cx| {
            let mut state = self.shared.state.lock();
            if let Some(accepted) = state.accepted.take() {
                return Poll::Ready(accepted);
            }
            state.wanted = Some(cx.waker().clone());
            self.shared.asked.notify_one();
            Poll::Pending
        })
        .await
    }
}

impl<L: Accept> Drop for Listener<L> {
    fn drop(&mut self) {
        self.shared.state.lock().stopping = true;
        self.shared.asked.notify_one();
        #[cfg(unix)]
        drop(self.word.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing in it that panics.
            let _ = thread.join();
        }
    }
}

impl<S> Shared<S> {
    /// Says whether to go on.
    fn wait_until_asked(&self) -> bool {
        let mut state = self.state.lock();
        while !state.stopping && (state.wanted.is_none() || state.accepted.is_some()) {
            self.asked.wait(&mut state);
        }
        !state.stopping
    }

    fn hand_over(&self, accepted: io::Result<S>) {
        let mut state = self.state.lock();
        if accepted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            // Whoever it was is gone again, or there is nobody yet.
            #[cfg(not(unix))]
            if !state.stopping {
                self.asked.wait_for(&mut state, LOOK);
            }
            return;
        }
        state.accepted = Some(accepted);
        let waker = state.wanted.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Waits for a connection, or for the word to stop.
#[cfg(unix)]
fn wait(listener: &impl std::os::fd::AsFd, stop: &std::os::unix::net::UnixStream) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, poll};

    let mut waiting = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
    match poll(&mut waiting, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => {
            // Short of memory: who asked waits a moment before asking again.
            thread::sleep(AGAIN);
            Err(error.into())
        }
    }
}
