//! A machine with its receive buffer and its timers: the half of a driver that needs no runtime.

use alloc::collections::VecDeque;

use bytes::BytesMut;

use crate::buf::TransmitQueue;
use crate::protocol::{Close, Cut, Interest, Protocol, Refused, Ticket};
use crate::time::Instant;
use crate::timer::Alarm;

/// A receive buffer that nothing is in is given back above this size, in bytes.
const KEEP: usize = 128 * 1024;

/// Owns a machine and its receive buffer. A driver makes turns of it:
///
/// 1. [`poll`](Self::poll) says what is wanted;
/// 2. read at most so many bytes into [`io`](Self::io)'s buffer, write its slices, neither waiting for
///    the other; tell [`handle_read`](Self::handle_read) and [`handle_transmitted`](Self::handle_transmitted);
/// 3. [`handle_timeout`](Self::handle_timeout), after reading once: what arrived counts before the clock;
/// 4. arm the sleep that [`rearm`](Self::rearm) asks for, and wait for any of these.
///
/// The application's handles call [`handle_command`](Self::handle_command) and
/// [`poll_event`](Self::poll_event) in between.
///
/// ```
/// use heartwire_core::config::Config;
/// use heartwire_core::key::{Key, Keys};
/// use heartwire_core::pump::Pump;
/// use heartwire_core::session::Session;
/// use heartwire_core::time::Instant;
///
/// let keys = Keys::new(Key::new(b"a key that both sides have").unwrap());
/// let now = Instant::ZERO;
/// let mut pump = Pump::new(Session::client(Config::default(), keys, now));
/// let interest = pump.poll(now);
/// assert!(interest.read > 0 && !interest.write); // the server speaks first
/// assert_eq!(pump.rearm(now, &interest), interest.deadline);
/// ```
#[derive(Debug)]
pub struct Pump<P> {
    machine: P,
    rx: BytesMut,
    /// A driver has the buffer, with what is not understood in it.
    rx_lent: bool,
    /// Everything received is understood as far as it can be: when the machine was last polled it wanted
    /// more, and nothing came since.
    caught_up: bool,
    alarm: Alarm,
    /// The deadline as it was last polled.
    deadline: Option<Instant>,
}

impl<P: Protocol> Pump<P> {
    /// A pump for this machine.
    #[must_use]
    pub fn new(machine: P) -> Self {
        Self {
            machine,
            rx: BytesMut::new(),
            rx_lent: false,
            caught_up: false,
            alarm: Alarm::new(),
            deadline: None,
        }
    }

    /// The machine, to ask it things.
    #[must_use]
    pub fn machine(&self) -> &P {
        &self.machine
    }

    /// Bytes received and not understood yet.
    #[must_use]
    pub fn unparsed(&self) -> usize {
        self.rx.len()
    }

