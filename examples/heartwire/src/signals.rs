//! The signals that ask the program to stop.

use std::io;

use crate::exit::{Failure, Outcome};

/// SIGTERM and SIGINT, as they come.
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Takes the signals over: from here on they end nothing by themselves. Needs the runtime.
    pub fn take() -> Outcome<Self> {
        Self::new().map_err(|error| Failure::failed(format_args!("no signals: {error}")))
    }

    /// Waits for the next one. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        #[cfg(not(unix))]
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }

    fn new() -> io::Result<Self> {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            })
        }
        #[cfg(not(unix))]
        Ok(Self {})
    }
}
