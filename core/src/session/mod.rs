//! Sessions over the envelope protocol: handshake, heartbeats, messages of any size, closing.
//!
//! [`Session`] wires the parts together and holds none of their logic:
//!
//! | part | decides |
//! |---|---|
//! | `state` | which frames have a place when |
//! | `handshake` | who speaks first, ids, features, limits |
//! | `heartbeat` | when to ping, the pong owed, the round-trip time |
//! | `liveness` | whether the peer is alive |
//! | `outbox` | what is sent next |
//! | `reassembly`, `gather` | what chunks add up to |
//! | `closing` | how long the end may take, and what is said |
//! | `inbox` | events that wait, and whether there is room for more |
//! | `link` | frames to bytes and back |

mod closing;
mod command;
mod event;
mod gather;
mod handshake;
mod heartbeat;
mod inbox;
mod link;
mod liveness;
mod machine;
mod outbox;
mod reassembly;
mod state;
mod stats;

pub use command::{Begin, Command};
pub use event::{Ended, EndedBy, Established, Event, Piece, PieceEnd, Start, Unsent};
pub use gather::{Gathered, Gatherer};
pub use machine::Session;
pub use stats::Stats;

/// Which side of a session this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that connected.
    Client,
    /// The side that accepted. It speaks first.
    Server,
}
