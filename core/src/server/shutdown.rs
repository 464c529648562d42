//! The phases of a stop.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use super::{Admission, ConnectionId, Report};
use crate::time::Instant;

/// How far a stop is.
///
/// ```text
/// Running ──begin──▶ Telling ──deadline──▶ Cutting
///                       │                     │
///                       └── the last closed ──┴──▶ Stopped
/// ```
///
/// A stop with nobody there is `Stopped` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No stop has begun.
    Running,
    /// Sessions are being told (closed with the reason `Server shutting down`) and end in order;
    /// what is left at the deadline is cut.
    Telling {
        /// When time is up.
        deadline: Instant,
    },
    /// Time is up: what was left is being cut.
    Cutting,
    /// Nothing is left.
    Stopped,
}

/// What the server is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Close this session with the reason `Server shutting down`.
    Tell(ConnectionId),
    /// Close this connection without a word: a handshake in progress, or a session whose time is up.
    Cut(ConnectionId),
}

/// How a connection ended while the server stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    in_order: bool,
    unsent: u64,
}

impl Ended {
    /// Everything was sent, the goodbye too.
    #[must_use]
    pub const fn in_order() -> Self {
        Self { in_order: true, unsent: 0 }
    }

    /// The connection was cut or failed, with this many accepted messages not sent.
    #[must_use]
    pub const fn cut(unsent: u64) -> Self {
        Self { in_order: false, unsent }
    }
}

/// A connection on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    /// A session that is to be told, or was.
    Session,
    /// A session whose time is up, not yet handed out as a step.
    Overdue,
    /// A session that was handed out to be cut.
    Cut,
    /// A handshake in progress; dropped.
    Handshake,
}

