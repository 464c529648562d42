//! Who gets what others send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heartwire_tokio::Why;

/// Somebody in a [`Hub`].
pub trait Member: Clone {
    /// What goes round.
    type Message;

    /// Queues a message for this member, waiting for nobody.
    fn queue(&self, message: &Self::Message) -> Result<(), Why>;
}

/// All who get what any of them sends.
pub struct Hub<M> {
    members: Mutex<Members<M>>,
}

struct Members<M> {
    members: BTreeMap<u64, M>,
    last: u64,
}

/// A member's place in the hub; dropped, the member leaves.
pub struct Place<M> {
    hub: Arc<Hub<M>>,
    number: u64,
}

/// Members for whom a message was refused, and why.
pub type Refused<M> = Vec<(M, Why)>;

impl<M> Hub<M> {
    pub fn join(self: &Arc<Self>, member: M) -> Place<M> {
        let mut members = self.lock();
        members.last += 1;
        let number = members.last;
        members.members.insert(number, member);
        Place { hub: Arc::clone(self), number }
    }

    fn lock(&self) -> MutexGuard<'_, Members<M>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Member> Hub<M> {
    /// The lock is held while a message is queued for all, so that all get the messages of different senders in
    /// one order.
    fn send(&self, message: &M::Message, but: Option<u64>) -> Refused<M> {
        let mut members = self.lock();
        let mut refused = Vec::new();
        members.members.retain(|number, member| {
            if Some(*number) == but {
                return true;
            }
            match member.queue(message) {
                // who is closing is no news
                Ok(()) | Err(Why::Closed) => true,
                Err(why) => {
                    refused.push((member.clone(), why));
                    // who is too slow gets nothing more, not even by a queue that empties just now
                    why != Why::Full
                }
            }
        });
        refused
    }
}

impl<M: Member> Place<M> {
    /// Queues the message for everyone, waiting for nobody. Gives those it was refused for; who is full is no
    /// member any more.
    pub fn send_to_all(&self, message: &M::Message) -> Refused<M> {
        self.hub.send(message, None)
    }

    /// The same, for everyone but this member.
    pub fn send_to_others(&self, message: &M::Message) -> Refused<M> {
        self.hub.send(message, Some(self.number))
    }
}

impl<M> Default for Hub<M> {
    fn default() -> Self {
        Self { members: Mutex::new(Members { members: BTreeMap::new(), last: 0 }) }
    }
}

impl<M> Drop for Place<M> {
    fn drop(&mut self) {
        self.hub.lock().members.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many messages.
    #[derive(Clone)]
    struct Box(Arc<Mutex<Vec<u32>>>, usize);

    impl Member for Box {
        type Message = u32;

        fn queue(&self, message: &u32) -> Result<(), Why> {
            let mut held = self.0.lock().unwrap();
            if held.len() >= self.1 {
                return Err(if self.1 == 0 { Why::Closed } else { Why::Full });
            }
            held.push(*message);
            Ok(())
        }
    }

    impl Box {
        fn of(size: usize) -> Self {
            Self(Arc::default(), size)
        }

        fn held(&self) -> Vec<u32> {
            self.0.lock().unwrap().clone()
        }
    }

    #[test]
    fn messages_go_to_members_while_they_are_there() {
        let hub = Arc::new(Hub::default());
        let (one, other) = (Box::of(9), Box::of(9));
        let place = hub.join(one.clone());
        assert!(place.send_to_all(&1).is_empty());
        let second = hub.join(other.clone());
        assert!(place.send_to_all(&2).is_empty() && place.send_to_others(&3).is_empty());
        drop(second);
        assert!(place.send_to_all(&4).is_empty());
        assert_eq!((one.held(), other.held()), (vec![1, 2, 4], vec![2, 3]));
    }

    #[test]
    fn who_is_full_is_out_and_who_is_closing_is_not_told_of() {
        let hub = Arc::new(Hub::default());
        let (full, fine) = (Box::of(1), Box::of(9));
        let places = [full.clone(), Box::of(0), fine.clone()].map(|member| hub.join(member));
        assert!(places[2].send_to_all(&1).is_empty());
        let refused = places[2].send_to_all(&2);
        assert!(matches!(&refused[..], [(_, Why::Full)]));
        // room made later does not let it back in
        full.0.lock().unwrap().clear();
        assert!(places[2].send_to_all(&3).is_empty());
        assert_eq!((full.held(), fine.held()), (vec![], vec![1, 2, 3]));
    }
}
