//! Two machines wired together under a simulated clock, as tests of an embedding use them: no socket, no waiting, and
//! every run is the same. A session begins, and messages and heartbeats go both ways; then the server's network takes
//! nothing more, and 30 seconds after its last sign of life the client gives it up. All that takes no time.
//!
//! ```text
//!   0.0 s  client: established
//!   0.0 s  server: established
//!   1.5 s  client: got "hello yourself"
//!   1.5 s  server: got "hello"
//!   5.0 s  client: a heartbeat was answered
//!  10.0 s  client: a heartbeat was answered
//!  10.0 s  server: a heartbeat was answered
//!  40.0 s  client: peer-silent: nothing was received for 30s
//!  42.0 s  server: the peer reports peer-silent: nothing was received for 30s
//! ```

use std::error::Error;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::testing::Pair;
use heartwire_core::time::Instant;

/// The clock, the client (`a`) and the server (`b`), and when it all began.
struct Simulation {
    pair: Pair<Session, Session>,
    start: Instant,
}

impl Simulation {
    /// Lets time pass, from one deadline to the next, and tells what happens.
    fn advance(&mut self, time: Duration) {
        let until = self.pair.now + time;
        self.pair.run();
        self.tell();
        loop {
            let next = self.pair.deadline().map_or(until, |deadline| deadline.min(until));
            self.pair.advance(next.since(self.pair.now));
            self.tell();
            if next == until {
                return;
            }
        }
    }

    fn tell(&mut self) {
        let time = self.pair.now.since(self.start).as_secs_f64();
        for (name, side) in [("client", &mut self.pair.a), ("server", &mut self.pair.b)] {
            for event in side.events.drain(..) {
                print!("{time:5.1} s  {name}: ");
                match event {
                    Event::Established(_) => println!("established"),
                    Event::Message(message) => {
                        println!("got {:?}", String::from_utf8_lossy(&message.content));
                    }
                    Event::RoundTrip(_) => println!("a heartbeat was answered"),
                    Event::Ended(ended) => println!("{ended}"),
                    other => println!("{other:?}"),
                }
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let keys = Keys::new(Key::new(b"a key that both sides have")?);
    let pair = Pair::sessions(Config::default(), Config::default(), keys);
    let mut simulation = Simulation { start: pair.now, pair };

    simulation.advance(Duration::from_millis(1500));
    let pair = &mut simulation.pair;
    pair.a.command(pair.now, Command::Send(Message::text("hello")))?;
    pair.b.command(pair.now, Command::Send(Message::text("hello yourself")))?;
    simulation.advance(Duration::from_secs(10));

    // From now on, what the server writes stays where it is.
    simulation.pair.b.hold_output = true;
    simulation.advance(Duration::from_secs(60));
    Ok(())
}
