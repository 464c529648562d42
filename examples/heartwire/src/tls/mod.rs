//! TLS, for every protocol: certificates and keys from PEM files, handshakes, and what went wrong with them.

pub mod client;
mod pem;
pub mod plain;
pub mod server;
mod stream;

use std::io;
use std::sync::Arc;

use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// The cryptography. Nothing is chosen for the whole process, so that nothing depends on what was chosen before.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What TLS has against a connection, if it is TLS that has something against it.
fn reason(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}
