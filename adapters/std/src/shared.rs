//! A pump that one driver and any number of handles share, and who waits for what.
//!
//! The mutex is never held across an await, nor while the operating system is asked for anything: every
//! method takes it, acts, and lets it go before it wakes anybody. The driver has the bytes that it reads and
//! writes lent to it meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant as StdInstant;

use heartwire_core::protocol::{Close, Cut, Interest, Outcome, Protocol, Refused, Ticket, Why};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;
use parking_lot::Mutex;

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
    /// Where the driver is two threads: both of them.
    threads: Option<Threads>,
    /// Handles that wait for an event, for room to send, and for the end.
    events: Waiters,
    room: Waiters,
    end: Waiters,
    /// What the driver saw last: commands were taken; reading was not wanted.
    open: bool,
    paused: bool,
    handles: usize,
    /// Nobody will take events any more, and somebody still sends: they are counted and dropped.
    unheard: bool,
    discarded: u64,
    /// The driver is done with the transport.
    closed: bool,
}

/// The two halves of a driver in threads of their own.
struct Threads {
    waker: Waker,
    reading_parked: bool,
    writing_parked: bool,
    running: usize,
}

/// Wakers to call when the lock is gone: the driver's, and those of handles. Few wait at once as a rule, so
/// that there is room for one without allocating.
#[derive(Default)]
pub(crate) struct Wake {
    driver: Option<Waker>,
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Wake {
    fn push(&mut self, waker: Waker) {
        if self.first.is_none() {
            self.first = Some(waker);
        } else {
            self.others.push(waker);
        }
    }

    #[inline]
    fn call(self) {
        if self.driver.is_none() && self.first.is_none() {
            return;
        }
        if let Some(driver) = self.driver {
            driver.wake();
        }
        if let Some(first) = self.first {
            first.wake();
        }
        self.others.into_iter().for_each(Waker::wake);
    }
}

impl<P: Protocol> Shared<P> {
    /// Shares a machine, which `make` makes at the present time. There is one handle to begin with.
    pub(crate) fn new(read_clock: fn() -> StdInstant, make: impl FnOnce(Instant) -> P) -> Arc<Self> {
        let clock = Clock::starting_at(read_clock());
        let pump = Pump::new(make(clock.at(read_clock())));
        let state = State {
            pump,
            driver: None,
            threads: None,
            events: Waiters::default(),
            room: Waiters::default(),
            end: Waiters::default(),
            open: false,
            paused: false,
            handles: 1,
            unheard: false,
            discarded: 0,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), clock, read_clock })
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.at((self.read_clock)())
    }

    pub(crate) fn to_std(&self, instant: Instant) -> StdInstant {
        self.clock.to_std(instant)
    }

    /// The driver will be two threads, both of which this wakes.
    pub(crate) fn driven_by_threads(&self, waker: Waker) {
        let threads = Threads { waker, reading_parked: false, writing_parked: false, running: 2 };
        self.state.lock().threads = Some(threads);
    }

    /// Acts on the state, then wakes whoever is concerned.
    pub(crate) fn with<R>(&self, act: impl FnOnce(&mut State<P>, Instant, &mut Wake) -> R) -> R {
        let now = self.now();
        self.with_state(|state, wake| act(state, now, wake))
    }

    /// The same, for what may not need to know what time it is: reading the clock takes longer than most of
    /// what is done here.
    fn with_state<R>(&self, act: impl FnOnce(&mut State<P>, &mut Wake) -> R) -> R {
        let mut wake = Wake::default();
        let result = act(&mut self.state.lock(), &mut wake);
        wake.call();
        result
    }

    /// The time to handle a command at, if it matters.
    fn time_for(&self, command: &P::Command) -> Instant {
        if P::needs_time(command) { self.now() } else { Instant::ZERO }
    }

    /// Asks the machine something.
    pub(crate) fn ask<R>(&self, ask: impl FnOnce(&P) -> R) -> R {
        ask(self.state.lock().pump.machine())
    }

    /// Whether the connection has ended, and in order.
    pub(crate) fn ended_in_order(&self) -> bool {
        self.ask(P::ended).is_some_and(|ended| ended.in_order)
    }

    /// Gives the machine a command.
    #[inline]
    pub(crate) fn command(&self, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        let now = self.time_for(&command);
        self.with_state(|state, wake| state.command(now, command, wake))
    }

    /// Gives the machine a command; waits while there is no room for it. `command` is taken when it was
    /// accepted or refused for good.
    pub(crate) fn poll_command(
        place: &mut Place<'_, P>,
        cx: &mut Context<'_>,
        command: &mut Option<P::Command>,
    ) -> Poll<Result<Ticket, Refused<P::Command>>> {
        let Some(given) = command.take() else { return Poll::Pending };
        let now = place.shared.time_for(&given);
        Self::poll(place, cx, |state, wake| match state.command(now, given, wake) {
            Err(Refused { command: back, why: Why::Full }) => {
                *command = Some(back);
                Poll::Pending
            }
            done => Poll::Ready(done),
        })
    }

    /// Waits until there is room, as `has_room` sees it, or nothing will ever be taken.
    pub(crate) fn poll_room(
        place: &mut Place<'_, P>,
        cx: &mut Context<'_>,
        has_room: impl Fn(&P, &Interest) -> bool,
    ) -> Poll<()> {
        let now = place.shared.now();
        Self::poll(place, cx, |state, _| {
            let interest = state.pump.poll(now);
            if interest.closed || state.closed || has_room(state.pump.machine(), &interest) {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    }

    /// The next event; none after the last one.
    pub(crate) fn poll_event(
        place: &mut Place<'_, P>,
        cx: &mut Context<'_>,
        more: &mut VecDeque<P::Event>,
    ) -> Poll<Option<P::Event>> {
        let shared = place.shared;
        Self::poll(place, cx, |state, wake| match state.event(|| shared.now(), more, wake) {
            Some(event) => Poll::Ready(Some(event)),
            None if state.pump.machine().ended().is_some() => Poll::Ready(None),
            None => Poll::Pending,
        })
    }

    /// Waits until the transport is closed.
    pub(crate) fn poll_closed(place: &mut Place<'_, P>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        Self::poll(place, cx, |state, _| {
            if state.closed {
                return Poll::Ready(state.pump.machine().ended());
            }
            Poll::Pending
        })
    }

    /// Tries, and takes this place among those that wait if it came to nothing.
    #[inline]
    fn poll<R>(
        place: &mut Place<'_, P>,
        cx: &Context<'_>,
        attempt: impl FnOnce(&mut State<P>, &mut Wake) -> Poll<R>,
    ) -> Poll<R> {
        let Place { shared, waits_for, number } = place;
        // A waker that is not needed any more is dropped when the lock is gone, like those that are woken.
        let (result, _waker) = shared.with_state(|state, wake| {
            let result = attempt(state, wake);
            let waiters = state.waiters(*waits_for);
            let waker = match &result {
                Poll::Pending => waiters.register(number, cx),
                Poll::Ready(_) => waiters.remove(number.take()),
            };
            (result, waker)
        });
        result
    }

    /// The next event that is there already.
    pub(crate) fn try_event(&self, more: &mut VecDeque<P::Event>) -> Option<P::Event> {
        self.with_state(|state, wake| state.event(|| self.now(), more, wake))
    }

    /// Has whoever waits for room try again.
    pub(crate) fn room_made(&self) {
        self.with_state(|state, wake| state.room.wake(wake));
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
        self.state.lock().discarded
    }

    pub(crate) fn handle_added(&self) {
        self.state.lock().handles += 1;
    }

    /// A handle is gone. If it was the one that takes events, it had so many that nobody took.
    pub(crate) fn handle_dropped(&self, unheard: Option<usize>) {
        self.with(|state, now, wake| {
            state.handles = state.handles.saturating_sub(1);
            state.unheard |= unheard.is_some();
            state.discarded = state.discarded.saturating_add(unheard.unwrap_or(0) as u64);
            if state.handles == 0 {
                state.pump.handle_cut(now, Cut::Dropped);
            }
            state.wake_driver(wake);
        });
    }
}

