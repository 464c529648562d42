//! The suite that every adapter passes, on tokio.

#[path = "adapters/tokio.rs"]
mod adapter;

use adapter::Tokio;

heartwire_tests::suite!(Tokio);
