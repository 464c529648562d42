//! Two machines wired together: what a driver does, without a connection and under a simulated clock.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::Protocol;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_core::time::Instant;

pub const KEY: &[u8] = b"a key that both sides have";

/// The largest content that leaves in one frame of a message.
pub const CHUNK: usize = 64 * 1024;

pub fn keys() -> Keys {
    Keys::new(Key::new(KEY).expect("it is strong enough"))
}

/// A client that sends and a server that receives.
pub struct Pair {
    client: Session,
    server: Session,
    rx: BytesMut,
    now: Instant,
}

impl Pair {
    pub fn established() -> Self {
        const DAYS: Duration = Duration::from_secs(100 * 24 * 60 * 60);
        // Neither hears much of the other here, and the clock goes on: it is not what is measured.
        let config = Config::builder()
            .chunk_size(CHUNK)
            .heartbeat_interval(DAYS)
            .silence_timeout(3 * DAYS)
            .stall_timeout(DAYS)
            .build()
            .expect("valid");
        let now = Instant::ZERO;
        let server = Session::server(config.clone(), keys(), &Seed::new([7; 32]), now);
        let client = Session::client(config, keys(), now);
        let mut pair = Self { client, server, rx: BytesMut::new(), now };
        let carry = |from: &mut Session, to: &mut Session| {
            let mut rx = BytesMut::new();
            transmit(from, now, |bytes| rx.extend_from_slice(bytes));
            let fresh = rx.len();
            to.handle_input(now, &mut rx, fresh);
            assert!(matches!(to.poll_event(), Some(Event::Established(_))));
        };
        carry(&mut pair.server, &mut pair.client);
        carry(&mut pair.client, &mut pair.server);
        pair
    }

    /// The client sends a message, and a transport that takes everything takes it.
    pub fn encode(&mut self, content: &Bytes, taken: impl FnMut(&[u8])) {
        let now = self.tick();
        let command = Command::Send(Message::binary(content.clone()));
        self.client.handle_command(now, command).expect("the queue is empty");
        transmit(&mut self.client, now, taken);
    }

    /// What one more read gave, as if the transport had put it there.
    pub fn fill(&mut self, bytes: &[u8]) {
        self.rx.extend_from_slice(bytes);
    }

    /// The server gets what was filled in; its messages are taken and dropped. Gives their number.
    pub fn decode(&mut self) -> usize {
        let (now, mut fresh, mut messages) = (self.tick(), self.rx.len(), 0);
        // Nothing more is understood while enough events wait: then the rest comes in another turn.
        while !self.rx.is_empty() {
            self.server.handle_input(now, &mut self.rx, fresh);
            fresh = 0;
            while let Some(event) = self.server.poll_event() {
                assert!(matches!(black_box(event), Event::Message(_)));
                messages += 1;
            }
        }
        black_box(self.server.poll(now));
        messages
    }

    /// The clock goes on a little with everything that happens.
    fn tick(&mut self) -> Instant {
        self.now = self.now + Duration::from_nanos(100);
        self.now
    }
}

fn transmit(from: &mut Session, now: Instant, mut taken: impl FnMut(&[u8])) {
    loop {
        black_box(from.poll(now));
        let mut out = [&[][..]; 16];
        let used = from.transmit_slices(&mut out);
        let len = out[..used].iter().map(|slice| slice.len()).sum();
        out[..used].iter().for_each(|slice| taken(slice));
        from.handle_transmitted(now, len);
        if from.queued_output() == 0 {
            break;
        }
    }
}
