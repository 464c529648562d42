//! Sessions: what is sent arrives, both ways, over every link.

use heartwire_core::config::{Config, Receive};
use heartwire_core::error::Code;
use heartwire_core::message::{App, ContentType, Message};
use heartwire_core::session::{Begin, EndedBy, Event, PieceEnd};
use heartwire_std::address::Address;
use heartwire_std::session::{Receiver, Sender, Session};

use super::adapter::Adapter;
use super::fixtures::{all_left, content, options, with};
use super::links::Link;

/// The handshake settles one id and what each side takes, and both sides know where they are.
pub async fn handshake<A: Adapter, L: Link<A>>() {
    let small = with(Config::builder().message_limit(12345).unfinished_limit(3).build().expect("valid"));
    let (client, server, _serving) = L::pair(&options(), &small).await;
    assert_eq!(client.id(), server.id());
    assert_eq!(client.id().len(), 36);
    let limits = client.established().limits;
    assert_eq!((limits.message, limits.unfinished), (12345, 3));
    assert_eq!(server.local_address().is_some(), L::KERNEL);
    match server.local_address() {
        Some(Address::Tcp { .. }) => {
            assert_eq!(client.local_address(), server.peer_address());
            assert_eq!(client.peer_address(), server.local_address());
            assert!(client.local_address().is_some());
        }
        Some(_) => assert_eq!(client.peer_address(), server.local_address()),
        None => assert_eq!((client.peer_address(), client.local_address()), (None, None)),
    }
}

/// Around every limit that a message's size may cross.
pub(super) const SIZES: [usize; 14] =
    [0, 1, 2, 63, 64, 1000, 4096, 4097, 8192, 8193, 8194, 20_000, 65_536, 300_000];

/// A message of one of these sizes, with entries and a type of its own.
pub(super) fn message(at: usize) -> Message {
    let app = App::from_json(&format!("{{\"at\": {at}}}")).expect("entries");
    let content_type = ContentType::new(&format!("kind/{at}")).expect("a type");
    Message::new(content_type, content(SIZES[at], at)).with_app(app)
}

/// Messages of many sizes arrive as they were sent, both ways, their entries and types with them.
pub async fn messages<A: Adapter, L: Link<A>>() {
    let (mut client, mut server, _serving) = L::pair(&options(), &options()).await;
    for (one, other) in [(0, 1), (1, 0), (0, 1)] {
        let (from, to) = if one < other { (&mut client, &mut server) } else { (&mut server, &mut client) };
        for at in 0..SIZES.len() {
            from.send(message(at)).await.expect("it is accepted");
            assert_eq!(to.recv_message().await.expect("it arrives"), message(at));
        }
    }
    all_left(&client).await;
    let (sent, received) = (client.stats(), server.stats());
    assert_eq!(sent.messages_sent, 2 * SIZES.len() as u64);
    assert_eq!(received.messages_received, sent.messages_sent);
    assert_eq!(received.bytes_received, sent.bytes_sent);
    let (ended, other) = tokio::join!(client.close(Some("done".to_string())), server.recv_message());
    assert_eq!((ended.by, ended.code), (EndedBy::Local, Code::Disconnected));
    let other = other.expect_err("it ended");
    assert_eq!((other.by, other.code, other.detail.as_str()), (EndedBy::Peer, Code::Disconnected, "done"));
}

/// 32 MB each way at once, neither side waiting for the other.
pub async fn much_both_ways<A: Adapter, L: Link<A>>() {
    let (client, server, _serving) = L::pair(&options(), &options()).await;
    // Whoever is done first must not take the other's messages with it: both are kept until both are done.
    let _kept = tokio::join!(A::spawn(much(client)), A::spawn(much(server)));
}

/// Sends 32 MB, and receives as much at the same time.
pub(super) async fn much(session: Session) -> (Sender, Receiver) {
    const COUNT: usize = 32;
    let (sender, mut receiver) = session.split();
    let one = content(1_000_000, 5);
    let receive = async {
        for _ in 0..COUNT {
            assert!(receiver.recv_message().await.expect("it arrives").content == one);
        }
    };
    let send = async {
        for _ in 0..COUNT {
            sender.send(Message::binary(one.clone())).await.expect("it is accepted");
        }
    };
    tokio::join!(receive, send);
    (sender, receiver)
}

