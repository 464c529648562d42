//! Pings, the pong that is owed, and the round-trip time they give.
//!
//! A client pings every interval, always (existing servers drop a session without heartbeats,
//! whatever else comes); a server when it received nothing for an interval, or, where rates are set, always: the
//! pings of a peer that sends more than it may are heard late.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::Role;
use crate::time::Instant;
use crate::wire::envelope::PONG;

/// Pings whose pongs are still awaited; an older one is forgotten.
const MAX_OUTSTANDING: usize = 8;

#[derive(Debug)]
pub(crate) struct Heartbeat {
    role: Role,
    interval: Duration,
    /// When the next ping is due; none before the handshake is done.
    next: Option<Instant>,
    ping_due: bool,
    /// The pong owed, with the number to repeat. One at most, however many pings come.
    pong_owed: Option<Option<u64>>,
    last_seq: u64,
    outstanding: VecDeque<(u64, Instant)>,
    /// We sent a pong since the last ping. Existing servers answer that too, so that what comes back
    /// without a number may not be the answer to the ping.
    pong_since_ping: bool,
    round_trip: Option<Duration>,
}

impl Heartbeat {
    pub(crate) fn new(role: Role, interval: Duration) -> Self {
        Self {
            role,
            interval,
            next: None,
            ping_due: false,
            pong_owed: None,
            last_seq: 0,
            outstanding: VecDeque::new(),
            pong_since_ping: false,
            round_trip: None,
        }
    }

    /// The handshake is done: the first ping comes one interval later.
    pub(crate) fn start(&mut self, now: Instant) {
        self.next = Some(now + self.interval);
    }

    /// No more heartbeats: the session is ending.
    pub(crate) fn stop(&mut self) {
        self.next = None;
        self.ping_due = false;
        self.pong_owed = None;
    }

    /// The last round-trip time.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Bytes arrived: a server's ping can wait.
    pub(crate) fn handle_received(&mut self, now: Instant) {
        if self.role == Role::Server && self.next.is_some() {
            self.next = Some(now + self.interval);
        }
    }

    /// A heartbeat arrived; gives the round-trip time if it is the pong to a known ping.
    pub(crate) fn handle_frame(
        &mut self,
        now: Instant,
        content: &[u8],
        seq: Option<u64>,
    ) -> Option<Duration> {
        if content != PONG {
            self.pong_owed = Some(seq);
            return None;
        }
        let sent = match seq {
            Some(seq) => {
                let at = self.outstanding.iter().position(|(sent, _)| *sent == seq)?;
                // Pongs come in the order of the pings: those before it will not come any more.
                self.outstanding.drain(..=at).next_back()
            }
            None if self.outstanding.len() == 1 && !self.pong_since_ping => self.outstanding.pop_front(),
            // Which of several it answers can't be told. It answers one of them.
            None => {
                self.outstanding.pop_front();
                None
            }
        };
        let (_, sent) = sent?;
        let round_trip = now.since(sent);
        self.round_trip = Some(round_trip);
        Some(round_trip)
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if let Some(next) = self.next.filter(|next| *next <= now) {
            self.ping_due = true;
            // Keep the beat, but never catch up on beats that were missed.
            let following = next + self.interval;
            self.next = Some(if following > now { following } else { now + self.interval });
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a heartbeat is to be encoded.
    pub(crate) fn is_due(&self) -> bool {
        self.ping_due || self.pong_owed.is_some()
    }

    /// The pong to encode now, with the number to repeat.
    pub(crate) fn take_pong(&mut self) -> Option<Option<u64>> {
        let owed = self.pong_owed.take();
        self.pong_since_ping |= owed.is_some();
        owed
    }

    /// The ping to encode now, with its number.
    pub(crate) fn take_ping(&mut self, now: Instant) -> Option<u64> {
        if !core::mem::take(&mut self.ping_due) {
            return None;
        }
        self.last_seq = self.last_seq.saturating_add(1);
        if self.outstanding.len() >= MAX_OUTSTANDING {
            self.outstanding.pop_front();
        }
        self.pong_since_ping = false;
        self.outstanding.push_back((self.last_seq, now));
        Some(self.last_seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    fn started(role: Role) -> Heartbeat {
        let mut heartbeat = Heartbeat::new(role, INTERVAL);
        assert_eq!(heartbeat.deadline(), None);
        heartbeat.start(at(0));
        heartbeat
    }

    #[test]
    fn a_client_pings_every_interval_whatever_arrives() {
        let mut client = started(Role::Client);
        for beat in 1..5 {
            client.handle_received(at(beat * 5 - 1));
            client.handle_timeout(at(beat * 5 - 1));
            assert_eq!(client.take_ping(at(beat * 5 - 1)), None);
            client.handle_timeout(at(beat * 5));
            assert_eq!(client.take_ping(at(beat * 5)), Some(beat));
            assert_eq!(client.take_ping(at(beat * 5)), None);
        }
    }

    #[test]
    fn a_server_pings_only_after_an_interval_of_silence() {
        let mut server = started(Role::Server);
        server.handle_received(at(4));
        server.handle_timeout(at(5));
        assert_eq!(server.take_ping(at(5)), None);
        server.handle_timeout(at(9));
        assert_eq!(server.take_ping(at(9)), Some(1));
        server.handle_timeout(at(14));
        assert_eq!(server.take_ping(at(14)), Some(2));
    }

    #[test]
    fn missed_beats_are_not_caught_up_on() {
        let mut client = started(Role::Client);
        client.handle_timeout(at(60));
        assert_eq!(client.take_ping(at(60)), Some(1));
        client.handle_timeout(at(61));
        assert_eq!(client.take_ping(at(61)), None);
        assert_eq!(client.deadline(), Some(at(65)));
    }

    #[test]
    fn one_pong_is_owed_however_many_pings_come() {
        let mut server = started(Role::Server);
        for seq in 0..1000 {
            server.handle_frame(at(1), b"anything", Some(seq));
        }
        assert_eq!(server.take_pong(), Some(Some(999)));
        assert_eq!(server.take_pong(), None);
        server.handle_frame(at(1), PONG, None);
        assert!(!server.is_due());
    }

    #[test]
    fn a_round_trip_comes_only_from_a_match() {
        let mut client = started(Role::Client);
        client.handle_timeout(at(5));
        client.take_ping(at(5));
        assert_eq!(client.handle_frame(at(6), PONG, Some(77)), None);
        assert_eq!(client.handle_frame(at(7), PONG, Some(1)), Some(Duration::from_secs(2)));
        assert_eq!(client.handle_frame(at(8), PONG, Some(1)), None, "a pong counts once");
        assert_eq!(client.round_trip(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn without_a_number_only_a_single_ping_gives_a_round_trip() {
        let mut client = started(Role::Client);
        client.handle_timeout(at(5));
        client.take_ping(at(5));
        client.handle_timeout(at(10));
        client.take_ping(at(10));
        assert_eq!(client.handle_frame(at(11), PONG, None), None);
        assert_eq!(client.handle_frame(at(12), PONG, None), Some(Duration::from_secs(2)));
    }

    #[test]
    fn pings_without_pongs_are_forgotten() {
        let mut client = started(Role::Client);
        for beat in 1..=100 {
            client.handle_timeout(at(beat * 5));
            client.take_ping(at(beat * 5));
        }
        assert_eq!(client.outstanding.len(), MAX_OUTSTANDING);
    }
}
