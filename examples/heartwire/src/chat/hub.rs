//! Who gets what others send.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use heartwire_tokio::{Message, Sender, Why};

/// The sessions of a broadcast.
#[derive(Default)]
pub struct Hub {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    senders: BTreeMap<u64, Sender>,
    last: u64,
}

/// A session's place in the hub; dropped, it leaves.
pub struct Member {
    hub: Arc<Hub>,
    number: u64,
}

impl Hub {
    pub fn join(self: &Arc<Self>, sender: Sender) -> Member {
        let mut members = self.lock();
        members.last += 1;
        let number = members.last;
        members.senders.insert(number, sender);
        Member { hub: Arc::clone(self), number }
    }

    /// Queues the message for everyone but its sender, waiting for nobody. Gives those it was refused
    /// for; who is closing is no news. A member for whom `limit` bytes or more wait is refused as full,
    /// even where its session would let a small message past a large one that waits.
    ///
    /// The lock is held meanwhile, so that all get the messages of different senders in one order.
    pub fn send_to_others(&self, from: &Member, message: &Message, limit: usize) -> Vec<(Sender, Why)> {
        let mut members = self.lock();
        let mut refused = Vec::new();
        members.senders.retain(|number, sender| {
            if *number == from.number {
                return true;
            }
            let sent = if sender.queued_bytes() >= limit && !sender.is_closing() {
                Err(Why::Full)
            } else {
                sender.try_send(message.clone()).map_err(|back| back.why)
            };
            match sent {
                Ok(_) | Err(Why::Closed) => true,
                Err(why) => {
                    refused.push((sender.clone(), why));
                    // who is too slow gets nothing more, not even by a queue that empties just now
                    why != Why::Full
                }
            }
        });
        refused
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.hub.lock().senders.remove(&self.number);
    }
}