impl<P: Protocol> State<P> {
    #[inline]
    fn command(
        &mut self,
        now: Instant,
        command: P::Command,
        wake: &mut Wake,
    ) -> Result<Ticket, Refused<P::Command>> {
        let ticket = self.pump.handle_command(now, command)?;
        self.wake_driver(wake);
        Ok(ticket)
    }

    #[inline]
    fn event(
        &mut self,
        now: impl Fn() -> Instant,
        more: &mut VecDeque<P::Event>,
        wake: &mut Wake,
    ) -> Option<P::Event> {
        let unparsed = self.pump.unparsed();
        let event = self.pump.poll_events(&now, more);
        // Room was made: the driver answers what was understood only now, and reads again. Also where too little
        // was left to be understood, or nothing but the end of the stream: the peer's silence counts again, and
        // who took an event may be long in asking for the next.
        if self.pump.unparsed() != unparsed || (self.paused && self.driver_is_wanted(now())) {
            self.paused = false;
            self.wake_driver(wake);
        }
        event
    }

    /// Whether the machine, which wanted nothing to be read, has something for the driver to do again.
    fn driver_is_wanted(&mut self, now: Instant) -> bool {
        let interest = self.pump.poll(now);
        // What was understood only now may be refused: no more than a deadline comes of that while output waits.
        interest.read > 0 || interest.close != Close::Open || !self.pump.is_armed_for(now, &interest)
    }

