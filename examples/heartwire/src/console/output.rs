//! What arrived, on stdout: exact for programs, escaped for people.

use std::io::{self, IsTerminal, Write};

use bytes::Bytes;
use heartwire_core::escape::escape_bytes;
use tokio::sync::{mpsc, oneshot};

use crate::log::say;

/// What is to be printed.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// What a peer sent: a line of stdout.
    Text(Bytes),
    /// Something about what a peer sent, escaped already: for people, never among what programs read.
    Note(String),
}

/// Prints above a line that is being edited.
pub type Above = Box<dyn FnMut(String) -> io::Result<()> + Send>;

/// Prints in a thread: a reader of stdout that is slow holds up nothing but the printing.
pub struct Output {
    queue: mpsc::Sender<Shown>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// Prints to stdout, above the edited line if there is one.
    pub fn start(above: Option<Above>) -> Self {
        let (queue, taken) = mpsc::channel(1);
        let (tell, done) = oneshot::channel();
        std::thread::spawn(move || {
            let printed = match above {
                Some(above) => print_above(taken, above),
                None => print(taken, io::stdout().is_terminal()),
            };
            let _ = tell.send(printed);
        });
        Self { queue, done }
    }

    /// Hands this over; waits while the one before is being printed. False: printing has failed, and
    /// [`finish`](Self::finish) says why.
    pub async fn print(&self, what: Shown) -> bool {
        self.queue.send(what).await.is_ok()
    }

    /// Waits until everything is printed.
    pub async fn finish(self) -> io::Result<()> {
        drop(self.queue);
        self.done.await.unwrap_or(Ok(()))
    }
}

fn print(mut queue: mpsc::Receiver<Shown>, people: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    while let Some(what) = queue.blocking_recv() {
        match what {
            Shown::Note(note) => {
                out.flush()?;
                say(note);
            }
            Shown::Text(text) if people => writeln!(out, "{}", escape_bytes(&text))?,
            Shown::Text(text) => {
                out.write_all(&text)?;
                out.write_all(b"\n")?;
            }
        }
        if queue.is_empty() {
            out.flush()?;
        }
    }
    out.flush()
}

fn print_above(mut queue: mpsc::Receiver<Shown>, mut above: Above) -> io::Result<()> {
    while let Some(what) = queue.blocking_recv() {
        above(match what {
            Shown::Note(note) => format!("[{note}]\n"),
            Shown::Text(text) => format!("{}\n", escape_bytes(&text)),
        })?;
    }
    Ok(())
}
