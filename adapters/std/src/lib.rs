//! What adapters share that needs the operating system but no runtime.
//!
//! * [`address`]: where a peer is: `tcp://HOST:PORT`, `unix://PATH`
//! * [`unix_socket`]: binding Unix sockets: stale files replaced, live ones respected
//! * [`clock`]: the machines' time from the operating system's monotonic clock
//! * [`seed`]: randomness for a machine
//! * [`driver`]: moves bytes between a transport and a machine, on any runtime
//! * [`handle`]: gives a driven machine commands, takes its events
//! * [`session`]: sessions as applications hold them; [`connection`]: the protocols without a session
//! * [`service`]: what connecting and serving have to know of a protocol; [`options`]: what they are made with
//! * [`registry`]: the live connections of a server, and its stop
//!
//! Programs use it through the adapter for their runtime, which re-exports what they need.

pub mod address;
mod block;
pub mod clock;
pub mod connection;
pub mod driver;
pub mod handle;
pub mod options;
pub mod registry;
pub mod seed;
pub mod service;
pub mod session;
mod shared;
#[cfg(unix)]
pub mod unix_socket;
