//! The driver's two threads: one reads, one writes.

use std::io;
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread::{self, park, park_timeout};
use std::time::{Duration, Instant};

use heartwire_core::protocol::Protocol;
use heartwire_core::time::Instant as MachineInstant;
use heartwire_std::driver::read_through;
use heartwire_std::driver::threads::{Next, Reading, Writing};
use heartwire_std::handle::{Commands, Endpoints, Events, start_threads};
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{Drive, said};
use parking_lot::Mutex;

use crate::runtime::Threads;
use crate::socket::Socket;

/// How long a write waits at most where the peer takes nothing: then it is seen whether there is something else to
/// do, as there is when the connection was cut.
const WRITE: Duration = Duration::from_millis(100);
/// A read may wait this much longer than it should, or end so much earlier, where that saves setting its timeout.
const SLACK: Duration = Duration::from_millis(10);
/// The shortest timeout of a read.
const SHORTEST: Duration = Duration::from_millis(1);

/// A [`Socket`] that a session runs over.
#[derive(Debug)]
pub struct Io<S>(pub S);

impl<S: Socket> Drive<Threads> for Io<S> {
    fn drive<P>(
        self,
        endpoints: Endpoints,
        guard: Option<ResetGuard>,
        make: impl FnOnce(MachineInstant) -> P,
    ) -> (Commands<P>, Events<P>)
    where
        P: Protocol<Command: Send, Event: Send> + Send + 'static,
    {
        let (commands, events, reading, writing) = start_threads(endpoints, make);
        // Here, and not in a thread: both may begin to use it.
        if let Err(error) = self.0.prepare() {
            reading.fail(&error);
        }
        let link = Arc::new(Link { socket: self.0, guard: Mutex::new(guard) });
        start("heartwire read", Arc::clone(&link), reading);
        start("heartwire write", link, writing);
        (commands, events)
    }
}

/// What both threads hold, and close by letting go of it.
struct Link<S> {
    socket: S,
    /// Has the connection reset unless it ends in order.
    guard: Mutex<Option<ResetGuard>>,
}

impl<S: Socket> Link<S> {
    /// Ends the writing half in order.
    fn close_writing(&self) {
        self.release();
        // An error here means that the peer is gone; reading will tell.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    fn release(&self) {
        if let Some(guard) = self.guard.lock().take() {
            guard.release();
        }
    }

    /// Has the other half return from what it waits in; a write does that soon by itself.
    fn leave(&self) {
        // To shut down the writing half would look to the peer like an end in order.
        let reset = self.guard.lock().is_some();
        // It fails where the peer is gone.
        let _ = self.socket.shutdown(if reset { Shutdown::Read } else { Shutdown::Both });
    }
}

/// A half of a driver, in its thread.
trait Half: Send + 'static {
    fn run(&mut self, link: &Link<impl Socket>) -> io::Result<()>;
    fn ended_in_order(&self) -> bool;
    fn give_up(&self, error: &io::Error);
}

fn start<S: Socket, H: Half>(name: &str, link: Arc<Link<S>>, half: H) {
    // Handed over when there is a thread, so that they are not lost where there is none.
    let (give, take) = mpsc::sync_channel::<(Arc<Link<S>>, H)>(1);
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        if let Ok((link, mut half)) = take.recv() {
            let run = catch_unwind(AssertUnwindSafe(|| half.run(&link)));
            let failed = |panic: Box<dyn std::any::Any + Send>| {
                Err(io::Error::other(format!("the connection's thread panicked: {}", said(&*panic))))
            };
            leave(link, half, run.unwrap_or_else(failed));
        }
    });
    let (result, back) = match thread {
        Ok(_) => (Ok(()), give.send((link, half)).err().map(|unsent| unsent.0)),
        Err(error) => {
            let text = format!("no thread could be started for the connection: {error}");
            (Err(io::Error::new(error.kind(), text)), Some((link, half)))
        }
    };
    if let Some((link, half)) = back {
        leave(link, half, result);
    }
}

/// The transport goes before its half: who hears that the connection is closed finds it closed.
fn leave<S: Socket, H: Half>(link: Arc<Link<S>>, half: H, result: io::Result<()>) {
    if let Err(error) = result {
        half.give_up(&error);
    }
    if half.ended_in_order() {
        link.release();
    }
    link.leave();
    drop(link);
    drop(half);
}

