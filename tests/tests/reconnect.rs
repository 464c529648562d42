//! Clients that connect again, on tokio: under a simulated clock, and against servers that go and come back.

#[path = "adapters/tokio.rs"]
#[allow(dead_code)]
mod adapter;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use heartwire_std::reconnect::{Progress, Reconnecting};
use heartwire_tests::cancel::{Cut, cut};
use heartwire_tests::mock::{Mock, Script, pair};
use heartwire_tests::suite::Adapter;

use adapter::Tokio;
use heartwire_tests::suite::{content, keys};
use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::lines::{Line, Lines, Settings};
use heartwire_tokio::{
    Address, Backoff, BackoffBuilder, Code, Config, ConnectError, ConnectionOptions, GivenUp, Key, Keys,
    Limits, Message, Options, Server, Session, Sleep, accept_io, connect, connect_io, reconnecting,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, advance};

type Attempt = Pin<Box<dyn Future<Output = Result<Session, ConnectError>> + Send>>;
type Client = Reconnecting<Sleep, Attempt>;

/// What becomes of one attempt.
#[derive(Clone)]
enum Met {
    /// Nobody listens.
    Refused,
    /// A server whose end is handed to the test.
    Server(Options, Script),
    /// Somebody who never says a word.
    Silent,
}

/// A network in memory: one thing met an attempt, the last one by all that follow.
struct Network {
    attempts: Arc<AtomicUsize>,
    /// The servers' ends.
    accepted: mpsc::UnboundedReceiver<Mock>,
}

fn refused() -> ConnectError {
    let address: Address = "tcp://127.0.0.1:9".parse().unwrap();
    ConnectError::Io { address, error: io::ErrorKind::ConnectionRefused.into() }
}

fn options() -> Options {
    Options::new(keys())
}

fn server() -> Met {
    Met::Server(options(), Script::free())
}

fn client(backoff: BackoffBuilder, met: Vec<Met>) -> (Client, Network) {
    let attempts = Arc::new(AtomicUsize::new(0));
    let (sender, accepted) = mpsc::unbounded_channel();
    let count = Arc::clone(&attempts);
    let connect = move || -> Attempt {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let met = met[number.min(met.len() - 1)].clone();
        let sender = sender.clone();
        Box::pin(async move {
            let (options, script) = match met {
                Met::Refused => {
                    // a moment later
                    tokio::task::yield_now().await;
                    return Err(refused());
                }
                Met::Silent => (options(), Script::free()),
                Met::Server(options, script) => (options, script),
            };
            let (ours, theirs) = pair(4096, script.clone(), script);
            sender.send(theirs).unwrap();
            connect_io(ours, &options).await
        })
    };
    (Reconnecting::new(backoff.build().unwrap(), connect).unwrap(), Network { attempts, accepted })
}

impl Network {
    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }

    /// From here on every connection gets a session; the test takes them.
    fn serve(self) -> mpsc::UnboundedReceiver<Session> {
        let (sender, sessions) = mpsc::unbounded_channel();
        let mut accepted = self.accepted;
        tokio::spawn(async move {
            while let Some(io) = accepted.recv().await {
                if let Ok(session) = accept_io(io, &options()).await {
                    let _ = sender.send(session);
                }
            }
        });
        sessions
    }
}

/// What a test compares, without what differs each time.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Connecting(u32),
    Connected,
    Failed,
    Waiting(u32),
    GivenUp(GivenUp),
}

fn seen<H>(progress: &Progress<H>) -> Seen {
    match progress {
        Progress::Connecting { attempt } => Seen::Connecting(*attempt),
        Progress::Connected(_) => Seen::Connected,
        Progress::Failed(_) => Seen::Failed,
        Progress::Waiting { attempt, .. } => Seen::Waiting(*attempt),
        Progress::GivenUp(why) => Seen::GivenUp(*why),
        other => panic!("{}", std::any::type_name_of_val(other)),
    }
}

