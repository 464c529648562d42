//! Sessions: who sends more than is taken waits, in bounded memory, and goes on when there is room.

use std::time::Duration;

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::{Ticket, Why};
use heartwire_core::role::Role;
use heartwire_core::session::{Begin, EndedBy};
use heartwire_std::session::Session;

use super::adapter::{Adapter, within};
use super::fixtures::{content, options, with};
use super::heartbeat::intervals;
use super::links::{Link, with_raw};
use super::raw::Raw;

/// Sends this message until there is no room for it any more, however long one waits.
async fn fill<A: Adapter>(session: &Session, message: &Message) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    loop {
        match session.try_send(message.clone()) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => {
                assert_eq!(refused.why, Why::Full);
                if within::<A, _>(Duration::from_millis(200), session.ready_for(message)).await.is_none() {
                    return tickets;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

/// Who waits for room for a message gets it, and does not wait in vain when the session is closing.
pub async fn room_for_a_message<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    let large = Message::binary(content(4_000_000, 1));
    let mut sent = 0;
    // The recipe by which nothing is lost with a future that is dropped: it must not spin.
    let send = async {
        for _ in 0..4 {
            let mut tries = 0;
            loop {
                client.ready_for(&large).await;
                match client.try_send(large.clone()) {
                    Ok(_) => break,
                    Err(refused) => assert_eq!(refused.why, Why::Full),
                }
                tries += 1;
                assert!(tries < 1000, "it spins");
            }
            sent += 1;
        }
    };
    let receive = async {
        for _ in 0..4 {
            assert_eq!(server.recv_message().await.expect("it arrives").content.len(), 4_000_000);
        }
    };
    tokio::join!(send, receive);
    assert_eq!(sent, 4);
    // A task that keeps a message open still sends others.
    let open = client.begin(Begin::new(ContentType::BINARY)).await.expect("accepted");
    client.send(Message::binary(content(9000, 2))).await.expect("accepted");
    let another = client.begin(Begin::new(ContentType::BINARY)).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content.len(), 9000);
    drop((open, another));
    // The server does not receive any more: the queue fills, and nobody waits for room once it closes.
    while client.try_send(large.clone()).is_ok() {}
    while client.try_send(Message::binary(content(1000, 3))).is_ok() {}
    client.start_close(None);
    client.ready().await;
    client.ready_for(&large).await;
    assert_eq!(client.try_send(large).expect_err("it closes").why, Why::Closed);
    client.abort_connection();
}

/// An application that does not receive stops its peer, in bounded memory, and nothing is lost.
pub async fn slow_application<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    let mut sent = 0;
    // A real kernel's buffers take some megabytes as well.
    let limit = if !L::KERNEL { 350 } else { 3000 };
    loop {
        match client.try_send(Message::binary(content(8000, sent))) {
            Ok(_) => sent += 1,
            Err(refused) => {
                assert_eq!(refused.why, Why::Full);
                // Full for good when no room comes, however long one waits.
                let longest = A::sleep(Duration::from_millis(100));
                tokio::select! {
                    () = client.ready() => {}
                    () = longest => break,
                }
            }
        }
        assert!(client.queued_bytes() <= 1024 * 1024 + 80_000);
        assert!(sent < limit, "{sent} messages of 8,000 bytes were accepted");
    }
    assert!(sent > 200, "{sent}");
    for at in 0..sent {
        assert!(server.recv_message().await.expect("it arrives").content == content(8000, at));
    }
    client.send(Message::text("room again")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "room again");
}

/// Every way of waiting to send ends when there is room, whatever made it.
pub async fn room_wakes_who_waits<A: Adapter, L: Link<A>>() {
    let config = Config::builder().queued_output(200_000).heartbeat_interval(Duration::from_secs(20)).build();
    let setup = with(config.expect("valid"));
    let (session, _raw) = with_raw::<A, L, _>(Role::Client, &setup).await;
    let mut tickets = fill::<A>(&session, &Message::binary(content(100_000, 0))).await;
    fill::<A>(&session, &Message::text("small")).await;
    // The peer does not read. What is given up makes room.
    let sender = session.sender().clone();
    let waiting = A::spawn(async move { sender.send(Message::text("after the others")).await.map(drop) });
    let sender = session.sender().clone();
    let ready = A::spawn(async move { sender.ready().await });
    A::sleep(Duration::from_millis(1)).await;
    let last = tickets.pop().expect("one");
    let began = A::now();
    for ticket in tickets {
        let _ = session.abort(ticket);
    }
    session.abort(last).expect("it has not left");
    ready.await;
    waiting.await.expect("accepted");
    assert!(A::now() - began < Duration::from_secs(10), "woken at once, not by a heartbeat");

    // A stream that was given up before its first piece makes room for another.
    let small = with(Config::builder().unfinished_limit(2).build().expect("valid"));
    let (client, server, _serving) = L::pair(&setup, &small).await;
    let first = client.begin(Begin::new(ContentType::TEXT)).await.expect("accepted");
    let sender = client.sender().clone();
    let waiting = A::spawn(async move { sender.begin(Begin::new(ContentType::TEXT)).await.map(drop) });
    A::sleep(Duration::from_millis(1)).await;
    let began = A::now();
    drop(first);
    waiting.await.expect("accepted");
    assert!(A::now() - began < Duration::from_secs(10), "woken at once, not by a heartbeat");
    drop(server);
}

