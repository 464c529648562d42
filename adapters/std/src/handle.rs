//! Handles to a machine that a driver runs: one that gives commands, one that takes events. They need
//! no runtime, so every adapter has the same.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Instant as StdInstant;

use heartwire_core::protocol::{Cut, Outcome, Protocol, Refused, Ticket};
use heartwire_core::time::Instant;
use parking_lot::Mutex;

use crate::address::Address;
use crate::driver::threads::{Reading, Writing, halves};
use crate::driver::{Driver, Timer, Transport};
use crate::shared::{For, Place, Shared};

/// Where a connection leads, where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// This side's address.
    pub local: Option<Address>,
    /// The peer's address.
    pub peer: Option<Address>,
}

impl Endpoints {
    /// The same places, over TLS.
    #[must_use]
    pub fn into_tls(self) -> Self {
        Self { local: self.local.map(Address::into_tls), peer: self.peer.map(Address::into_tls) }
    }
}

/// Puts a machine on a transport. Gives the handles, and the driver, which is to be spawned.
///
/// `make` is given the present time to make the machine with.
pub fn start<P, T, S>(
    transport: T,
    timer: S,
    endpoints: Endpoints,
    make: impl FnOnce(Instant) -> P,
) -> (Commands<P>, Events<P>, Driver<P, T, S>)
where
    P: Protocol,
    T: Transport,
    S: Timer,
{
    let shared = Shared::new(S::now, make);
    let (commands, events) = handles(&shared, endpoints);
    (commands, events, Driver::new(shared, transport, timer))
}

/// Puts a machine on a transport that one thread reads from and another writes to. Gives the handles, and the two
/// halves of the driver, which are to be run.
pub fn start_threads<P: Protocol>(
    endpoints: Endpoints,
    make: impl FnOnce(Instant) -> P,
) -> (Commands<P>, Events<P>, Reading<P>, Writing<P>) {
    let shared = Shared::new(StdInstant::now, make);
    let (commands, events) = handles(&shared, endpoints);
    let (reading, writing) = halves(&shared);
    (commands, events, reading, writing)
}

fn handles<P: Protocol>(shared: &Arc<Shared<P>>, endpoints: Endpoints) -> (Commands<P>, Events<P>) {
    let common = Arc::new(Common { endpoints, values: Mutex::default() });
    let commands = Commands { shared: Arc::clone(shared), common: Arc::clone(&common) };
    shared.handle_added();
    let events = Events { shared: Arc::clone(shared), common, more: VecDeque::new() };
    (commands, events)
}

/// What belongs to a connection beside its machine.
#[derive(Default)]
struct Common {
    endpoints: Endpoints,
    values: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// Gives a machine commands. Clones are handles to the same machine.
///
/// When the last handle to a machine is dropped, its connection is cut, unless it is closing.
pub struct Commands<P: Protocol> {
    shared: Arc<Shared<P>>,
    common: Arc<Common>,
}

impl<P: Protocol> Commands<P> {
    /// Gives a command, waiting while there is no room for it.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the command back.
    ///
    /// # Cancel safety
    ///
    /// A command is accepted as a whole or not at all. If the future is dropped before it is done, the command
    /// was not accepted, and is dropped with it; to keep it, await [`room_for`](Self::room_for) it and
    /// use [`try_command`](Self::try_command).
    pub async fn command(&self, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        let mut command = Some(command);
        let mut place = Place::new(&self.shared, For::Room);
        poll_fn(|cx| Shared::poll_command(&mut place, cx, &mut command)).await
    }

    /// Gives a command, if it can be accepted now.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the command back.
    #[inline]
    pub fn try_command(&self, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        self.shared.command(command)
    }

    /// Waits until there is room for a small message, or none will be taken any more.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn room(&self) {
        let mut place = Place::new(&self.shared, For::Room);
        poll_fn(|cx| Shared::poll_room(&mut place, cx, |_, interest| interest.commands)).await;
    }

