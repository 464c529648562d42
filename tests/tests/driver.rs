//! The driver over a transport that does what a script says, polled by hand: what happens within one turn.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant as StdInstant};

use bytes::BytesMut;
use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::session::{Command, Ended, EndedBy, Event, Session};
use heartwire_std::driver::{Driver, Timer, Transport};
use heartwire_std::handle::{Commands, Endpoints, Events, start};
use heartwire_tests::peer::{FEATURES, Peer, Seen, read_all};
use heartwire_tests::solo::keys;

/// What one call to read finds. After the last, it waits.
enum Read {
    Bytes(Vec<u8>),
    Wait,
    End,
    Error,
    /// It appends nothing, and says that it was so many bytes.
    Lie(usize),
}

#[derive(Default)]
struct Script {
    reads: VecDeque<Read>,
    /// What was written.
    written: Vec<u8>,
    /// What a write fails with from here on.
    write_error: Option<io::ErrorKind>,
    /// A write says that it took one more byte than there was.
    takes_too_much: bool,
    panics_closing: bool,
    /// Done within every call.
    meanwhile: Option<Box<dyn FnMut() + Send>>,
}

/// A transport of such a script.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

impl Scripted {
    fn script<R>(&self, act: impl FnOnce(&mut Script) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }

    fn then(&self, reads: impl IntoIterator<Item = Read>) {
        self.script(|script| script.reads.extend(reads));
    }

    fn call(&self) {
        let meanwhile = self.script(|script| script.meanwhile.take());
        if let Some(mut meanwhile) = meanwhile {
            meanwhile();
            self.script(|script| script.meanwhile = Some(meanwhile));
        }
    }

    fn frames(&self) -> Vec<Seen> {
        self.script(|script| read_all(heartwire_tests::peer::KEY, &script.written))
    }
}

impl Transport for Scripted {
    fn poll_read(&mut self, _: &mut Context<'_>, rx: &mut BytesMut, max: usize) -> Poll<io::Result<usize>> {
        self.call();
        self.script(|script| match script.reads.pop_front() {
            Some(Read::Bytes(mut bytes)) => {
                let rest = bytes.split_off(bytes.len().min(max));
                rx.extend_from_slice(&bytes);
                if !rest.is_empty() {
                    script.reads.push_front(Read::Bytes(rest));
                }
                Poll::Ready(Ok(bytes.len()))
            }
            Some(Read::End) => Poll::Ready(Ok(0)),
            Some(Read::Error) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(Read::Lie(n)) => Poll::Ready(Ok(n)),
            Some(Read::Wait) | None => Poll::Pending,
        })
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.call();
        self.script(|script| {
            if let Some(kind) = script.write_error {
                return Poll::Ready(Err(kind.into()));
            }
            let before = script.written.len();
            slices.iter().for_each(|slice| script.written.extend_from_slice(slice));
            Poll::Ready(Ok(script.written.len() - before + usize::from(script.takes_too_much)))
        })
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call();
        Poll::Ready(Ok(()))
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call();
        assert!(!self.script(|script| script.panics_closing), "it was to panic");
        Poll::Ready(Ok(()))
    }
}

/// A clock by which nothing is ever due.
struct Never;

impl Timer for Never {
    fn now() -> StdInstant {
        static START: std::sync::OnceLock<StdInstant> = std::sync::OnceLock::new();
        *START.get_or_init(StdInstant::now)
    }

    fn arm(&mut self, _: StdInstant) {}

    fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// A client over such a transport.
struct Rig {
    commands: Commands<Session>,
    events: Events<Session>,
    driver: Driver<Session, Scripted, Never>,
    transport: Scripted,
    peer: Peer,
}

impl Rig {
    /// The handshake is done.
    fn new() -> Self {
        let transport = Scripted::default();
        let make = |now| Session::client(Config::default(), keys(), now);
        let (commands, events, driver) = start(transport.clone(), Never, Endpoints::default(), make);
        let peer = Peer::new("over a script");
        transport.then([Read::Bytes(peer.init(FEATURES))]);
        let mut rig = Self { commands, events, driver, transport, peer };
        assert!(rig.poll().is_pending());
        assert!(matches!(rig.events.try_next(), Some(Event::Established(_))));
        rig
    }

