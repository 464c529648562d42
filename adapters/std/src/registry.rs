//! The live connections of a server, and its stop: one table for every runtime.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as StdInstant};

use heartwire_core::protocol::{Cut, Outcome, Protocol};
use heartwire_core::server::{
    Admission, Admitted, ConnectionId, Ended, Limits, Phase, Report, Shutdown, Step, Unit,
};
use heartwire_core::time::Instant;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Clock;
use crate::driver::Timer;
use crate::handle::{Commands, Watch};

/// What was cut has this long to be gone, before it is given up.
const GIVE_UP: Duration = Duration::from_millis(500);

/// Which connections a server has, and how they are told to go.
pub struct Registry {
    unit: Unit,
    state: Mutex<State>,
    clock: Clock,
    read_clock: fn() -> StdInstant,
}

struct State {
    admission: Admission,
    shutdown: Shutdown,
    connections: BTreeMap<ConnectionId, Arc<dyn Control>>,
    stopping: bool,
    give_up: Option<Instant>,
    waiting: Option<Waker>,
}

/// What a stop does with a connection.
trait Control: Send + Sync {
    fn tell(&self);
    fn cut(&self, cut: Cut);
    fn ended(&self) -> Option<Outcome>;
}

struct Controlled<P: Protocol> {
    watch: Watch<P>,
    goodbye: fn() -> P::Command,
}

impl<P> Control for Controlled<P>
where
    P: Protocol + Send,
{
    fn tell(&self) {
        // Refused: it is closing already.
        let _ = self.watch.try_command((self.goodbye)());
    }

    fn cut(&self, cut: Cut) {
        self.watch.cut(cut);
    }

    fn ended(&self) -> Option<Outcome> {
        self.watch.ended()
    }
}

impl Registry {
    /// A registry of so many sessions or connections at most, with nobody in.
    #[must_use]
    pub fn new<T: Timer>(unit: Unit, limits: Limits) -> Self {
        let state = State {
            admission: Admission::new(limits),
            shutdown: Shutdown::new(),
            connections: BTreeMap::new(),
            stopping: false,
            give_up: None,
            waiting: None,
        };
        let read_clock: fn() -> StdInstant = T::now;
        Self { unit, state: Mutex::new(state), clock: Clock::starting_at(read_clock()), read_clock }
    }

    /// Decides on a connection that was accepted, and makes room for it if too many handshakes are in
    /// progress.
    pub fn admit(&self) -> Admitted {
        let mut state = self.lock();
        let admitted = state.admission.admit();
        let crowded = admitted.cut().and_then(|id| state.connections.remove(&id));
        drop(state);
        if let Some(connection) = crowded {
            connection.cut(Cut::Crowded);
        }
        admitted
    }

    /// The connection has a machine now; `goodbye` makes the command that closes it.
    pub fn attach<P>(&self, id: ConnectionId, commands: &Commands<P>, goodbye: fn() -> P::Command)
    where
        P: Protocol + Send + 'static,
        P::Event: Send,
    {
        let control = Arc::new(Controlled { watch: commands.watch(), goodbye });
        self.lock().connections.insert(id, control);
    }

    /// The handshake is done. Says whether it is a session; otherwise it must be ended.
    #[must_use = "a connection that is no session must be ended"]
    pub fn established(&self, id: ConnectionId) -> bool {
        let mut state = self.lock();
        !state.stopping && state.admission.established(id)
    }

    /// The connection is gone.
    pub fn closed(&self, id: ConnectionId, outcome: Option<Outcome>) {
        let now = self.now();
        let mut state = self.lock();
        state.admission.closed(id);
        state.connections.remove(&id);
        state.shutdown.closed(now, id, ending(outcome));
        let waker = state.waiting.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.lock().admission.session_count()
    }

    /// How many handshakes are in progress.
    #[must_use]
    pub fn handshake_count(&self) -> usize {
        self.lock().admission.handshake_count()
    }

    /// Stops: tells every session, waits until they have ended, cuts what is left after `grace`. Says how it
    /// went. Called again, it moves the deadline earlier, never later.
    ///
    /// # Cancel safety
    ///
    /// The stop goes on as far as connections end by themselves; call again to go on with the rest.
    pub async fn stop<T: Timer>(&self, grace: Duration, mut timer: T) -> Report {
        {
            let now = self.now();
            let mut state = self.lock();
            let State { admission, shutdown, stopping, .. } = &mut *state;
            *stopping = true;
            shutdown.begin(now, grace, admission);
        }
        poll_fn(|cx| self.poll_stop(cx, &mut timer)).await
    }

    fn poll_stop<T: Timer>(&self, cx: &mut Context<'_>, timer: &mut T) -> Poll<Report> {
        loop {
            let now = self.now();
            let mut state = self.lock();
            if state.shutdown.deadline().is_some_and(|deadline| deadline <= now) {
                // Some sessions have ended and only their handlers have not come back: they were not cut.
                let State { connections, shutdown, .. } = &mut *state;
                for (id, connection) in connections {
                    if let Some(outcome) = connection.ended() {
                        shutdown.closed(now, *id, ending(Some(outcome)));
                    }
                }
            }
            state.shutdown.handle_timeout(now);
            if state.shutdown.phase() == Phase::Cutting {
                let give_up = *state.give_up.get_or_insert(now + GIVE_UP);
                if give_up <= now {
                    state.shutdown.give_up(now);
                }
            }
            if let Some(report) = state.shutdown.report() {
                let mut report = report.clone();
                report.unit = self.unit;
                return Poll::Ready(report);
            }
            if let Some(step) = state.shutdown.poll_step() {
                let (Step::Tell(id) | Step::Cut(id)) = step;
                // Told without the lock: telling may end in `closed`, which takes it.
                let connection = state.connections.get(&id).cloned();
                drop(state);
                match (step, connection) {
                    (Step::Tell(_), Some(connection)) => connection.tell(),
                    (Step::Cut(_), Some(connection)) => connection.cut(Cut::Stopped),
                    (_, None) => {}
                }
                continue;
            }
            state.waiting = Some(cx.waker().clone());
            let deadline = state.shutdown.deadline().or(state.give_up);
            drop(state);
            if let Some(deadline) = deadline {
                timer.arm(self.clock.to_std(deadline));
                if timer.poll_elapsed(cx).is_ready() {
                    continue;
                }
            }
            return Poll::Pending;
        }
    }

    fn now(&self) -> Instant {
        self.clock.at((self.read_clock)())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Registry")
            .field("sessions", &state.admission.session_count())
            .field("handshakes", &state.admission.handshake_count())
            .finish_non_exhaustive()
    }
}

fn ending(outcome: Option<Outcome>) -> Ended {
    match outcome {
        Some(outcome) if outcome.in_order => Ended::in_order(),
        Some(outcome) => Ended::cut(outcome.unsent as u64),
        None => Ended::cut(0),
    }
}

/// How long a server waits after accepting failed: not at all if it was that one connection's fault, a
/// moment if the system is out of something. It never gives up.
#[must_use]
pub fn accept_delay(error: &io::Error) -> Duration {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock,
    };
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut | WouldBlock => {
            Duration::ZERO
        }
        _ => Duration::from_millis(100),
    }
}

/// What to do about it, to be said behind the error; nothing where that is not known.
#[must_use]
pub fn accept_hint(error: &io::Error) -> &'static str {
    // EMFILE and ENFILE on every Unix; the standard library has no name for them.
    match error.raw_os_error() {
        Some(23 | 24) if cfg!(unix) => {
            "; raise the limit of open files (`ulimit -n`), or hold fewer connections at once"
        }
        _ => "",
    }
}
