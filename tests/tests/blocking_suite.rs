//! The suite that every adapter passes, on threads.

#[path = "adapters/blocking.rs"]
mod adapter;

use adapter::Threads;

heartwire_tests::suite!(Threads, threads);
