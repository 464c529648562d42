//! Every public async function of a session, dropped at every poll and called again, over a transport that waits and
//! moves a little at a time: nothing is lost, doubled or changed.
//!
//! A call is polled so and so often, then dropped: either right after it said that it is pending, or when it
//! was woken and before it is polled again, so that the wake-up itself is what gets lost.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::session::{self as core, Begin, Command, Event};
use heartwire_std::driver::Timer;
use heartwire_std::handle::{Commands, Endpoints, Events};
use heartwire_std::options::Options;
use heartwire_std::session::Session;
use tokio::sync::oneshot;

use super::adapter::{Adapter, Over};
use super::fixtures::{self, content, echo, keys, with};
use super::sockets::{Sockets, Tcp};
use crate::cancel::{Cut, again, cut};
use crate::mock::{Mock, Script, pair};

fn options() -> Options {
    with(Config::builder().queued_output(3000).queued_events(2).build().expect("valid"))
}

/// Every cut after 1 to `most` polls, over transports of every kind.
fn every<A: Adapter>(most: usize, mut case: impl AsyncFnMut(Cut, [Mock; 2], &AtomicUsize)) {
    let dropped = AtomicUsize::new(0);
    let scripts = [Script::free(), Script::stutter(1), Script::stutter(200).buffered()]
        .into_iter()
        .chain((0..6).map(Script::seed));
    for (number, script) in scripts.enumerate() {
        for polls in 1..=most {
            for woken in [false, true] {
                let at = Cut { polls, woken };
                // Shown when it fails.
                println!("script {number}: {script:?}, {at:?}");
                let (a, b) = pair(4096, script.clone(), script.clone());
                A::run_paused(case(at, [a, b], &dropped));
            }
        }
    }
    assert!(dropped.load(Ordering::Relaxed) > 0, "no call was ever dropped");
}

async fn sessions<A: Over<Mock>>([a, b]: [Mock; 2]) -> (Session, Session) {
    let options = options();
    let (client, server) = tokio::join!(A::client(a, &options), A::server(b, &options));
    (client.expect("it comes"), server.expect("it comes"))
}

fn message(at: usize) -> Message {
    // One frame, several chunks, and none at all.
    Message::binary(content([100, 20_000, 0, 1][at % 4], at))
}

const COUNT: usize = 12;

/// A handshake that is dropped takes its connection with it; another transport, another session.
pub fn handshakes<A: Over<Mock>>() {
    let polls = 12;
    for server in [false, true] {
        every::<A>(polls, async |at, [a, b], dropped| {
            let options = options();
            let peer = A::spawn({
                let options = options.clone();
                async move { if server { A::client(b, &options).await } else { A::server(b, &options).await } }
            });
            let call =
                async { if server { A::server(a, &options).await } else { A::client(a, &options).await } };
            let ours = cut(at, call).await;
            let theirs = peer.await;
            match ours {
                Some(ours) => {
                    let (ours, mut theirs) = (ours.expect("it comes"), theirs.expect("it comes"));
                    ours.send(message(1)).await.expect("it comes");
                    assert_eq!(theirs.recv_message().await.expect("it comes"), message(1));
                }
                None => {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    if let Ok(mut theirs) = theirs {
                        assert!(theirs.recv_message().await.is_err());
                    }
                }
            }
        });
    }
}

/// What a future of `recv` or `recv_message` that was dropped had seen is seen by the next.
pub fn receiving<A: Over<Mock>>() {
    every::<A>(3, async |at, mocks, dropped| {
        let (client, server) = sessions::<A>(mocks).await;
        let sending = A::spawn(async move {
            for number in 0..COUNT {
                client.send(message(number)).await.expect("it comes");
            }
            client.close(None).await
        });
        let server = Mutex::new(server);
        let mut seen = Vec::new();
        #[allow(clippy::await_holding_lock)]
        let ended = loop {
            if seen.len() % 2 == 0 {
                match again(at, dropped, async || server.lock().expect("it is whole").recv().await).await {
                    Some(Event::Message(message)) => seen.push(message),
                    Some(Event::Ended(ended)) => break ended,
                    Some(_) => {}
                    None => panic!("the last event is missing"),
                }
            } else {
                match again(at, dropped, async || server.lock().expect("it comes").recv_message().await).await
                {
                    Ok(message) => seen.push(message),
                    Err(ended) => break (*ended).clone(),
                }
            }
        };
        assert!(ended.is_orderly());
        // Small ones may overtake large ones; each is there once.
        let mut expected: Vec<_> = (0..COUNT).map(message).collect();
        for message in &seen {
            let at = expected.iter().position(|other| other == message).expect("doubled, or changed");
            expected.remove(at);
        }
        assert!(expected.is_empty(), "lost");
        assert!(sending.await.is_orderly());
    });
}

