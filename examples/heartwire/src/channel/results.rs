//! What was received, on stdout: a line for each message, of any connection.

use std::io::{self, Write};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::exit::{Failure, Outcome};
use crate::hex::Hex;
use crate::log::say;

/// How long a reader of stdout that is stuck may hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where connections report to; printed by a thread, so that a reader of stdout that is slow holds up nothing but
/// those that have something to report.
#[derive(Clone, Debug)]
pub struct Results(mpsc::Sender<String>);

/// What becomes of the lines.
#[derive(Debug)]
pub struct Printed(oneshot::Receiver<io::Result<()>>);

/// Prints results until nobody has any more.
pub fn start() -> (Results, Printed) {
    let (results, taken) = mpsc::channel(1);
    let (tell, printed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = tell.send(print(taken));
    });
    (Results(results), Printed(printed))
}

fn print(mut lines: mpsc::Receiver<String>) -> io::Result<()> {
    while let Some(line) = lines.blocking_recv() {
        // not kept locked: others have something to say there, too
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}

impl Results {
    /// A message was received. Waits until the line before is printed. If printing has failed, [`Printed`] says so.
    pub async fn received(&self, bytes: u64, sha256: &[u8]) {
        let _ = self.0.send(format!("received {bytes} bytes sha256 {}\n", Hex(sha256))).await;
    }
}

impl Printed {
    /// Waits until printing fails.
    pub async fn failed(&mut self) -> Failure {
        match (&mut self.0).await {
            Ok(Err(error)) => Failure::stdout(&error),
            // all is printed
            _ => std::future::pending().await,
        }
    }

    /// Waits until everything is printed, which everybody who reported must have done with; not for long.
    pub async fn finish(self) -> Outcome {
        match timeout(LAST_WORDS, self.0).await {
            Ok(Ok(Err(error))) => Err(Failure::stdout(&error)),
            Ok(_) => Ok(()),
            Err(_) => {
                say("nobody reads stdout: lines about received messages are missing there");
                Ok(())
            }
        }
    }
}
