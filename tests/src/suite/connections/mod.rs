//! The protocols that have no session.

pub mod both_ways;
pub mod cancel;
pub mod confirmed;
pub(super) mod fixtures;
pub mod half_close;
pub mod limits;
pub mod memory;
pub mod shutdown;
pub mod transport;