/// Leads a server through its stop.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: Phase,
    begun: Instant,
    left: BTreeMap<ConnectionId, Leaving>,
    /// Each connection stands here at most twice: once to be told, once to be cut.
    steps: VecDeque<Step>,
    report: Report,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A server that runs.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Phase::Running,
            begun: Instant::ZERO,
            left: BTreeMap::new(),
            steps: VecDeque::new(),
            report: Report::default(),
        }
    }

    /// The stop begins, with what `admission` holds: its sessions are to be told, its handshakes
    /// dropped. From here on the server accepts nobody, and drops connections that get established after all.
    ///
    /// Called again, it only ever moves the deadline earlier.
    pub fn begin(&mut self, now: Instant, grace: Duration, admission: &Admission) {
        match self.phase {
            Phase::Running => {
                self.begun = now;
                self.phase = Phase::Telling { deadline: now + grace };
                for id in admission.handshakes() {
                    self.left.insert(id, Leaving::Handshake);
                    self.steps.push_back(Step::Cut(id));
                }
                for id in admission.sessions() {
                    self.left.insert(id, Leaving::Session);
                    self.steps.push_back(Step::Tell(id));
                }
                self.report.handshakes = admission.handshake_count();
                self.settle(now);
            }
            Phase::Telling { deadline } => {
                self.phase = Phase::Telling { deadline: deadline.min(now + grace) };
            }
            Phase::Cutting | Phase::Stopped => {}
        }
    }

    /// A connection is gone. Ids that are not left, and calls before the stop, change nothing.
    pub fn closed(&mut self, now: Instant, id: ConnectionId, ended: Ended) {
        let Some(leaving) = self.left.remove(&id) else { return };
        match leaving {
            Leaving::Session | Leaving::Overdue if ended.in_order => self.report.closed += 1,
            Leaving::Session | Leaving::Overdue => self.report.failed += 1,
            Leaving::Cut | Leaving::Handshake => {}
        }
        self.report.unsent = self.report.unsent.saturating_add(ended.unsent);
        self.settle(now);
    }

    /// The deadline may have passed. Calling early does nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        let Phase::Telling { deadline } = self.phase else { return };
        if now < deadline {
            return;
        }
        self.phase = Phase::Cutting;
        for (id, leaving) in &mut self.left {
            if *leaving == Leaving::Session {
                *leaving = Leaving::Overdue;
                self.steps.push_back(Step::Cut(*id));
            }
        }
    }

    /// What could not even be cut (a handler that does not come back) is given up: the stop is over.
    pub fn give_up(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Running | Phase::Stopped) {
            return;
        }
        for (id, leaving) in core::mem::take(&mut self.left) {
            match leaving {
                Leaving::Session | Leaving::Overdue => self.report.cut.push(id),
                Leaving::Cut | Leaving::Handshake => {}
            }
        }
        self.settle(now);
    }

    /// What to do next, if there is anything. Connections that ended meanwhile are passed over.
    pub fn poll_step(&mut self) -> Option<Step> {
        while let Some(step) = self.steps.pop_front() {
            let (Step::Tell(id) | Step::Cut(id)) = step;
            match (step, self.left.get_mut(&id)) {
                (Step::Tell(_), Some(Leaving::Session)) => {
                    self.report.told += 1;
                    return Some(step);
                }
                (Step::Cut(_), Some(Leaving::Handshake)) => return Some(step),
                (Step::Cut(_), Some(leaving @ Leaving::Overdue)) => {
                    *leaving = Leaving::Cut;
                    self.report.cut.push(id);
                    return Some(step);
                }
                _ => {}
            }
        }
        None
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Telling { deadline } => Some(deadline),
            Phase::Running | Phase::Cutting | Phase::Stopped => None,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// How many connections are left, handshakes included.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// How it went, once it is [`Phase::Stopped`].
    #[must_use]
    pub fn report(&self) -> Option<&Report> {
        (self.phase == Phase::Stopped).then_some(&self.report)
    }

    fn settle(&mut self, now: Instant) {
        if self.left.is_empty() && matches!(self.phase, Phase::Telling { .. } | Phase::Cutting) {
            self.phase = Phase::Stopped;
            self.steps.clear();
            self.report.took = now.since(self.begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Limits;
    use std::vec;
    use std::vec::Vec;

    const GRACE: Duration = Duration::from_secs(3);

    fn at(millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis)
    }

    /// Three sessions (ids 0 to 2) and one handshake (3).
    fn admission() -> Admission {
        let mut admission = Admission::new(Limits::default());
        for _ in 0..3 {
            let id = admission.admit().id();
            assert!(admission.established(id));
        }
        let _ = admission.admit();
        admission
    }

    fn steps(shutdown: &mut Shutdown) -> Vec<Step> {
        core::iter::from_fn(|| shutdown.poll_step()).collect()
    }

    fn id(number: u64) -> ConnectionId {
        ConnectionId::new(number)
    }

    #[test]
    fn everyone_told_ends_in_order() {
        let mut shutdown = Shutdown::new();
        shutdown.begin(at(0), GRACE, &admission());
        let told = [Step::Cut(id(3)), Step::Tell(id(0)), Step::Tell(id(1)), Step::Tell(id(2))];
        assert_eq!(steps(&mut shutdown), told);
        assert_eq!(shutdown.deadline(), Some(at(3000)));
        for number in 0..4 {
            assert_eq!(shutdown.report(), None);
            shutdown.closed(at(10 * number), id(number), Ended::in_order());
        }
        let report = shutdown.report().unwrap();
        assert_eq!((report.told, report.closed, report.handshakes), (3, 3, 1));
        assert_eq!(report.took, Duration::from_millis(30));
        assert_eq!((shutdown.phase(), shutdown.deadline()), (Phase::Stopped, None));
    }

    #[test]
    fn what_is_left_at_the_deadline_is_cut_once() {
        let mut shutdown = Shutdown::new();
        shutdown.begin(at(0), GRACE, &admission());
        steps(&mut shutdown);
        shutdown.closed(at(1), id(3), Ended::cut(0));
        shutdown.closed(at(1), id(1), Ended::cut(1));
        shutdown.handle_timeout(at(2999));
        assert_eq!(steps(&mut shutdown), []);
        shutdown.handle_timeout(at(3000));
        shutdown.handle_timeout(at(3001));
        assert_eq!(shutdown.phase(), Phase::Cutting);
        // it was quicker than its cut
        shutdown.closed(at(3001), id(0), Ended::in_order());
        assert_eq!(steps(&mut shutdown), [Step::Cut(id(2))]);
        assert_eq!(steps(&mut shutdown), []);
        shutdown.closed(at(3002), id(2), Ended::cut(2));
        shutdown.closed(at(3003), id(2), Ended::cut(9));
        let report = shutdown.report().unwrap();
        assert_eq!((report.closed, report.failed, report.unsent), (1, 1, 3));
        assert_eq!((&report.cut, report.took), (&vec![id(2)], Duration::from_millis(3002)));
    }

    #[test]
    fn a_second_begin_only_moves_the_deadline_earlier() {
        let mut shutdown = Shutdown::new();
        shutdown.begin(at(0), GRACE, &admission());
        shutdown.begin(at(100), GRACE, &admission());
        assert_eq!(shutdown.deadline(), Some(at(3000)));
        shutdown.begin(at(200), Duration::from_millis(300), &admission());
        assert_eq!(shutdown.deadline(), Some(at(500)));
        assert_eq!(steps(&mut shutdown).len(), 4);
        shutdown.handle_timeout(at(500));
        shutdown.begin(at(600), GRACE, &admission());
        assert_eq!(shutdown.phase(), Phase::Cutting);
    }

    #[test]
    fn nobody_there_is_stopped_at_once() {
        let mut shutdown = Shutdown::new();
        shutdown.closed(at(0), id(0), Ended::in_order());
        shutdown.handle_timeout(at(9));
        shutdown.give_up(at(9));
        assert_eq!(shutdown.phase(), Phase::Running);
        shutdown.begin(at(10), GRACE, &Admission::new(Limits::default()));
        assert_eq!(shutdown.report(), Some(&Report::default()));
    }

    #[test]
    fn what_can_not_even_be_cut_is_given_up() {
        let mut shutdown = Shutdown::new();
        shutdown.begin(at(0), Duration::MAX, &admission());
        steps(&mut shutdown);
        shutdown.give_up(at(50));
        assert_eq!(shutdown.report().unwrap().cut.len(), 3);
        assert_eq!(steps(&mut shutdown), []);
    }
}
