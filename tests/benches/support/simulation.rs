//! Many pairs of machines in one thread, under a simulated clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::message::Message;
use heartwire_core::protocol::Protocol;
use heartwire_core::pump::Pump;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::time::Instant;
use heartwire_tests::unprotected::Unprotected;

type End = Pump<Session<Unprotected>>;

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// Pairs that send in turns, and heartbeat in between.
pub struct Simulation {
    pairs: Vec<[End; 2]>,
    /// When which end of which pair is to be woken. One that was armed anew for an earlier time is woken in
    /// vain at the later one.
    alarms: BinaryHeap<Reverse<(Instant, usize, usize)>>,
    now: Instant,
    /// The time from one message to the next.
    step: Duration,
    /// The pair whose turn it is.
    turn: usize,
    message: Message,
    messages: u64,
    heartbeats: u64,
}

impl Simulation {
    /// Established pairs that have had a message and a heartbeat each. `rate`: how many messages a client sends from
    /// one heartbeat to the next.
    pub fn new(pairs: usize, rate: usize, message: Message) -> Self {
        let config = Arc::new(Config::default());
        let rate = rate * pairs;
        let mut simulation = Self {
            pairs: Vec::with_capacity(pairs),
            alarms: BinaryHeap::new(),
            now: Instant::ZERO,
            step: config.heartbeat_interval() / u32::try_from(rate).expect("it is no larger"),
            turn: 0,
            message,
            messages: 0,
            heartbeats: 0,
        };
        for pair in 0..pairs {
            let now = simulation.now;
            let client = Session::client_with(Arc::clone(&config), Unprotected, now);
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&pair.to_le_bytes());
            let server = Session::server_with(Arc::clone(&config), Unprotected, &Seed::new(seed), now);
            simulation.pairs.push([Pump::new(client), Pump::new(server)]);
            simulation.settle(pair);
        }
        // Pairs that were made at the same time would heartbeat at the same time: the interval is over after
        // this, and the messages are spread over it.
        simulation.send(2 * rate);
        assert!(simulation.heartbeats >= pairs as u64, "every pair has had a heartbeat");
        simulation
    }

    /// Messages that arrived so far.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Heartbeats that came back so far.
    pub fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// Has the clients send that many messages, each when its turn comes.
    pub fn send(&mut self, messages: usize) {
        for _ in 0..messages {
            self.now = self.now + self.step;
            self.wake();
            let pair = self.turn;
            self.turn = (pair + 1) % self.pairs.len();
            let command = Command::Send(self.message.clone());
            self.pairs[pair][CLIENT].handle_command(self.now, command).expect("it is accepted");
            self.settle(pair);
        }
    }

    /// Wakes all whose time has come.
    fn wake(&mut self) {
        while let Some(&Reverse((at, pair, end))) = self.alarms.peek()
            && at <= self.now
        {
            self.alarms.pop();
            self.pairs[pair][end].handle_timeout(self.now);
            self.settle(pair);
        }
    }

    /// Lets bytes flow in a pair until nothing moves any more, and arms its alarms.
    fn settle(&mut self, pair: usize) {
        let now = self.now;
        let [client, server] = &mut self.pairs[pair];
        while carry(now, client, server) | carry(now, server, client) {}
        for end in [client, server] {
            while let Some(event) = end.poll_event(now) {
                match event {
                    Event::Message(_) => self.messages += 1,
                    Event::RoundTrip(_) => self.heartbeats += 1,
                    Event::Established(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        for end in [CLIENT, SERVER] {
            let pump = &mut self.pairs[pair][end];
            let interest = pump.poll(now);
            if let Some(at) = pump.rearm(now, &interest) {
                self.alarms.push(Reverse((at, pair, end)));
            }
        }
    }
}

/// What one end has to write, the other reads. Says whether that was anything.
fn carry(now: Instant, from: &mut End, to: &mut End) -> bool {
    if !from.poll(now).write {
        return false;
    }
    let mut slices = [&[][..]; 8];
    let used = from.machine().transmit_slices(&mut slices);
    let (rx, _) = to.io();
    let before = rx.len();
    slices.iter().take(used).for_each(|slice| rx.extend_from_slice(slice));
    let n = rx.len() - before;
    from.handle_transmitted(now, n);
    to.handle_read(now, n);
    true
}