/// Goes on until there is a connection.
async fn connected<H, F>(client: &mut Reconnecting<Sleep, F>) -> H
where
    F: Future<Output = Result<H, ConnectError>>,
{
    loop {
        match client.next().await.expect("it was given up") {
            Progress::Connected(handle) => return handle,
            Progress::GivenUp(why) => panic!("given up: {why:?}"),
            _ => {}
        }
    }
}

async fn rest(client: &mut Client) -> Vec<Seen> {
    let mut all = Vec::new();
    while let Some(progress) = client.next().await {
        all.push(seen(&progress));
    }
    all
}

#[test]
fn it_is_tried_again_after_each_wait_until_the_budget_is_spent() {
    Tokio::run_paused(async {
        let (mut client, network) = client(Backoff::builder().attempts(12), vec![Met::Refused]);
        assert_eq!(seen(&client.next().await.unwrap()), Seen::Connecting(1));
        let mut longest = Duration::from_millis(200);
        for attempt in 2..=12 {
            let Some(Progress::Failed(ConnectError::Io { error, .. })) = client.next().await else {
                panic!()
            };
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            let Some(Progress::Waiting { delay, attempt: next }) = client.next().await else { panic!() };
            assert_eq!(next, attempt);
            assert!(delay <= longest, "{delay:?} is more than {longest:?}");
            longest = (longest * 2).min(Duration::from_secs(30));
            let begun = Instant::now();
            assert_eq!(seen(&client.next().await.unwrap()), Seen::Connecting(attempt));
            // to tokio's next millisecond
            let waited = begun.elapsed();
            assert!(waited >= delay && waited < delay + Duration::from_millis(2), "{waited:?} for {delay:?}");
            assert_eq!(network.attempts(), attempt as usize - 1);
        }
        assert_eq!(rest(&mut client).await, [Seen::Failed, Seen::GivenUp(GivenUp::BudgetSpent)]);
        assert!(client.next().await.is_none());
        assert_eq!(network.attempts(), 12);
    });
}

#[test]
fn a_connection_that_was_stable_begins_a_new_row_and_a_shorter_one_does_not() {
    Tokio::run_paused(async {
        let backoff = Backoff::builder().stable(Duration::from_secs(30));
        let met = vec![Met::Refused, Met::Refused, server()];
        let (mut client, network) = client(backoff, met);
        let mut sessions = network.serve();
        for (up, next) in [(29_000, 4), (29_000, 5), (30_000, 2), (1, 3), (3_000_000, 2)] {
            let mut session = connected(&mut client).await;
            let peer = sessions.recv().await.unwrap();
            tokio::time::sleep(Duration::from_millis(up)).await;
            drop(peer);
            let ended = session.recv_message().await.unwrap_err();
            assert_eq!(ended.code, Code::EndedWithoutDisconnect);
            client.lost(&ended);
            assert_eq!(seen(&client.next().await.unwrap()), Seen::Waiting(next));
            assert_eq!(seen(&client.next().await.unwrap()), Seen::Connecting(next));
        }
    });
}