/// How often there is a heartbeat where a queue of two events is full.
fn rarely<A: Adapter, L: Link<A>>() -> Duration {
    Duration::from_secs(if L::SIMULATED { 15 } else { 8 })
}

/// A peer of an application whose queue two events fill; it has sent two messages.
async fn filled<A: Adapter, L: Link<A>>() -> (Session, Raw) {
    let config = Config::builder().queued_events(2).heartbeat_interval(rarely::<A, L>());
    let options = with(config.progress_timeout(L::seconds(10)).build().expect("valid"));
    let (session, mut raw) = with_raw::<A, L, _>(Role::Client, &options).await;
    if L::SIMULATED {
        // Past the first heartbeat: from here on the driver sleeps until the second.
        A::sleep(Duration::from_secs(16)).await;
    }
    for text in ["one", "two"] {
        raw.send(text);
    }
    raw.write().await;
    (session, raw)
}

async fn expect(session: &mut Session, expected: impl Into<Bytes>) {
    assert_eq!(session.recv_message().await.expect("it arrives").content, expected.into());
}

/// An application takes what filled its queue, and asks for no more for a while. The driver reads on at
/// once, though what was left was too little to be understood: it is not late.
pub async fn full_queue_is_taken<A: Adapter, L: Link<A>>() {
    let (mut session, mut raw) = filled::<A, L>().await;
    // More than is read at once, so that nothing but the application can wake the driver.
    raw.send(content(40_000, 3));
    let write = async {
        raw.write().await;
    };
    let take = async {
        A::sleep(Duration::from_millis(10)).await;
        expect(&mut session, "one").await;
        A::sleep(L::seconds(20)).await;
        expect(&mut session, "two").await;
        expect(&mut session, content(40_000, 3)).await;
    };
    tokio::join!(write, take);
}

/// The same where nothing was left but the end of the stream: taking the last event is enough to have the connection closed.
pub async fn full_queue_is_taken_at_the_end<A: Adapter, L: Link<A>>() {
    let (mut session, raw) = filled::<A, L>().await;
    let mut io = raw.into_io();
    io.finish().await.expect("it ends");
    A::sleep(Duration::from_millis(10)).await;
    expect(&mut session, "one").await;
    expect(&mut session, "two").await;
    let began = A::now();
    assert_eq!(session.recv_message().await.expect_err("it ended").code, Code::EndedWithoutDisconnect);
    assert_eq!(session.closed().await.expect("it ended").code, Code::EndedWithoutDisconnect);
    let took = A::now() - began;
    assert!(took < if L::SIMULATED { Duration::from_secs(1) } else { rarely::<A, L>() / 2 }, "{took:?}");
}

/// A peer that never reads: sending stops at the limit, and what was accepted is handed back.
pub async fn peer_never_reads<A: Adapter, L: Link<A>>() {
    let options = intervals(Config::builder().flush_timeout(L::seconds(2)), L::seconds);
    let (mut session, raw) = with_raw::<A, L, _>(Role::Client, &options).await;
    let began = A::now();
    let size = if L::KERNEL { 20_000 } else { 1000 };
    let message = Message::binary(content(size, 0));
    let tickets = fill::<A>(&session, &message).await;
    if !L::KERNEL {
        assert!((700..1100).contains(&tickets.len()), "{}", tickets.len());
    }
    assert!(session.queued_bytes() < 1024 * 1024 + 2 * size);
    // It heard nothing for long enough; that can't be told to who does not read.
    let ended = loop {
        if let Err(ended) = session.recv_message().await {
            break ended;
        }
    };
    assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::PeerSilent, false));
    let took = A::now() - began;
    assert!(took >= L::seconds(25) && took < L::seconds(40) + Duration::from_secs(20), "{took:?}");
    assert!(!L::SIMULATED || took < Duration::from_secs(40), "{took:?}");
    // Each is handed back or was taken: the last ones are handed back, none is missing.
    let unsent: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
    assert!(!unsent.is_empty());
    assert_eq!(unsent, tickets[tickets.len() - unsent.len()..]);
    assert!(L::KERNEL || tickets.len() - unsent.len() <= 4, "the pipe holds 4 KiB");
    assert!(ended.unsent.iter().all(|unsent| unsent.message.as_ref() == Some(&message)));
    drop(raw);
}
