//! A pump that one driver and any number of handles share, and who waits for what.
//!
//! The mutex is never held across an await: every method takes it, acts, and lets it go before it
//! wakes anybody. It is a fair one where the driver lets it go: a driver with much to write would take it
//! again at once, and a task that wants to send would wait until everything had left.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant as StdInstant;

use heartwire_core::protocol::{Cut, Interest, Outcome, Protocol, Refused, Ticket, Why};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;
use parking_lot::{Mutex, MutexGuard};

use crate::clock::Clock;

/// What a driver and the handles share.
pub(crate) struct Shared<P: Protocol> {
    state: Mutex<State<P>>,
    clock: Clock,
    read_clock: fn() -> StdInstant,
}

pub(crate) struct State<P: Protocol> {
    pub(crate) pump: Pump<P>,
    driver: Option<Waker>,
    /// Handles that wait for an event, for room to send, and for the end.
    events: Waiters,
    room: Waiters,
    end: Waiters,
    /// What the driver acted on last.
    seen: Option<Interest>,
    handles: usize,
    /// Nobody will take events any more, and somebody still sends: they are counted and dropped.
    unheard: bool,
    discarded: u64,
    /// The driver is done with the transport.
    closed: bool,
}

/// Wakers to call when the lock is gone.
#[derive(Default)]
pub(crate) struct Wake(Vec<Waker>);

impl Wake {
    fn call(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

/// What a driver does with the state.
pub(crate) trait Turns<P: Protocol> {
    type Output;

    /// One turn. Says whether it is worth making another.
    fn turn(&mut self, state: &mut State<P>, now: Instant) -> bool;

    /// The turns are over; `busy`: there is more to do.
    fn settle(&mut self, state: &mut State<P>, now: Instant, busy: bool, wake: &mut Wake) -> Self::Output;
}

impl<P: Protocol> Shared<P> {
    /// Shares a machine, which `make` makes at the present time. There is one handle to begin with.
    pub(crate) fn new(read_clock: fn() -> StdInstant, make: impl FnOnce(Instant) -> P) -> Arc<Self> {
        let clock = Clock::starting_at(read_clock());
        let pump = Pump::new(make(clock.at(read_clock())));
        let state = State {
            pump,
            driver: None,
            events: Waiters::default(),
            room: Waiters::default(),
            end: Waiters::default(),
            seen: None,
            handles: 1,
            unheard: false,
            discarded: 0,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), clock, read_clock })
    }

    fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock()
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.at((self.read_clock)())
    }

    pub(crate) fn to_std(&self, instant: Instant) -> StdInstant {
        self.clock.to_std(instant)
    }

    /// Acts on the state, then wakes whoever is concerned.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State<P>, Instant, &mut Wake) -> R) -> R {
        let now = self.now();
        let mut wake = Wake::default();
        let result = act(&mut self.lock(), now, &mut wake);
        wake.call();
        result
    }

    /// Has the driver make turns with the state, `most` at once, and lets whoever waits for it have it
    /// in between.
    pub(crate) fn run<T: Turns<P>>(&self, most: usize, mut driver: T) -> T::Output {
        let mut wake = Wake::default();
        let mut state = self.lock();
        let mut now = self.now();
        let mut busy = driver.turn(&mut state, now);
        for _ in 1..most {
            if !busy {
                break;
            }
            MutexGuard::bump(&mut state);
            now = self.now();
            busy = driver.turn(&mut state, now);
        }
        let output = driver.settle(&mut state, now, busy, &mut wake);
        MutexGuard::unlock_fair(state);
        wake.call();
        output
    }

    /// Asks the machine something.
    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&P) -> R) -> R {
        ask(self.lock().pump.machine())
    }

    /// Gives the machine a command.
    pub(crate) fn command(&self, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        self.with(|state, now, wake| state.command(now, command, wake))
    }

    /// Gives the machine a command; waits while there is no room for it. `command` is taken when it was
    /// accepted or refused for good.
    pub(crate) fn poll_command(
        place: &mut Place<'_, P>,
        cx: &mut Context<'_>,
        command: &mut Option<P::Command>,
    ) -> Poll<Result<Ticket, Refused<P::Command>>> {
        Self::poll(place, cx, |state, now, wake| {
            let Some(given) = command.take() else { return Poll::Pending };
            match state.command(now, given, wake) {
                Err(Refused { command: back, why: Why::Full }) => {
                    *command = Some(back);
                    Poll::Pending
                }
                done => Poll::Ready(done),
            }
        })
    }

    /// Waits until there is room, as `has_room` sees it, or nothing will ever be taken.
    pub(crate) fn poll_room(
        place: &mut Place<'_, P>,
        cx: &mut Context<'_>,
        has_room: impl Fn(&P, &Interest) -> bool,
    ) -> Poll<()> {
        Self::poll(place, cx, |state, now, _| {
            let interest = state.pump.poll(now);
            if interest.closed || state.closed || has_room(state.pump.machine(), &interest) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }

    /// The next event; none after the last one.
    pub(crate) fn poll_event(place: &mut Place<'_, P>, cx: &mut Context<'_>) -> Poll<Option<P::Event>> {
        Self::poll(place, cx, |state, now, wake| match state.event(now, wake) {
            Some(event) => Poll::Ready(Some(event)),
            None if state.pump.machine().ended().is_some() => Poll::Ready(None),
            None => Poll::Pending,
        })
    }

    /// Waits until the transport is closed.
    pub(crate) fn poll_closed(place: &mut Place<'_, P>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        Self::poll(place, cx, |state, _, _| {
            if state.closed {
                return Poll::Ready(state.pump.machine().ended());
            }
            Poll::Pending
        })
    }

    /// Tries, and takes this place among those that wait if it came to nothing.
    fn poll<R>(
        place: &mut Place<'_, P>,
        cx: &Context<'_>,
        attempt: impl FnOnce(&mut State<P>, Instant, &mut Wake) -> Poll<R>,
    ) -> Poll<R> {
        let Place { shared, waits_for, number } = place;
        // A waker that is not needed any more is dropped when the lock is gone, like those that are woken.
        let (result, _waker) = shared.with(|state, now, wake| {
            let result = attempt(state, now, wake);
            let waiters = state.waiters(*waits_for);
            let waker = match (&result, *number) {
                (Poll::Pending, _) => waiters.register(number, cx),
                (Poll::Ready(_), Some(was)) => {
                    *number = None;
                    waiters.wakers.remove(&was)
                }
                (Poll::Ready(_), None) => None,
            };
            (result, waker)
        });
        result
    }

    /// The next event that is there already.
    pub(crate) fn try_event(&self) -> Option<P::Event> {
        self.with(State::event)
    }

    /// Gives the transport up.
    pub(crate) fn cut(&self, cut: Cut) {
        self.with(|state, now, wake| {
            state.pump.handle_cut(now, cut);
            state.wake_driver(wake);
            state.notify(now, true, wake);
        });
    }

    /// Events that nobody took, since nobody was left to take them.
    pub(crate) fn discarded(&self) -> u64 {
        self.lock().discarded
    }

    pub(crate) fn handle_added(&self) {
        self.lock().handles += 1;
    }

    /// A handle is gone; `heard`: it was the one that takes events.
    pub(crate) fn handle_dropped(&self, heard: bool) {
        self.with(|state, now, wake| {
            state.handles = state.handles.saturating_sub(1);
            state.unheard |= heard;
            if state.handles == 0 {
                state.pump.handle_cut(now, Cut::Dropped);
            }
            state.wake_driver(wake);
        });
    }
}

