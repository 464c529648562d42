//! The bodies of the fuzz targets in `fuzz/`. The ordinary tests run them on the corpora.

mod connection;
mod envelope;
mod pieces;
mod session;
mod streams;

pub use connection::connection;
pub use envelope::envelope;
pub use session::session;
pub use streams::streams;
