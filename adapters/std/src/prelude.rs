//! What every adapter re-exports: one set of names, whatever the runtime.

pub use bytes::Bytes;
pub use heartwire_core::config::{Config, ConfigBuilder, ConfigError, Receive};
pub use heartwire_core::error::{Code, Error, Fault};
pub use heartwire_core::key::{Key, Keys, WeakKey};
pub use heartwire_core::message::{App, ContentType, Message};
pub use heartwire_core::protocol::{Outcome, Refused, Ticket, Why};
pub use heartwire_core::rate::Rate;
pub use heartwire_core::reconnect::{Backoff, BackoffBuilder, GivenUp};
pub use heartwire_core::server::{Limits, LimitsBuilder, LimitsError, Report};
pub use heartwire_core::session::{
    Begin, Ended, EndedBy, Established, Event, Gathered, Gatherer, Piece, PieceEnd, Start, Stats, Unsent,
};
pub use heartwire_core::wire::envelope::{Features, PeerLimits};

pub use crate::address::{Address, AddressError};
pub use crate::options::{ConnectionOptions, Options};
pub use crate::reconnect::{Progress, Reconnecting};
pub use crate::registry::Registry;
pub use crate::service::Service;
pub use crate::session::{ConnectError, SendError};
