//! Helpers of the suite: vectors, hand-written peers, mock transports, the bodies of the fuzz targets.

pub mod cancel;
pub mod channel;
pub mod chat;
pub mod connection_rig;
pub mod connection_suite;
pub mod ends;
pub mod fuzz;
pub mod legacy;
pub mod lines;
pub mod lone;
pub mod mock;
pub mod peer;
pub mod peers;
pub mod program;
pub mod rig;
pub mod runtime;
pub mod sealed;
pub mod solo;
pub mod streams;
pub mod suite;
pub mod turns;
pub mod unprotected;
pub mod vectors;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
