//! Sessions: the limits of a server.

use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::server::Limits;
use heartwire_core::session::EndedBy;
use heartwire_std::session::ConnectError;
use tokio::sync::mpsc;

use super::adapter::Adapter;
use super::fixtures::{echo, options};
use super::links::Hosted;
use super::raw::Channel;
use super::sockets::Socket;

/// A server that is full tells a newcomer so, and takes the next when somebody left.
pub async fn too_many_sessions<A: Adapter, L: Hosted<A>>() {
    let limits = Limits::builder().max_sessions(2).build().expect("valid");
    let options = options().limits(limits);
    let (address, serving) = L::serve(&options, echo).await.expect("it listens");
    let connect = || A::connect(&address, &options);
    let (mut first, mut second) = (connect().await.expect("a session"), connect().await.expect("a session"));
    // Both count when they answer.
    for session in [&mut first, &mut second] {
        session.send(Message::text("one")).await.expect("accepted");
        session.recv_message().await.expect("it arrives");
    }
    match connect().await {
        Err(ConnectError::Handshake(ended)) => {
            assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::TooManySessions));
        }
        other => panic!("{other:?}"),
    }
    first.close(None).await;
    // The server hears of it a moment later.
    let mut third = loop {
        if let Ok(session) = connect().await {
            break session;
        }
    };
    third.send(Message::text("three")).await.expect("accepted");
    third.recv_message().await.expect("it arrives");
    let report = serving.stopped().await;
    assert_eq!((report.told, report.closed, report.cut.len()), (2, 2, 0), "{report}");
    drop(third);
}

/// Too many handshakes in progress: the oldest is cut.
pub async fn oldest_handshake_is_cut<A: Adapter, L: Hosted<A>>() {
    let limits = Limits::builder().max_handshakes(2).build().expect("valid");
    let options = options().limits(limits);
    let (address, serving) = L::serve(&options, echo).await.expect("it listens");
    let (ended, mut oldest) = mpsc::unbounded_channel();
    for at in 0..3 {
        let mut peer = Channel::from(Socket::connect(&address).await);
        let ended = ended.clone();
        drop(A::spawn(async move {
            let _ = peer.read_to_end().await;
            let _ = ended.send(at);
        }));
    }
    assert_eq!(oldest.recv().await, Some(0));
    let report = serving.stopped().await;
    assert_eq!((report.handshakes, report.told), (2, 0), "{report}");
    assert!(oldest.recv().await.is_some() && oldest.recv().await.is_some());
}
