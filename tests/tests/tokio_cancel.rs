//! Every public async function, dropped at every poll and called again, over a transport that waits and
//! moves a little at a time: nothing is lost, doubled or changed.
//!
//! A call is polled so and so often, then dropped: either right after it said that it is pending, or when it
//! was woken and before it is polled again, so that the wake-up itself is what gets lost.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use heartwire_core::session::{self as core, Command};
use heartwire_std::handle::{Commands, Endpoints, Events};
use heartwire_tests::cancel::{Cut, again, cut};
use heartwire_tests::mock::{Mock, Script, pair};
use heartwire_tests::suite::{content, keys};
use heartwire_tokio::{
    Address, Begin, Config, ContentType, Event, Io, Message, Options, Server, Session, Sleep, accept_io,
    connect, connect_io,
};

fn options() -> Options {
    let config = Config::builder().queued_output(3000).queued_events(2).build().unwrap();
    Options::new(keys()).config(config)
}

fn run<T>(case: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(600), case).await.expect("it hangs") })
}

/// Every cut after 1 to `most` polls, over transports of every kind.
fn every(most: usize, mut case: impl AsyncFnMut(Cut, [Mock; 2], &AtomicUsize)) {
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
                run(case(at, [a, b], &dropped));
            }
        }
    }
    assert!(dropped.load(Ordering::Relaxed) > 0, "no call was ever dropped");
}

async fn sessions([a, b]: [Mock; 2]) -> (Session, Session) {
    let options = options();
    let (client, server) = tokio::join!(connect_io(a, &options), accept_io(b, &options));
    (client.unwrap(), server.unwrap())
}

fn message(at: usize) -> Message {
    // One frame, several chunks, and none at all.
    Message::binary(content([100, 20_000, 0, 1][at % 4], at))
}

const COUNT: usize = 12;

/// A handshake that is dropped takes its connection with it; another transport, another session.
#[test]
fn handshakes() {
    let polls = 12;
    for server in [false, true] {
        every(polls, async |at, [a, b], dropped| {
            let options = options();
            let peer = tokio::spawn({
                let options = options.clone();
                async move { if server { connect_io(b, &options).await } else { accept_io(b, &options).await } }
            });
            let call =
                async { if server { accept_io(a, &options).await } else { connect_io(a, &options).await } };
            let ours = cut(at, call).await;
            let theirs = peer.await.unwrap();
            match ours {
                Some(ours) => {
                    let (ours, mut theirs) = (ours.unwrap(), theirs.unwrap());
                    ours.send(message(1)).await.unwrap();
                    assert_eq!(theirs.recv_message().await.unwrap(), message(1));
                }
                None => {
                    dropped.fetch_add(1, Ordering::Relaxed);
                    if let Ok(mut theirs) = theirs {
                        theirs.recv_message().await.unwrap_err();
                    }
                }
            }
        });
    }
}

