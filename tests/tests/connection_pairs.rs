//! Two connections without a session, wired together: whatever is between them, everything arrives in order, and
//! both part in order.

use std::time::Duration;

use heartwire_core::connection::{Command, Config, Connection, Event};
use heartwire_core::protocol::Why;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::testing::{Chunker, Pair, Side};
use heartwire_core::time::Instant;
use heartwire_core::wire::json_header::JsonHeader;
use heartwire_core::wire::length_prefixed::LengthPrefixed;
use heartwire_core::wire::lines::Lines;
use heartwire_core::wire::sealed::Sealed;
use heartwire_tests::connection_rig::{Subject, trace_streamed};
use proptest::collection::vec;
use proptest::prelude::*;

/// Something done to one side of a pair, or to what is between them.
#[derive(Clone, Debug)]
enum Act {
    Send(bool, usize, u8),
    Stream(bool, usize, u8, usize),
    HoldEvents(bool, bool),
    HoldOutput(bool, bool),
    Turn(bool, usize),
    Run,
    Step(u64),
    Sizes(u64, usize),
}

fn act() -> impl Strategy<Value = Act> {
    let side = any::<bool>;
    prop_oneof![
        8 => (side(), prop_oneof![0..40_usize, 0..4000_usize], any::<u8>()).prop_map(|(s, n, x)| Act::Send(s, n, x)),
        3 => (side(), 0..4000_usize, any::<u8>(), 1..900_usize).prop_map(|(s, n, x, p)| Act::Stream(s, n, x, p)),
        2 => (side(), any::<bool>()).prop_map(|(s, on)| Act::HoldEvents(s, on)),
        2 => (side(), any::<bool>()).prop_map(|(s, on)| Act::HoldOutput(s, on)),
        8 => (side(), 1..3000_usize).prop_map(|(s, n)| Act::Turn(s, n)),
        2 => Just(Act::Run),
        1 => (0..3000_u64).prop_map(Act::Step),
        1 => (any::<u64>(), 1..2000_usize).prop_map(|(seed, n)| Act::Sizes(seed, n)),
    ]
}

/// How they part: which of them are the first to finish, and whether one closes in place of that.
fn ends() -> impl Strategy<Value = (bool, bool, bool)> {
    any::<(bool, bool, bool)>()
}

type End<C> = Side<Connection<C>>;

/// A trace of what one side was asked for, and what the other received.
#[derive(Default)]
struct Asked {
    trace: Vec<u8>,
    count: u64,
}

impl Asked {
    fn send<C: Subject>(&mut self, side: &mut End<C>, now: Instant, len: usize, salt: u8) {
        let message = C::message(len, salt);
        match side.command(now, Command::Send(message.clone())) {
            Ok(ticket) => {
                self.count += 1;
                assert_eq!(ticket.get(), self.count);
                C::items(&message).iter().for_each(|item| C::trace(item, &mut self.trace));
            }
            Err(refused) => assert_eq!(refused.why, Why::Full),
        }
    }

    /// The same message in pieces, given at once.
    fn stream<C: Subject>(&mut self, side: &mut End<C>, now: Instant, len: usize, salt: u8, step: usize) {
        let Some(head) = C::head(len as u64) else { return };
        // There is room for all of it.
        let step = step.max(len / 4);
        if side.pump.machine().queued_output() > 4000 {
            return;
        }
        let Ok(ticket) = side.command(now, Command::Begin(head)) else { return };
        self.count += 1;
        assert_eq!(ticket.get(), self.count);
        let content: Vec<u8> = (0..len).map(|at| (at as u8) ^ salt).collect();
        for piece in content.chunks(step) {
            let given = side.command(now, Command::Piece { ticket, content: piece.to_vec().into() });
            given.expect("there is room for a message");
        }
        side.command(now, Command::End { ticket }).expect("all of it was given");
        self.trace.extend_from_slice(&trace_streamed::<C>(len as u64, &content));
    }
}

