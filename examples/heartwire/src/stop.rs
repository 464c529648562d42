//! How a client is stopped by signals.

use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use crate::exit::{Failure, Outcome};
use crate::signals::Signals;

/// How long what was cut may take to be told.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What signals ask for: to stop within the grace, and with the second, at once.
pub struct Stop {
    signals: Signals,
    grace: Duration,
    /// When the grace ends; none until it was asked for.
    until: Option<Instant>,
}

impl Stop {
    /// Takes the signals over. Needs the runtime.
    pub fn within(grace: Duration) -> Outcome<Self> {
        Ok(Self { signals: Signals::take()?, grace, until: None })
    }

    /// Waits for the first signal, from which the grace counts. Nothing is lost if the future is dropped.
    pub async fn asked(&mut self) {
        self.signals.next().await;
        self.until = Some(Instant::now() + self.grace);
    }

    /// Whether it was asked for already.
    pub fn was_asked(&self) -> bool {
        self.until.is_some()
    }

    /// Does this, but after a signal no longer than the grace: then it gives nothing.
    pub async fn at_most<T>(&mut self, work: impl Future<Output = T>) -> Outcome<Option<T>> {
        let mut work = pin!(work);
        if self.until.is_none() {
            tokio::select! {
                done = &mut work => return Ok(Some(done)),
                () = self.asked() => {}
            }
        }
        tokio::select! {
            done = timeout_at(self.until.unwrap_or_else(Instant::now), work) => Ok(done.ok()),
            () = self.signals.next() => Err(Failure::failed("stopped at once by a second signal")),
        }
    }

    /// Waits for what a task sends. A signal calls `asked`, and the end of the grace `cut`, which makes the task tell
    /// soon what it left. None: it does not even then.
    pub async fn sent<T>(
        &mut self,
        mut sending: JoinHandle<T>,
        asked: impl FnOnce(),
        cut: impl FnOnce(),
    ) -> Outcome<Option<T>> {
        let over = tokio::select! {
            over = &mut sending => Some(over),
            () = self.asked() => {
                asked();
                self.at_most(&mut sending).await?
            }
        };
        let over = match over {
            Some(over) => Some(over),
            None => {
                cut();
                timeout(LAST_WORDS, sending).await.ok()
            }
        };
        over.transpose().map_err(|error| Failure::failed(format_args!("sending failed: {error}")))
    }
}
