//! The driver's two halves, for runtimes where reading and writing wait, each in a thread of its own.
//!
//! A half says what is to be done [next](Reading::step), and is told what came of it. The half that reads
//! keeps the clock: what has arrived counts before what has run out, and only who reads knows. The half
//! that writes stands in for it where a deadline has come closer while the other waits in a read.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant as StdInstant};

use bytes::BytesMut;
use heartwire_core::protocol::{Close, Cut, Interest, Protocol};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;

use super::input::Input;
use super::output::{Output, Sink};
use crate::shared::Shared;

/// How long the half that writes waits, once it has seen that a deadline has passed which the one that reads does not
/// keep: after a pause of the whole process, what arrived meanwhile counts, and only who reads finds it.
const AFTER_READING: Duration = Duration::from_millis(20);
/// How long nothing is written before memory for much of it is given back.
const QUIET: Duration = Duration::from_secs(1);

/// The half of a driver that reads.
///
/// Dropping it before [`Next::Close`] cuts the connection. Drop the transport first.
pub struct Reading<P: Protocol> {
    half: Half<P>,
    input: Input,
    /// When it looks at the clock again, whatever comes.
    until: Option<Instant>,
}

/// The half of a driver that writes.
///
/// Dropping it before [`Next::Close`] cuts the connection. Drop the transport first.
pub struct Writing<P: Protocol> {
    half: Half<P>,
    output: Output,
    /// A deadline that was seen to have passed, and when to act on it.
    late: Option<(Instant, Instant)>,
    quiet: Quiet,
}

/// Whether memory for what was written can be given back.
enum Quiet {
    Written,
    Since(Instant),
    Trimmed,
}

/// What a half is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read at most `max` bytes, until this time at the latest.
    Read {
        /// How many bytes at most.
        max: usize,
        /// When there is something else to do. It may have passed: then it reads what is there, without waiting.
        until: Option<StdInstant>,
    },
    /// Write.
    Write,
    /// End the writing half of the transport.
    CloseWriting,
    /// Park the thread, until it is unparked or at this time at the latest.
    Park(Option<StdInstant>),
    /// Shut the transport down in both directions, which ends what the other half waits in, and stop.
    Close,
}

/// The halves of the driver of what is shared, and what wakes their threads.
pub(crate) fn halves<P: Protocol>(shared: &Arc<Shared<P>>) -> (Reading<P>, Writing<P>) {
    let threads = Arc::new(Threads::default());
    shared.driven_by_threads(Waker::from(Arc::clone(&threads)));
    let half = || Half { shared: Arc::clone(shared), threads: Arc::clone(&threads) };
    (
        Reading { half: half(), input: Input::default(), until: None },
        Writing { half: half(), output: Output::default(), late: None, quiet: Quiet::Trimmed },
    )
}

struct Half<P: Protocol> {
    shared: Arc<Shared<P>>,
    threads: Arc<Threads>,
}

/// The threads of both halves, once they run.
#[derive(Default)]
struct Threads {
    reading: OnceLock<Thread>,
    writing: OnceLock<Thread>,
    /// The writing half of the transport is closed.
    half_closed: AtomicBool,
}

impl std::task::Wake for Threads {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    // To unpark a thread that is not parked costs next to nothing.
    fn wake_by_ref(self: &Arc<Self>) {
        for thread in [&self.reading, &self.writing] {
            if let Some(thread) = thread.get() {
                thread.unpark();
            }
        }
    }
}

impl<P: Protocol> Reading<P> {
    /// What the present thread, which is this half's from now on, is to do next: [`Next::Read`], [`Next::Park`] or
    /// [`Next::Close`].
    pub fn step(&mut self) -> Next {
        let Self { half: Half { shared, threads }, input, until } = self;
        threads.reading.get_or_init(thread::current);
        shared.with(|state, now, wake| {
            let looked = input.report(&mut state.pump, now) || state.is_paused();
            if looked && until.is_some_and(|at| at <= now) {
                // Even if the deadline has moved since: little happens here, and memory is given back.
                *until = None;
                state.pump.handle_alarm(now);
            } else if looked && state.pump.is_due(now) {
                state.pump.handle_timeout(now);
            }
            let interest = state.notify(now, false, wake);
            // Where it has not looked yet, this may have passed: it looks without waiting then.
            *until = state.pump.rearm(now, &interest).or(*until);
            let at = until.map(|at| shared.to_std(at));
            if interest.close == Close::Now {
                state.wake_threads(wake);
                return Next::Close;
            }
            let half_closed = threads.half_closed.load(Ordering::Relaxed);
            if interest.write || (interest.close != Close::Open && !half_closed) {
                state.wake_writing(wake);
            }
            if interest.read == 0 {
                state.reading_parks();
                return Next::Park(at);
            }
            input.lend(state.pump.lend_rx());
            Next::Read { max: interest.read, until: at }
        })
    }