    fn waiters(&mut self, waits_for: For) -> &mut Waiters {
        match waits_for {
            For::Event => &mut self.events,
            For::Room => &mut self.room,
            For::End => &mut self.end,
        }
    }

    fn wake_driver(&mut self, wake: &mut Wake) {
        if let Some(waker) = self.driver.take() {
            wake.driver = Some(waker);
        } else {
            self.wake_threads(wake);
        }
    }

    /// Wakes both threads, if the driver is two and they are parked.
    pub(crate) fn wake_threads(&mut self, wake: &mut Wake) {
        let Some(threads) = &mut self.threads else { return };
        if threads.reading_parked || threads.writing_parked {
            (threads.reading_parked, threads.writing_parked) = (false, false);
            wake.driver = Some(threads.waker.clone());
        }
    }

    /// There is something to read again.
    pub(crate) fn wake_reading(&mut self, wake: &mut Wake) {
        if self.threads.as_ref().is_some_and(|threads| threads.reading_parked) {
            self.wake_threads(wake);
        }
    }

    /// There is something to write.
    pub(crate) fn wake_writing(&mut self, wake: &mut Wake) {
        if self.threads.as_ref().is_some_and(|threads| threads.writing_parked) {
            self.wake_threads(wake);
        }
    }

    /// The thread that reads is about to park.
    pub(crate) fn reading_parks(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.reading_parked = true;
        }
    }

    /// The thread that writes is about to park.
    pub(crate) fn writing_parks(&mut self) {
        if let Some(threads) = &mut self.threads {
            threads.writing_parked = true;
        }
    }

    /// A half of the driver is done with the transport.
    pub(crate) fn half_gone(&mut self, now: Instant, wake: &mut Wake) {
        let Some(threads) = &mut self.threads else { return };
        threads.running = threads.running.saturating_sub(1);
        if threads.running == 0 {
            self.close(now, wake);
        } else {
            self.notify(now, true, wake);
        }
    }

    /// The driver waits to be woken. Until it says so it need not be: it looks again before it waits.
    pub(crate) fn driver_waits(&mut self, cx: &Context<'_>) {
        self.driver = Some(cx.waker().clone());
    }

    /// The machine wanted nothing to be read when the driver looked last.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// The driver is at work.
    pub(crate) fn driver_works(&mut self) {
        self.driver = None;
    }

    /// The driver made a turn: whoever waited for what happened is woken. `moved`: bytes left, so that it
    /// is worth trying to send again.
    pub(crate) fn notify(&mut self, now: Instant, moved: bool, wake: &mut Wake) -> Interest {
        while self.unheard && self.pump.poll_event(now).is_some() {
            self.discarded = self.discarded.saturating_add(1);
        }
        let interest = self.pump.poll(now);
        let opened = interest.commands && !self.open;
        self.open = interest.commands;
        self.paused = interest.read == 0;
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
        if self.number.is_some() {
            // Dropped when the lock is gone.
            let _waker = self.shared.state.lock().waiters(self.waits_for).remove(self.number);
        }
    }
}

/// Futures that wait for the same thing, in the order in which they began to. The list keeps its memory, so
/// that waiting does not allocate.
#[derive(Default)]
struct Waiters {
    wakers: Vec<(u64, Waker)>,
    last: u64,
}