    /// Waits until there is room, as `has_room` asks the machine, or nothing will be taken any more.
    /// It is asked again whenever bytes left.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn room_for(&self, has_room: impl Fn(&P) -> bool) {
        let mut place = Place::new(&self.shared, For::Room);
        poll_fn(|cx| Shared::poll_room(&mut place, cx, |machine, _| has_room(machine))).await;
    }

    /// Has whoever waits for room try again. For after a command that makes room without a byte leaving, such
    /// as one that takes something out of the queue; the driver does it when bytes have left.
    pub fn room_made(&self) {
        self.shared.room_made();
    }

    /// Waits until the connection is closed, and says how it ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) -> Option<Outcome> {
        let mut place = Place::new(&self.shared, For::End);
        poll_fn(|cx| Shared::poll_closed(&mut place, cx)).await
    }

    /// Gives the connection up without a goodbye. The last event says so.
    pub fn cut(&self, cut: Cut) {
        self.shared.cut(cut);
    }

    /// Asks the machine something. Nobody else can while `ask` runs: be brief.
    pub fn ask<R>(&self, ask: impl FnOnce(&P) -> R) -> R {
        self.shared.ask(ask)
    }

    /// Something to watch the connection with that does not count as a handle.
    #[must_use]
    pub fn watch(&self) -> Watch<P> {
        Watch { shared: Arc::clone(&self.shared), common: Arc::clone(&self.common) }
    }

    /// Where the connection leads.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.common.endpoints
    }

    /// Events that were dropped because the handle that takes them was.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.shared.discarded()
    }

    /// Keeps a value of the application's own with the connection, one of each type. Gives the one that
    /// was there.
    pub fn set_value<V: Any + Send + Sync>(&self, value: V) -> Option<Arc<V>> {
        let mut values = self.common.values.lock();
        let before = values.insert(TypeId::of::<V>(), Arc::new(value));
        before.and_then(|value| value.downcast().ok())
    }

    /// The application's value of this type, if there is one.
    #[must_use]
    pub fn value<V: Any + Send + Sync>(&self) -> Option<Arc<V>> {
        let values = self.common.values.lock();
        values.get(&TypeId::of::<V>()).cloned().and_then(|value| value.downcast().ok())
    }

    /// A machine's point in time, on the operating system's clock.
    #[must_use]
    pub fn to_std(&self, instant: Instant) -> StdInstant {
        self.shared.to_std(instant)
    }

    /// Whether two handles are to the same machine.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<P: Protocol> Clone for Commands<P> {
    fn clone(&self) -> Self {
        self.shared.handle_added();
        Self { shared: Arc::clone(&self.shared), common: Arc::clone(&self.common) }
    }
}

impl<P: Protocol> Drop for Commands<P> {
    fn drop(&mut self) {
        self.shared.handle_dropped(None);
    }
}

impl<P: Protocol> fmt::Debug for Commands<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("endpoints", &self.common.endpoints).finish_non_exhaustive()
    }
}

/// Watches a connection without keeping it.
pub struct Watch<P: Protocol> {
    shared: Arc<Shared<P>>,
    common: Arc<Common>,
}

impl<P: Protocol> Watch<P> {
    /// Waits until the connection is closed, and says how it ended.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub async fn closed(&self) -> Option<Outcome> {
        let mut place = Place::new(&self.shared, For::End);
        poll_fn(|cx| Shared::poll_closed(&mut place, cx)).await
    }

    /// How it ended, once that is known.
    #[must_use]
    pub fn ended(&self) -> Option<Outcome> {
        self.shared.ask(P::ended)
    }

    /// Gives a command, if it can be accepted now.
    ///
    /// # Errors
    ///
    /// [`Refused`] hands the command back.
    pub fn try_command(&self, command: P::Command) -> Result<Ticket, Refused<P::Command>> {
        self.shared.command(command)
    }

    /// Gives the connection up without a goodbye.
    pub fn cut(&self, cut: Cut) {
        self.shared.cut(cut);
    }

    /// Where the connection leads.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.common.endpoints
    }
}

impl<P: Protocol> fmt::Debug for Watch<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("endpoints", &self.common.endpoints).finish_non_exhaustive()
    }
}

/// Takes a machine's events.
///
/// While it is not asked, events wait in bounded memory, then reading stops. If it is dropped while
/// commands can still be given, events are dropped and [counted](Commands::discarded): the connection
/// goes on, for who only sends.
pub struct Events<P: Protocol> {
    shared: Arc<Shared<P>>,
    common: Arc<Common>,
    /// Small ones that came with the one that was asked for last.
    more: VecDeque<P::Event>,
}

impl<P: Protocol> Events<P> {
    /// The next event; none after the last one.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: what was taken and not returned yet stays here.
    pub async fn next(&mut self) -> Option<P::Event> {
        if let Some(event) = self.more.pop_front() {
            return Some(event);
        }
        let mut place = Place::new(&self.shared, For::Event);
        poll_fn(|cx| {
            let next = Shared::poll_event(&mut place, cx, &mut self.more);
            if next.is_pending() && self.more.capacity() > 0 {
                self.more = VecDeque::new();
            }
            next
        })
        .await
    }

    /// The next event that is there already.
    pub fn try_next(&mut self) -> Option<P::Event> {
        self.more.pop_front().or_else(|| self.shared.try_event(&mut self.more))
    }

    /// Another handle to the same machine, to give it commands.
    #[must_use]
    pub fn commands(&self) -> Commands<P> {
        self.shared.handle_added();
        Commands { shared: Arc::clone(&self.shared), common: Arc::clone(&self.common) }
    }
}

impl<P: Protocol> Drop for Events<P> {
    fn drop(&mut self) {
        self.shared.handle_dropped(Some(self.more.len()));
    }
}

impl<P: Protocol> fmt::Debug for Events<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("endpoints", &self.common.endpoints).finish_non_exhaustive()
    }
}