/// A message whose `send` was dropped was not sent; one whose `send` came back arrives once. `ready` and
/// `try_send` do the same without dropping the message.
pub fn sending<A: Over<Mock>>() {
    every::<A>(3, async |at, mocks, dropped| {
        let (client, mut server) = sessions::<A>(mocks).await;
        let receiving = A::spawn(async move {
            let mut seen = Vec::new();
            while let Ok(message) = server.recv_message().await {
                seen.push(message);
                // Slow, so that the sender has to wait.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
            }
            seen
        });
        for number in 0..COUNT {
            if number % 3 == 0 {
                let mut message = message(number);
                loop {
                    again(at, dropped, async || client.ready().await).await;
                    match client.try_send(message) {
                        Ok(_) => break,
                        Err(refused) => message = refused.command,
                    }
                }
            } else {
                again(at, dropped, async || client.send(message(number)).await.expect("it comes")).await;
            }
        }
        client.start_close(None);
        assert!(again(at, dropped, async || client.closed().await).await.expect("it comes").in_order);
        let mut seen = receiving.await;
        let mut expected: Vec<_> = (0..COUNT).map(message).collect();
        let key = |message: &Message| message.content.clone();
        seen.sort_by_key(key);
        expected.sort_by_key(key);
        assert!(seen == expected, "{} of {COUNT} arrived", seen.len());
    });
}

/// A piece whose `send` was dropped is not part of the message; a `begin` that was dropped began nothing.
pub fn streaming<A: Over<Mock>>() {
    every::<A>(3, async |at, mocks, dropped| {
        let (client, mut server) = sessions::<A>(mocks).await;
        let receiving = A::spawn(async move {
            let mut seen = Vec::new();
            while let Ok(message) = server.recv_message().await {
                seen.push(message.content);
            }
            seen
        });
        for number in 0..3 {
            let begin = || Begin::new(ContentType::BINARY);
            let outgoing = again(at, dropped, async || client.begin(begin()).await.expect("it comes")).await;
            for piece in 0..6 {
                again(at, dropped, async || {
                    outgoing.send(content(2500, number * 10 + piece)).await.expect("it comes")
                })
                .await;
            }
            outgoing.end().expect("it comes");
        }
        client.close(None).await;
        let seen = receiving.await;
        let whole = |number: usize| -> Bytes {
            (0..6).flat_map(|piece| content(2500, number * 10 + piece)).collect::<Vec<u8>>().into()
        };
        assert!(seen == [whole(0), whole(1), whole(2)], "{} messages", seen.len());
    });
}

/// A `close` that is dropped once it has begun goes on by itself: everything arrives, and the goodbye.
pub fn closing<A: Over<Mock>>() {
    every::<A>(12, async |at, mocks, dropped| {
        let (client, mut server) = sessions::<A>(mocks).await;
        client.send(message(1)).await.expect("it comes");
        client.send(message(3)).await.unwrap_or_else(|refused| panic!("{refused}"));
        // Beside it, so that closing need not wait for an application that does not receive.
        let receiving = A::spawn(async move {
            let mut seen = 0;
            loop {
                match server.recv_message().await {
                    Ok(_) => seen += 1,
                    Err(ended) => return (seen, ended),
                }
            }
        });
        if cut(at, client.close("bye".to_string())).await.is_none() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
        let (seen, ended) = receiving.await;
        assert_eq!((seen, ended.is_orderly(), ended.detail.as_str()), (2, true, "bye"));
    });
}

