//! What adapters share that needs the operating system but no particular runtime.
//!
//! An adapter tells what its runtime has, as a [`Runtime`](runtime::Runtime); from it come connections, servers and
//! sessions that are the same on every runtime.
//!
//! * [`runtime`]: tasks, a timer, sockets: what an adapter provides
//! * [`adapter!`]: makes an adapter's functions of it
//! * [`connect`](mod@connect), [`server`]: connections and servers on any runtime; [`handler`]: a server's application
//!   as a trait; [`upgrade`]: transports that are still being made, as TLS is
//! * [`driver`]: moves bytes between a transport and a machine; [`driver::threads`]: with a thread for each direction
//! * [`handle`]: gives a driven machine commands, takes its events
//! * [`session`]: sessions as applications hold them; [`connection`]: the protocols without a session
//! * [`service`]: what connecting and serving have to know of a protocol; [`options`]: what they are made with
//! * [`reconnect`]: a client that connects again
//! * [`reset`]: TCP connections that are reset where they are not ended in order
//! * [`registry`]: the live connections of a server, and its stop
//! * [`address`]: where a peer is: `tcp://HOST:PORT`, `unix://PATH`, `tls://HOST:PORT`; [`unix_socket`]: binding Unix
//!   sockets: stale files replaced, live ones respected
//! * [`clock`], [`sleep`](mod@sleep), [`seed`]: time and randomness for machines
//! * [`prelude`], [`protocols`]: what every adapter re-exports
//!
//! Programs use it through the adapter for their runtime.

mod adapter;
pub mod address;
mod block;
pub mod clock;
pub mod connect;
pub mod connection;
pub mod driver;
pub mod handle;
pub mod handler;
mod listener;
pub mod options;
pub mod prelude;
pub mod protocols;
pub mod reconnect;
pub mod registry;
pub mod reset;
pub mod runtime;
pub mod seed;
pub mod server;
pub mod service;
pub mod session;
mod shared;
pub mod sleep;
mod tasks;
#[cfg(unix)]
pub mod unix_socket;
pub mod upgrade;
