//! Helpers of the suite: vectors, hand-written peers, mock transports, the bodies of the fuzz targets; and the suite
//! that adapters are run against.
//!
//! # For the author of an adapter
//!
//! Implement [`suite::Adapter`] for a type of your own, and [`suite::Over`] for the transports that your adapter
//! takes; then [`suite!`] makes the tests, and [`cross!`] those of several adapters against one another. All of
//! it, on a runtime that has only what is needed:
//!
//! ```
//! # use std::future::Future;
//! # use std::io;
//! # use std::time::Duration;
//! use heartwire_core::role::Role;
//! use heartwire_core::server::Report;
//! use heartwire_std::address::Address;
//! use heartwire_std::service::Service;
//! use heartwire_std::session::ConnectError;
//! use heartwire_tests::mock::Mock;
//! use heartwire_tests::suite::{Adapter, Over};
//! use heartwire_tokio::{Server, accept_io, connect, connect_io};
//!
//! struct Mine;
//!
//! impl Adapter for Mine {
//!     type Server<V: Service> = Server<V>;
//!
//!     fn run<T>(case: impl Future<Output = T>) -> T {
//!         let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
//!         let limit = Duration::from_secs(60);
//!         runtime.block_on(async { tokio::time::timeout(limit, case).await.expect("it hangs") })
//!     }
//!
//!     fn spawn<T: Send + 'static>(
//!         task: impl Future<Output = T> + Send + 'static,
//!     ) -> impl Future<Output = T> + Send {
//!         let task = tokio::spawn(task);
//!         async { task.await.expect("it does not panic") }
//!     }
//!
//!     fn sleep(time: Duration) -> impl Future<Output = ()> + Send {
//!         tokio::time::sleep(time)
//!     }
//!
//!     async fn connect<V: Service>(address: &Address, options: &V) -> Result<V::Handle, ConnectError> {
//!         connect(address, options).await
//!     }
//!
//!     async fn bind<V: Service>(addresses: &[Address], options: V) -> io::Result<Server<V>> {
//!         Server::bind(addresses, options).await
//!     }
//!
//!     fn addresses<V: Service>(server: &Server<V>) -> Vec<Address> {
//!         server.local_addresses().to_vec()
//!     }
//!
//!     async fn serve<V, H, F>(
//!         server: Server<V>,
//!         handler: H,
//!         stop: impl Future<Output = ()> + Send + 'static,
//!     ) -> Report
//!     where
//!         V: Service,
//!         H: Fn(V::Handle) -> F + Send + Sync + 'static,
//!         F: Future<Output = ()> + Send + 'static,
//!     {
//!         server.serve(handler, stop).await
//!     }
//! }
//!
//! impl Over<Mock> for Mine {
//!     async fn over<V: Service>(io: Mock, role: Role, options: &V) -> Result<V::Handle, ConnectError> {
//!         match role {
//!             Role::Client => connect_io(io, options).await,
//!             Role::Server => accept_io(io, options).await,
//!         }
//!     }
//! }
//!
//! // One case by hand; the macros make a test of each.
//! Mine::run(heartwire_tests::suite::both_ways::messages::<Mine, heartwire_tests::suite::Memory>());
//! ```
//!
//! `Over` the sockets of the standard library, `std::net::TcpStream` and `std::os::unix::net::UnixStream`, is the same after
//! they were turned into those of the runtime. Which macro makes which tests, and how to select some of them, is in
//! `docs/adapters.md`.

pub mod cancel;
pub mod channel;
pub mod chat;
pub mod connection_rig;
pub mod ends;
pub mod files;
pub mod fuzz;
pub mod legacy;
pub mod lines;
pub mod lone;
pub mod mock;
pub mod peer;
pub mod peers;
pub mod program;
pub mod rig;
pub mod sealed;
pub mod solo;
pub mod streams;
pub mod suite;
pub mod turns;
pub mod unprotected;
pub mod vectors;

/// The example for authors of adapters runs.
#[cfg(doctest)]
#[doc = include_str!("../../docs/adapters.md")]
pub struct Adapters;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
