//! Two machines in a session and nothing between them: for what is counted, where the harness must not
//! count. Buffers are kept, and time stands still unless a test moves it.

use std::time::Duration;

use bytes::BytesMut;
use heartwire_core::config::Config;
use heartwire_core::message::Message;
use heartwire_core::protocol::Protocol;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::time::Instant;
use heartwire_core::wire::envelope::{CrcHmac, Protection};

use crate::solo::keys;
use crate::unprotected::Unprotected;

/// How many slices are asked for at once, as a driver does.
const SLICES: usize = 16;

/// A machine and its receive buffer.
#[derive(Debug)]
pub struct End<P: Protection = CrcHmac> {
    /// The machine.
    pub machine: Session<P>,
    /// Received and not understood yet.
    pub rx: BytesMut,
}

/// Both ends of a session.
#[derive(Debug)]
pub struct Ends<P: Protection = CrcHmac> {
    /// One end.
    pub client: End<P>,
    /// The other.
    pub server: End<P>,
    /// What time it is.
    pub now: Instant,
}

impl<P: Protection> End<P> {
    fn new(machine: Session<P>) -> Self {
        Self { machine, rx: BytesMut::new() }
    }

    /// Queues a message.
    ///
    /// # Panics
    ///
    /// If it is not accepted.
    pub fn send(&mut self, now: Instant, message: Message) {
        self.machine.handle_command(now, Command::Send(message)).expect("it is accepted");
    }

    /// Lends everything that is to be written to `take`, as it is, and says that it left.
    pub fn write(&mut self, now: Instant, mut take: impl FnMut(&[u8])) {
        while self.machine.poll(now).write {
            let mut slices = [&[][..]; SLICES];
            let used = self.machine.transmit_slices(&mut slices);
            let mut n = 0;
            for slice in &slices[..used] {
                n += slice.len();
                take(slice);
            }
            self.machine.handle_transmitted(now, n);
        }
    }

    /// Understands what stands in the receive buffer, all of it new.
    pub fn read(&mut self, now: Instant) {
        let fresh = self.rx.len();
        self.machine.handle_input(now, &mut self.rx, fresh);
    }

    /// The next event.
    pub fn event(&mut self) -> Option<Event> {
        self.machine.poll_event()
    }

    /// Lets the time come when a heartbeat is due.
    pub fn tick(&mut self, now: Instant) {
        self.machine.handle_timeout(now);
    }
}

impl Ends {
    /// A session as programs have it.
    #[must_use]
    pub fn protected(config: &Config) -> Self {
        Self::established(config, || CrcHmac::new(keys()))
    }
}

impl Ends<Unprotected> {
    /// A session without checksums and authentication.
    #[must_use]
    pub fn unprotected(config: &Config) -> Self {
        Self::established(config, || Unprotected)
    }
}

impl<P: Protection> Ends<P> {
    /// Both machines as they are made: nothing was carried yet.
    pub fn new(config: &Config, mut protection: impl FnMut() -> P) -> Self {
        let now = Instant::ZERO + Duration::from_secs(1000);
        let client = Session::client_with(config.clone(), protection(), now);
        let server = Session::server_with(config.clone(), protection(), &Seed::new([7; 32]), now);
        Self { client: End::new(client), server: End::new(server), now }
    }

    fn established(config: &Config, protection: impl FnMut() -> P) -> Self {
        let mut ends = Self::new(config, protection);
        ends.shake_hands();
        assert!(matches!(ends.client.event(), Some(Event::Established(_))));
        assert!(matches!(ends.server.event(), Some(Event::Established(_))));
        ends
    }

    /// The handshake: the server speaks first.
    pub fn shake_hands(&mut self) {
        self.to_client();
        self.to_server();
    }

    /// Carries what the client has to say.
    pub fn to_server(&mut self) {
        self.client.write(self.now, |bytes| self.server.rx.extend_from_slice(bytes));
        self.server.read(self.now);
    }

    /// Carries what the server has to say.
    pub fn to_client(&mut self) {
        self.server.write(self.now, |bytes| self.client.rx.extend_from_slice(bytes));
        self.client.read(self.now);
    }
}
