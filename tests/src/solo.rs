//! One machine alone, against frames made by hand, under a simulated clock.

use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::{Cut, Refused, Ticket, Why};
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Ended, Event, Session};
use heartwire_core::testing::{Chunker, Side};
use heartwire_core::time::Instant;

use crate::peer::{self, FEATURES, KEY, Peer, Seen};
use crate::turns;

/// The keys of these tests.
///
/// # Panics
///
/// Never: the key is long enough.
#[must_use]
pub fn keys() -> Keys {
    Keys::new(Key::new(KEY).unwrap())
}

/// One machine, its clock, and the peer that it talks to.
#[derive(Debug)]
pub struct Solo {
    /// The machine.
    pub side: Side<Session>,
    /// The other side, by hand.
    pub peer: Peer,
    /// What time it is.
    pub now: Instant,
    /// The sizes of reads and writes.
    pub chunker: Chunker,
    /// The sizes of the writes so far.
    pub writes: Vec<usize>,
    frames_read: usize,
    events_read: usize,
}

impl Solo {
    /// Any machine. It has had no turn yet.
    #[must_use]
    pub fn new(machine: Session, now: Instant) -> Self {
        Self {
            side: Side::new(machine),
            peer: Peer::new("a session by hand"),
            now,
            chunker: Chunker::whole(),
            writes: Vec::new(),
            frames_read: 0,
            events_read: 0,
        }
    }

    /// A client that waits for `session_init`.
    #[must_use]
    pub fn client(config: Config) -> Self {
        let now = start();
        let mut solo = Self::new(Session::client(config, keys(), now), now);
        solo.run();
        solo
    }

    /// A server that wrote its `session_init`, which is taken already.
    #[must_use]
    pub fn server(config: Config) -> Self {
        let now = start();
        let mut solo = Self::new(Session::server(config, keys(), &Seed::new([3; 32]), now), now);
        solo.run();
        let init = solo.frames();
        solo.peer.id = init[0].header["session_id"].as_str().unwrap().into();
        solo
    }

    /// A client in a session with a peer that says this of itself.
    #[must_use]
    pub fn client_with(config: Config, hello: &str) -> Self {
        let mut solo = Self::client(config);
        solo.feed(&solo.peer.init(hello));
        solo.established()
    }

    /// A server in a session with a peer that says this of itself.
    #[must_use]
    pub fn server_with(config: Config, hello: &str) -> Self {
        let mut solo = Self::server(config);
        solo.feed(&solo.peer.ack(hello));
        solo.established()
    }

    /// Both roles, in a session with a peer that has features.
    #[must_use]
    pub fn both() -> [Self; 2] {
        Self::both_with(&Config::default(), FEATURES)
    }

    /// Both roles, in a session with a peer that says this of itself.
    #[must_use]
    pub fn both_with(config: &Config, hello: &str) -> [Self; 2] {
        [Self::client_with(config.clone(), hello), Self::server_with(config.clone(), hello)]
    }

    fn established(mut self) -> Self {
        assert!(matches!(self.events()[..], [Event::Established(_)]));
        self.frames();
        self
    }

    /// Lets the machine do what there is to do. Time stands still.
    ///
    /// # Panics
    ///
    /// If it does not come to rest.
    pub fn run(&mut self) {
        turns::run(&mut self.side, self.now, &mut self.chunker, |len| self.writes.push(len));
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

    /// A command of the application, and what follows from it.
    ///
    /// # Errors
    ///
    /// As the machine says.
    pub fn command(&mut self, command: Command) -> Result<Ticket, Refused<Command>> {
        let result = self.side.command(self.now, command);
        self.run();
        result
    }

    /// Sends a message that is accepted.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn send(&mut self, message: Message) -> Ticket {
        self.command(Command::Send(message)).unwrap()
    }

    /// Closes with the default reason.
    ///
    /// # Panics
    ///
    /// If that is refused.
    pub fn close(&mut self) {
        self.command(Command::Close { reason: None }).unwrap();
    }

    /// The frames written since the last call.
    pub fn frames(&mut self) -> Vec<Seen> {
        let frames = peer::read_all(&self.peer.key, &self.side.written[self.frames_read..]);
        self.frames_read = self.side.written.len();
        frames
    }

    /// The types of the frames written since the last call.
    pub fn kinds(&mut self) -> Vec<String> {
        self.frames().iter().map(|frame| frame.kind().into()).collect()
    }

    /// The code of the only frame written since the last call, which must be an `error`.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn error_frame(&mut self) -> String {
        let frames = self.frames();
        let [error] = &frames[..] else { panic!("not one frame: {frames:?}") };
        assert_eq!((error.kind(), error.code), ("error", 6));
        assert_eq!(error.header["content_type"], "text/plain");
        let code = error.header["code"].as_str().unwrap();
        assert!(error.text().starts_with(&format!("{code}: ")), "{}", error.text());
        code.into()
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        let events = self.side.events[self.events_read..].to_vec();
        self.events_read = self.side.events.len();
        events
    }

    /// The last event, after which nothing comes whatever is done.
    ///
    /// # Panics
    ///
    /// If it is not there, or something follows.
    pub fn ended(&mut self) -> Ended {
        let count = self.side.events.len();
        let written = self.side.written.len();
        let ends = self.side.events.iter().filter(|event| matches!(event, Event::Ended(_))).count();
        assert_eq!(ends, 1, "{:?}", self.side.events);
        let Some(Event::Ended(ended)) = self.side.events.last().cloned() else {
            panic!("something follows the last event: {:?}", self.side.events)
        };
        let refused = self.command(Command::Send(Message::text("late"))).unwrap_err();
        assert_eq!(refused.why, Why::Closed);
        for command in [Command::Close { reason: None }, fail()] {
            assert_eq!(self.command(command).unwrap_err().why, Why::Closed);
        }
        self.feed(&self.peer.message(b"late"));
        self.eof();
        self.cut(Cut::WriteFailed("late".into()));
        self.cut(Cut::Stopped);
        self.seconds(100);
        self.side.pump.handle_read(self.now, 0);
        self.side.pump.handle_timeout(self.now);
        assert_eq!(self.side.pump.poll_event(self.now), None);
        assert_eq!(self.side.events.len(), count, "something follows the last event");
        assert_eq!(self.side.written.len(), written, "something is written after the end");
        assert!(self.side.closed, "the connection stays open");
        ended
    }
}

fn fail() -> Command {
    Command::Fail { code: heartwire_core::error::Code::TooSlow, detail: "late".into() }
}

/// Not zero, so that nothing can rely on that.
fn start() -> Instant {
    Instant::ZERO + Duration::from_secs(1000)
}
