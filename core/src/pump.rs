//! A machine with its receive buffer and its timers: the half of a driver that needs no runtime.

use bytes::BytesMut;

use crate::protocol::{Cut, Interest, Protocol, Refused, Ticket};
use crate::time::Instant;
use crate::timer::Alarm;

/// A receive buffer that nothing is in is given back above this size, in bytes.
const KEEP: usize = 64 * 1024;

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
    alarm: Alarm,
}

impl<P: Protocol> Pump<P> {
    /// A pump for this machine.
    #[must_use]
    pub fn new(machine: P) -> Self {
        Self { machine, rx: BytesMut::new(), alarm: Alarm::new() }
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
    pub fn handle_command(
        &mut self,
        now: Instant,
        command: P::Command,
    ) -> Result<Ticket, Refused<P::Command>> {
        self.machine.handle_command(now, command)
    }

    /// `n` bytes were appended to the buffer that [`io`](Self::io) lent; none: the peer's stream ended.
    pub fn handle_read(&mut self, now: Instant, n: usize) {
        if n == 0 {
            self.machine.handle_eof(now, &mut self.rx);
        } else {
            self.machine.handle_input(now, &mut self.rx, n);
        }
        if self.rx.is_empty() && self.rx.capacity() > KEEP {
            self.rx = BytesMut::new();
        }
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
        self.machine.handle_cut(now, &mut self.rx, cut);
    }

    /// The next event. Taking events makes room: what had arrived beyond it is understood then.
    pub fn poll_event(&mut self, now: Instant) -> Option<P::Event> {
        let event = self.machine.poll_event();
        // With every event, not only when there is none left: otherwise each one taken would let more be
        // read behind what waits already, and that would grow without bound.
        self.machine.handle_input(now, &mut self.rx, 0);
        event.or_else(|| self.machine.poll_event())
    }

    /// What the machine wants next.
    pub fn poll(&mut self, now: Instant) -> Interest {
        self.machine.poll(now)
    }

    /// The time to arm the sleep for now; none: leave it as it is.
    pub fn rearm(&mut self, now: Instant, interest: &Interest) -> Option<Instant> {
        self.alarm.rearm(now, interest.deadline)
    }

    /// The receive buffer, to append to, and the machine, whose slices are to be written: one borrow
    /// of each, so that a driver can read and write at once.
    pub fn io(&mut self) -> (&mut BytesMut, &P) {
        (&mut self.rx, &self.machine)
    }
}
