//! The suite that every adapter passes, on async-std.

#[path = "adapters/async_std.rs"]
mod adapter;

use adapter::AsyncStd;

heartwire_tests::suite!(AsyncStd);