    fn poll(&mut self) -> Poll<()> {
        Pin::new(&mut self.driver).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn message(&self, text: &str) -> Read {
        Read::Bytes(self.peer.message(text.as_bytes()))
    }

    fn send(&self, text: &str) {
        self.commands.try_command(Command::Send(Message::text(text))).expect("accepted");
    }

    /// The contents of the messages that came, and how it ended.
    fn rest(&mut self) -> (Vec<String>, Option<Ended>) {
        let (mut texts, mut ended) = (Vec::new(), None);
        while let Some(event) = self.events.try_next() {
            match event {
                Event::Message(message) => texts.push(String::from_utf8(message.content.to_vec()).unwrap()),
                Event::Ended(how) => ended = Some(how),
                other => panic!("{other:?}"),
            }
        }
        (texts, ended)
    }

    /// The contents of the messages that left.
    fn left(&self) -> Vec<String> {
        let frames = self.transport.frames().into_iter().filter(|frame| frame.kind() == "message");
        frames.map(|frame| frame.text().to_string()).collect()
    }
}

#[test]
fn what_arrives_with_the_end_of_the_stream_counts_before_it() {
    let mut rig = Rig::new();
    let received = |rig: &Rig| rig.commands.ask(|session| session.stats().bytes_received);
    let before = received(&rig);
    rig.transport.then([rig.message("one"), rig.message("two"), Read::End]);
    assert!(rig.poll().is_ready());
    assert_eq!(received(&rig) - before, 2 * rig.peer.message(b"one").len() as u64);
    let (texts, ended) = rig.rest();
    let ended = ended.expect("it ended");
    assert_eq!(
        (texts, ended.by, ended.code),
        (vec!["one".into(), "two".into()], EndedBy::Peer, Code::EndedWithoutDisconnect)
    );

    let mut rig = Rig::new();
    rig.transport.then([rig.message("one"), Read::Bytes(rig.peer.disconnect("enough")), Read::End]);
    assert!(rig.poll().is_ready());
    let (texts, ended) = rig.rest();
    assert_eq!(texts, ["one"]);
    assert!(ended.expect("it ended").is_orderly());

    let mut rig = Rig::new();
    let mut part = rig.peer.message(b"two");
    part.pop();
    rig.transport.then([rig.message("one"), Read::Bytes(part), Read::End]);
    assert!(rig.poll().is_ready());
    let (texts, ended) = rig.rest();
    assert_eq!((texts, ended.expect("it ended").code), (vec!["one".into()], Code::Truncated));
}

#[test]
fn what_arrives_before_reading_fails_counts_before_it() {
    let mut rig = Rig::new();
    rig.transport.then([rig.message("one"), Read::Error]);
    assert!(rig.poll().is_ready());
    let (texts, ended) = rig.rest();
    let ended = ended.expect("it ended");
    assert_eq!(
        (texts, ended.by, ended.code),
        (vec!["one".into()], EndedBy::Transport, Code::TransportFailed)
    );
}

#[test]
fn what_left_is_sent_though_reading_fails_in_the_same_turn() {
    let mut rig = Rig::new();
    rig.send("it left");
    rig.transport.then([Read::Error]);
    assert!(rig.poll().is_ready());
    assert_eq!(rig.left(), ["it left"]);
    let (_, ended) = rig.rest();
    let ended = ended.expect("it ended");
    assert_eq!((ended.code, ended.unsent), (Code::TransportFailed, vec![]));
    assert_eq!(rig.commands.ask(|session| session.stats().messages_sent), 1);
}

#[test]
fn what_the_peer_said_counts_before_a_write_that_fails_in_the_same_turn() {
    let mut rig = Rig::new();
    rig.send("it does not leave");
    rig.transport.then([rig.message("one"), Read::Bytes(rig.peer.error("too-slow"))]);
    rig.transport.script(|script| script.write_error = Some(io::ErrorKind::BrokenPipe));
    let _ = rig.poll();
    let (texts, ended) = rig.rest();
    let ended = ended.expect("it ended");
    assert_eq!((texts, ended.by, ended.code), (vec!["one".into()], EndedBy::PeerError, Code::TooSlow));
    let unsent: Vec<_> = ended.unsent.into_iter().filter_map(|unsent| unsent.message).collect();
    assert_eq!(unsent, [Message::text("it does not leave")]);
}

#[test]
fn what_is_sent_while_the_driver_works_leaves_without_another_wake() {
    let mut rig = Rig::new();
    let (commands, mut texts) = (rig.commands.clone(), vec!["three", "two"]);
    let meanwhile = move || {
        if let Some(text) = texts.pop() {
            commands.try_command(Command::Send(Message::text(text))).expect("accepted");
        }
    };
    rig.send("one");
    rig.transport.script(|script| script.meanwhile = Some(Box::new(meanwhile)));
    assert!(rig.poll().is_pending());
    assert_eq!(rig.left(), ["one", "two", "three"]);
}

#[test]
fn handles_are_not_kept_waiting_by_a_call_of_the_transport() {
    // In a thread: where the machine is held meanwhile, this never ends.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let mut rig = Rig::new();
        let (commands, calls) = (rig.commands.clone(), Arc::new(Mutex::new(0)));
        let count = Arc::clone(&calls);
        let meanwhile = move || {
            assert!(commands.ask(Session::is_established));
            *count.lock().unwrap() += 1;
        };
        rig.transport.script(|script| script.meanwhile = Some(Box::new(meanwhile)));
        rig.send("one");
        rig.transport.then([rig.message("one"), Read::Wait]);
        assert!(rig.poll().is_pending());
        // Two reads, a write, a flush.
        done.send((*calls.lock().unwrap(), rig.rest().0)).unwrap();
    });
    let (calls, texts) = is_done.recv_timeout(Duration::from_secs(30)).expect("it does not hang");
    assert!(calls >= 4, "{calls}");
    assert_eq!(texts, ["one"]);
}

