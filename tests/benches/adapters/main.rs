//! Every adapter against tokio's, over loopback TCP with both ends in one process: `one way` as fast as they go, and
//! `ping-pong` there and back, one at a time. The runtimes are as they come: tokio with two workers, smol and
//! async-std with their global executors (`SMOL_THREADS=2` gives smol a second thread), blocking with its threads.
//!
//! `cargo bench -p heartwire-tests --bench adapters`: half a minute. criterion's flags follow after `--`.

#[path = "../support/mod.rs"]
mod support;

mod runtimes;

use std::time::{Duration, Instant};

use bytes::Bytes;
use heartwire_core::message::Message;
use heartwire_std::session::Session;

use runtimes::{AsyncStd, Blocking, OnRuntime, Smol, Tokio};
use support::compare::{Contestant, Contests, Group};
use support::report::Row;

/// The others, in the order of [`wires`].
const OTHERS: [&str; 3] = ["smol", "async-std", "blocking"];

const SIZES: [(&str, usize); 3] = [("64 B", 64), ("8 KiB", 8 * 1024), ("64 KiB", 64 * 1024)];

fn main() {
    let mut contests = Contests::new("adapters", Duration::from_secs(5));
    for game in [Game::OneWay, Game::PingPong] {
        let mut group = contests.group(game.name());
        for (name, len) in SIZES {
            game.contest(&mut group, name, len);
        }
        drop(group);
    }
    contests.finish();
}

#[derive(Clone, Copy)]
enum Game {
    OneWay,
    PingPong,
}

impl Game {
    fn name(self) -> &'static str {
        match self {
            Self::OneWay => "one way",
            Self::PingPong => "ping-pong",
        }
    }

    fn contest(self, group: &mut Group<'_>, name: &str, len: usize) {
        let mut wires = wires();
        let content = Bytes::from(vec![7; len]);
        let contestant = |wire| -> Contestant<'_, Duration> {
            let (wire, content): (&mut Wire, _) = (wire, content.clone());
            Box::new(move |times| wire.play(self, times, &content))
        };
        let mut contestants: Vec<_> = wires.iter_mut().map(contestant).collect();
        let Some(samples) = group.run(name, len, &mut contestants) else { return };
        for (other, against) in (1..).zip(OTHERS) {
            // As many messages: so many times tokio's messages a second is tokio's time by theirs.
            let ratios = samples.ratios(0, other, Duration::as_secs_f64);
            group.add(Row::of_samples((self.name(), name, against), "x tokio's messages/s", ratios));
        }
    }
}

/// Both ends of a session, and what they run on.
struct Wire {
    runtime: Box<dyn OnRuntime>,
    /// They are away while tasks have them.
    ends: Option<(Session, Session)>,
}

fn wires() -> [Wire; 4] {
    let runtimes: [Box<dyn OnRuntime>; 4] =
        [Box::new(Tokio::new()), Box::new(Smol), Box::new(AsyncStd), Box::new(Blocking)];
    runtimes.map(|runtime| {
        let ends = Some(runtime.sessions());
        Wire { runtime, ends }
    })
}

impl Wire {
    fn play(&mut self, game: Game, times: u64, content: &Bytes) -> Duration {
        let (mut one, mut other) = self.ends.take().expect("the last game was played to its end");
        let (len, content) = (content.len(), content.clone());
        let back = matches!(game, Game::PingPong);
        let first = async move {
            for _ in 0..times {
                one.send(Message::binary(content.clone())).await.expect("accepted");
                if back {
                    assert_eq!(one.recv_message().await.expect("it arrives").content.len(), len);
                }
            }
            one
        };
        let second = async move {
            for _ in 0..times {
                let message = other.recv_message().await.expect("it arrives");
                assert_eq!(message.content.len(), len);
                if back {
                    other.send(message).await.expect("accepted");
                }
            }
            other
        };
        let began = Instant::now();
        self.ends = Some(self.runtime.both(Box::pin(first), Box::pin(second)));
        began.elapsed()
    }
}