fn check<C: Subject>((acts, (first, close, together), sealed): (Vec<Act>, (bool, bool, bool), bool)) {
    let config = || {
        Config::builder()
            .queued_events(5)
            .queued_event_bytes(5000)
            .queued_output(12_000)
            .build()
            .expect("a configuration")
    };
    let now = Instant::ZERO + Duration::from_secs(1000);
    // Of sealed connections, a server owes answers: that is another test. Two clients take what comes.
    let other = if sealed { Role::Client } else { Role::Server };
    let machine =
        |role, seed| Connection::<C>::new(config(), &C::settings(), role, &Seed::new([seed; 32]), now);
    let mut pair = Pair::new(machine(Role::Client, 1), machine(other, 2), now);
    let (mut a, mut b) = (Asked::default(), Asked::default());
    for act in &acts {
        let now = pair.now;
        match *act {
            Act::Send(true, len, salt) => a.send(&mut pair.a, now, len, salt),
            Act::Send(false, len, salt) => b.send(&mut pair.b, now, len, salt),
            Act::Stream(true, len, salt, step) => a.stream(&mut pair.a, now, len, salt, step),
            Act::Stream(false, len, salt, step) => b.stream(&mut pair.b, now, len, salt, step),
            Act::HoldEvents(true, on) => pair.a.hold_events = on,
            Act::HoldEvents(false, on) => pair.b.hold_events = on,
            Act::HoldOutput(true, on) => pair.a.hold_output = on,
            Act::HoldOutput(false, on) => pair.b.hold_output = on,
            Act::Turn(first, size) => {
                let (from, to) = if first { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
                let (written, _) = from.turn(now, &mut Chunker::fixed(size));
                to.inbound.extend(written);
            }
            Act::Run => pair.run(),
            Act::Step(ms) => pair.advance(Duration::from_millis(ms)),
            Act::Sizes(seed, largest) => pair.chunker = Chunker::random(seed, largest),
        }
    }
    for side in [&mut pair.a, &mut pair.b] {
        (side.hold_events, side.hold_output) = (false, false);
    }
    // Who closes does not wait to hear everything: only who closes when it has may.
    let now = pair.now;
    let (one, two) = if first { (&mut pair.a, &mut pair.b) } else { (&mut pair.b, &mut pair.a) };
    one.command(now, Command::Finish).expect("accepted");
    if together {
        two.command(now, Command::Finish).expect("accepted");
    }
    pair.run();
    if !together {
        let two = if first { &mut pair.b } else { &mut pair.a };
        assert!(two.events.iter().any(|event| matches!(event, Event::Finished)));
        two.command(now, if close { Command::Close } else { Command::Finish }).expect("accepted");
    }
    pair.run();
    assert!(pair.a.closed && pair.b.closed, "without any time passing");
    arrived(&a, &pair.a, &pair.b);
    arrived(&b, &pair.b, &pair.a);
}

fn arrived<C: Subject>(asked: &Asked, here: &End<C>, there: &End<C>) {
    let Some(Event::Ended(ended)) = here.events.last() else { panic!("{:?}", here.events.last()) };
    assert!(ended.is_orderly() && ended.told && ended.unsent.is_empty(), "{ended}");
    assert_eq!(here.pump.machine().stats().messages_sent, asked.count);
    assert_eq!(there.pump.machine().stats().messages_received, asked.count);
    let mut trace = Vec::new();
    for event in &there.events {
        if let Event::Received(item) = event {
            C::trace(item, &mut trace);
        }
    }
    assert!(trace == asked.trace, "something else arrived than was sent");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_headers(acts in vec(act(), 0..120), ends in ends()) {
        check::<JsonHeader>((acts, ends, false));
    }

    #[test]
    fn lengths(acts in vec(act(), 0..120), ends in ends()) {
        check::<LengthPrefixed>((acts, ends, false));
    }

    #[test]
    fn lines(acts in vec(act(), 0..120), ends in ends()) {
        check::<Lines>((acts, ends, false));
    }

    #[test]
    fn packets(acts in vec(act(), 0..120), ends in ends()) {
        check::<Sealed>((acts, ends, true));
    }

    /// A server that answers each request with what it was asked, however many wait.
    #[test]
    fn packets_asked_and_answered(
        requests in vec((0..3000_usize, any::<u8>()), 0..30),
        seed in any::<u64>(),
        largest in 1..5000_usize,
    ) {
        let now = Instant::ZERO;
        let machine = |role, seed| {
            Connection::<Sealed>::new(Config::default(), &Sealed::settings(), role, &Seed::new([seed; 32]), now)
        };
        let mut pair = Pair::new(machine(Role::Client, 1), machine(Role::Server, 2), now);
        pair.chunker = Chunker::random(seed, largest);
        let requests: Vec<_> = requests.into_iter().map(|(len, salt)| Sealed::message(len, salt)).collect();
        for request in &requests {
            pair.a.command(now, Command::Send(request.clone())).unwrap();
        }
        pair.a.command(now, Command::Finish).unwrap();
        let mut answered = 0;
        for _ in 0..=requests.len() {
            pair.run();
            let received: Vec<_> = pair.b.events.iter().filter_map(|event| match event {
                Event::Received(request) => Some(request.clone()),
                _ => None,
            }).collect();
            prop_assert!(received.len() <= answered + 1, "{} requests, {answered} answers", received.len());
            if let Some(request) = received.get(answered) {
                pair.b.command(now, Command::Send(request.clone())).unwrap();
                answered += 1;
            }
        }
        prop_assert_eq!(answered, requests.len());
        pair.b.command(now, Command::Finish).unwrap();
        pair.run();
        let answers: Vec<_> = pair.a.events.iter().filter_map(|event| match event {
            Event::Received(answer) => Some(answer.clone()),
            _ => None,
        }).collect();
        prop_assert_eq!(answers, requests);
        prop_assert!(pair.a.closed && pair.b.closed);
    }
}