    /// The application asks for something.
    ///
    /// # Errors
    ///
    /// As [`Protocol::handle_command`].
    #[inline]
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: P::Command,
    ) -> Result<Ticket, Refused<P::Command>> {
        self.machine.handle_command(now, command)
    }

    /// `n` bytes were appended to the buffer that [`io`](Self::io) lent; none: the peer's stream ended.
    pub fn handle_read(&mut self, now: Instant, n: usize) {
        self.caught_up = false;
        if n == 0 {
            self.machine.handle_eof(now, &mut self.rx);
        } else {
            self.machine.handle_input(now, &mut self.rx, n);
        }
        if self.rx.is_empty() && self.rx.capacity() > KEEP {
            self.rx = BytesMut::new();
        }
    }

    /// These bytes were received, for who reads into memory of his own; none: the peer's stream ended. Otherwise as
    /// [`handle_read`](Self::handle_read).
    pub fn handle_received(&mut self, now: Instant, bytes: &[u8]) {
        self.rx.extend_from_slice(bytes);
        self.handle_read(now, bytes.len());
    }

    /// Fills `out` with the bytes to write, in order, and returns how many slices it used.
    pub fn transmit_slices<'a>(&'a self, out: &mut [&'a [u8]]) -> usize {
        self.machine.transmit_slices(out)
    }

    /// The transport took the first `n` bytes to write.
    pub fn handle_transmitted(&mut self, now: Instant, n: usize) {
        self.machine.handle_transmitted(now, n);
    }

    /// Time passed. Calling early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
        if self.rx.is_empty() && self.rx.capacity() > 0 {
            // Timers fire where little happens: an idle session keeps no buffer.
            self.rx = BytesMut::new();
        }
    }

    /// The transport failed, or is to be given up.
    pub fn handle_cut(&mut self, now: Instant, cut: Cut) {
        self.caught_up = false;
        self.machine.handle_cut(now, &mut self.rx, cut);
    }

    /// The next event. Taking events makes room: what had arrived beyond it is understood then.
    pub fn poll_event(&mut self, now: Instant) -> Option<P::Event> {
        let event = self.machine.poll_event();
        self.understand_more(event, || now)
    }

    /// As [`poll_event`](Self::poll_event), with [a few more](Protocol::poll_events), for whom reading the clock
    /// takes long: it is read only if something waits to be understood.
    #[inline]
    pub fn poll_events(
        &mut self,
        now: impl FnOnce() -> Instant,
        more: &mut VecDeque<P::Event>,
    ) -> Option<P::Event> {
        let event = self.machine.poll_events(more);
        self.understand_more(event, now)
    }

    /// An event was taken, or there was none: what waited for room is understood.
    #[inline]
    fn understand_more(
        &mut self,
        event: Option<P::Event>,
        now: impl FnOnce() -> Instant,
    ) -> Option<P::Event> {
        if self.rx_lent || self.caught_up {
            return event;
        }
        // With every event, not only when there is none left: otherwise each one taken would let more be
        // read behind what waits already, and that would grow without bound.
        self.machine.handle_input(now(), &mut self.rx, 0);
        event.or_else(|| self.machine.poll_event())
    }

    /// What the machine wants next.
    pub fn poll(&mut self, now: Instant) -> Interest {
        let mut interest = self.machine.poll(now);
        if interest.read == 0 && interest.close != Close::Now && !self.rx_lent {
            // What it encoded now may be what the next message was kept back for.
            self.machine.handle_input(now, &mut self.rx, 0);
            interest = self.machine.poll(now);
        }
        self.deadline = interest.deadline;
        self.caught_up = interest.read > 0;
        interest
    }

    /// Whether the deadline has passed that the machine had when it was last polled. It may have moved
    /// since; [`handle_timeout`](Self::handle_timeout) does nothing then.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// The sleep is over, even if early: the next [`rearm`](Self::rearm) says when it is to be armed for again.
    /// Otherwise as [`handle_timeout`](Self::handle_timeout).
    pub fn handle_alarm(&mut self, now: Instant) {
        self.alarm.went_off();
        self.handle_timeout(now);
    }

    /// The time to arm the sleep for now; none: leave it as it is.
    pub fn rearm(&mut self, now: Instant, interest: &Interest) -> Option<Instant> {
        self.alarm.rearm(now, interest.deadline)
    }

    /// Whether the sleep can stay as it is: [`rearm`](Self::rearm) would ask for nothing. For who polls the machine
    /// and is not the driver.
    #[must_use]
    pub fn is_armed_for(&self, now: Instant, interest: &Interest) -> bool {
        self.alarm.covers(now, interest.deadline)
    }

    /// Hands the receive buffer over, with what is not understood yet: for a driver that does not hold the
    /// pump while it reads. It gives it back with [`return_rx`](Self::return_rx), then tells
    /// [`handle_read`](Self::handle_read) what was appended.
    pub fn lend_rx(&mut self) -> BytesMut {
        self.rx_lent = true;
        core::mem::take(&mut self.rx)
    }

    /// Takes the receive buffer back.
    pub fn return_rx(&mut self, rx: BytesMut) {
        self.rx_lent = false;
        self.rx = rx;
    }

    /// Moves the bytes to write to `to`, if that is empty: for a driver that does not hold the pump while it
    /// writes. It tells [`handle_transmitted`](Self::handle_transmitted) what the transport took of them.
    pub fn lend_transmit(&mut self, to: &mut TransmitQueue) {
        self.machine.lend_transmit(to);
    }

    /// The receive buffer, to append to, and the machine, whose slices are to be written: one borrow
    /// of each, so that a driver can read and write at once.
    pub fn io(&mut self) -> (&mut BytesMut, &P) {
        (&mut self.rx, &self.machine)
    }
}
