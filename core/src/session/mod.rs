//! Sessions over the envelope protocol: handshake, heartbeats, messages of any size, closing.
//!
//! [`Session`] wires the parts together and holds none of their logic:
//!
//! | part | decides |
//! |---|---|
//! | `state` | which frames have a place when |
//! | `handshake` | who speaks first, ids, features, limits |
//! | `heartbeat` | when to ping, the pong owed, the round-trip time |
//! | `outbox` | what is sent next |
//! | `reassembly`, `gather` | what chunks add up to |
//! | `goodbye` | what is said at the end |
//! | `inbox` | events that wait, and whether there is room for more |
//! | `link` | frames to bytes and back |
//!
//! Whether the peer is alive (`liveness`) and how long the end may take (`closing`) is decided the same way for
//! every protocol, beside this module.

mod command;
mod event;
mod gather;
mod goodbye;
mod handshake;
mod heartbeat;
mod inbox;
mod link;
mod machine;
mod outbox;
mod reassembly;
mod state;

pub use crate::ended::{Ended, EndedBy, Unsent};
pub use crate::role::Role;
pub use crate::stats::Stats;
pub use command::{Begin, Command};
pub use event::{Established, Event, Piece, PieceEnd, Start};
pub use gather::{Gathered, Gatherer};
pub use machine::Session;
