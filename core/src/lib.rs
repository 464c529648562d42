//! The heartwire session protocol as a pure state machine.
//!
//! Two programs connect over anything that carries bytes in order; a machine of this crate turns
//! those bytes into events: session established, message, piece of a large message, peer silent,
//! peer gone and why. It does no I/O, reads no clock and draws no randomness: whoever embeds it
//! brings those. Runtime adapters are crates of their own (`heartwire-tokio` and others).
//!
//! Where to look:
//!
//! * [`protocol`]: the trait every machine implements, and all that a driver knows
//! * [`pump`]: a machine with its receive buffer and its timers, the half of a driver that needs no runtime
//! * [`session`]: sessions over the envelope protocol: handshake, heartbeats, messages, closing
//! * [`connection`]: the four protocols without a session: files with JSON headers, sealed packets, lines, length prefix
//! * [`wire`]: bytes to frames and back, nothing else
//! * [`server`]: what every server decides the same way
//! * [`reconnect`]: when a client connects again, and when it gives up
//! * [`config`], [`rate`], [`error`], [`key`], [`time`]: limits, rates, codes, keys, points in time
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod buf;
mod closing;
pub mod config;
pub mod connection;
pub mod ended;
pub mod error;
pub mod escape;
pub mod key;
mod liveness;
pub mod message;
pub mod protocol;
pub mod pump;
pub mod rate;
pub mod reconnect;
pub mod role;
pub mod seed;
pub mod server;
pub mod session;
mod stats;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
pub mod timer;
pub mod wire;
