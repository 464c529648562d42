//! Sessions: how they end.

use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::Why;
use heartwire_core::role::Role;
use heartwire_core::session::{Begin, EndedBy};
use heartwire_std::session::ConnectError;

use super::adapter::Adapter;
use super::fixtures::{content, options, with};
use super::links::{Link, with_raw};
use super::raw::Raw;

/// A peer that lets go of the connection without a goodbye.
pub async fn end_of_stream<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    // Dropping the last handle cuts the connection.
    drop(client);
    let ended = server.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.code), (EndedBy::Peer, Code::EndedWithoutDisconnect));
    let outcome = server.closed().await.expect("it ended");
    assert!(!outcome.in_order && outcome.code == Code::EndedWithoutDisconnect);
    let refused = server.send(Message::text("late")).await.expect_err("it ended");
    assert_eq!((refused.why, refused.command), (Why::Closed, Message::text("late")));
    assert!(server.begin(Begin::new(ContentType::TEXT)).await.is_err());
    server.ready().await;
}

/// Everything accepted before the session is closed and let go arrives, and the goodbye behind it.
pub async fn dropped_after_close<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    for at in 0..50 {
        client.send(Message::binary(content(10_000, at))).await.expect("accepted");
    }
    client.start_close(Some("that was all".to_string()));
    drop(client);
    for at in 0..50 {
        assert!(server.recv_message().await.expect("it arrives").content == content(10_000, at));
    }
    let ended = server.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "that was all"));
}

/// A sender goes on when the receiver is dropped; what arrives is dropped, and counted.
pub async fn receiver_dropped<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    let (sender, receiver) = client.split();
    drop(receiver);
    // More than would wait in the queue of events.
    for at in 0..40 {
        server.send(Message::binary(content(100_000, at))).await.expect("accepted");
        sender.send(Message::text(format!("{at}"))).await.expect("accepted");
        assert_eq!(server.recv_message().await.expect("it arrives").content, format!("{at}"));
    }
    server.start_close(None);
    let outcome = sender.closed().await.expect("it ended");
    assert!(outcome.in_order);
    // With the last event.
    assert_eq!(sender.discarded(), 41);
}

/// A session that is aborted ends without a goodbye; what did not leave is handed back.
pub async fn aborted<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    client.send(Message::text("before")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "before");
    client.abort_connection();
    let ended = server.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.code), (EndedBy::Peer, Code::EndedWithoutDisconnect), "{ended}");
    let outcome = client.closed().await.expect("it ended");
    assert!(!outcome.in_order && outcome.code == Code::Aborted, "{outcome:?}");
}

/// A peer that resets the connection is no peer that ends it.
pub async fn reset<A: Adapter, L: Link<A>>() {
    let (mut session, raw) = with_raw::<A, L, _>(Role::Server, &options()).await;
    raw.into_io().reset();
    let ended = session.recv_message().await.expect_err("it ended");
    // A Unix socket knows no reset.
    let closed = (EndedBy::Peer, Code::EndedWithoutDisconnect);
    let expected = [(EndedBy::Transport, Code::TransportFailed), closed];
    assert!(expected.contains(&(ended.by, ended.code)), "{ended}");
}

/// A reset after the session was closed in order changes nothing about how it ended.
pub async fn reset_after_the_goodbye<A: Adapter, L: Link<A>>() {
    let (mut session, raw) = with_raw::<A, L, _>(Role::Client, &options()).await;
    session.start_close(None);
    let ended = session.recv_message().await.expect_err("it ended");
    assert!(ended.is_orderly() && ended.told);
    raw.into_io().reset();
    let outcome = session.closed().await.expect("it ended");
    assert_eq!((outcome.code, outcome.in_order), (Code::Disconnected, true));
}

/// The peer's stream has ended when we say our last: it still reaches who reads on.
pub async fn goodbye_after_the_peers_end<A: Adapter, L: Link<A>>() {
    let (session, raw) = with_raw::<A, L, _>(Role::Server, &options()).await;
    session.send(Message::binary(content(30_000, 1))).await.expect("accepted");
    session.start_close(Some("closing".to_string()));
    let mut io = raw.into_io();
    io.finish().await.expect("it ends");
    let (rest, outcome) = tokio::join!(io.read_to_end(), session.closed());
    assert!(rest.expect("it arrives").windows(7).any(|bytes| bytes == b"closing"), "the goodbye is missing");
    assert!(outcome.expect("it ended").in_order);
}

/// A peer that stalls in the handshake, or lets bytes trickle in.
pub async fn stalled_handshake<A: Adapter, L: Link<A>>() {
    let config = Config::builder().handshake_timeout(L::seconds(10)).drain_timeout(L::seconds(2));
    let options = with(config.flush_timeout(L::seconds(2)).build().expect("valid"));
    for trickle in [false, true] {
        for role in [Role::Client, Role::Server] {
            let (session, mut io) = L::against(role, &options);
            let peer = A::spawn(async move {
                let mut bytes = Vec::new();
                if trickle {
                    let mut raw = if role == Role::Server { Raw::client(io) } else { Raw::server(io) };
                    if role == Role::Server {
                        raw.read().await;
                    }
                    bytes = raw.output();
                    assert!(bytes.len() > 20, "they last longer than the handshake may");
                    io = raw.into_io();
                }
                for byte in bytes {
                    if io.write_all(&[byte]).await.is_err() {
                        break;
                    }
                    A::sleep(L::seconds(1)).await;
                }
                let _ = io.read_to_end().await;
            });
            let began = A::now();
            let Err(error) = session.await else { panic!("a session") };
            let ConnectError::Handshake(ended) = error else { panic!("{error}") };
            assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::HandshakeTimeout));
            let took = A::now() - began;
            assert!(took >= L::seconds(10), "{took:?}");
            assert!(took < Duration::from_millis(14_100), "{took:?}");
            peer.await;
        }
    }
}