impl Waiters {
    /// Remembers to wake this task for the future with this number; it is given one if it has none. Gives the
    /// waker that is in its place no more.
    fn register(&mut self, number: &mut Option<u64>, cx: &Context<'_>) -> Option<Waker> {
        let number = *number.get_or_insert_with(|| {
            self.last += 1;
            self.last
        });
        match self.position(number) {
            Ok(at) if self.wakers[at].1.will_wake(cx.waker()) => None,
            Ok(at) => Some(std::mem::replace(&mut self.wakers[at].1, cx.waker().clone())),
            Err(at) => {
                self.wakers.insert(at, (number, cx.waker().clone()));
                None
            }
        }
    }

    /// Forgets the future with this number.
    fn remove(&mut self, number: Option<u64>) -> Option<Waker> {
        let at = self.position(number?).ok()?;
        Some(self.wakers.remove(at).1)
    }

    fn position(&self, number: u64) -> Result<usize, usize> {
        self.wakers.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn wake(&mut self, wake: &mut Wake) {
        self.wakers.drain(..).for_each(|(_, waker)| wake.push(waker));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Notes when it is woken.
    struct Named(usize, Arc<Mutex<Vec<usize>>>);

    impl std::task::Wake for Named {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    #[derive(Default)]
    struct Tasks(Arc<Mutex<Vec<usize>>>);

    impl Tasks {
        fn waker(&self, name: usize) -> Waker {
            Arc::new(Named(name, Arc::clone(&self.0))).into()
        }

        fn register(&self, waiters: &mut Waiters, number: &mut Option<u64>, name: usize) -> Option<Waker> {
            waiters.register(number, &Context::from_waker(&self.waker(name)))
        }

        /// Who is woken, in this order.
        fn woken(&self, waiters: &mut Waiters) -> Vec<usize> {
            let mut wake = Wake::default();
            waiters.wake(&mut wake);
            assert!(self.0.lock().unwrap().is_empty(), "nobody is woken under the lock");
            wake.call();
            std::mem::take(&mut *self.0.lock().unwrap())
        }
    }

    #[test]
    fn who_waits_is_woken_once_in_the_order_in_which_they_began() {
        let (tasks, mut waiters, mut numbers) = (Tasks::default(), Waiters::default(), [None; 4]);
        for (name, number) in numbers.iter_mut().enumerate() {
            assert!(tasks.register(&mut waiters, number, name).is_none());
        }
        assert_eq!(tasks.woken(&mut waiters), [0, 1, 2, 3]);
        assert!(tasks.woken(&mut waiters).is_empty());
        // Those that find nothing wait again, in whatever order they were polled, and keep their places.
        for name in [3, 1, 0] {
            tasks.register(&mut waiters, &mut numbers[name], name);
        }
        tasks.register(&mut waiters, &mut None, 9);
        assert_eq!(tasks.woken(&mut waiters), [0, 1, 3, 9]);
    }

    #[test]
    fn who_is_polled_again_is_woken_by_its_last_waker_only() {
        let (tasks, mut waiters, mut number) = (Tasks::default(), Waiters::default(), None);
        let waker = tasks.waker(1);
        for _ in 0..3 {
            assert!(waiters.register(&mut number, &Context::from_waker(&waker)).is_none(), "it is the same");
        }
        let before = tasks.register(&mut waiters, &mut number, 2);
        assert!(before.is_some_and(|before| before.will_wake(&waker)));
        assert_eq!(tasks.woken(&mut waiters), [2]);
    }

    #[test]
    fn who_waits_no_more_leaves_nothing() {
        let (tasks, mut waiters, mut numbers) = (Tasks::default(), Waiters::default(), [None; 3]);
        for (name, number) in numbers.iter_mut().enumerate() {
            tasks.register(&mut waiters, number, name);
        }
        assert!(waiters.remove(numbers[1]).is_some());
        assert!(waiters.remove(numbers[1]).is_none());
        assert!(waiters.remove(None).is_none());
        assert_eq!(tasks.woken(&mut waiters), [0, 2]);
        assert!(waiters.remove(numbers[0]).is_none(), "it was woken, and has no place any more");
        assert!(waiters.wakers.is_empty());
        assert_eq!(Arc::strong_count(&tasks.0), 1, "no waker is kept");
    }
}