impl<P: Protocol> State<P> {
    fn command(
        &mut self,
        now: Instant,
        command: P::Command,
        wake: &mut Wake,
    ) -> Result<Ticket, Refused<P::Command>> {
        let ticket = self.pump.handle_command(now, command)?;
        self.wake_driver(wake);
        // It may have made room: a message that was given up leaves the queue without a byte written.
        self.room.wake(wake);
        Ok(ticket)
    }

    fn event(&mut self, now: Instant, wake: &mut Wake) -> Option<P::Event> {
        let unparsed = self.pump.unparsed();
        let event = self.pump.poll_event(now);
        // Room was made: the driver reads again, and answers what was understood only now.
        if self.pump.unparsed() != unparsed || self.seen.is_some_and(|seen| seen.read == 0) {
            self.wake_driver(wake);
        }
        event
    }

    fn waiters(&mut self, waits_for: For) -> &mut Waiters {
        match waits_for {
            For::Event => &mut self.events,
            For::Room => &mut self.room,
            For::End => &mut self.end,
        }
    }

    fn wake_driver(&mut self, wake: &mut Wake) {
        wake.0.extend(self.driver.take());
    }

    /// The driver waits to be woken.
    pub(crate) fn driver_waits(&mut self, cx: &Context<'_>) {
        match &self.driver {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => self.driver = Some(cx.waker().clone()),
        }
    }

    /// The driver made a turn: whoever waited for what happened is woken. `moved`: bytes left, so that it
    /// is worth trying to send again.
    pub(crate) fn notify(&mut self, now: Instant, moved: bool, wake: &mut Wake) -> Interest {
        while self.unheard && self.pump.poll_event(now).is_some() {
            self.discarded = self.discarded.saturating_add(1);
        }
        let interest = self.pump.poll(now);
        let opened = interest.commands && self.seen.is_none_or(|seen| !seen.commands);
        self.seen = Some(interest);
        let ended = self.pump.machine().ended().is_some();
        if interest.events || ended {
            self.events.wake(wake);
        }
        if moved || opened || ended || interest.closed {
            self.room.wake(wake);
        }
        interest
    }

    /// The driver is done with the transport.
    pub(crate) fn close(&mut self, now: Instant, wake: &mut Wake) {
        self.closed = true;
        self.driver = None;
        self.notify(now, true, wake);
        self.end.wake(wake);
    }
}

/// What a future waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum For {
    Event,
    Room,
    End,
}

/// A future's place among those that wait. Dropped, it leaves nothing behind.
pub(crate) struct Place<'a, P: Protocol> {
    shared: &'a Shared<P>,
    waits_for: For,
    number: Option<u64>,
}

impl<'a, P: Protocol> Place<'a, P> {
    pub(crate) fn new(shared: &'a Shared<P>, waits_for: For) -> Self {
        Self { shared, waits_for, number: None }
    }
}

impl<P: Protocol> Drop for Place<'_, P> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            // Dropped when the lock is gone.
            let _waker = self.shared.lock().waiters(self.waits_for).wakers.remove(&number);
        }
    }
}

/// Futures that wait for the same thing.
#[derive(Default)]
struct Waiters {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    /// Remembers to wake this task for the future with this number; it is given one if it has none. Gives the
    /// waker that is in its place no more.
    fn register(&mut self, number: &mut Option<u64>, cx: &Context<'_>) -> Option<Waker> {
        let number = *number.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        match self.wakers.get(&number) {
            Some(waker) if waker.will_wake(cx.waker()) => None,
            _ => self.wakers.insert(number, cx.waker().clone()),
        }
    }

    fn wake(&mut self, wake: &mut Wake) {
        while let Some((_, waker)) = self.wakers.pop_first() {
            wake.0.push(waker);
        }
    }
}
