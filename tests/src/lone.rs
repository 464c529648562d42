//! One connection without a session alone, against bytes made by hand, under a simulated clock.

use std::time::Duration;

use heartwire_core::connection::{Command, CommandOf, Config, Connection, Ended, Event};
use heartwire_core::error::Code;
use heartwire_core::protocol::{Close, Cut, Interest, Outcome, Refused, Ticket, Why};
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::testing::{Chunker, Side};
use heartwire_core::time::Instant;
use heartwire_core::wire::codec::Codec;

use crate::turns;

/// One machine and its clock.
pub struct Lone<C: Codec> {
    /// The machine.
    pub side: Side<Connection<C>>,
    /// What time it is.
    pub now: Instant,
    /// The sizes of reads and writes.
    pub chunker: Chunker,
    read: usize,
    last: bool,
}

impl<C: Codec> Lone<C> {
    /// A machine of this role.
    #[must_use]
    pub fn new(config: Config, settings: &C::Settings, role: Role) -> Self {
        // Not zero, so that nothing can rely on that.
        let now = Instant::ZERO + Duration::from_secs(1000);
        let machine = Connection::new(config, settings, role, &Seed::new([9; 32]), now);
        Self::with(machine, now)
    }

    /// Any machine.
    #[must_use]
    pub fn with(machine: Connection<C>, now: Instant) -> Self {
        Self { side: Side::new(machine), now, chunker: Chunker::whole(), read: 0, last: false }
    }

    /// A client with this configuration.
    #[must_use]
    pub fn client(config: Config, settings: &C::Settings) -> Self {
        Self::new(config, settings, Role::Client)
    }

    /// Lets the machine do what there is to do. Time stands still.
    ///
    /// # Panics
    ///
    /// If it does not come to rest.
    pub fn run(&mut self) {
        turns::run(&mut self.side, self.now, &mut self.chunker, drop);
    }

    /// Lets time pass, deadline by deadline.
    pub fn advance(&mut self, duration: Duration) {
        let until = self.now + duration;
        loop {
            self.run();
            match self.deadline() {
                Some(deadline) if deadline <= until => self.now = deadline.max(self.now),
                _ => break,
            }
        }
        self.now = until;
        self.run();
    }

    /// Lets so many seconds pass.
    pub fn seconds(&mut self, seconds: u64) {
        self.advance(Duration::from_secs(seconds));
    }

    /// The machine's deadline.
    pub fn deadline(&mut self) -> Option<Instant> {
        if self.side.closed { None } else { self.side.pump.poll(self.now).deadline }
    }

    /// What the machine wants. Asked twice, since asking changes nothing.
    ///
    /// # Panics
    ///
    /// If it does.
    pub fn interest(&mut self) -> Interest {
        let interest = self.side.pump.poll(self.now);
        assert_eq!(self.side.pump.poll(self.now), interest, "asking changes nothing");
        interest
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &Connection<C> {
        self.side.pump.machine()
    }

    /// How it ended, in short.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        heartwire_core::protocol::Protocol::ended(self.machine())
    }

    /// Bytes of the peer arrive.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.side.inject(bytes);
        self.run();
    }

    /// The peer's stream ends.
    pub fn eof(&mut self) {
        self.side.inbound_ended = true;
        self.run();
    }

    /// The transport is cut.
    pub fn cut(&mut self, cut: Cut) {
        self.side.pump.handle_cut(self.now, cut);
        self.run();
    }

    /// Reading fails.
    pub fn read_fails(&mut self) {
        self.cut(Cut::ReadFailed("reset".into()));
    }

    /// Writing fails.
    pub fn write_fails(&mut self) {
        self.cut(Cut::WriteFailed("broken".into()));
    }

    /// A command of the application, and what follows from it.
    ///
    /// # Errors
    ///
    /// As the machine says.
    pub fn command(&mut self, command: CommandOf<C>) -> Result<Ticket, Refused<CommandOf<C>>> {
        let result = self.side.command(self.now, command);
        self.run();
        result
    }

    /// Sends a message that is accepted.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn send(&mut self, message: C::Message) -> Ticket {
        self.command(Command::Send(message)).map_err(|refused| refused.why).expect("accepted")
    }

    /// Finishes.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn finish(&mut self) {
        self.command(Command::Finish).map_err(|refused| refused.why).expect("accepted");
    }

    /// Closes.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn close(&mut self) {
        self.command(Command::Close).map_err(|refused| refused.why).expect("accepted");
    }

    /// What was written since the last call.
    pub fn written(&mut self) -> Vec<u8> {
        let written = self.side.written[self.read..].to_vec();
        self.read = self.side.written.len();
        written
    }

    /// The events since the last call.
    ///
    /// # Panics
    ///
    /// If something follows the last one there may be.
    pub fn events(&mut self) -> Vec<Event<C>> {
        let events = std::mem::take(&mut self.side.events);
        for event in &events {
            assert!(!self.last, "{event:?} follows the last event");
            self.last = matches!(event, Event::Ended(_));
        }
        events
    }

    /// What was received since the last call.
    ///
    /// # Panics
    ///
    /// If there is another event.
    pub fn items(&mut self) -> Vec<C::Item> {
        let item = |event| match event {
            Event::Received(item) => item,
            other => panic!("{other:?}"),
        };
        self.events().into_iter().map(item).collect()
    }

    /// The peer finished, and nothing else is new.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn peer_finished(&mut self) {
        let events = self.events();
        assert!(matches!(events[..], [Event::Finished]), "{events:?}");
    }

    /// The only new event is the last one. Nothing comes after it whatever is done.
    ///
    /// # Panics
    ///
    /// If not.
    pub fn ended(&mut self) -> Ended<C::Message> {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        let Some(Event::Ended(ended)) = events.pop() else { panic!("{events:?}") };
        self.nothing_follows(&ended);
        ended
    }

    fn nothing_follows(&mut self, ended: &Ended<C::Message>) {
        let outcome = self.outcome().expect("it ended");
        assert_eq!((outcome.code, outcome.unsent), (ended.code, ended.unsent.len()));
        assert_eq!(outcome.in_order, ended.is_orderly() && ended.told && ended.unsent.is_empty());
        let written = self.side.written.len();
        for command in [Command::Finish, Command::Close, fail()] {
            assert_eq!(self.command(command).map_err(|refused| refused.why), Err(Why::Closed));
        }
        self.feed(b"late");
        self.eof();
        self.write_fails();
        self.read_fails();
        self.cut(Cut::Dropped);
        self.cut(Cut::Stopped);
        self.seconds(100);
        self.side.pump.handle_read(self.now, 0);
        self.side.pump.handle_timeout(self.now);
        assert!(self.side.pump.poll_event(self.now).is_none());
        assert!(self.events().is_empty(), "something follows the last event");
        assert_eq!(self.side.written.len(), written, "something is written after the end");
        assert!(self.side.closed, "the connection stays open");
        assert_eq!(self.side.pump.unparsed(), 0, "what arrived is kept");
        let interest = self.interest();
        assert_eq!(
            (interest.read, interest.write, interest.commands, interest.closed, interest.events),
            (0, false, false, true, false)
        );
        assert_eq!((interest.deadline, interest.close), (None, Close::Now));
        assert_eq!(self.outcome(), Some(outcome), "the outcome changed");
    }
}

fn fail<M, H>() -> Command<M, H> {
    Command::Fail { code: Code::TooSlow, detail: "late".into() }
}
