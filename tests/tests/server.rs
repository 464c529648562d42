//! Admission and shutdown against models so plain that they can be seen to be right.

use std::time::Duration;

use heartwire_core::server::{Admission, Admitted, ConnectionId, Ended, Limits, Phase, Shutdown, Step};
use heartwire_core::time::Instant;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Call {
    Admit,
    Established(u64),
    Closed(u64),
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        3 => Just(Call::Admit),
        3 => (0..20u64).prop_map(Call::Established),
        2 => (0..20u64).prop_map(Call::Closed),
    ];
    prop::collection::vec(call, 0..200)
}

/// One list of connections, searched from the front.
#[derive(Default)]
struct Model {
    all: Vec<(u64, State)>,
    next: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Handshake,
    Refused,
    Session,
}

impl Model {
    fn count(&self, session: bool) -> usize {
        self.all.iter().filter(|(_, state)| (*state == State::Session) == session).count()
    }

    fn admit(&mut self, sessions: usize, handshakes: usize) -> Admitted {
        let (id, refused) = (self.next, self.count(true) == sessions);
        self.next += 1;
        self.all.push((id, if refused { State::Refused } else { State::Handshake }));
        let mut cut = None;
        if self.count(false) > handshakes {
            let at = self.all.iter().position(|(_, state)| *state != State::Session).unwrap();
            cut = Some(ConnectionId::new(self.all.remove(at).0));
        }
        let id = ConnectionId::new(id);
        if refused { Admitted::Refused { id, cut } } else { Admitted::Accepted { id, cut } }
    }

    fn established(&mut self, id: u64, sessions: usize) -> bool {
        let full = self.count(true) == sessions;
        let Some((_, state)) = self.all.iter_mut().find(|(other, _)| *other == id) else { return false };
        if *state == State::Handshake {
            *state = if full { State::Refused } else { State::Session };
        }
        *state == State::Session
    }
}

proptest! {
    #[test]
    fn admission_decides_as_the_model_does(calls in calls(), sessions in 1..5usize, handshakes in 1..5usize) {
        let limits = Limits::builder().max_sessions(sessions).max_handshakes(handshakes).build().unwrap();
        let mut admission = Admission::new(limits);
        let mut model = Model::default();
        for call in calls {
            match call {
                Call::Admit => prop_assert_eq!(admission.admit(), model.admit(sessions, handshakes)),
                Call::Established(id) => prop_assert_eq!(
                    admission.established(ConnectionId::new(id)),
                    model.established(id, sessions)
                ),
                Call::Closed(id) => {
                    admission.closed(ConnectionId::new(id));
                    model.all.retain(|(other, _)| *other != id);
                }
            }
            prop_assert_eq!(admission.session_count(), model.count(true));
            prop_assert_eq!(admission.handshake_count(), model.count(false));
            prop_assert!(admission.session_count() <= sessions && admission.handshake_count() <= handshakes);
        }
    }

    /// Whatever happens in whatever order: every connection is handed out as it should be, every one
    /// counts once, and the stop is over exactly when the last is gone.
    #[test]
    fn a_stop_loses_nobody_and_counts_everybody_once(
        sessions in 0..6usize,
        handshakes in 0..4usize,
        grace in 0..50u64,
        events in prop::collection::vec((0..6u8, 0..10u64, 0..4u64, any::<bool>()), 0..40),
    ) {
        let mut admission = Admission::new(Limits::default());
        for _ in 0..sessions {
            let id = admission.admit().id();
            prop_assert!(admission.established(id));
        }
        for _ in 0..handshakes {
            let _ = admission.admit();
        }
        let total = sessions + handshakes;
        let is_session = |id: u64| id < sessions as u64;
        let millis = Duration::from_millis;
        let start = Instant::ZERO + millis(7);
        let mut now = start;
        let mut deadline = now + millis(grace);
        let mut shutdown = Shutdown::new();
        shutdown.begin(now, millis(grace), &admission);
        let mut live: Vec<u64> = (0..total as u64).collect();
        let (mut told, mut cut, mut unsent, mut closed, mut failed) = (vec![], vec![], 0, 0, 0);
        let mut ended_at = now;
        let mut timed_out = false;

        // the events, then time runs out and everything that is cut ends
        let end = [(5, 50, 0, false), (0, 0, 0, false)]
            .into_iter()
            .chain((0..total as u64).map(|id| (2, id, 0, false)));
        for (what, a, b, flag) in events.into_iter().chain(end) {
            match what {
                0 | 1 => while let Some(step) = shutdown.poll_step() {
                    match step {
                        Step::Tell(id) => {
                            prop_assert!(!timed_out && is_session(id.get()) && live.contains(&id.get()));
                            prop_assert!(!told.contains(&id.get()));
                            told.push(id.get());
                        }
                        Step::Cut(id) => {
                            prop_assert!(live.contains(&id.get()) && !cut.contains(&id.get()));
                            prop_assert!(timed_out || !is_session(id.get()));
                            cut.push(id.get());
                        }
                    }
                },
                2 | 3 => {
                    if let Some(at) = live.iter().position(|id| *id == a) {
                        live.remove(at);
                        unsent += if flag { 0 } else { b };
                        if is_session(a) && !cut.contains(&a) {
                            if flag { closed += 1 } else { failed += 1 }
                        }
                        ended_at = now;
                    }
                    let ended = if flag { Ended::in_order() } else { Ended::cut(b) };
                    shutdown.closed(now, ConnectionId::new(a), ended);
                }
                4 => {
                    shutdown.begin(now, millis(10 * b), &admission);
                    if !timed_out {
                        deadline = deadline.min(now + millis(10 * b));
                    }
                }
                _ => {
                    now = now + millis(a);
                    shutdown.handle_timeout(now);
                    timed_out |= now >= deadline;
                }
            }
            prop_assert_eq!(shutdown.left(), live.len());
            let phase = match (live.is_empty(), timed_out) {
                (true, _) => Phase::Stopped,
                (false, true) => Phase::Cutting,
                (false, false) => Phase::Telling { deadline },
            };
            prop_assert_eq!(shutdown.phase(), phase);
            prop_assert_eq!(shutdown.report().is_some(), live.is_empty());
        }

        let report = shutdown.report().unwrap();
        let cut: Vec<_> = cut.into_iter().filter(|id| is_session(*id)).map(ConnectionId::new).collect();
        prop_assert_eq!(&report.cut, &cut);
        prop_assert_eq!(report.told, told.len());
        prop_assert_eq!((report.closed, report.failed, report.unsent), (closed, failed, unsent));
        prop_assert_eq!(report.closed + report.failed + report.cut.len(), sessions);
        prop_assert_eq!(report.handshakes, handshakes);
        prop_assert_eq!(report.took, ended_at.since(start));
    }
}