    /// Reads, for [`Next::Read`]: `read` waits for bytes, appends at most so many, and gives how many; 0 at the end
    /// of the stream; pending where none came in time.
    pub fn read(
        &mut self,
        max: usize,
        mut read: impl FnMut(&mut BytesMut, usize) -> Poll<io::Result<usize>>,
    ) {
        // The second time it would wait.
        let mut first = true;
        let _ = self.input.read(max, |rx, max| match std::mem::take(&mut first) {
            true => read(rx, max),
            false => Poll::Pending,
        });
    }

    /// Whether the connection has ended, and in order.
    #[must_use]
    pub fn ended_in_order(&self) -> bool {
        self.half.shared.ended_in_order()
    }

    /// There is no thread for this half, or it can't go on: gives the connection up.
    pub fn fail(&self, error: &io::Error) {
        self.half.fail(error);
    }
}

impl<P: Protocol> Writing<P> {
    /// What the present thread, which is this half's from now on, is to do next: [`Next::Write`],
    /// [`Next::CloseWriting`], [`Next::Park`] or [`Next::Close`].
    pub fn step(&mut self) -> Next {
        let Self { half: Half { shared, threads }, output, late, quiet } = self;
        threads.writing.get_or_init(thread::current);
        shared.with(|state, now, wake| {
            let mut moved = output.report_sent(&mut state.pump, now);
            moved |= output.report_failure(&mut state.pump, now);
            let mut interest = state.notify(now, moved, wake);
            let mut missed = missed(&state.pump, now, &interest);
            *late = missed.filter(|deadline| *deadline <= now).map(|deadline| match *late {
                Some((seen, act)) if seen == deadline => (seen, act),
                _ => (deadline, now + AFTER_READING),
            });
            if late.is_some_and(|(_, act)| act <= now) {
                *late = None;
                state.pump.handle_timeout(now);
                interest = state.notify(now, false, wake);
                missed = self::missed(&state.pump, now, &interest);
            }
            if interest.close == Close::Now {
                state.wake_threads(wake);
                return Next::Close;
            }
            if interest.read > 0 {
                state.wake_reading(wake);
            }
            if interest.write {
                *quiet = Quiet::Written;
                if output.is_empty() {
                    state.pump.lend_transmit(&mut output.tx);
                }
                return Next::Write;
            }
            if interest.close == Close::AfterFlush && !threads.half_closed.load(Ordering::Relaxed) {
                return Next::CloseWriting;
            }
            let trim = quiet.poll(now, output);
            let act = late.map_or(missed, |(_, act)| Some(act));
            state.writing_parks();
            Next::Park(act.into_iter().chain(trim).min().map(|at| shared.to_std(at)))
        })
    }

    /// Writes, for [`Next::Write`]: `write` waits until the transport takes some, and gives how many bytes; `flush`
    /// passes on what it holds back; both are pending where nothing moved in time.
    pub fn write(
        &mut self,
        write: impl FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
        flush: impl FnMut() -> Poll<io::Result<()>>,
    ) {
        let _ = self.output.write(&mut Called { write, flush });
    }

    /// For [`Next::CloseWriting`]: it is done, or failed, which reading will tell.
    pub fn writing_closed(&mut self) {
        self.half.threads.half_closed.store(true, Ordering::Relaxed);
    }

    /// Whether the connection has ended, and in order.
    #[must_use]
    pub fn ended_in_order(&self) -> bool {
        self.half.shared.ended_in_order()
    }

    /// There is no thread for this half, or it can't go on: gives the connection up.
    pub fn fail(&self, error: &io::Error) {
        self.half.fail(error);
    }
}

/// The machine's deadline, where the half that reads does not keep it: it waits longer.
fn missed<P: Protocol>(pump: &Pump<P>, now: Instant, interest: &Interest) -> Option<Instant> {
    interest.deadline.filter(|_| !pump.is_armed_for(now, interest))
}

