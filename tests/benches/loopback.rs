//! One way over loopback TCP, against tokio-util's length-delimited codec with the same CRC and HMAC
//! computed by hand on both ends. Both ends in one process, on two threads; the rounds alternate.
//!
//! `cargo bench --bench loopback`; `-- --long` makes five times as many rounds.

use std::time::{Duration, Instant};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use heartwire_tests::suite::keys;
use heartwire_tokio::{Config, Message, Options, accept_io, connect_io};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::codec::{Decoder, Encoder, LengthDelimitedCodec};

/// As long as the header of a message is.
const HEADER: usize = 130;

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let (a, b) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (a, (b, _)) = (a.expect("it connects"), b.expect("it connects"));
    a.set_nodelay(true).expect("it can");
    b.set_nodelay(true).expect("it can");
    (a, b)
}

async fn ours(len: usize, count: usize) -> Duration {
    let (a, b) = connection().await;
    let options = Options::new(keys()).config(Config::builder().chunk_size(65536).build().expect("valid"));
    let (client, server) = tokio::join!(connect_io(a, &options), accept_io(b, &options));
    let (client, mut server) = (client.expect("a session"), server.expect("a session"));
    let content = Bytes::from(vec![7; len]);
    let began = Instant::now();
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            client.send(Message::binary(content.clone())).await.expect("accepted");
        }
        client
    });
    let receiving = tokio::spawn(async move {
        for _ in 0..count {
            assert_eq!(server.recv_message().await.expect("it arrives").content.len(), len);
        }
        server
    });
    let _both = (sending.await.expect("sent"), receiving.await.expect("received"));
    began.elapsed()
}

fn check(mac: &Hmac<Sha256>, header: &[u8], content: &[u8]) -> ([u32; 2], [u8; 32]) {
    let mut mac = mac.clone();
    mac.update(header);
    mac.update(content);
    ([crc32fast::hash(header), crc32fast::hash(content)], mac.finalize().into_bytes().into())
}

async fn codec(len: usize, count: usize) -> Duration {
    let (mut a, mut b) = connection().await;
    let mac = Hmac::<Sha256>::new_from_slice(b"the key of the whole suite").expect("any length");
    let content = Bytes::from(vec![7; len]);
    let header = [b'h'; HEADER];
    let began = Instant::now();
    let theirs = mac.clone();
    let sending = tokio::spawn(async move {
        let (mut codec, mut out) = (LengthDelimitedCodec::new(), BytesMut::new());
        for at in 0..count {
            let (crc, tag) = check(&theirs, &header, &content);
            let mut frame = BytesMut::with_capacity(40 + HEADER + len);
            frame.put_u32(crc[0]);
            frame.put_u32(crc[1]);
            frame.put_slice(&tag);
            frame.put_slice(&header);
            frame.put_slice(&content);
            codec.encode(frame.freeze(), &mut out).expect("it fits");
            // Batched as a framed sink does it.
            if out.len() >= 8192 || at + 1 == count {
                a.write_all_buf(&mut out).await.expect("it leaves");
            }
        }
        a
    });
    let receiving = tokio::spawn(async move {
        let (mut codec, mut rx, mut seen) = (LengthDelimitedCodec::new(), BytesMut::new(), 0);
        while seen < count {
            while let Some(mut frame) = codec.decode(&mut rx).expect("it is good") {
                let crc = [frame.get_u32(), frame.get_u32()];
                let mut tag = [0; 32];
                frame.copy_to_slice(&mut tag);
                let header = frame.split_to(HEADER);
                assert_eq!(check(&mac, &header, &frame), (crc, tag));
                seen += 1;
            }
            if seen < count {
                rx.reserve(8192);
                assert!(b.read_buf(&mut rx).await.expect("it arrives") > 0);
            }
        }
        b
    });
    let _both = (sending.await.expect("sent"), receiving.await.expect("received"));
    began.elapsed()
}

fn main() {
    let rounds = if std::env::args().any(|arg| arg == "--long") { 55 } else { 11 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for (name, len, count) in [("64 B", 64, 50_000), ("8 KiB", 8192, 8_000), ("64 KiB", 65536, 1_500)] {
            let mut ratios = Vec::new();
            for round in 0..=rounds {
                let (theirs, ours) = (codec(len, count).await, ours(len, count).await);
                // The first warms up.
                if round > 0 {
                    ratios.push(theirs.as_secs_f64() / ours.as_secs_f64());
                }
            }
            ratios.sort_by(f64::total_cmp);
            let median = ratios[ratios.len() / 2];
            let (low, high) = (ratios[ratios.len() / 4], ratios[ratios.len() * 3 / 4]);
            println!("loopback {name}: {median:.2}x the codec's messages/s ({low:.2} to {high:.2})");
        }
    });
}
