//! What every adapter must do: the cases, by subject, over an [`Adapter`] and whatever [link](links::Link) is between
//! the two sides. [`suite!`](crate::suite!) makes the tests of one adapter, [`cross!`](crate::cross!) those of
//! several against one another.
//!
//! No case sleeps to see what happens: it awaits an event, or the clock is a simulated one. Only that nothing
//! happens any more takes a while to see. Nor does a case need a runtime for what it does itself: the handles, channels
//! and peers of the suite are awaited on any.

pub mod adapter;
pub mod both_ways;
pub mod cancel;
pub mod connections;
pub mod cross;
pub mod endings;
pub mod fixtures;
pub mod flow;
pub mod heartbeat;
pub mod limits;
pub mod links;
mod macros;
pub mod raw;
pub mod shutdown;
pub mod sockets;
pub mod transport;

pub use adapter::{Adapter, Over};
pub use fixtures::{content, keys};
pub use links::{Memory, To};
pub use raw::Raw;
#[cfg(unix)]
pub use sockets::Unix;
pub use sockets::{Tcp, blocking};
