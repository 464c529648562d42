//! The driver: moves bytes between a transport and a machine, on any runtime.

mod input;
mod output;
pub mod threads;

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

use bytes::BytesMut;
use heartwire_core::protocol::{Close, Cut, Protocol};

pub use crate::block::read_through;
use crate::shared::{Shared, State};
use input::Input;
use output::{Output, Sink};

/// How often a driver reads and writes before it lets other tasks run.
const TURNS: usize = 16;

/// What a runtime's connection does, without waiting. A call that returns pending wakes the task when
/// it is worth another try.
pub trait Transport {
    /// Appends at most `max` bytes to `rx`; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn poll_read(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>>;

    /// Writes from the front of `slices`; gives how many bytes it took.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Passes on what the transport itself holds back.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ends the writing half.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// What a runtime's clock does.
pub trait Timer {
    /// What time it is.
    fn now() -> StdInstant;

    /// Arms the one alarm there is, in place of what it was armed for.
    fn arm(&mut self, at: StdInstant);

    /// Ready once when the alarm goes off.
    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Runs one machine over one transport until the connection is closed. A future to spawn: it does the
/// work for the handles, and goes on with heartbeats while the application is busy.
///
/// Dropping it cuts the connection; the last event says so.
#[must_use = "a driver does nothing unless it is spawned or awaited"]
pub struct Driver<P: Protocol, T, S> {
    shared: Arc<Shared<P>>,
    /// None when the connection is closed.
    transport: Option<T>,
    timer: S,
    armed: bool,
    input: Input,
    output: Output,
    half_closed: bool,
}

/// What is to be done without holding the machine.
struct Work {
    /// How much to read at most, if at all.
    read: usize,
    write: bool,
    close: bool,
}

/// What the transport has nothing of, or takes nothing of: it wakes the driver when that changes.
#[derive(Default)]
struct Blocked {
    read: bool,
    write: bool,
    close: bool,
}

/// How to go on.
enum Step {
    Work(Work),
    Again,
    Wait,
    Close,
}

impl<P: Protocol, T, S> Driver<P, T, S> {
    pub(crate) fn new(shared: Arc<Shared<P>>, transport: T, timer: S) -> Self {
        Self {
            shared,
            transport: Some(transport),
            timer,
            armed: false,
            input: Input::default(),
            output: Output::default(),
            half_closed: false,
        }
    }
}

impl<P, T, S> Future for Driver<P, T, S>
where
    P: Protocol,
    T: Transport + Unpin,
    S: Timer + Unpin,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let driver = self.get_mut();
        let mut blocked = Blocked::default();
        for turn in 0.. {
            match driver.step(cx, &blocked, turn < TURNS) {
                Step::Work(work) => driver.work(cx, &work, &mut blocked),
                Step::Again => {}
                Step::Wait => return Poll::Pending,
                Step::Close => {
                    driver.close(cx);
                    break;
                }
            }
        }
        Poll::Ready(())
    }
}

impl<P: Protocol, T: Transport, S: Timer> Driver<P, T, S> {
    /// Tells the machine what was done, and asks it what is next; `more`: there are turns left.
    fn step(&mut self, cx: &mut Context<'_>, blocked: &Blocked, more: bool) -> Step {
        let Self { shared, transport, timer, armed, input, output, half_closed } = self;
        if transport.is_none() {
            return Step::Close;
        }
        shared.with(|state, now, wake| {
            state.driver_works();
            // What left has left, however reading ends; and what arrived may say why writing failed.
            let mut moved = output.report_sent(&mut state.pump, now);
            let looked = input.report(&mut state.pump, now) || state.is_paused();
            moved |= output.report_failure(&mut state.pump, now);
            // What arrived counts before the clock does.
            if looked && state.pump.is_due(now) {
                state.pump.handle_timeout(now);
                output.tx.trim();
            }
            // The peer sees the end before anybody hears of it.
            if state.pump.machine().ended().is_some() && state.pump.poll(now).close == Close::Now {
                return Step::Close;
            }
            let interest = state.notify(now, moved, wake);
            if interest.close == Close::Now {
                return Step::Close;
            }
            let read = if blocked.read { 0 } else { interest.read };
            let write = interest.write && !blocked.write;
            let written = interest.close == Close::AfterFlush && !interest.write;
            let close = written && !*half_closed && !blocked.close;
            if read > 0 || write || close {
                if !more {
                    // Let other tasks run.
                    cx.waker().wake_by_ref();
                    return Step::Wait;
                }
                if write && output.is_empty() {
                    state.pump.lend_transmit(&mut output.tx);
                }
                if read > 0 {
                    input.lend(state.pump.lend_rx());
                }
                return Step::Work(Work { read, write, close });
            }
            if let Some(at) = state.pump.rearm(now, &interest) {
                timer.arm(shared.to_std(at));
                *armed = true;
            }
            if *armed && timer.poll_elapsed(cx).is_ready() {
                // Even if the deadline has moved since: little happens where alarms go off, and what is not
                // needed is given back.
                *armed = false;
                state.pump.handle_alarm(now);
                output.tx.trim();
                return Step::Again;
            }
            state.driver_waits(cx);
            Step::Wait
        })
    }

    /// Does what is wanted, without holding the machine.
    fn work(&mut self, cx: &mut Context<'_>, work: &Work, blocked: &mut Blocked) {
        let Some(transport) = &mut self.transport else { return };
        if work.read > 0 {
            let read = |rx: &mut BytesMut, max| transport.poll_read(cx, rx, max);
            blocked.read = self.input.read(work.read, read).is_pending();
        }
        if work.write {
            blocked.write = self.output.write(&mut Polled { transport, cx }).is_pending();
        }
        if work.close {
            // An error here means that the peer is gone; reading will tell.
            self.half_closed = transport.poll_close(cx).is_ready();
            blocked.close = !self.half_closed;
        }
    }

    /// Lets go of the transport, without holding the machine, and tells that it is gone.
    fn close(&mut self, cx: &mut Context<'_>) {
        let in_order = self.shared.ended_in_order();
        // That it is an end, and no cut, TLS has to say.
        if let Some(transport) = self.transport.as_mut().filter(|_| in_order && !self.half_closed) {
            let _ = transport.poll_close(cx);
        }
        if self.transport.take().is_some() {
            self.shared.with(State::close);
        }
    }
}

impl<P: Protocol, T, S> Drop for Driver<P, T, S> {
    fn drop(&mut self) {
        if self.transport.take().is_some() {
            self.shared.with(|state, now, wake| {
                state.pump.handle_cut(now, Cut::Stopped);
                state.close(now, wake);
            });
        }
    }
}

/// A transport, on behalf of the task that polls it.
struct Polled<'a, 'b, T> {
    transport: &'a mut T,
    cx: &'a mut Context<'b>,
}

impl<T: Transport> Sink for Polled<'_, '_, T> {
    fn write(&mut self, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.transport.poll_write(self.cx, slices)
    }

    fn flush(&mut self) -> Poll<io::Result<()>> {
        self.transport.poll_flush(self.cx)
    }
}
