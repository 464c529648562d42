//! The path through drivers and handles, over a transport in memory, with an executor that does nothing but
//! poll what was woken.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant as StdInstant;

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::message::Message;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Event, Session};
use heartwire_std::driver::{Driver, Timer};
use heartwire_std::handle::{Endpoints, start};
use heartwire_tests::mock::{self, Mock, Script};
use heartwire_tests::unprotected::Unprotected;
use heartwire_tokio::Io;

use crate::Counter;

static NOW: LazyLock<StdInstant> = LazyLock::new(StdInstant::now);

/// A clock that stands still, so that no deadline ever passes.
struct Still;

impl Timer for Still {
    fn now() -> StdInstant {
        *NOW
    }

    fn arm(&mut self, _: StdInstant) {}

    fn poll_elapsed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something to poll when it was woken.
struct Task {
    woken: Arc<Flag>,
    waker: Waker,
}

impl Task {
    fn new() -> Self {
        let woken = Arc::new(Flag(AtomicBool::new(true)));
        Self { waker: Waker::from(Arc::clone(&woken)), woken }
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        self.woken.0.store(false, Ordering::Relaxed);
        future.poll(&mut Context::from_waker(&self.waker))
    }
}

/// A driver and its task.
struct Driven(Driver<Session<Unprotected>, Io<Mock>, Still>, Task);

/// Polls both drivers until neither is woken.
fn run(drivers: &mut [Driven; 2]) {
    while drivers.iter().any(|Driven(_, task)| task.woken.0.load(Ordering::Relaxed)) {
        for Driven(driver, task) in &mut *drivers {
            if task.woken.0.load(Ordering::Relaxed) {
                assert!(task.poll(Pin::new(driver)).is_pending(), "the connection stays");
            }
        }
    }
}

/// An application sends a message of 64 B, both drivers carry it, and the application at the other end,
/// which waits for it, is woken and has it.
pub fn small_message(counter: &mut Counter) {
    let (a, b) = mock::pair(64 * 1024, Script::free(), Script::free());
    let (config, seed) = (Arc::new(Config::default()), Seed::new([7; 32]));
    let (client, mut client_events, client_driver) = start(Io(a), Still, Endpoints::default(), |now| {
        Session::client_with(Arc::clone(&config), Unprotected, now)
    });
    let (_server, mut server_events, server_driver) = start(Io(b), Still, Endpoints::default(), |now| {
        Session::server_with(Arc::clone(&config), Unprotected, &seed, now)
    });
    let mut drivers = [Driven(client_driver, Task::new()), Driven(server_driver, Task::new())];
    run(&mut drivers);
    assert!(matches!(client_events.try_next(), Some(Event::Established(_))));
    assert!(matches!(server_events.try_next(), Some(Event::Established(_))));

    let content = Bytes::from(vec![7; 64]);
    let (sends, receives) = (Task::new(), Task::new());
    while counter.goes_on() {
        let mut received = None;
        counter.count(1, &mut || {
            let mut next = pin!(server_events.next());
            assert!(receives.poll(next.as_mut()).is_pending());
            let send = pin!(client.command(Command::Send(Message::binary(content.clone()))));
            let Poll::Ready(Ok(_)) = sends.poll(send) else { panic!("not accepted") };
            run(&mut drivers);
            assert!(receives.woken.0.load(Ordering::Relaxed));
            let Poll::Ready(event) = receives.poll(next) else { panic!("it did not arrive") };
            received = event;
        });
        assert!(matches!(received, Some(Event::Message(message)) if message.content.len() == 64));
    }
}
