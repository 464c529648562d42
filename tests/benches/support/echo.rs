//! Echoes over many connections at once, counted for a while: what came back is sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use heartwire_tokio::{Message, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// How long echoes are counted.
pub const WINDOW: Duration = Duration::from_secs(1);

/// What is sent.
const CONTENT: [u8; 64] = [7; 64];

/// Echoes are not counted before every connection had one, and not sent again when the window is over.
const BEFORE: u8 = 0;
const COUNTING: u8 = 1;
const OVER: u8 = 2;

/// The message that is sent.
pub fn message() -> Message {
    Message::binary(&CONTENT[..])
}

/// Has `flying` messages go to and fro over each pair for a while; gives how many came back over each.
pub async fn over_sessions(
    pairs: Vec<(Session, Session)>,
    flying: usize,
) -> (Vec<u64>, Vec<(Session, Session)>) {
    let (window, mut tasks) = (Window::new(), JoinSet::new());
    for (mut client, mut server) in pairs {
        let mut counter = window.counter();
        tasks.spawn(async move {
            let serving = tokio::spawn(async move {
                loop {
                    let message = server.recv_message().await.expect("it arrives");
                    // An empty message is the last.
                    let last = message.content.is_empty();
                    server.send(message).await.expect("it is accepted");
                    if last {
                        return server;
                    }
                }
            });
            for _ in 0..flying {
                client.send(message()).await.expect("it is accepted");
            }
            let mut left = flying;
            while left > 0 {
                client.recv_message().await.expect("it comes back");
                if counter.goes_on() {
                    client.send(message()).await.expect("it is accepted");
                } else {
                    left -= 1;
                }
            }
            client.send(Message::binary(&b""[..])).await.expect("it is accepted");
            client.recv_message().await.expect("it comes back");
            (counter.count, (client, serving.await.expect("it goes on to the last")))
        });
    }
    window.pass().await;
    tasks.join_all().await.into_iter().unzip()
}

/// The same over sockets alone, with one message on its way over each, in tasks of their own as well.
pub async fn over_sockets(pairs: Vec<(TcpStream, TcpStream)>) -> Vec<u64> {
    let (window, mut tasks) = (Window::new(), JoinSet::new());
    for (mut client, mut server) in pairs {
        let mut counter = window.counter();
        tokio::spawn(async move {
            let mut bytes = CONTENT;
            while server.read_exact(&mut bytes).await.is_ok() {
                server.write_all(&bytes).await.expect("it leaves");
            }
        });
        tasks.spawn(async move {
            let mut bytes = CONTENT;
            loop {
                client.write_all(&bytes).await.expect("it leaves");
                client.read_exact(&mut bytes).await.expect("it comes back");
                if !counter.goes_on() {
                    return counter.count;
                }
            }
        });
    }
    window.pass().await;
    tasks.join_all().await
}

/// The time in which echoes are counted.
struct Window {
    phase: Arc<AtomicU8>,
    waiting: mpsc::UnboundedSender<()>,
    all_began: mpsc::UnboundedReceiver<()>,
}

impl Window {
    fn new() -> Self {
        let (waiting, all_began) = mpsc::unbounded_channel();
        Self { phase: Arc::new(AtomicU8::new(BEFORE)), waiting, all_began }
    }

    fn counter(&self) -> Counter {
        Counter { phase: Arc::clone(&self.phase), waiting: Some(self.waiting.clone()), count: 0 }
    }

    /// Begins when every counter has counted once, and is over in time.
    async fn pass(self) {
        let Self { phase, waiting, mut all_began } = self;
        drop(waiting);
        assert!(all_began.recv().await.is_none(), "nothing is said: all let go");
        phase.store(COUNTING, Ordering::Relaxed);
        tokio::time::sleep(WINDOW).await;
        phase.store(OVER, Ordering::Relaxed);
    }
}

/// Counts what comes back over one connection.
struct Counter {
    phase: Arc<AtomicU8>,
    waiting: Option<mpsc::UnboundedSender<()>>,
    count: u64,
}

impl Counter {
    /// One came back. Says whether to send it again.
    fn goes_on(&mut self) -> bool {
        self.waiting = None;
        let phase = self.phase.load(Ordering::Relaxed);
        self.count += u64::from(phase == COUNTING);
        phase != OVER
    }
}