#[test]
fn another_key_is_given_up_at_once() {
    Tokio::run_paused(async {
        let other = Options::new(Keys::new(Key::new(b"another key, as long as need be").unwrap()));
        let (mut client, network) = client(Backoff::builder(), vec![Met::Server(other, Script::free())]);
        let attempts = Arc::clone(&network.attempts);
        let _sessions = network.serve();
        assert_eq!(seen(&client.next().await.unwrap()), Seen::Connecting(1));
        let Some(Progress::Failed(ConnectError::Handshake(ended))) = client.next().await else { panic!() };
        assert_eq!(ended.code, Code::MacMismatch);
        assert_eq!(rest(&mut client).await, [Seen::GivenUp(GivenUp::NotWorthIt)]);
        assert_eq!(attempts.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn who_never_says_a_word_is_tried_again() {
    Tokio::run_paused(async {
        let (mut client, network) = client(Backoff::builder().attempts(2), vec![Met::Silent]);
        let failed = [Seen::Connecting(1), Seen::Failed, Seen::Waiting(2), Seen::Connecting(2), Seen::Failed];
        let mut expected = failed.to_vec();
        expected.push(Seen::GivenUp(GivenUp::BudgetSpent));
        assert_eq!(rest(&mut client).await, expected);
        assert_eq!(network.attempts(), 2);
    });
}

#[test]
fn a_session_that_this_side_closed_is_not_connected_again() {
    Tokio::run_paused(async {
        let (mut client, network) = client(Backoff::builder(), vec![server()]);
        let _sessions = network.serve();
        let session = connected(&mut client).await;
        let ended = session.close(None).await;
        client.lost(&ended);
        // a second time says nothing new
        client.lost(&ended);
        assert_eq!(rest(&mut client).await, [Seen::GivenUp(GivenUp::NotWorthIt)]);
    });
}

#[test]
fn while_there_is_a_connection_there_is_nothing_to_tell() {
    Tokio::run_paused(async {
        let (mut client, network) = client(Backoff::builder(), vec![server()]);
        let _sessions = network.serve();
        let _session = connected(&mut client).await;
        tokio::time::timeout(Duration::from_secs(600), client.next()).await.unwrap_err();
        client.stop();
        assert_eq!(rest(&mut client).await, [Seen::GivenUp(GivenUp::Stopped)]);
    });
}

#[test]
fn a_stop_drops_the_attempt_and_ends_a_wait() {
    Tokio::run_paused(async {
        // before, while connecting, while waiting
        for told in 0..4 {
            let (mut client, mut network) = client(Backoff::builder(), vec![Met::Refused, Met::Silent]);
            for _ in 0..told {
                client.next().await.unwrap();
            }
            client.stop();
            assert_eq!(rest(&mut client).await, [Seen::GivenUp(GivenUp::Stopped)], "after {told}");
            assert!(network.accepted.try_recv().is_err());
        }
        let (mut client, mut network) = client(Backoff::builder(), vec![Met::Silent]);
        client.next().await.unwrap();
        tokio::time::timeout(Duration::from_secs(1), client.next()).await.unwrap_err();
        let peer = network.accepted.recv().await.unwrap();
        client.stop();
        // who was called is let go of
        let error = accept_io(peer, &options()).await.unwrap_err();
        assert!(matches!(error, ConnectError::Handshake(ended) if ended.code != Code::HandshakeTimeout));
    });
}

/// What was queued when the connection broke comes back with the tickets it was accepted with, and goes out on the
/// next one, before what is new.
#[test]
fn what_was_not_sent_is_handed_back_with_its_tickets_and_can_be_sent_again() {
    Tokio::run_paused(async {
        let (mut client, mut network) = client(Backoff::builder(), vec![server()]);
        let accepting = async {
            let peer = network.accepted.recv().await.unwrap();
            accept_io(peer, &Options::new(keys()).config(held_up())).await.unwrap()
        };
        let (mut session, peer) = tokio::join!(connected(&mut client), accepting);
        let message = |number: usize| Message::binary(content(1000, number));
        let mut tickets = Vec::new();
        for number in 0..100 {
            tickets.push(session.try_send(message(number)).unwrap());
        }
        // the peer takes some of it, and is gone
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        peer.abort_connection();
        let ended = session.recv_message().await.unwrap_err();
        client.lost(&ended);
        let unsent = &ended.unsent;
        assert!((1..100).contains(&unsent.len()), "{} unsent", unsent.len());
        let first = 100 - unsent.len();
        for (unsent, number) in unsent.iter().zip(first..) {
            assert_eq!(unsent.ticket, tickets[number]);
            assert_eq!(unsent.message, Some(message(number)));
        }

        let mut sessions = network.serve();
        let session = connected(&mut client).await;
        for unsent in &ended.unsent {
            session.send(unsent.message.clone().unwrap()).await.unwrap();
        }
        session.send(message(100)).await.unwrap();
        let mut peer = sessions.recv().await.unwrap();
        for number in first..=100 {
            assert_eq!(peer.recv_message().await.unwrap(), message(number));
        }
    });
}

/// Takes little that nobody reads.
fn held_up() -> Config {
    Config::builder().queued_events(4).build().unwrap()
}

/// `next`, dropped at every poll: the same is told as if it never was, as many attempts are made, and no wait begins
/// anew.
#[test]
fn a_next_that_is_dropped_changes_nothing() {
    let mut dropped = 0;
    for script in [Script::free(), Script::stutter(7), Script::seed(3)] {
        for polls in 1..=6 {
            for woken in [false, true] {
                let at = Cut { polls, woken };
                println!("{script:?}, {at:?}");
                dropped += Tokio::run_paused(dropped_at(at, &script));
            }
        }
    }
    assert!(dropped > 500, "{dropped} calls were dropped");
}

async fn dropped_at(at: Cut, script: &Script) -> usize {
    let backoff = Backoff::builder().attempts(4).base(Duration::from_secs(1));
    let met = vec![Met::Refused, Met::Server(options(), script.clone()), Met::Refused];
    let (mut client, network) = client(backoff, met);
    let attempts = Arc::clone(&network.attempts);
    let mut sessions = network.serve();
    let (mut all, mut dropped, mut wait) = (Vec::new(), 0, None);
    loop {
        let Some(progress) = cut(at, client.next()).await else {
            dropped += 1;
            assert!(dropped < 20_000, "it never comes through");
            // time stands still for a task that is never idle
            advance(Duration::from_millis(5)).await;
            continue;
        };
        let Some(progress) = progress else { break };
        all.push(seen(&progress));
        if let Some((begun, delay)) = wait.take() {
            let waited: Duration = Instant::now() - begun;
            // no shorter, and longer by a step or two at most
            assert!(waited >= delay && waited < delay + Duration::from_millis(20), "{waited:?}, {delay:?}");
        }
        match progress {
            Progress::Waiting { delay, .. } => wait = Some((Instant::now(), delay)),
            Progress::Connected(mut session) => {
                let mut peer = sessions.recv().await.unwrap();
                session.send(Message::text("here")).await.unwrap();
                assert_eq!(peer.recv_message().await.unwrap().content, "here");
                drop(peer);
                let ended = session.recv_message().await.unwrap_err();
                client.lost(&ended);
            }
            _ => {}
        }
    }
    let row = |attempt| [Seen::Failed, Seen::Waiting(attempt), Seen::Connecting(attempt)];
    let mut expected = vec![Seen::Connecting(1)];
    expected.extend(row(2));
    expected.extend([Seen::Connected, Seen::Waiting(3), Seen::Connecting(3)]);
    expected.extend(row(4));
    expected.extend([Seen::Failed, Seen::GivenUp(GivenUp::BudgetSpent)]);
    assert_eq!(all, expected);
    assert_eq!(attempts.load(Ordering::Relaxed), 4);
    dropped
}

// Real sockets.

/// Waits of a test: short, and as many as it takes.
fn soon() -> Backoff {
    let (base, cap) = (Duration::from_millis(1), Duration::from_millis(20));
    Backoff::builder().base(base).cap(cap).attempts(100_000).build().unwrap()
}

struct Serving {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<heartwire_tokio::Report>,
}

async fn serve(address: &Address, options: Options) -> Serving {
    let server = Server::bind(std::slice::from_ref(address), options).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let echo = |mut session: Session| async move {
        while let Ok(message) = session.recv_message().await {
            let _ = session.send(message).await;
        }
    };
    Serving { stop: Some(stop), task: tokio::spawn(server.serve(echo, stopped)) }
}

#[cfg(unix)]
#[test]
fn a_server_goes_away_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let address: Address = format!("unix://{}", dir.path().join("server").display()).parse().unwrap();
    Tokio::run(async {
        let mut client = reconnecting(address.clone(), options(), soon()).unwrap();
        // nobody there yet
        assert_eq!(seen(&client.next().await.unwrap()), Seen::Connecting(1));
        assert_eq!(seen(&client.next().await.unwrap()), Seen::Failed);
        for round in 0..6 {
            let mut serving = serve(&address, options()).await;
            let mut session = connected(&mut client).await;
            session.send(Message::text(format!("{round}"))).await.unwrap();
            assert_eq!(session.recv_message().await.unwrap().content, format!("{round}"));
            // in order, and torn down
            if round % 2 == 0 {
                drop(serving.stop.take());
            } else {
                serving.task.abort();
            }
            let ended = session.recv_message().await.unwrap_err();
            assert_eq!(ended.is_orderly(), round % 2 == 0, "{ended}");
            client.lost(&ended);
            let _ = serving.task.await;
            // it is noticed that nobody is there
            while seen(&client.next().await.unwrap()) != Seen::Failed {}
        }
    });
}

#[test]
fn a_server_that_is_full_is_tried_until_there_is_a_place() {
    Tokio::run(async {
        let limits = Limits::builder().max_sessions(1).build().unwrap();
        let address: Address = "tcp://127.0.0.1:0".parse().unwrap();
        let server = Server::bind(&[address], options().limits(limits)).await.unwrap();
        let address = server.local_addresses()[0].clone();
        let hold = |mut session: Session| async move {
            let _ = session.send(Message::text("held")).await;
            drop(session.recv_message().await);
        };
        let serving = tokio::spawn(server.serve(hold, std::future::pending::<()>()));
        let mut first = connect(&address, &options()).await.unwrap();
        // Until the server has seen the handshake's end, another may be faster.
        assert_eq!(first.recv_message().await.unwrap().content, "held");
        let mut client = reconnecting(address, options(), soon()).unwrap();
        for _ in 0..3 {
            let error = loop {
                if let Progress::Failed(error) = client.next().await.unwrap() {
                    break error;
                }
            };
            let ConnectError::Handshake(ended) = error else { panic!("{error}") };
            assert_eq!(ended.code, Code::TooManySessions);
        }
        first.close(None).await;
        connected(&mut client).await.close(None).await;
        serving.abort();
    });
}

/// The protocols without a session end by the end of a stream: the server's is worth another try, one's own is not.
#[test]
fn connections_without_a_session_are_connected_again_too() {
    Tokio::run(async {
        let options = ConnectionOptions::<Lines>::new(Settings::default());
        let server = Server::bind(&["tcp://127.0.0.1:0".parse().unwrap()], options.clone()).await.unwrap();
        let address = server.local_addresses()[0].clone();
        // says back one line, and closes
        let once = |mut connection: Connection<Lines>| async move {
            if let Some(line) = connection.recv().await {
                let _ = connection.send(line).await;
                connection.close().await;
            }
        };
        let serving = tokio::spawn(server.serve(once, std::future::pending::<()>()));
        let mut client = reconnecting(address, options, soon()).unwrap();
        for round in 0..3 {
            let mut connection = connected(&mut client).await;
            let line = Line::new(format!("round {round}")).unwrap();
            connection.send(line.clone()).await.unwrap();
            assert_eq!(connection.recv().await, Some(line));
            // the server's end; then ours
            assert_eq!(connection.recv().await, None);
            let ended = connection.close().await;
            client.lost(&ended);
        }
        let connection = connected(&mut client).await;
        let ended = connection.close().await;
        client.lost(&ended);
        assert_eq!(seen(&client.next().await.unwrap()), Seen::GivenUp(GivenUp::NotWorthIt));
        serving.abort();
    });
}

#[test]
fn what_the_operating_system_forbids_is_not_tried_again() {
    use io::ErrorKind::*;
    let address: Address = "tcp://127.0.0.1:9".parse().unwrap();
    for (kind, worth_it) in [
        (ConnectionRefused, true),
        (ConnectionReset, true),
        (TimedOut, true),
        (NotFound, true),
        (WouldBlock, true),
        (HostUnreachable, true),
        (NetworkUnreachable, true),
        (Other, true),
        (PermissionDenied, false),
        (InvalidInput, false),
        (InvalidData, false),
        (Unsupported, false),
    ] {
        let error = ConnectError::Io { address: address.clone(), error: kind.into() };
        assert_eq!(error.is_worth_retrying(), worth_it, "{kind:?}");
    }
    assert!(!ConnectError::Seed(io::ErrorKind::Other.into()).is_worth_retrying());
}
