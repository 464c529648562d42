//! The protocols without a session: files with JSON headers, sealed packets (feature `sealed`), lines, length prefix;
//! what every adapter re-exports of them.

pub use heartwire_core::connection::{Config, ConfigBuilder, Ended, EndedBy, Event, Gatherer, Stats, Unsent};
#[cfg(feature = "sealed")]
pub use heartwire_core::wire::sealed;
pub use heartwire_core::wire::{body, codec, json_header, length_prefixed, lines};
