//! The bodies of the fuzz targets in `fuzz/`. The ordinary tests run them on the corpora.

mod envelope;
mod session;

pub use envelope::envelope;
pub use session::session;
