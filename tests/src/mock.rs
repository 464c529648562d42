//! A transport in memory that behaves as badly as a transport may: waits, reads and writes a little at a
//! time, holds back what was not flushed, fails at a chosen byte.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{BufMut, BytesMut};
use heartwire_std::driver::Transport;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How one end of a pair behaves.
#[derive(Clone, Debug)]
pub struct Script {
    /// Which calls wait although they could go on, and how much the others move.
    pub pace: Pace,
    /// Written bytes stay here until they are flushed.
    pub buffered: bool,
    /// Several slices are taken by one write.
    pub vectored: bool,
    /// Reading fails when so many bytes were read.
    pub fail_read_at: Option<u64>,
    /// Writing fails when so many bytes were written.
    pub fail_write_at: Option<u64>,
}

/// See [`Script::pace`]. A call that waits for no reason wakes its task at once.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As much as there is room for.
    Free,
    /// Every call waits once, then moves at most so many bytes.
    Stutter(usize),
    /// A quarter of the calls wait, the others move 1 to so many bytes; by this seed.
    Seed(u64, usize),
}

impl Script {
    /// Nothing in the way.
    #[must_use]
    pub fn free() -> Self {
        let (fail_read_at, fail_write_at) = (None, None);
        Self { pace: Pace::Free, buffered: false, vectored: true, fail_read_at, fail_write_at }
    }

    /// Every call waits once, then moves at most `step` bytes.
    #[must_use]
    pub fn stutter(step: usize) -> Self {
        Self { pace: Pace::Stutter(step), ..Self::free() }
    }

    /// Anything, by this seed: half of the seeds take several slices at once, a third hold back what is
    /// not flushed.
    #[must_use]
    pub fn seed(seed: u64) -> Self {
        let step = [1, 7, 64, 1000, 100_000][(seed % 5) as usize];
        Self {
            pace: Pace::Seed(seed, step),
            buffered: seed.is_multiple_of(3),
            vectored: seed.is_multiple_of(2),
            ..Self::free()
        }
    }

    /// The same, holding back what is not flushed.
    #[must_use]
    pub fn buffered(mut self) -> Self {
        self.buffered = true;
        self
    }
}

/// One end of a pair. Dropping it ends the stream to the other end, and breaks the one from it.
#[derive(Debug)]
pub struct Mock {
    script: Script,
    random: u64,
    /// The call of each kind that waited already.
    waited: [bool; 4],
    read: u64,
    written: u64,
    /// Not flushed.
    held: VecDeque<u8>,
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
    calls: Arc<Mutex<Calls>>,
}

/// How often each call was made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Calls {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Flushes.
    pub flushes: u64,
}

/// Counts the calls to one end, wherever that is now.
#[derive(Clone, Debug)]
pub struct Counter(Arc<Mutex<Calls>>);

impl Counter {
    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Calls {
        *lock(&self.0)
    }
}

#[derive(Debug)]
struct Pipe {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The writer ended it.
    ended: bool,
    /// The reader is gone.
    broken: bool,
    /// Both are.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A pair of ends; each direction holds at most `capacity` bytes.
#[must_use]
pub fn pair(capacity: usize, a: Script, b: Script) -> (Mock, Mock) {
    let pipe = || Arc::new(Pipe { capacity, state: Mutex::default() });
    let (there, back) = (pipe(), pipe());
    (Mock::new(a, Arc::clone(&back), Arc::clone(&there)), Mock::new(b, there, back))
}

const READ: usize = 0;
const WRITE: usize = 1;
const FLUSH: usize = 2;
const CLOSE: usize = 3;

impl Mock {
    fn new(script: Script, incoming: Arc<Pipe>, outgoing: Arc<Pipe>) -> Self {
        let random = match script.pace {
            // xorshift does not leave 0
            Pace::Seed(seed, _) => seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            _ => 1,
        };
        let calls = Arc::default();
        let held = VecDeque::new();
        Self { script, random, waited: [false; 4], read: 0, written: 0, held, incoming, outgoing, calls }
    }

    /// Breaks the connection: what is under way is lost, and the other end's calls fail.
    pub fn reset(self) {
        for pipe in [&self.incoming, &self.outgoing] {
            let mut state = lock(&pipe.state);
            state.reset = true;
            let wakers = [state.reader.take(), state.writer.take()];
            drop(state);
            wakers.into_iter().for_each(wake);
        }
    }

    /// Counts the calls to this end.
    #[must_use]
    pub fn counter(&self) -> Counter {
        Counter(Arc::clone(&self.calls))
    }

    /// How many bytes this call may move; none: it waits.
    fn allowed(&mut self, kind: usize, cx: &Context<'_>) -> Option<usize> {
        let allowed = match self.script.pace {
            Pace::Free => Some(usize::MAX),
            Pace::Stutter(step) => {
                self.waited[kind] = !self.waited[kind];
                (!self.waited[kind]).then_some(step)
            }
            Pace::Seed(_, step) => {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                let random = self.random >> 16;
                (!random.is_multiple_of(4)).then(|| 1 + (random / 4) as usize % step)
            }
        };
        if allowed.is_none() {
            cx.waker().wake_by_ref();
        }
        allowed
    }

