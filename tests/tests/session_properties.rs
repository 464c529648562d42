//! Whatever is done to a session, in whatever order, some things hold; and between two sessions that
//! nothing disturbs, messages arrive whole, in order of beginning, exactly once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use heartwire_core::config::{Config, Receive};
use heartwire_core::message::{ContentType, Message};
use heartwire_core::protocol::Ticket;
use heartwire_core::session::{Begin, Command, Ended, Event, Role, Session};
use heartwire_core::testing::{Chunker, Pair, Side};
use heartwire_core::time::Instant;
use heartwire_tests::peer;
use heartwire_tests::rig::{Op, Rig};
use heartwire_tests::solo::keys;
use proptest::collection::vec;
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..80).prop_map(Op::Raw),
        15 => (0..20_u8, any::<u16>(), any::<u16>()).prop_map(|(code, a, b)| Op::Do(code, a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_is_done_to_a_machine_breaks_it(
        server in any::<bool>(),
        pieces in any::<bool>(),
        cut in any::<bool>(),
        lends in any::<bool>(),
        rates in any::<bool>(),
        // Most runs get over the handshake: without that, few would get anywhere.
        shake in prop::bool::weighted(0.9),
        ops in vec(op(), 0..150),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut rig = Rig::with_rates(role, if pieces { Receive::Pieces } else { Receive::Whole }, rates);
        rig = rig.lending(lends);
        if shake {
            rig.apply(&Op::Do(0, 0, 1));
        }
        for op in &ops {
            rig.apply(op);
        }
        rig.finish(cut);
    }
}

/// Something done to one side of a pair, or to what is between them.
#[derive(Clone, Debug)]
enum Act {
    Send(bool, usize),
    Begin(bool, Option<u64>),
    Piece(bool, usize, usize),
    End(bool, usize),
    Abort(bool, usize),
    Close(bool),
    HoldEvents(bool, bool),
    HoldOutput(bool, bool),
    Run,
    Turn(bool, usize),
    Step(u64),
    Sizes(u64, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let side = any::<bool>;
    prop_oneof![
        8 => (side(), prop_oneof![8..40_usize, 8..4000_usize]).prop_map(|(s, n)| Act::Send(s, n)),
        2 => (side(), proptest::option::of(8..3000_u64)).prop_map(|(s, n)| Act::Begin(s, n)),
        4 => (side(), any::<usize>(), 0..800_usize).prop_map(|(s, i, n)| Act::Piece(s, i, n)),
        2 => (side(), any::<usize>()).prop_map(|(s, i)| Act::End(s, i)),
        1 => (side(), any::<usize>()).prop_map(|(s, i)| Act::Abort(s, i)),
        1 => side().prop_map(Act::Close),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Act::HoldEvents(s, on)),
        1 => (side(), any::<bool>()).prop_map(|(s, on)| Act::HoldOutput(s, on)),
        2 => Just(Act::Run),
        8 => (side(), 1..3000_usize).prop_map(|(s, n)| Act::Turn(s, n)),
        1 => (0..3000_u64).prop_map(Act::Step),
        1 => (any::<u64>(), 1..2000_usize).prop_map(|(seed, n)| Act::Sizes(seed, n)),
    ]
}

/// What one side was asked for: by ticket, how long the content is and whether it was all given.
#[derive(Default)]
struct Asked {
    messages: BTreeMap<Ticket, (u64, bool)>,
    streams: BTreeSet<Ticket>,
    aborted: BTreeSet<Ticket>,
    closed: bool,
}

/// Contents say which message they are of, and every byte of them where it stands.
fn content(ticket: u64, from: u64, len: u64) -> Vec<u8> {
    (from..from + len)
        .map(|at| if at < 8 { ticket.to_be_bytes()[at as usize] } else { (ticket * 7 + at) as u8 })
        .collect()
}

impl Asked {
    fn pick(&self, index: usize) -> Ticket {
        let count = self.streams.len().max(1);
        self.streams.iter().nth(index % count).copied().unwrap_or(Ticket::NONE)
    }

    fn apply(&mut self, side: &mut Side<Session>, now: Instant, act: &Act) {
        match act {
            Act::Send(_, len) => {
                let next = self.messages.len() as u64 + 1;
                let message = Message::binary(content(next, 0, *len as u64));
                if let Ok(ticket) = side.command(now, Command::Send(message)) {
                    assert_eq!(ticket.get(), next);
                    self.messages.insert(ticket, (*len as u64, true));
                }
            }
            Act::Begin(_, total_size) => {
                let begin = Begin { total_size: *total_size, ..Begin::new(ContentType::TEXT) };
                if let Ok(ticket) = side.command(now, Command::Begin(begin)) {
                    self.messages.insert(ticket, (0, false));
                    self.streams.insert(ticket);
                }
            }
            Act::Piece(_, index, len) => {
                let ticket = self.pick(*index);
                let given = self.messages.get(&ticket).map_or(0, |(given, _)| *given);
                let content = content(ticket.get(), given, *len as u64).into();
                if side.command(now, Command::Piece { ticket, content }).is_ok() {
                    self.messages.insert(ticket, (given + *len as u64, false));
                }
            }
            Act::End(_, index) => {
                let ticket = self.pick(*index);
                // Contents must be long enough to say whose they are.
                let long = self.messages.get(&ticket).is_some_and(|(given, _)| *given >= 8);
                if long && side.command(now, Command::End { ticket }).is_ok() {
                    self.messages.entry(ticket).and_modify(|(_, whole)| *whole = true);
                }
            }
            Act::Abort(_, index) => {
                let ticket = Ticket::new((*index % (self.messages.len() + 1)) as u64);
                if side.command(now, Command::Abort { ticket }).is_ok() {
                    self.aborted.insert(ticket);
                }
            }
            Act::Close(_) => {
                self.closed |= side.command(now, Command::Close { reason: None }).is_ok();
            }
            _ => {}
        }
    }

    /// Everything adds up, from what this side was asked for to what the other was given.
    fn check(&self, here: &Side<Session>, there: &Side<Session>, orderly: bool) {
        let ended = end(here);
        let unsent: BTreeSet<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
        let sent = here.pump.machine().stats().messages_sent as usize;
        assert_eq!(sent + unsent.len() + self.aborted.len(), self.messages.len(), "{ended:?}");
        let mut arrived = BTreeSet::new();
        for event in &there.events {
            let Event::Message(message) = event else { continue };
            let ticket = u64::from_be_bytes(message.content[..8].try_into().unwrap());
            let (len, whole) = self.messages[&Ticket::new(ticket)];
            assert!(
                whole && message.content == content(ticket, 0, len),
                "message {ticket} is not as it was sent"
            );
            assert!(arrived.insert(Ticket::new(ticket)), "message {ticket} arrived twice");
            assert!(!self.aborted.contains(&Ticket::new(ticket)), "message {ticket} was given up");
        }
        if orderly {
            let due: BTreeSet<_> = self
                .messages
                .keys()
                .copied()
                .filter(|ticket| !unsent.contains(ticket) && !self.aborted.contains(ticket))
                .collect();
            assert_eq!(arrived, due, "what was sent is what arrived");
        }
        // On the wire, whole messages begin in the order they were accepted.
        let mut last = 0;
        let mut written = &here.written[..];
        // The last frame may be cut, where the peer's goodbye came first.
        while let Some(frame) = peer::read(peer::KEY, written) {
            written = &written[frame.len..];
            let begins = frame.kind() == "message" || (frame.kind() == "chunk" && frame.header["index"] == 0);
            if !begins || frame.content.len() < 8 {
                continue;
            }
            let ticket = u64::from_be_bytes(frame.content[..8].try_into().unwrap());
            if !self.streams.contains(&Ticket::new(ticket)) {
                assert!(ticket > last, "message {ticket} began after {last}");
                last = ticket;
            }
        }
    }
}

fn end(side: &Side<Session>) -> &Ended {
    let ends = side.events.iter().filter(|event| matches!(event, Event::Ended(_))).count();
    assert_eq!(ends, 1);
    let Some(Event::Ended(ended)) = side.events.last() else {
        panic!("not the last: {:?}", side.events.last())
    };
    ended
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn between_two_undisturbed_sessions_everything_arrives_once_and_adds_up(
        chunks in (prop::bool::weighted(0.9), prop::bool::weighted(0.9)),
        acts in vec(act(), 0..120),
    ) {
        let config = |chunks| Config::builder()
            .accept_chunks(chunks)
            .queued_events(3)
            .message_limit(4000)
            .unfinished_limit(3)
            .queued_output(6000)
            .chunk_size(100)
            .build()
            .unwrap();
        let mut pair = Pair::sessions(config(chunks.0), config(chunks.1), keys());
        let (mut a, mut b, start) = (Asked::default(), Asked::default(), pair.now);
        for act in &acts {
            let now = pair.now;
            match act {
                Act::HoldEvents(true, on) => pair.a.hold_events = *on,
                Act::HoldEvents(false, on) => pair.b.hold_events = *on,
                Act::HoldOutput(true, on) => pair.a.hold_output = *on,
                Act::HoldOutput(false, on) => pair.b.hold_output = *on,
                Act::Run => pair.run(),
                Act::Turn(first, size) => {
                    let mut sizes = Chunker::fixed(*size);
                    let (from, to) =
                        if *first { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
                    let (written, _) = from.turn(now, &mut sizes);
                    to.inbound.extend(written);
                    to.inbound_ended |= from.half_closed;
                }
                // In all less than a handshake may take: what holds output back for longer disturbs.
                Act::Step(ms) if now.since(start) < Duration::from_secs(7) => {
                    pair.advance(Duration::from_millis(*ms));
                }
                Act::Step(_) => {}
                Act::Sizes(seed, largest) => pair.chunker = Chunker::random(*seed, *largest),
                Act::Send(true, _) | Act::Begin(true, _) | Act::Piece(true, ..) | Act::End(true, _)
                | Act::Abort(true, _) | Act::Close(true) => a.apply(&mut pair.a, now, act),
                _ => b.apply(&mut pair.b, now, act),
            }
        }
        let orderly = !a.closed && !b.closed;
        for side in [&mut pair.a, &mut pair.b] {
            (side.hold_events, side.hold_output) = (false, false);
        }
        pair.run();
        // What is open is ended, so that it can arrive; then one side says goodbye.
        for ticket in a.streams.clone() {
            a.apply(&mut pair.a, pair.now, &Act::End(true, a.streams.iter().position(|t| *t == ticket).unwrap()));
        }
        pair.run();
        if orderly {
            prop_assert!(pair.a.pump.machine().is_established() && pair.b.pump.machine().is_established());
        }
        let _ = pair.a.command(pair.now, Command::Close { reason: None });
        pair.advance(Duration::from_secs(60));
        prop_assert!(pair.a.closed && pair.b.closed);
        a.check(&pair.a, &pair.b, orderly);
        b.check(&pair.b, &pair.a, orderly);
    }
}