impl Quiet {
    /// Gives memory back if nothing was written for a while. Says when to ask again.
    fn poll(&mut self, now: Instant, output: &mut Output) -> Option<Instant> {
        match *self {
            Self::Trimmed => None,
            Self::Since(since) if since + QUIET <= now => {
                output.tx.trim();
                *self = Self::Trimmed;
                None
            }
            Self::Since(since) => Some(since + QUIET),
            Self::Written => {
                *self = Self::Since(now);
                Some(now + QUIET)
            }
        }
    }
}

struct Called<W, F> {
    write: W,
    flush: F,
}

impl<W, F> Sink for Called<W, F>
where
    W: FnMut(&[IoSlice<'_>]) -> Poll<io::Result<usize>>,
    F: FnMut() -> Poll<io::Result<()>>,
{
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        (self.write)(slices)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        (self.flush)()
    }
}

impl<P: Protocol> Half<P> {
    fn fail(&self, error: &io::Error) {
        self.shared.cut(Cut::ReadFailed(error.to_string()));
    }
}

impl<P: Protocol> Drop for Half<P> {
    fn drop(&mut self) {
        self.shared.with(|state, now, wake| {
            // Without effect where it has ended.
            state.pump.handle_cut(now, Cut::Stopped);
            state.wake_threads(wake);
            state.half_gone(now, wake);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;

    use heartwire_core::connection::{Command, Config, Connection, Event};
    use heartwire_core::role::Role;
    use heartwire_core::seed::Seed;
    use heartwire_core::wire::lines::{Line, Lines, Settings};

    use super::*;
    use crate::handle::{Commands, Endpoints, Events, start_threads};

    type Machine = Connection<Lines>;
    type Driven = (Commands<Machine>, Events<Machine>, Reading<Machine>, Writing<Machine>);

    /// A connection whose peer may be silent so long, in milliseconds. Both halves are stepped by the test's thread.
    fn lines(idle: u64) -> Driven {
        let config = Config::builder().idle_timeout(Some(Duration::from_millis(idle))).build().unwrap();
        start_threads(Endpoints::default(), |now| {
            Machine::new(config, &Settings::default(), Role::Server, &Seed::new([0; 32]), now)
        })
    }

    const LONG: u64 = 60_000;

    /// Lets so many milliseconds pass.
    fn pass(ms: u64) {
        let until = StdInstant::now() + Duration::from_millis(ms);
        while StdInstant::now() < until {
            thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn receive(reading: &mut Reading<Machine>, bytes: &[u8]) {
        let Next::Read { max, .. } = reading.step() else { panic!("it does not want to read") };
        reading.read(max, |rx, max| {
            let n = max.min(bytes.len());
            rx.extend_from_slice(&bytes[..n]);
            Poll::Ready(Ok(n))
        });
    }

    /// Parks, as a half was told to; says whether that was ended by somebody, and not just by time.
    fn is_unparked(next: Next) -> bool {
        assert!(matches!(next, Next::Park(_)), "{next:?}");
        let began = StdInstant::now();
        thread::park_timeout(Duration::from_secs(10));
        began.elapsed() < Duration::from_secs(9)
    }

    /// The present thread was not unparked before.
    fn forget() {
        thread::park_timeout(Duration::ZERO);
    }

    #[test]
    fn what_has_arrived_counts_before_what_has_run_out() {
        let (commands, mut events, mut reading, _writing) = lines(1);
        pass(5);
        // It looks at once, and finds what came in time.
        receive(&mut reading, b"in time\n");
        reading.step();
        assert!(matches!(events.try_next(), Some(Event::Received(_))));
        assert!(!commands.ask(Machine::is_closing));
    }

    #[test]
    fn what_has_run_out_before_the_first_read_is_not_waited_for() {
        let (commands, _events, mut reading, _writing) = lines(1);
        pass(5);
        let Next::Read { max, until: Some(until) } = reading.step() else { panic!() };
        assert!(until <= StdInstant::now());
        reading.read(max, |_, _| Poll::Pending);
        reading.step();
        assert!(commands.ask(Machine::is_closing));
    }

    #[test]
    fn the_half_that_writes_leaves_the_clock_to_the_one_that_reads_for_a_moment() {
        let (commands, _events, _reading, mut writing) = lines(1);
        pass(5);
        // Long overdue; it was asked for the first time only now.
        let Next::Park(Some(_)) = writing.step() else { panic!() };
        assert!(!commands.ask(Machine::is_closing));
        pass(2 * AFTER_READING.as_millis() as u64);
        assert_eq!(writing.step(), Next::CloseWriting);
        assert!(commands.ask(Machine::is_closing));
    }

    #[test]
    fn the_half_that_writes_sleeps_where_the_one_that_reads_keeps_the_clock() {
        let (_commands, _events, mut reading, mut writing) = lines(LONG);
        assert!(matches!(writing.step(), Next::Park(Some(_))));
        let Next::Read { until: Some(_), .. } = reading.step() else { panic!() };
        assert_eq!(writing.step(), Next::Park(None));
    }

    #[test]
    fn what_is_to_be_written_wakes_the_half_that_writes() {
        let (commands, _events, mut reading, mut writing) = lines(LONG);
        reading.step();
        let park = writing.step();
        forget();
        assert!(commands.try_command(Command::Send(Line::new("x").unwrap())).is_ok());
        assert!(is_unparked(park));
        assert_eq!(writing.step(), Next::Write);
        writing.write(|slices| Poll::Ready(Ok(slices[0].len())), || Poll::Ready(Ok(())));
        assert!(matches!(writing.step(), Next::Park(Some(_))));
        pass(QUIET.as_millis() as u64);
        assert_eq!(writing.step(), Next::Park(None), "memory was given back");
    }

    #[test]
    fn a_close_leaves_the_one_that_reads_with_a_deadline_that_the_other_keeps() {
        let (commands, _events, mut reading, mut writing) = lines(LONG);
        reading.step();
        let park = writing.step();
        forget();
        assert!(commands.try_command(Command::Close).is_ok());
        assert!(is_unparked(park));
        assert_eq!(writing.step(), Next::CloseWriting);
        writing.writing_closed();
        let Next::Park(Some(until)) = writing.step() else { panic!() };
        assert!(until < StdInstant::now() + Duration::from_secs(10), "the drain timeout");
    }

    #[test]
    fn events_that_are_taken_wake_the_half_that_reads() {
        let (_commands, mut events, mut reading, _writing) = lines(LONG);
        let park = loop {
            match reading.step() {
                Next::Read { max, .. } => reading.read(max, |rx, max| {
                    let line = &b"a line\n"[..max.min(7)];
                    rx.extend_from_slice(line);
                    Poll::Ready(Ok(line.len()))
                }),
                park => break park,
            }
        };
        forget();
        while events.try_next().is_some() {}
        assert!(is_unparked(park));
        assert!(matches!(reading.step(), Next::Read { .. }));
    }

    #[test]
    fn the_half_that_reads_does_not_wake_the_other_for_a_writing_half_that_is_closed() {
        let (commands, _events, mut reading, mut writing) = lines(LONG);
        assert!(commands.try_command(Command::Finish).is_ok());
        assert_eq!(writing.step(), Next::CloseWriting);
        writing.writing_closed();
        // More than the application takes, until reading stops.
        let reading_parks = loop {
            match reading.step() {
                Next::Read { max, .. } => reading.read(max, |rx, max| {
                    let line = &b"a line\n"[..max.min(7)];
                    rx.extend_from_slice(line);
                    Poll::Ready(Ok(line.len()))
                }),
                park => break park,
            }
        };
        let Next::Park(None | Some(_)) = reading_parks else { panic!("{reading_parks:?}") };
        assert!(matches!(writing.step(), Next::Park(_)));
        forget();
        // Neither has anything to do, so that neither wakes the other, nor itself with it.
        assert!(matches!(reading.step(), Next::Park(_)));
        let began = StdInstant::now();
        thread::park_timeout(Duration::from_millis(50));
        assert!(began.elapsed() >= Duration::from_millis(50), "it was woken");
    }

    #[test]
    fn the_end_of_either_half_is_the_end_of_both_and_is_told_when_both_are_gone() {
        for cut in [false, true] {
            let (commands, _events, reading, mut writing) = lines(LONG);
            let park = writing.step();
            forget();
            match cut {
                true => commands.cut(Cut::Aborted),
                // As a thread does that panics.
                false => drop(reading),
            }
            assert!(is_unparked(park));
            assert_eq!(writing.step(), Next::Close);
            let mut closed = std::pin::pin!(commands.closed());
            let mut cx = std::task::Context::from_waker(Waker::noop());
            assert!(closed.as_mut().poll(&mut cx).is_pending());
            drop(writing);
            assert_eq!(closed.as_mut().poll(&mut cx).is_ready(), !cut);
        }
    }
}
