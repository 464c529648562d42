//! Bytes to frames and back, one file per protocol, and nothing else: what a frame means is the
//! business of [`session`](crate::session).

pub mod envelope;
pub mod json;