/// A large message reaches the application in pieces, if that is asked for.
pub async fn pieces<A: Adapter, L: Link<A>>() {
    let setup = with(Config::builder().receive(Receive::Pieces).build().expect("valid"));
    let (client, mut server, _serving) = L::pair(&options(), &setup).await;
    let whole = content(100_000, 2);
    client.send(Message::binary(whole.clone())).await.expect("accepted");
    client.start_close(None);
    let (mut got, mut pieces, mut last) = (Vec::new(), 0, false);
    loop {
        match server.recv().await.expect("an event") {
            Event::Piece(piece) => {
                assert_eq!(piece.start.as_ref().and_then(|start| start.total_size).is_some(), pieces == 0);
                got.extend_from_slice(&piece.content);
                (pieces, last) = (pieces + 1, piece.end == PieceEnd::Last);
            }
            Event::Ended(ended) => break assert!(ended.is_orderly()),
            other => panic!("{other:?}"),
        }
    }
    assert!(server.recv().await.is_none(), "nothing after the last event");
    assert!(last && pieces >= 12 && got == whole, "{pieces} pieces");
}

/// A message is sent piece by piece; one that is dropped on the way is given up.
pub async fn streams<A: Adapter, L: Link<A>>() {
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    let begin = || Begin::new(ContentType::BINARY);
    let whole = content(3_000_000, 3);
    let send = async {
        let outgoing = client.begin(begin()).await.expect("accepted");
        for piece in whole.chunks(77_777) {
            outgoing.send(whole.slice_ref(piece)).await.expect("accepted");
        }
        outgoing.end().expect("it ends");
    };
    let ((), message) = tokio::join!(send, server.recv_message());
    assert!(message.expect("it arrives").content == whole);
    let outgoing = client.begin(begin().total_size(50_000)).await.expect("accepted");
    outgoing.send(content(20_000, 4)).await.expect("accepted");
    // Only of one that has begun the peer is told; it has when a message behind it arrives.
    client.send(Message::text("behind it")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "behind it");
    drop(outgoing);
    match server.recv().await {
        Some(Event::Abandoned { received, .. }) => assert!(received <= 20_000),
        other => panic!("{other:?}"),
    }
    client.send(Message::text("after it")).await.expect("accepted");
    assert_eq!(server.recv_message().await.expect("it arrives").content, "after it");
}

/// The halves work in two tasks at once.
pub async fn split_halves<A: Adapter, L: Link<A>>() {
    let (client, server, _serving) = L::pair(&options(), &options()).await;
    let (sender, mut receiver) = server.split();
    let echo = A::spawn(async move {
        while let Ok(message) = receiver.recv_message().await {
            sender.send(message).await.expect("accepted");
        }
        receiver
    });
    let (sender, mut receiver) = client.split();
    let send = A::spawn(async move {
        for at in 0..500 {
            sender.send(Message::text(format!("{at}"))).await.expect("accepted");
        }
        sender
    });
    let receive = A::spawn(async move {
        for at in 0..500 {
            assert_eq!(receiver.recv_message().await.expect("it arrives").content, format!("{at}"));
        }
        receiver
    });
    let (sender, receiver) = tokio::join!(send, receive);
    sender.start_close(None);
    drop((sender, receiver));
    let receiver = echo.await;
    assert!(receiver.ended().expect("it ended").is_orderly());
}

/// What is known of a session.
pub async fn information<A: Adapter, L: Link<A>>() {
    struct Name(&'static str);
    let before = A::now();
    let (client, mut server, _serving) = L::pair(&options(), &options()).await;
    assert!(client.since() >= before && client.since() <= A::now());
    assert!(client.last_heard() >= client.since());
    all_left(&client).await;
    assert!(!client.is_closing() && client.round_trip().is_none());
    let one = client.sender().clone();
    assert!(one.value::<Name>().is_none() && one.set_value(Name("a")).is_none());
    assert_eq!(client.value::<Name>().expect("it was set").0, "a");
    assert_eq!(client.set_value(Name("b")).expect("it was set").0, "a");
    assert!(one.is_same(&client) && !one.is_same(&server));
    client.send(Message::text("hello")).await.expect("accepted");
    server.recv_message().await.expect("it arrives");
    all_left(&server).await;
    let stats = server.stats();
    assert_eq!((stats.messages_received, stats.messages_sent), (1, 0));
    assert_eq!((stats.frames_received, stats.frames_sent), (2, 1));
    assert!(stats.bytes_received > 128 && stats.bytes_sent > 64);
    client.start_close(None);
    assert!(client.is_closing());
}