/// An alarm that goes off as soon as it is told to, however long before its time.
#[derive(Clone, Default)]
struct Early(Arc<Mutex<EarlyState>>);

#[derive(Default)]
struct EarlyState {
    armed: Option<StdInstant>,
    goes_off: bool,
}

impl Timer for Early {
    fn now() -> StdInstant {
        Never::now()
    }

    fn arm(&mut self, at: StdInstant) {
        self.0.lock().unwrap().armed = Some(at);
    }

    fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if !std::mem::take(&mut state.goes_off) {
            return Poll::Pending;
        }
        state.armed = None;
        Poll::Ready(())
    }
}

#[test]
fn an_alarm_that_goes_off_early_is_armed_again() {
    let alarm = Early::default();
    let make = |now| Session::client(Config::default(), keys(), now);
    let (_commands, _events, mut driver) =
        start(Scripted::default(), alarm.clone(), Endpoints::default(), make);
    let mut poll = || Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    let armed = alarm.0.lock().unwrap().armed.expect("the handshake has a deadline");
    alarm.0.lock().unwrap().goes_off = true;
    assert!(poll().is_pending());
    assert_eq!(alarm.0.lock().unwrap().armed, Some(armed));
}

/// A closing transport may ask how its session does, as one that logs would: nobody holds the machine then.
#[test]
fn a_transport_may_ask_the_session_when_it_is_closed() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let mut rig = Rig::new();
        let commands = rig.commands.clone();
        let asked = Box::new(move || assert!(commands.ask(|session| session.stats().bytes_sent > 0)));
        rig.transport.script(|script| script.meanwhile = Some(asked));
        rig.transport.then([Read::Bytes(rig.peer.disconnect("enough")), Read::End]);
        assert!(rig.poll().is_ready());
        let _ = done.send(rig.rest().1.expect("it ended").is_orderly());
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(30)), Ok(true));
}

#[test]
fn a_transport_that_panics_when_it_is_closed_closes_the_connection() {
    let Rig { commands, mut driver, transport, peer, .. } = Rig::new();
    transport.then([Read::Bytes(peer.disconnect("enough")), Read::End]);
    transport.script(|script| script.panics_closing = true);
    thread::spawn(move || Pin::new(&mut driver).poll(&mut Context::from_waker(Waker::noop())).is_ready())
        .join()
        .expect_err("it panics");
    let mut closed = std::pin::pin!(commands.closed());
    let Poll::Ready(ended) = closed.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("who waits for the end waits for ever")
    };
    assert!(ended.is_some_and(|ended| ended.in_order));
}

#[test]
fn a_transport_that_says_it_took_more_than_there_was_fails() {
    let mut rig = Rig::new();
    rig.send("it left, who knows");
    rig.transport.script(|script| script.takes_too_much = true);
    // After a failed write it is heard what the peer has to say.
    rig.transport.then([Read::Wait, Read::End]);
    assert!(rig.poll().is_pending());
    assert!(rig.poll().is_ready());
    let ended = rig.rest().1.expect("it ended");
    assert_eq!((ended.by, ended.code), (EndedBy::Transport, Code::TransportFailed), "{ended}");
}

#[test]
fn a_transport_that_says_it_read_more_than_it_was_asked_for_fails() {
    for more in [1, usize::MAX / 2, usize::MAX] {
        let mut rig = Rig::new();
        rig.transport.then([rig.message("one"), Read::Lie(more)]);
        assert!(rig.poll().is_ready());
        let (texts, ended) = rig.rest();
        let ended = ended.expect("it ended");
        assert_eq!((texts, ended.code), (vec!["one".into()], Code::TransportFailed), "{ended}");
    }
}
