//! A message of 1 GiB, given piece by piece and received piece by piece: what it takes of memory at either end, and
//! how fast it is, against 1 GiB through sockets alone in writes of 64 KiB, with the same checksums and
//! authentication computed at both ends. Each end is a process of its own; the rounds alternate. Loopback TCP.
//!
//! `cargo bench --bench large`; `-- --mib N` for another size than 1,024 MiB, `--rounds N` for more than 3. Linux
//! only.

mod support;

use std::time::{Duration, Instant};

use heartwire_tests::suite::keys;
use heartwire_tokio::{
    Begin, Bytes, Config, ContentType, Event, Options, PieceEnd, Receive, accept_io, connect_io,
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use support::process::{Helper, answer_all, option, part, peak_resident_kib};
use support::report::{Report, Row, Target};
use support::sessions::listener;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

const PIECE: usize = 64 * 1024;
/// What is sent beside each piece of a socket's: two checksums and the authentication code.
const CHECKS: usize = 40;

fn main() {
    let pieces = option("mib", 1024) * (1024 * 1024 / PIECE);
    match part().as_deref() {
        None => compare(pieces),
        Some("receive session") => receive(|stream| async move { receive_message(stream, pieces).await }),
        Some("receive sockets") => receive(|stream| async move { receive_checked(stream, pieces).await }),
        Some("send session") => send(|stream| async move { send_message(stream, pieces).await }),
        Some("send sockets") => send(|stream| async move { send_checked(stream, pieces).await }),
        Some(other) => panic!("there is no part {other}"),
    }
}

fn compare(pieces: usize) {
    let mib = (pieces * PIECE) as f64 / (1024.0 * 1024.0);
    let (mut speeds, mut floors) = (Vec::new(), Vec::new());
    let (mut sending, mut receiving) = (Vec::new(), Vec::new());
    for _ in 0..option("rounds", 3) {
        let [seconds, ..] = transfer("sockets");
        floors.push(mib / seconds);
        let [seconds, sender, receiver] = transfer("session");
        speeds.push(mib / seconds);
        sending.push(sender / 1024.0);
        receiving.push(receiver / 1024.0);
    }
    let ratios = speeds.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect();
    let mut report = Report::new("large");
    let name = format!("{mib:.0} MiB");
    let row = |group, against, unit, samples| Row::of_samples((group, &name, against), unit, samples);
    let memory = Target::AtMost(16.0);
    report.add(row("peak memory of the sender", "", "MiB", sending).target(memory));
    report.add(row("peak memory of the receiver", "", "MiB", receiving).target(memory));
    report.add(row("a message in pieces", "sockets alone", "x its MiB/s", ratios));
    report.add(row("a message in pieces", "", "MiB/s", speeds));
    report.add(row("sockets alone", "", "MiB/s", floors));
    report.save();
}

/// The seconds that a transfer took, and the most memory of the sender and the receiver, in KiB.
fn transfer(how: &str) -> [f64; 3] {
    let mut receiver = Helper::start(&format!("receive {how}"));
    let mut sender = Helper::start(&format!("send {how}"));
    let address = receiver.line();
    let sent = sender.ask_number(&address);
    let seconds = receiver.ask_number("seconds");
    [seconds, sent, receiver.ask_number("memory")]
}

/// In a helper: receives once, and says how long that took and what it took.
fn receive<F: Future<Output = ()>>(receive: impl FnOnce(TcpStream) -> F) {
    let took = runtime().block_on(async {
        let listener = listener().await;
        println!("{}", listener.local_addr().expect("it has one"));
        let (stream, _) = listener.accept().await.expect("it connects");
        stream.set_nodelay(true).expect("it can");
        let began = Instant::now();
        receive(stream).await;
        began.elapsed()
    });
    answer_all(|question| match question {
        "seconds" => took.as_secs_f64(),
        _ => peak_resident_kib(),
    });
}

/// In a helper: sends once, to the address it is told, and says what that took.
fn send<F: Future<Output = ()>>(send: impl Fn(TcpStream) -> F) {
    answer_all(|address| {
        runtime().block_on(async {
            let stream = TcpStream::connect(address).await.expect("it connects");
            stream.set_nodelay(true).expect("it can");
            send(stream).await;
        });
        peak_resident_kib()
    });
}

/// One thread for each end, as many as there are ends.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn options(pieces: usize) -> Options {
    let config = Config::builder().receive(Receive::Pieces).chunk_size(PIECE);
    let config = config.message_limit((pieces * PIECE) as u64).silence_timeout(Duration::from_secs(60));
    Options::new(keys()).config(config.build().expect("it is valid"))
}

async fn send_message(stream: TcpStream, pieces: usize) {
    let session = connect_io(stream, &options(pieces)).await.expect("a session");
    let begin = Begin::new(ContentType::BINARY).total_size((pieces * PIECE) as u64);
    let outgoing = session.begin(begin).await.expect("it is accepted");
    for _ in 0..pieces {
        // Made anew, as one that is read from somewhere.
        outgoing.send(Bytes::from(vec![7; PIECE])).await.expect("it is accepted");
    }
    outgoing.end().expect("it is whole");
    let ended = session.close(None).await;
    assert!(ended.is_orderly(), "{ended}");
}

async fn receive_message(stream: TcpStream, pieces: usize) {
    let mut session = accept_io(stream, &options(pieces)).await.expect("a session");
    let mut received = 0;
    loop {
        match session.recv().await {
            Some(Event::Piece(piece)) => {
                received += piece.content.len();
                if piece.end == PieceEnd::Last {
                    break;
                }
            }
            Some(Event::RoundTrip(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(received, pieces * PIECE);
}

fn mac() -> Hmac<Sha256> {
    Hmac::new_from_slice(b"the key of the whole suite").expect("any length is right")
}

fn checks(mac: &Hmac<Sha256>, content: &[u8]) -> [u8; CHECKS] {
    let mut mac = mac.clone();
    mac.update(content);
    let mut checks = [0; CHECKS];
    checks[..4].copy_from_slice(&crc32fast::hash(content).to_be_bytes());
    checks[8..].copy_from_slice(&mac.finalize().into_bytes());
    checks
}

async fn send_checked(mut stream: TcpStream, pieces: usize) {
    let mac = mac();
    for _ in 0..pieces {
        let mut piece = vec![7; PIECE + CHECKS];
        let checks = checks(&mac, &piece[CHECKS..]);
        piece[..CHECKS].copy_from_slice(&checks);
        stream.write_all(&piece).await.expect("it leaves");
    }
    stream.shutdown().await.expect("it ends");
}

async fn receive_checked(mut stream: TcpStream, pieces: usize) {
    let mac = mac();
    let mut piece = vec![0; PIECE + CHECKS];
    for _ in 0..pieces {
        stream.read_exact(&mut piece).await.expect("it arrives");
        assert_eq!(checks(&mac, &piece[CHECKS..]), piece[..CHECKS]);
    }
}
