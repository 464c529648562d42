//! What every contestant is to this bench: two ends of a connection, and the two games that they play.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::support::compare::Took;
use crate::support::sessions::{listener, sockets};

/// One end of a connection that carries messages.
pub trait End: Send + 'static {
    /// Sends a message; it may wait for others to leave with it.
    fn feed(&mut self, content: &Bytes) -> impl Future<Output = ()> + Send;
    /// Everything fed leaves.
    fn flush(&mut self) -> impl Future<Output = ()> + Send;
    /// Receives a message, and gives its length.
    fn receive(&mut self) -> impl Future<Output = usize> + Send;
}

/// A contestant with a connection.
pub trait Play {
    /// Sends so many messages one way.
    fn one_way(&mut self, times: u64) -> Duration;
    /// Sends so many messages there and back, one at a time.
    fn ping_pong(&mut self, times: u64) -> RoundTrips;
}

/// What round trips took.
pub struct RoundTrips {
    all: Duration,
    pub median: Duration,
    /// All but one in a hundred were not longer.
    pub p99: Duration,
}

impl Took for RoundTrips {
    fn time(&self) -> Duration {
        self.all
    }
}

/// Two ends, and what they send.
pub struct Wire<'a, E> {
    runtime: &'a Runtime,
    content: Bytes,
    /// They are away while tasks have them.
    ends: Option<(E, E)>,
}

impl<'a, E: End> Wire<'a, E> {
    pub fn new(runtime: &'a Runtime, content: &Bytes, ends: (E, E)) -> Self {
        Self { runtime, content: content.clone(), ends: Some(ends) }
    }

    /// Runs a task for each end. Gives the time until both are done, and what the first one found.
    fn play<T, A, B>(&mut self, a: impl FnOnce(E, Bytes) -> A, b: impl FnOnce(E, Bytes) -> B) -> (Duration, T)
    where
        T: Send + 'static,
        A: Future<Output = (E, T)> + Send + 'static,
        B: Future<Output = E> + Send + 'static,
    {
        let (one, other) = self.ends.take().expect("the last game was played to its end");
        let (a, b) = (a(one, self.content.clone()), b(other, self.content.clone()));
        let (time, found, ends) = self.runtime.block_on(async {
            let began = Instant::now();
            let (a, b) = (tokio::spawn(a), tokio::spawn(b));
            let ((one, found), other) = (a.await.expect("it plays"), b.await.expect("it plays"));
            (began.elapsed(), found, (one, other))
        });
        self.ends = Some(ends);
        (time, found)
    }
}

impl<E: End> Play for Wire<'_, E> {
    fn one_way(&mut self, times: u64) -> Duration {
        let send = async move |mut end: E, content: Bytes| {
            for _ in 0..times {
                end.feed(&content).await;
            }
            end.flush().await;
            (end, ())
        };
        let receive = async move |mut end: E, content: Bytes| {
            for _ in 0..times {
                assert_eq!(end.receive().await, content.len());
            }
            end
        };
        self.play(send, receive).0
    }

    fn ping_pong(&mut self, times: u64) -> RoundTrips {
        let ping = async move |mut end: E, content: Bytes| {
            let mut trips = Vec::with_capacity(usize::try_from(times).expect("it fits"));
            for _ in 0..times {
                let began = Instant::now();
                end.feed(&content).await;
                end.flush().await;
                assert_eq!(end.receive().await, content.len());
                trips.push(began.elapsed());
            }
            (end, trips)
        };
        let pong = async move |mut end: E, content: Bytes| {
            for _ in 0..times {
                assert_eq!(end.receive().await, content.len());
                end.feed(&content).await;
                end.flush().await;
            }
            end
        };
        let (all, mut trips) = self.play(ping, pong);
        trips.sort_unstable();
        let at = |percent: usize| trips[(trips.len() - 1) * percent / 100];
        RoundTrips { all, median: at(50), p99: at(99) }
    }
}

/// A connection over the loopback interface.
pub async fn connection() -> (TcpStream, TcpStream) {
    sockets(&listener().await).await
}
