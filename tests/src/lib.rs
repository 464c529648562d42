//! Helpers of the suite: vectors, a hand-written peer, mock transports, the bodies of the fuzz targets.

pub mod chat;
pub mod ends;
pub mod fuzz;
pub mod legacy;
pub mod mock;
pub mod peer;
pub mod program;
pub mod rig;
pub mod solo;
pub mod suite;
pub mod unprotected;
pub mod vectors;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
