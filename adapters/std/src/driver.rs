//! The driver: moves bytes between a transport and a machine, on any runtime.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant as StdInstant;

use bytes::BytesMut;
use heartwire_core::protocol::{Close, Cut, Interest, Protocol};
use heartwire_core::time::Instant;

use crate::shared::{Shared, State, Turns, Wake};

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
    transport: Option<T>,
    timer: S,
    armed: bool,
    /// Bytes that the transport took and still holds back. The machine hears that they left when they are
    /// flushed: only then has a goodbye left, and is a message sent.
    unflushed: usize,
    half_closed: bool,
}

impl<P: Protocol, T, S> Driver<P, T, S> {
    pub(crate) fn new(shared: Arc<Shared<P>>, transport: T, timer: S) -> Self {
        let transport = Some(transport);
        Self { shared, transport, timer, armed: false, unflushed: 0, half_closed: false }
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
        let shared = Arc::clone(&driver.shared);
        shared.run(TURNS, Run { driver, cx, moved: false })
    }
}

/// A driver that is being polled.
struct Run<'a, 'c, P: Protocol, T, S> {
    driver: &'a mut Driver<P, T, S>,
    cx: &'a mut Context<'c>,
    /// Bytes left, so that it is worth trying to send again.
    moved: bool,
}

impl<P: Protocol, T: Transport, S: Timer> Turns<P> for Run<'_, '_, P, T, S> {
    type Output = Poll<()>;

    fn turn(&mut self, state: &mut State<P>, now: Instant) -> bool {
        let Driver { transport: Some(transport), unflushed, half_closed, .. } = &mut *self.driver else {
            return false;
        };
        let mut busy = read(state, now, transport, self.cx);
        // What arrived counts before the clock does.
        if state.pump.poll(now).deadline.is_some_and(|deadline| deadline <= now) {
            state.pump.handle_timeout(now);
            busy = true;
        }
        if write(state, now, transport, unflushed, self.cx) {
            (busy, self.moved) = (true, true);
        }
        let interest = state.pump.poll(now);
        if interest.close == Close::Now {
            return false;
        }
        if interest.close == Close::AfterFlush && !interest.write && !*half_closed {
            // An error here means that the peer is gone; reading will tell.
            *half_closed = transport.poll_close(self.cx).is_ready();
        }
        busy
    }

    fn settle(&mut self, state: &mut State<P>, now: Instant, busy: bool, wake: &mut Wake) -> Poll<()> {
        if self.driver.transport.is_none() {
            return Poll::Ready(());
        }
        let interest = state.notify(now, self.moved, wake);
        if interest.close == Close::Now {
            // Dropped here, so that the peer sees the end before anybody hears of it.
            self.driver.transport = None;
            state.close(now, wake);
            return Poll::Ready(());
        }
        state.driver_waits(self.cx);
        if busy || self.driver.sleep(state, now, &interest, self.cx) {
            self.cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl<P: Protocol, T, S: Timer> Driver<P, T, S> {
    /// Arms the alarm where that is needed. Says whether it has gone off already.
    fn sleep(
        &mut self,
        state: &mut State<P>,
        now: Instant,
        interest: &Interest,
        cx: &mut Context<'_>,
    ) -> bool {
        if let Some(at) = state.pump.rearm(now, interest) {
            self.timer.arm(self.shared.to_std(at));
            self.armed = true;
        }
        if self.armed && self.timer.poll_elapsed(cx).is_ready() {
            self.armed = false;
            return true;
        }
        false
    }
}

/// Reads once. Says whether anything came of it.
fn read<P: Protocol>(
    state: &mut State<P>,
    now: Instant,
    transport: &mut impl Transport,
    cx: &mut Context<'_>,
) -> bool {
    let interest = state.pump.poll(now);
    if interest.read == 0 || interest.close == Close::Now {
        return false;
    }
    let (rx, _) = state.pump.io();
    rx.reserve(interest.read);
    match transport.poll_read(cx, rx, interest.read) {
        Poll::Ready(Ok(n)) => state.pump.handle_read(now, n),
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
        Poll::Ready(Err(error)) => state.pump.handle_cut(now, Cut::ReadFailed(error.to_string())),
        Poll::Pending => return false,
    }
    true
}

/// Writes once, and flushes when all that was there to write is written. Says whether anything came of it.
fn write<P: Protocol>(
    state: &mut State<P>,
    now: Instant,
    transport: &mut impl Transport,
    unflushed: &mut usize,
    cx: &mut Context<'_>,
) -> bool {
    let interest = state.pump.poll(now);
    if !interest.write || interest.close == Close::Now {
        return false;
    }
    if *unflushed > 0 {
        return flush(state, now, transport, unflushed, cx);
    }
    let mut bytes = [&[][..]; SLICES];
    let (_, machine) = state.pump.io();
    let used = machine.transmit_slices(&mut bytes);
    let offered: usize = bytes.iter().map(|slice| slice.len()).sum();
    let slices = bytes.map(IoSlice::new);
    match transport.poll_write(cx, slices.get(..used).unwrap_or_default()) {
        Poll::Ready(Ok(0)) => {
            let cut = Cut::WriteFailed("the transport takes no more bytes".into());
            state.pump.handle_cut(now, cut);
        }
        Poll::Ready(Ok(n)) if n >= offered => {
            *unflushed = n;
            return flush(state, now, transport, unflushed, cx);
        }
        Poll::Ready(Ok(n)) => state.pump.handle_transmitted(now, n),
        Poll::Ready(Err(error)) => write_failed(state, now, &error),
        Poll::Pending => return false,
    }
    true
}

/// Passes on what the transport holds back.
fn flush<P: Protocol>(
    state: &mut State<P>,
    now: Instant,
    transport: &mut impl Transport,
    unflushed: &mut usize,
    cx: &mut Context<'_>,
) -> bool {
    match transport.poll_flush(cx) {
        Poll::Ready(Ok(())) => state.pump.handle_transmitted(now, std::mem::take(unflushed)),
        Poll::Ready(Err(error)) => write_failed(state, now, &error),
        Poll::Pending => return false,
    }
    true
}

fn write_failed<P: Protocol>(state: &mut State<P>, now: Instant, error: &io::Error) {
    if error.kind() != io::ErrorKind::Interrupted {
        state.pump.handle_cut(now, Cut::WriteFailed(error.to_string()));
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