    /// What may still be moved before it fails; none: it fails now.
    fn before_failure(moved: u64, fail_at: Option<u64>) -> Option<usize> {
        match fail_at {
            None => Some(usize::MAX),
            Some(at) if at > moved => Some(usize::try_from(at - moved).unwrap_or(usize::MAX)),
            Some(_) => None,
        }
    }

    /// Passes on what is held back.
    fn pass_on(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let Some(allowed) = self.allowed(FLUSH, cx) else { return Poll::Pending };
            let (front, _) = self.held.as_slices();
            let front = &front[..front.len().min(allowed)];
            match self.outgoing.write(front, cx) {
                Poll::Ready(Ok(n)) => drop(self.held.drain(..n)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, slices: &[IoSlice<'_>], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        lock(&self.calls).writes += 1;
        let Some(left) = Self::before_failure(self.written, self.script.fail_write_at) else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "writing failed, as planned",
            )));
        };
        let Some(allowed) = self.allowed(WRITE, cx) else { return Poll::Pending };
        let mut room = allowed.min(left);
        let mut n = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let part = &slice[..slice.len().min(room)];
            let taken = if self.script.buffered {
                let free = self.outgoing.capacity.saturating_sub(self.held.len());
                let part = &part[..part.len().min(free)];
                self.held.extend(part);
                if part.is_empty() && n == 0 && room > 0 {
                    // full: it has to leave before more can come
                    match self.pass_on(cx) {
                        Poll::Ready(Ok(())) => return self.write(slices, cx),
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                part.len()
            } else {
                match self.outgoing.write(part, cx) {
                    Poll::Ready(Ok(n)) => n,
                    Poll::Ready(Err(error)) if n == 0 => return Poll::Ready(Err(error)),
                    Poll::Pending if n == 0 => return Poll::Pending,
                    _ => 0,
                }
            };
            n += taken;
            room -= taken;
            if room == 0 || taken < slice.len() || !self.script.vectored {
                break;
            }
        }
        self.written += n as u64;
        Poll::Ready(Ok(n))
    }

    fn read(&mut self, buf: &mut impl BufMut, max: usize, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        lock(&self.calls).reads += 1;
        let Some(left) = Self::before_failure(self.read, self.script.fail_read_at) else {
            return Poll::Ready(Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "reading failed, as planned",
            )));
        };
        let Some(allowed) = self.allowed(READ, cx) else { return Poll::Pending };
        let n = ready!(self.incoming.read(buf, max.min(allowed).min(left), cx))?;
        self.read += n as u64;
        Poll::Ready(Ok(n))
    }

    fn flush(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        lock(&self.calls).flushes += 1;
        self.pass_on(cx)
    }

    fn close(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.pass_on(cx))?;
        if self.allowed(CLOSE, cx).is_none() {
            return Poll::Pending;
        }
        self.outgoing.end();
        Poll::Ready(Ok(()))
    }
}

/// As the driver itself knows transports.
impl Transport for Mock {
    fn poll_read(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        self.read(rx, max, cx)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.write(slices, cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flush(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close(cx)
    }
}

/// As runtimes know them that have the traits of futures-io.
impl futures_io::AsyncRead for Mock {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let max = buf.len();
        self.get_mut().read(&mut buf, max, cx)
    }
}

impl futures_io::AsyncWrite for Mock {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(&[IoSlice::new(buf)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(slices, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().close(cx)
    }
}

/// As tokio knows them.
impl AsyncRead for Mock {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let max = buf.remaining();
        self.get_mut().read(buf, max, cx).map_ok(drop)
    }
}

impl AsyncWrite for Mock {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().write(&[IoSlice::new(buf)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().write(slices, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.script.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().close(cx)
    }
}

impl Drop for Mock {
    /// What was not flushed is lost.
    fn drop(&mut self) {
        self.outgoing.end();
        self.incoming.abandon();
    }
}

impl Pipe {
    fn write(&self, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.state);
        if state.broken || state.ended || state.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let n = bytes.len().min(self.capacity - state.bytes.len());
        if n == 0 && !bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes.extend(&bytes[..n]);
        let waker = state.reader.take();
        drop(state);
        wake(waker);
        Poll::Ready(Ok(n))
    }

    fn read(&self, buf: &mut impl BufMut, max: usize, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let mut state = lock(&self.state);
        if state.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.bytes.is_empty() {
            if state.ended {
                return Poll::Ready(Ok(0));
            }
            state.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut n = 0;
        let (front, back) = state.bytes.as_slices();
        for part in [front, back] {
            let part = &part[..part.len().min(max - n)];
            buf.put_slice(part);
            n += part.len();
        }
        state.bytes.drain(..n);
        let waker = state.writer.take();
        drop(state);
        wake(waker);
        Poll::Ready(Ok(n))
    }

    /// The writing end is closed or gone.
    fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        let waker = state.reader.take();
        drop(state);
        wake(waker);
    }

    /// The reading end is gone.
    fn abandon(&self) {
        let mut state = lock(&self.state);
        state.broken = true;
        let waker = state.writer.take();
        drop(state);
        wake(waker);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