/// The handles under a session: commands, room, events, the end.
pub fn handles<A: Over<Mock>>() {
    every::<A>(3, async |at, [a, b], dropped| {
        let options = Config::builder().queued_output(3000).queued_events(2).build().expect("it comes");
        let start = |io, make: &dyn Fn(heartwire_core::time::Instant) -> core::Session| {
            let (commands, events, driver) =
                heartwire_std::handle::start(io, Alarm::<A>::default(), Endpoints::default(), make);
            drop(A::spawn(driver));
            (commands, events)
        };
        let seed = heartwire_core::seed::Seed::new([9; 32]);
        let (client, mut heard): (Commands<_>, Events<_>) =
            start(a, &|now| core::Session::client(options.clone(), keys(), now));
        let (server, events) = start(b, &|now| core::Session::server(options.clone(), keys(), &seed, now));
        let events = Arc::new(Mutex::new(events));
        let receiving = A::spawn(async move { while heard.next().await.is_some() {} });
        // Before the handshake is done there is no room; the command waits for it.
        let send = |number| Command::Send(message(number));
        let watch = client.watch();
        let commands = async {
            for number in 0..4 {
                again(at, dropped, async || server.command(send(number)).await.expect("it comes")).await;
                again(at, dropped, async || client.room().await).await;
                again(at, dropped, async || client.command(send(number)).await.expect("it comes")).await;
            }
            client.try_command(Command::Close { reason: None }).expect("it comes");
        };
        #[allow(clippy::await_holding_lock)]
        let taking = async {
            let mut messages = 0;
            loop {
                match again(at, dropped, async || events.lock().expect("it comes").next().await).await {
                    Some(Event::Message(_)) => messages += 1,
                    Some(Event::Ended(ended)) => {
                        assert!(ended.is_orderly());
                        return messages;
                    }
                    Some(_) => {}
                    None => panic!("the last event is missing"),
                }
            }
        };
        let ((), messages) = tokio::join!(commands, taking);
        assert_eq!(messages, 4);
        assert!(again(at, dropped, async || watch.closed().await).await.expect("it comes").in_order);
        assert!(again(at, dropped, async || server.closed().await).await.expect("it comes").in_order);
        receiving.await;
    });
}

/// A sleep of the adapter's, as the driver knows it.
struct Alarm<A>(Option<Pin<Box<dyn Future<Output = ()> + Send>>>, PhantomData<fn() -> A>);

impl<A> Default for Alarm<A> {
    fn default() -> Self {
        Self(None, PhantomData)
    }
}

impl<A: Adapter> Timer for Alarm<A> {
    fn now() -> Instant {
        A::now()
    }

    fn arm(&mut self, at: Instant) {
        self.0 = Some(Box::pin(A::sleep(at.saturating_duration_since(A::now()))));
    }

    fn poll_elapsed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}

/// A client that is dropped while it connects takes its connection with it, and one that comes through is served; a
/// server that is dropped while it binds lets go of its address.
pub async fn connecting<A: Adapter>() {
    let options = fixtures::options();
    let (mut dropped, mut served, mut unbound) = (0, 0, 0);
    for polls in 1..12 {
        for woken in [false, true] {
            let at = Cut { polls, woken };
            println!("{at:?}");
            let place = Tcp::place().address;
            if cut(at, A::bind(std::slice::from_ref(&place), options.clone())).await.is_none() {
                unbound += 1;
            }
            let server = A::bind(std::slice::from_ref(&place), options.clone()).await.expect("it listens");
            let address = A::addresses(&server).remove(0);
            let (stop, stopped) = oneshot::channel::<()>();
            let serving = A::spawn(A::serve(server, echo, async { drop(stopped.await) }));
            match cut(at, A::connect(&address, &options)).await {
                Some(session) => {
                    served += 1;
                    drop(session.expect("a session"));
                }
                None => dropped += 1,
            }
            let mut after = A::connect(&address, &options).await.expect("a session");
            after.send(Message::text("after it")).await.expect("accepted");
            assert_eq!(after.recv_message().await.expect("it arrives").content, "after it");
            assert!(after.close(None).await.is_orderly());
            drop(stop);
            let report = serving.await;
            // What was dropped is gone, or goes at the first word; nobody is waited for.
            assert!(report.took < Duration::from_secs(3), "{report}");
        }
    }
    assert!(dropped > 0 && served > 0, "{dropped} dropped, {served} served");
    assert!(unbound > 0, "no call to bind was ever dropped");
}

/// A server that is dropped at any poll lets go of its sessions and its address; another can listen there.
pub async fn serving<A: Adapter>() {
    let mut address = Tcp::place().address;
    for polls in 1..10 {
        for woken in [false, true] {
            let at = Cut { polls, woken };
            println!("{at:?}");
            let options = fixtures::options();
            let began = Instant::now();
            // An address may be taken for a moment by connections that are on their way out.
            let server = loop {
                match A::bind(std::slice::from_ref(&address), options.clone()).await {
                    Ok(server) => break server,
                    Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
                }
                tokio::task::yield_now().await;
            };
            address = A::addresses(&server).remove(0);
            let client = A::spawn({
                let address = address.clone();
                async move {
                    // One after another, until nobody listens: each is a reason to poll the server.
                    while let Ok(mut session) = A::connect(&address, &options).await {
                        let _ = session.send(Message::text("again")).await;
                        let _ = session.recv_message().await;
                    }
                }
            });
            assert!(cut(at, A::serve(server, echo, std::future::pending())).await.is_none());
            client.await;
        }
    }
}
