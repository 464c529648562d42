//! The suite that every adapter passes, on smol.

#[path = "adapters/smol.rs"]
mod adapter;

use adapter::Smol;

heartwire_tests::suite!(Smol);