/// What a future of `recv` or `recv_message` that was dropped had seen is seen by the next.
#[test]
fn receiving() {
    every(3, async |at, mocks, dropped| {
        let (client, server) = sessions(mocks).await;
        let sending = tokio::spawn(async move {
            for number in 0..COUNT {
                client.send(message(number)).await.unwrap();
            }
            client.close(None).await
        });
        let server = Mutex::new(server);
        let mut seen = Vec::new();
        #[allow(clippy::await_holding_lock)]
        let ended = loop {
            if seen.len() % 2 == 0 {
                match again(at, dropped, async || server.lock().unwrap().recv().await).await {
                    Some(Event::Message(message)) => seen.push(message),
                    Some(Event::Ended(ended)) => break ended,
                    Some(_) => {}
                    None => panic!("the last event is missing"),
                }
            } else {
                match again(at, dropped, async || server.lock().unwrap().recv_message().await).await {
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
        assert!(sending.await.unwrap().is_orderly());
    });
}

/// A message whose `send` was dropped was not sent; one whose `send` came back arrives once. `ready` and
/// `try_send` do the same without dropping the message.
#[test]
fn sending() {
    every(3, async |at, mocks, dropped| {
        let (client, mut server) = sessions(mocks).await;
        let receiving = tokio::spawn(async move {
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
                again(at, dropped, async || client.send(message(number)).await.unwrap()).await;
            }
        }
        client.start_close(None);
        assert!(again(at, dropped, async || client.closed().await).await.unwrap().in_order);
        let mut seen = receiving.await.unwrap();
        let mut expected: Vec<_> = (0..COUNT).map(message).collect();
        let key = |message: &Message| message.content.clone();
        seen.sort_by_key(key);
        expected.sort_by_key(key);
        assert!(seen == expected, "{} of {COUNT} arrived", seen.len());
    });
}

/// A piece whose `send` was dropped is not part of the message; a `begin` that was dropped began nothing.
#[test]
fn streaming() {
    every(3, async |at, mocks, dropped| {
        let (client, mut server) = sessions(mocks).await;
        let receiving = tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Ok(message) = server.recv_message().await {
                seen.push(message.content);
            }
            seen
        });
        for number in 0..3 {
            let begin = || Begin::new(ContentType::BINARY);
            let outgoing = again(at, dropped, async || client.begin(begin()).await.unwrap()).await;
            for piece in 0..6 {
                again(at, dropped, async || outgoing.send(content(2500, number * 10 + piece)).await.unwrap())
                    .await;
            }
            outgoing.end().unwrap();
        }
        client.close(None).await;
        let seen = receiving.await.unwrap();
        let whole = |number: usize| -> Bytes {
            (0..6).flat_map(|piece| content(2500, number * 10 + piece)).collect::<Vec<u8>>().into()
        };
        assert!(seen == [whole(0), whole(1), whole(2)], "{} messages", seen.len());
    });
}

/// A `close` that is dropped once it has begun goes on by itself: everything arrives, and the goodbye.
#[test]
fn closing() {
    every(12, async |at, mocks, dropped| {
        let (client, mut server) = sessions(mocks).await;
        client.send(message(1)).await.unwrap();
        client.send(message(3)).await.unwrap_or_else(|refused| panic!("{refused}"));
        if cut(at, client.close("bye".to_string())).await.is_none() {
            dropped.fetch_add(1, Ordering::Relaxed);
        }
        let mut seen = 0;
        let ended = loop {
            match server.recv_message().await {
                Ok(_) => seen += 1,
                Err(ended) => break ended,
            }
        };
        assert_eq!((seen, ended.is_orderly(), ended.detail.as_str()), (2, true, "bye"));
    });
}

/// The handles under a session: commands, room, events, the end.
#[test]
fn handles() {
    every(3, async |at, [a, b], dropped| {
        let options = Config::builder().queued_output(3000).queued_events(2).build().unwrap();
        let start = |io, make: &dyn Fn(heartwire_core::time::Instant) -> core::Session| {
            let (commands, events, driver) =
                heartwire_std::handle::start(Io(io), Sleep::default(), Endpoints::default(), make);
            tokio::spawn(driver);
            (commands, events)
        };
        let seed = heartwire_core::seed::Seed::new([9; 32]);
        let (client, mut heard): (Commands<_>, Events<_>) =
            start(a, &|now| core::Session::client(options.clone(), keys(), now));
        let (server, events) = start(b, &|now| core::Session::server(options.clone(), keys(), &seed, now));
        let events = Arc::new(Mutex::new(events));
        let receiving = tokio::spawn(async move { while heard.next().await.is_some() {} });
        // Before the handshake is done there is no room; the command waits for it.
        let send = |number| Command::Send(message(number));
        let watch = client.watch();
        let commands = async {
            for number in 0..4 {
                again(at, dropped, async || server.command(send(number)).await.unwrap()).await;
                again(at, dropped, async || client.room().await).await;
                again(at, dropped, async || client.command(send(number)).await.unwrap()).await;
            }
            client.try_command(Command::Close { reason: None }).unwrap();
        };
        #[allow(clippy::await_holding_lock)]
        let taking = async {
            let mut messages = 0;
            loop {
                match again(at, dropped, async || events.lock().unwrap().next().await).await {
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
        assert!(again(at, dropped, async || watch.closed().await).await.unwrap().in_order);
        assert!(again(at, dropped, async || server.closed().await).await.unwrap().in_order);
        receiving.await.unwrap();
    });
}

/// A server that is dropped at any poll lets go of its sessions and its address; another can listen there.
#[test]
fn serving() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut address: Address = "tcp://127.0.0.1:0".parse().unwrap();
        for polls in 1..10 {
            for woken in [false, true] {
                let at = Cut { polls, woken };
                println!("{at:?}");
                let options = Options::new(keys());
                let server = cut_free(|| Server::bind(std::slice::from_ref(&address), options.clone())).await;
                address = server.local_addresses()[0].clone();
                let echo = |mut session: Session| async move {
                    while let Ok(message) = session.recv_message().await {
                        let _ = session.send(message).await;
                    }
                };
                let client = tokio::spawn({
                    let (address, options) = (address.clone(), options.clone());
                    async move {
                        // One after another, until nobody listens: each is a reason to poll the server.
                        while let Ok(mut session) = connect(&address, &options).await {
                            let _ = session.send(Message::text("again")).await;
                            let _ = session.recv_message().await;
                        }
                    }
                });
                assert!(cut(at, server.serve(echo, std::future::pending())).await.is_none());
                client.await.unwrap();
            }
        }
    });
}

/// An address may be taken for a moment by connections that are on their way out.
async fn cut_free<F: Future<Output = std::io::Result<Server>>>(bind: impl Fn() -> F) -> Server {
    loop {
        match pin!(bind()).await {
            Ok(server) => return server,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