impl<P> Half for Reading<P>
where
    P: Protocol<Command: Send, Event: Send> + Send + 'static,
{
    fn run(&mut self, link: &Link<impl Socket>) -> io::Result<()> {
        let mut patience = Patience::default();
        loop {
            match self.step() {
                Next::Read { max, until } => {
                    if let Some(timeout) = patience.change(until.map(remaining)) {
                        link.socket.set_read_timeout(timeout)?;
                    }
                    self.read(max, |rx, max| {
                        let came = read_through(rx, max, |into| in_time(link.socket.read(into)));
                        patience.timed_out = came.is_pending();
                        came
                    });
                }
                Next::Park(until) => wait(until),
                Next::Write | Next::CloseWriting | Next::Close => return Ok(()),
            }
        }
    }

    fn ended_in_order(&self) -> bool {
        self.ended_in_order()
    }

    fn give_up(&self, error: &io::Error) {
        self.fail(error);
    }
}

impl<P> Half for Writing<P>
where
    P: Protocol<Command: Send, Event: Send> + Send + 'static,
{
    fn run(&mut self, link: &Link<impl Socket>) -> io::Result<()> {
        link.socket.set_write_timeout(Some(WRITE))?;
        loop {
            match self.step() {
                Next::Write => {
                    self.write(
                        |slices| in_time(link.socket.write_vectored(slices)),
                        || in_time(link.socket.flush()),
                    );
                }
                Next::CloseWriting => {
                    link.close_writing();
                    self.writing_closed();
                }
                Next::Park(until) => wait(until),
                Next::Read { .. } | Next::Close => return Ok(()),
            }
        }
    }

    fn ended_in_order(&self) -> bool {
        self.ended_in_order()
    }

    fn give_up(&self, error: &io::Error) {
        self.fail(error);
    }
}

fn in_time<T>(done: io::Result<T>) -> Poll<io::Result<T>> {
    match done {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Poll::Pending
        }
        done => Poll::Ready(done),
    }
}

fn wait(until: Option<Instant>) {
    match until {
        Some(until) => park_timeout(remaining(until)),
        None => park(),
    }
}

fn remaining(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now())
}

/// The timeout that reading has, set as seldom as can be.
#[derive(Default)]
struct Patience {
    /// None: it waits for ever, as sockets do to begin with.
    set: Option<Duration>,
    timed_out: bool,
}

impl Patience {
    /// What to set before reading, if anything: it may wait so long, or for ever.
    fn change(&mut self, wanted: Option<Duration>) -> Option<Option<Duration>> {
        let wanted = wanted.map(|wanted| wanted.max(SHORTEST));
        let keep = match (self.set, wanted) {
            (None, Some(_)) => false,
            // One that is too short costs a turn, once; also one that the socket had before.
            (_, None) => !self.timed_out,
            (Some(set), Some(wanted)) if self.timed_out => set == wanted,
            (Some(set), Some(wanted)) => set <= wanted + SLACK,
        };
        self.timed_out = false;
        if keep {
            return None;
        }
        self.set = wanted;
        Some(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_timeout_is_set_when_it_is_too_long_or_proved_too_short() {
        let mut patience = Patience::default();
        assert_eq!(patience.change(None), None, "sockets wait for ever to begin with");
        assert_eq!(patience.change(Some(ms(5000))), Some(Some(ms(5000))));
        assert_eq!(patience.change(Some(ms(4995))), None);
        assert_eq!(patience.change(Some(ms(4980))), Some(Some(ms(4980))));
        // What is too short may stay until it has cost a turn.
        assert_eq!(patience.change(Some(ms(9000))), None);
        assert_eq!(patience.change(None), None);
        patience.timed_out = true;
        assert_eq!(patience.change(Some(ms(9000))), Some(Some(ms(9000))));
        patience.timed_out = true;
        assert_eq!(patience.change(None), Some(None));
        // Nor does a socket wait for ever that had a timeout before.
        let mut patience = Patience { set: None, timed_out: true };
        assert_eq!(patience.change(None), Some(None));
        // What has passed is not "for ever".
        assert_eq!(patience.change(Some(Duration::ZERO)), Some(Some(SHORTEST)));
    }
}
