//! How much of one session's throughput a thousand keep together, and how evenly they share it. Messages of 64 B over
//! loopback TCP, both ends in this process, on two threads; the rounds alternate.
//!
//! * one way: all messages over one session, or a thousandth of them over each of a thousand;
//! * echo: a thousand messages on their way at once over one session, or one over each of a thousand: each is sent
//!   back, and sent again when it came. One session may pack many into a write, a thousand can't: so the same goes
//!   over a thousand sockets alone, without checks.
//!
//! `cargo bench --bench active`; `-- --sessions N` for another number than 1,000.

mod support;

use std::time::{Duration, Instant};

use heartwire_tokio::Session;
use support::echo::{WINDOW, message, over_sessions, over_sockets};
use support::process::{need_files, option};
use support::report::{Report, Row};
use support::sessions::{listener, pairs, sockets};
use tokio::task::JoinSet;

const MESSAGES: usize = 200_000;
const ROUNDS: usize = 7;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let sessions = option("sessions", 1000);
    need_files(4 * sessions + 100);
    let (mut one, mut many) = (pairs(1).await, pairs(sessions).await);
    let (mut rounds, mut took) = (Vec::new(), [Duration::ZERO; 2]);
    for _ in 0..=ROUNDS {
        (took[0], one) = send_all(one, MESSAGES).await;
        (took[1], many) = send_all(many, MESSAGES / sessions).await;
        let mut echoes = [vec![], vec![], sockets_alone(sessions).await];
        (echoes[0], one) = over_sessions(one, sessions).await;
        (echoes[1], many) = over_sessions(many, 1).await;
        rounds.push(Round { took, echoes });
    }
    // The first warms up.
    rounds.remove(0);

    let mut report = Report::new("active");
    let name = format!("{sessions} sessions");
    let mut add = |group, name: &str, against, unit, value: fn(&Round) -> f64| {
        let samples = rounds.iter().map(value).collect();
        report.add(Row::of_samples((group, name, against), unit, samples));
    };
    let rates = "x its messages/s";
    add("one way", &name, "one session", rates, |round| {
        round.took[0].as_secs_f64() / round.took[1].as_secs_f64()
    });
    add("echo", &name, "one session", rates, |round| round.rate(1) / round.rate(0));
    add("echo", &name, "sockets alone", rates, |round| round.rate(1) / round.rate(2));
    add("echoes", "one session", "", "messages/s", |round| round.rate(0));
    add("echoes", &name, "", "messages/s", |round| round.rate(1));
    add("echoes", "sockets alone", "", "messages/s", |round| round.rate(2));
    let shares = "x its messages";
    add("fairness", &name, "the fastest session", shares, |round| round.fairness(1));
    add("fairness", "sockets alone", "the fastest socket", shares, |round| round.fairness(2));
    report.save();
}

/// What one round found.
struct Round {
    /// By one session, and by many.
    took: [Duration; 2],
    /// Over one session, over many, over as many sockets.
    echoes: [Vec<u64>; 3],
}

impl Round {
    /// Echoes a second.
    fn rate(&self, which: usize) -> f64 {
        self.echoes[which].iter().sum::<u64>() as f64 / WINDOW.as_secs_f64()
    }

    /// How much of the fastest's the slowest has.
    fn fairness(&self, which: usize) -> f64 {
        let counts = &self.echoes[which];
        let (least, most) = (counts.iter().min(), counts.iter().max());
        *least.expect("there are some") as f64 / *most.expect("there are some") as f64
    }
}

/// Sends `count` messages over each pair; gives the time until the last arrived.
async fn send_all(pairs: Vec<(Session, Session)>, count: usize) -> (Duration, Vec<(Session, Session)>) {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for (client, mut server) in pairs {
        tasks.spawn(async move {
            let sending = tokio::spawn(async move {
                for _ in 0..count {
                    client.send(message()).await.expect("it is accepted");
                }
                client
            });
            for _ in 0..count {
                server.recv_message().await.expect("it arrives");
            }
            (sending.await.expect("all are sent"), server)
        });
    }
    let pairs = tasks.join_all().await;
    (began.elapsed(), pairs)
}

/// Echoes over as many sockets.
async fn sockets_alone(count: usize) -> Vec<u64> {
    let listener = listener().await;
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push(sockets(&listener).await);
    }
    over_sockets(pairs).await
}
