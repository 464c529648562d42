//! Waiting for a future in a thread, by parking it.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use heartwire_core::protocol::{Refused, Why};
use heartwire_std::driver::Timer;

thread_local! {
    /// The earliest alarm that was waited for in this turn of the innermost [`block_on`].
    static ALARM: Cell<Option<Instant>> = const { Cell::new(None) };
    /// What wakes this thread, while nobody waits.
    static PARKED: Cell<Option<(Arc<Parked>, Waker)>> = const { Cell::new(None) };
}

/// Waits for a future. The thread is parked meanwhile.
///
/// Calls may be nested: a future that is waited for may wait for another one in the same way.
///
/// ```
/// assert_eq!(heartwire_blocking::block_on(async { 1 + 1 }), 2);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    match block(None, future) {
        Some(done) => done,
        // Without a deadline it waits on.
        None => unreachable!("there was no deadline"),
    }
}

/// Waits for a future until then at most. None: it was late, and is dropped. It is polled once in any case.
pub fn block_on_until<F: Future>(deadline: Instant, future: F) -> Option<F::Output> {
    block(Some(deadline), future)
}

/// The same, for so long at most. What the clock can't represent never ends.
pub(crate) fn block_on_for<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    block(Instant::now().checked_add(limit), future)
}

/// Tries until there is room or the time is over; `room` waits for it. What could not be given is handed back.
pub(crate) fn try_until<C, T>(
    limit: Duration,
    mut command: C,
    attempt: impl Fn(C) -> Result<T, Refused<C>>,
    room: &impl AsyncFn(&C),
) -> Result<T, Refused<C>> {
    let deadline = Instant::now().checked_add(limit);
    loop {
        match attempt(command) {
            Err(Refused { command: back, why: Why::Full }) => command = back,
            done => return done,
        }
        // Others may have been faster whenever there was room.
        let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
        if late || block(deadline, room(&command)).is_none() {
            return Err(Refused { command, why: Why::Full });
        }
    }
}

fn block<F: Future>(deadline: Option<Instant>, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let turn = Turn::begin();
    let mut cx = Context::from_waker(&turn.waker);
    loop {
        ALARM.set(None);
        if let Poll::Ready(done) = future.as_mut().poll(&mut cx) {
            return Some(done);
        }
        let until = earlier(deadline, ALARM.get());
        if turn.parked.park(until) == Woken::No && deadline.is_some() && deadline <= until {
            return None;
        }
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// One call of [`block_on`], inside of others perhaps.
struct Turn {
    parked: Arc<Parked>,
    waker: Waker,
    outer: Option<Instant>,
}

impl Turn {
    fn begin() -> Self {
        // A call inside of this one finds nothing here, and has its own.
        let kept = PARKED.try_with(Cell::take).ok().flatten();
        let (parked, waker) = kept.unwrap_or_else(|| {
            let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
            (Arc::clone(&parked), Waker::from(parked))
        });
        Self { parked, waker, outer: ALARM.take() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        ALARM.set(self.outer);
        let _ = PARKED.try_with(|place| place.set(Some((Arc::clone(&self.parked), self.waker.clone()))));
    }
}

#[derive(PartialEq, Eq)]
enum Woken {
    Yes,
    No,
}

/// A thread that waits, and whether it was woken. The flag counts, whatever else unparks the thread.
struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Parked {
    fn park(&self, until: Option<Instant>) -> Woken {
        loop {
            if self.woken.swap(false, Ordering::Acquire) {
                return Woken::Yes;
            }
            match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(Duration::ZERO) => return Woken::No,
                Some(left) => thread::park_timeout(left),
            }
        }
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.woken.swap(true, Ordering::Release) {
            self.thread.unpark();
        }
    }
}

/// An alarm of a thread that waits in [`block_on`]; elsewhere it does not go off by itself. Nor does it in a future
/// that is polled only when it was woken, such as one in a `FuturesUnordered`: the thread wakes up, and asks all others.
#[derive(Debug, Default)]
pub struct Alarm(Option<Instant>);

impl Timer for Alarm {
    fn now() -> Instant {
        Instant::now()
    }

    fn arm(&mut self, at: Instant) {
        self.0 = Some(at);
    }

    fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.0 else { return Poll::Pending };
        if at <= Instant::now() {
            self.0 = None;
            return Poll::Ready(());
        }
        ALARM.set(earlier(ALARM.get(), Some(at)));
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use heartwire_std::sleep::{sleep, timeout};

    use super::*;

    /// Ready at the second poll, which another thread causes.
    async fn woken_elsewhere() {
        let mut asked = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut asked, true) {
                return Poll::Ready(());
            }
            let waker = cx.waker().clone();
            thread::spawn(move || waker.wake());
            Poll::Pending
        })
        .await;
    }

    #[test]
    fn a_thread_waits_until_it_is_woken_and_waits_inside_of_waiting() {
        block_on(async {
            woken_elsewhere().await;
            for _ in 0..100 {
                block_on(async {
                    woken_elsewhere().await;
                    block_on(woken_elsewhere());
                });
            }
            woken_elsewhere().await;
        });
    }

    #[test]
    fn what_unparks_a_thread_without_waking_it_is_passed_over() {
        thread::current().unpark();
        let mut polls = 0;
        let deadline = Instant::now() + Duration::from_millis(20);
        let never = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert_eq!(block_on_until(deadline, never), None);
        assert!(Instant::now() >= deadline);
        assert_eq!(polls, 1);
    }

    #[test]
    fn a_wake_up_for_the_inner_call_does_not_take_the_one_for_the_outer() {
        // There is a waker to use again from now on.
        block_on(async {});
        let mut polls = 0;
        let outer = poll_fn(|outer| {
            polls += 1;
            let mut asked = false;
            // Both are woken before the inner one parks.
            block_on(poll_fn(|inner| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                outer.waker().wake_by_ref();
                inner.waker().wake_by_ref();
                Poll::Pending
            }));
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(block_on_for(Duration::from_secs(60), outer), Some(()));
    }

    #[test]
    fn alarms_go_off_also_around_others() {
        let began = Instant::now();
        block_on(async {
            let inner = async {
                // Its own, later alarm does not stand in the way of the outer one.
                block_on(sleep::<Alarm>(Duration::from_millis(10)));
                pending::<()>().await;
            };
            assert!(timeout::<Alarm, _>(Duration::from_millis(30), inner).await.is_none());
        });
        assert!(began.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn a_deadline_before_an_alarm_ends_the_wait_and_one_after_it_does_not() {
        let sleeping = |ms| sleep::<Alarm>(Duration::from_millis(ms));
        assert_eq!(block_on_for(Duration::from_millis(5), sleeping(60_000)), None);
        assert_eq!(block_on_for(Duration::from_secs(60), sleeping(5)), Some(()));
        assert_eq!(block_on_for(Duration::MAX, sleeping(5)), Some(()));
        assert_eq!(block_on_for(Duration::ZERO, async { 7 }), Some(7), "what is there is there");
    }
}
