//! What it costs to send one message to a thousand sessions, until all of them have it; against writing as many
//! bytes to a thousand sockets, and reading them. Loopback TCP, both ends in this process, on two threads; the
//! rounds alternate.
//!
//! `cargo bench --bench broadcast`; `-- --receivers N` for another number than 1,000.

mod support;

use std::time::{Duration, Instant};

use heartwire_tokio::{Bytes, Message, Receiver, Sender};
use support::process::{need_files, option};
use support::report::{Report, Row};
use support::sessions::{listener, pairs, sockets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

const ROUNDS: usize = 25;
/// How often a message is sent in a round, each when all have the one before.
const TIMES: u32 = 10;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let receivers = option("receivers", 1000);
    need_files(4 * receivers + 100);
    let mut sessions = Sessions::new(receivers).await;
    let mut report = Report::new("broadcast");
    for (name, len) in [("64 B", 64), ("8 KiB", 8192)] {
        let message = Message::binary(vec![7; len]);
        let frame = sessions.frame_len(&message).await;
        let mut floor = Sockets::new(receivers, frame).await;
        let (mut ratios, mut times, mut floors) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let mut took = [Duration::ZERO; 2];
            for _ in 0..TIMES {
                took[0] += sessions.send(&message).await;
                took[1] += floor.send().await;
            }
            // The first warms up.
            if round > 0 {
                let [ours, theirs] =
                    took.map(|took| took.as_secs_f64() * 1e6 / f64::from(TIMES) / receivers as f64);
                ratios.push(ours / theirs);
                times.push(ours);
                floors.push(theirs);
            }
        }
        report.add(Row::of_samples(("broadcast", name, "sockets alone"), "x its time", ratios));
        report.add(Row::of_samples(("broadcast to a receiver", name, ""), "µs", times));
        let name = format!("{name}, sockets alone");
        report.add(Row::of_samples(("broadcast to a receiver", &name, ""), "µs", floors));
    }
    report.save();
}

/// Sessions whose clients count what they receive, each in a task of its own.
struct Sessions {
    senders: Vec<Sender>,
    received: mpsc::UnboundedReceiver<()>,
    _kept: Vec<Receiver>,
}

impl Sessions {
    async fn new(count: usize) -> Self {
        let (receives, received) = mpsc::unbounded_channel();
        let (mut senders, mut kept) = (Vec::new(), Vec::new());
        for (mut client, server) in pairs(count).await {
            let receives = receives.clone();
            tokio::spawn(async move {
                while client.recv_message().await.is_ok() {
                    let _ = receives.send(());
                }
            });
            let (sender, receiver) = server.split();
            senders.push(sender);
            kept.push(receiver);
        }
        Self { senders, received, _kept: kept }
    }

    /// Sends a message to all; gives the time until all have it.
    async fn send(&mut self, message: &Message) -> Duration {
        let began = Instant::now();
        for sender in &self.senders {
            sender.try_send(message.clone()).expect("there is room");
        }
        all(&mut self.received, self.senders.len()).await;
        began.elapsed()
    }

    /// How many bytes this message is on the wire.
    async fn frame_len(&mut self, message: &Message) -> usize {
        let sent = |sessions: &Self| sessions.senders[0].stats().bytes_sent;
        // What is said once was said before the second.
        self.send(message).await;
        let before = sent(self);
        self.send(message).await;
        usize::try_from(sent(self) - before).expect("it fits")
    }
}

/// Sockets whose other ends count frames of one length, each in a task of its own.
struct Sockets {
    senders: Vec<TcpStream>,
    received: mpsc::UnboundedReceiver<()>,
    frame: Bytes,
}

impl Sockets {
    async fn new(count: usize, frame: usize) -> Self {
        let (receives, received) = mpsc::unbounded_channel();
        let listener = listener().await;
        let mut senders = Vec::new();
        for _ in 0..count {
            let (mut a, b) = sockets(&listener).await;
            let receives = receives.clone();
            tokio::spawn(async move {
                let mut bytes = vec![0; frame];
                while a.read_exact(&mut bytes).await.is_ok() {
                    let _ = receives.send(());
                }
            });
            senders.push(b);
        }
        Self { senders, received, frame: vec![7; frame].into() }
    }

    async fn send(&mut self) -> Duration {
        let began = Instant::now();
        for sender in &mut self.senders {
            sender.write_all(&self.frame).await.expect("it is taken");
        }
        all(&mut self.received, self.senders.len()).await;
        began.elapsed()
    }
}

/// Waits until so many have received.
async fn all(received: &mut mpsc::UnboundedReceiver<()>, count: usize) {
    for _ in 0..count {
        received.recv().await.expect("all go on");
    }
}
