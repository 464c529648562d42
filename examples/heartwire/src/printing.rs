//! Lines on stdout, from anybody who has one.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::exit::{Failure, Outcome};
use crate::log::{above_bars, say};

/// How long a reader of stdout that is stuck may hold up the end.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Where lines are given to; printed by a thread, so that a reader of stdout that is slow holds up nothing but those
/// that have something to print.
#[derive(Clone, Debug)]
pub struct Lines(mpsc::Sender<Bytes>);

/// What has come of printing.
#[derive(Debug)]
pub struct Printed(oneshot::Receiver<io::Result<()>>);

/// Prints lines until nobody has any more.
pub fn start() -> (Lines, Printed) {
    let (lines, taken) = mpsc::channel(1);
    let (tell, printed) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = tell.send(print(taken));
    });
    (Lines(lines), Printed(printed))
}

fn print(mut lines: mpsc::Receiver<Bytes>) -> io::Result<()> {
    let people = io::stdout().is_terminal();
    while let Some(line) = lines.blocking_recv() {
        let write = || {
            // not kept locked: others have something to say there, too
            let mut out = io::stdout().lock();
            out.write_all(&line)?;
            out.flush()
        };
        // a pipe may be stuck, which must not hold up the bars
        if people { above_bars(write)? } else { write()? }
    }
    Ok(())
}

impl Lines {
    /// Prints this; it has its line ending. Waits until the line before is printed. False: printing has failed, and
    /// [`Printed`] says why.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is done, the line is not printed.
    pub async fn print(&self, line: impl Into<Bytes>) -> bool {
        self.0.send(line.into()).await.is_ok()
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

    /// Waits until everything is printed, which everybody who prints must have done with; not for long.
    pub async fn finish(self) -> Outcome {
        match timeout(LAST_WORDS, self.0).await {
            Ok(Ok(Err(error))) => Err(Failure::stdout(&error)),
            Ok(_) => Ok(()),
            Err(_) => {
                say("nobody reads stdout: lines are missing there about what was received");
                Ok(())
            }
        }
    }
}
