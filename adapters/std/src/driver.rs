//! The driver: moves bytes between a transport and a machine, on any runtime.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant as StdInstant;

use bytes::BytesMut;
use heartwire_core::buf::TransmitQueue;
use heartwire_core::protocol::{Close, Cut, Protocol};
use heartwire_core::pump::Pump;
use heartwire_core::time::Instant;

use crate::block;
use crate::shared::Shared;

/// How often a driver reads and writes before it lets other tasks run.
const TURNS: usize = 16;
/// How many slices are offered to one write.
const SLICES: usize = 16;

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
                Step::Close => break,
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
            let interest = state.notify(now, moved, wake);
            if interest.close == Close::Now {
                // Dropped here, so that the peer sees the end before anybody hears of it.
                *transport = None;
                state.close(now, wake);
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
                    input.rx = state.pump.lend_rx();
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
            blocked.read = self.input.read(cx, transport, work.read).is_pending();
        }
        if work.write {
            blocked.write = self.output.write(cx, transport).is_pending();
        }
        if work.close {
            // An error here means that the peer is gone; reading will tell.
            self.half_closed = transport.poll_close(cx).is_ready();
            blocked.close = !self.half_closed;
        }
    }
}

/// What is read.
#[derive(Default)]
struct Input {
    /// The receive buffer, while it is lent.
    rx: BytesMut,
    /// How much was appended.
    fresh: usize,
    /// The stream has ended: why, if not in order.
    end: Option<io::Result<()>>,
    /// It was tried to read, and the machine was not told yet.
    tried: bool,
    /// The receive buffer is not a small one: a block, or larger.
    large: bool,
    /// The small one meanwhile.
    spare: BytesMut,
}

impl Input {
    /// Reads at most so much, until there is nothing more: into the thread's block, unless much waits for
    /// its rest already.
    fn read(&mut self, cx: &mut Context<'_>, transport: &mut impl Transport, max: usize) -> Poll<()> {
        self.tried = true;
        if self.large || self.rx.len() > block::CARRIED || max > block::READ {
            self.large = true;
            self.rx.reserve(max);
            return self.fill(cx, transport, max);
        }
        let mut block = block::take();
        block.extend_from_slice(&self.rx);
        self.spare = std::mem::replace(&mut self.rx, block);
        self.large = true;
        let result = self.fill(cx, transport, max);
        if self.fresh == 0 {
            block::put(std::mem::replace(&mut self.rx, std::mem::take(&mut self.spare)));
            self.large = false;
        }
        result
    }

    fn fill(&mut self, cx: &mut Context<'_>, transport: &mut impl Transport, max: usize) -> Poll<()> {
        while self.fresh < max {
            match ready!(transport.poll_read(cx, &mut self.rx, max - self.fresh)) {
                Ok(0) => self.end = Some(Ok(())),
                Ok(n) => {
                    self.fresh += n;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => self.end = Some(Err(error)),
            }
            break;
        }
        Poll::Ready(())
    }

    /// Tells the machine. Says whether it was tried to read.
    fn report<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        if !std::mem::take(&mut self.tried) {
            return false;
        }
        pump.return_rx(std::mem::take(&mut self.rx));
        let fresh = std::mem::take(&mut self.fresh);
        if fresh > 0 {
            pump.handle_read(now, fresh);
            self.give_back(pump);
        }
        match self.end.take() {
            None => {}
            Some(Ok(())) => pump.handle_read(now, 0),
            Some(Err(error)) => pump.handle_cut(now, Cut::ReadFailed(error.to_string())),
        }
        true
    }

    /// Gives a block back when little of it is not understood.
    fn give_back<P: Protocol>(&mut self, pump: &mut Pump<P>) {
        if !self.large || pump.unparsed() > block::CARRIED {
            return;
        }
        let block = pump.lend_rx();
        let mut small = std::mem::take(&mut self.spare);
        small.clear();
        small.extend_from_slice(&block);
        pump.return_rx(small);
        block::put(block);
        self.large = false;
    }
}

/// What is written.
#[derive(Default)]
struct Output {
    /// What the machine lent.
    tx: TransmitQueue,
    /// Bytes that the transport took and still holds back. The machine hears that they left when they are
    /// flushed: only then has a goodbye left, and is a message sent.
    unflushed: usize,
    /// Bytes that left, which the machine was not told yet.
    sent: usize,
    failed: Option<io::Error>,
}

impl Output {
    fn is_empty(&self) -> bool {
        self.tx.pending() == 0 && self.unflushed == 0
    }

    /// Writes once, and flushes when all that was there to write is written.
    fn write(&mut self, cx: &mut Context<'_>, transport: &mut impl Transport) -> Poll<()> {
        match ready!(self.try_write(cx, transport)) {
            Ok(sent) => self.sent = sent,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.failed = Some(error),
        }
        Poll::Ready(())
    }

    fn try_write(&mut self, cx: &mut Context<'_>, transport: &mut impl Transport) -> Poll<io::Result<usize>> {
        if self.unflushed == 0 {
            let offered;
            let mut slices = [&[][..]; SLICES];
            let n = match self.tx.slices(&mut slices) {
                // As it mostly is.
                1 => {
                    offered = slices[0].len();
                    ready!(transport.poll_write(cx, &[IoSlice::new(slices[0])]))?
                }
                used => {
                    offered = slices.iter().map(|slice| slice.len()).sum();
                    let slices = slices.map(IoSlice::new);
                    ready!(transport.poll_write(cx, slices.get(..used).unwrap_or_default()))?
                }
            };
            if n == 0 {
                let text = "the transport takes no more bytes";
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::WriteZero, text)));
            }
            self.tx.advance(n);
            if n < offered {
                return Poll::Ready(Ok(n));
            }
            self.unflushed = n;
        }
        ready!(transport.poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.unflushed)))
    }

    /// Tells the machine what left. Says whether anything did.
    fn report_sent<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        let sent = std::mem::take(&mut self.sent);
        if sent > 0 {
            pump.handle_transmitted(now, sent);
        }
        sent > 0
    }

    /// Tells the machine if writing failed. Says whether it did.
    fn report_failure<P: Protocol>(&mut self, pump: &mut Pump<P>, now: Instant) -> bool {
        let Some(error) = self.failed.take() else { return false };
        pump.handle_cut(now, Cut::WriteFailed(error.to_string()));
        true
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
