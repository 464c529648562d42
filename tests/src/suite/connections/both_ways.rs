//! Every protocol there and back.

use bytes::Bytes;
use heartwire_core::connection::Gatherer;
use heartwire_core::wire::body::{Part, Whole};
use heartwire_core::wire::json_header::{self, JsonFormat, JsonHeader, Kind};
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_core::wire::sealed::{self, Sealed, SecretKey};
use heartwire_std::connection::{Receiver, Sender};
use heartwire_std::options::ConnectionOptions;
use tokio::sync::mpsc;

use super::fixtures::{line, lines, part};
use crate::peers;
use crate::suite::adapter::Adapter;
use crate::suite::fixtures::content;
use crate::suite::links::{Hosted, listen};

const KEY: [u8; 32] = [7; 32];

/// Lines there and back.
pub async fn lines_both_ways<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let (mut client, mut served) = server.pair::<A>(&options).await;
    for number in 0..300 {
        client.send(line(&format!("up {number}"))).await.expect("accepted");
        served.send(line(&format!("down {number}\r"))).await.expect("accepted");
    }
    for number in 0..300 {
        assert_eq!(served.recv().await, Some(line(&format!("up {number}"))));
        assert_eq!(client.recv().await, Some(line(&format!("down {number}\r"))));
    }
    part(client, served).await;
}

/// Messages behind their length there and back, whole and in pieces, larger than every buffer.
pub async fn lengths_both_ways<A: Adapter, L: Hosted<A>>() {
    const SIZES: [usize; 6] = [0, 1, 8192, 65_537, 1 << 20, 5_000_000];
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default());
    let mut server = listen::<A, L, _>(&options).await;
    let (client, served) = server.pair::<A>(&options).await;
    let (client, served) = (client.split(), served.split());
    let whole = async |sender: &Sender<LengthPrefixed>| {
        for (salt, size) in SIZES.into_iter().enumerate() {
            sender.send(Whole::from(content(size, salt))).await.expect("accepted");
        }
        sender.finish();
    };
    let pieces = async |sender: &Sender<LengthPrefixed>| {
        for (salt, size) in SIZES.into_iter().enumerate() {
            let head = length_prefixed::Head { size: size as u64 };
            let outgoing = sender.begin(head).await.expect("accepted");
            let body = content(size, salt);
            let mut rest = body.clone();
            while !rest.is_empty() {
                outgoing.send(rest.split_to(rest.len().min(70_000))).await.expect("accepted");
            }
            outgoing.end().expect("it is whole");
        }
        sender.finish();
    };
    let receive = async |mut receiver: Receiver<LengthPrefixed>| {
        let mut gatherer = Gatherer::new(u64::MAX);
        for (salt, size) in SIZES.into_iter().enumerate() {
            let message = receiver.recv_whole(&mut gatherer).await.expect("not too large").expect("it comes");
            assert!(message.body == content(size, salt), "{size} bytes are others");
        }
        assert_eq!(receiver.recv_whole(&mut gatherer).await, Ok(None));
        assert!(receiver.end().await.is_orderly());
    };
    tokio::join!(whole(&client.0), pieces(&served.0), receive(client.1), receive(served.1));
}

/// Files and texts there and back.
pub async fn headers_both_ways<A: Adapter, L: Hosted<A>>() {
    let options = ConnectionOptions::<JsonHeader>::new(JsonFormat::new());
    let mut server = listen::<A, L, _>(&options).await;
    let (mut client, served) = server.pair::<A>(&options).await;
    let file = json_header::Head { kind: Kind::Csv, size: 300_000, filename: "a/é.csv".into() };
    let body = content(300_000, 1);
    let text = Whole { head: json_header::Head::text(5), body: Bytes::from("hello") };
    let send = async {
        served.send(text.clone()).await.expect("accepted");
        let outgoing = served.begin(file.clone()).await.expect("accepted");
        for piece in body.chunks(64 * 1024) {
            outgoing.send(Bytes::copy_from_slice(piece)).await.expect("accepted");
        }
        outgoing.end().expect("it is whole");
    };
    let receive = async {
        let mut gatherer = Gatherer::new(1 << 20);
        let receiver = client.receiver();
        assert_eq!(receiver.recv_whole(&mut gatherer).await, Ok(Some(text.clone())));
        let message = receiver.recv_whole(&mut gatherer).await.expect("not too large").expect("it comes");
        assert!(message.head == file && message.body == body, "another file");
    };
    tokio::join!(send, receive);
    client.send(text.clone()).await.expect("accepted");
    let mut served = served;
    assert_eq!(served.recv().await, Some(Part::Head(text.head)));
    part(client, served).await;
}

/// Requests, one after another and all at once, each with its answer; also for who asks for the next before it
/// has answered, in another task.
pub async fn requests_and_responses<A: Adapter, L: Hosted<A>>() {
    let options = ConnectionOptions::<Sealed>::new(sealed::Settings::new(SecretKey::new(KEY)));
    let mut server = listen::<A, L, _>(&options).await;
    let (mut client, mut served) = server.pair::<A>(&options).await;
    for size in [0, 1, 70_000, 1 << 20] {
        let request = content(size, 3);
        client.send(request.clone()).await.expect("accepted");
        assert!(served.recv().await.expect("a request") == request);
        served.send(request.clone()).await.expect("accepted");
        assert!(client.recv().await.expect("an answer") == request);
    }
    part(client, served).await;

    let requests: Vec<u8> = (0..20_u8)
        .flat_map(|number| peers::sealed::packet(&KEY, &peers::sealed::nonce(number.into()), &[number; 10]))
        .collect();
    let (mut raw, served) = server.raw().await;
    raw.write_all(&requests).await.expect("it is written");
    raw.finish().await.expect("it is open");
    let (sender, mut receiver) = served.split();
    let (give, mut take) = mpsc::unbounded_channel();
    let receive = async {
        while let Some(request) = receiver.recv().await {
            give.send(request).expect("it is taken");
        }
        drop(give);
        receiver
    };
    let answer = async {
        while let Some(request) = take.recv().await {
            assert!(take.is_empty(), "one at a time");
            sender.send(request).await.expect("accepted");
        }
        sender.finish();
    };
    let (mut receiver, ()) = tokio::join!(receive, answer);
    let (answers, ended) = tokio::join!(raw.read_to_end(), receiver.end());
    let answers = answers.expect("it ends in order");
    assert!(ended.is_orderly() && ended.told, "{ended}");
    let mut answers = &answers[..];
    for number in 0..20_u8 {
        let answer = peers::sealed::read(&mut answers, &KEY, peers::sealed::LIMIT).expect("it opens");
        assert_eq!(answer.expect("an answer").plaintext, [number; 10]);
    }
    assert!(answers.is_empty());
}

/// Who only sends may let go of the half that receives.
pub async fn receiver_dropped<A: Adapter, L: Hosted<A>>() {
    let options = lines();
    let mut server = listen::<A, L, _>(&options).await;
    let (client, served) = server.pair::<A>(&options).await;
    let (sender, receiver) = client.split();
    drop(receiver);
    let (served, mut heard) = served.split();
    for number in 0..2000 {
        served.send(line(&format!("nobody hears {number}"))).await.expect("accepted");
        sender.send(line(&number.to_string())).await.expect("accepted");
        assert_eq!(heard.recv().await, Some(line(&number.to_string())));
    }
    served.start_close();
    sender.start_close();
    assert!(heard.end().await.is_orderly());
    assert!(sender.closed().await.expect("it ended").in_order);
}
