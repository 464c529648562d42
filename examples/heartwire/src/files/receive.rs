//! `files receive`: receives files into a folder.

use std::future::poll_fn;
use std::io::{self, IsTerminal};
use std::mem;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use clap::ValueEnum;
use heartwire_core::escape::escape_bytes;
use heartwire_files::receive::{Event, called};
use heartwire_files::{How, OnExist, Store, Stored};
use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::json_header::{JsonFormat, JsonHeader};
use heartwire_tokio::{Address, ConnectionOptions, Tokio};

use super::progress::{Progress, Transfer, Transfers};
use super::shown;
use super::tally::Tally;
use crate::exit::{Failure, Outcome};
use crate::log::{count, say};
use crate::printing::{self, Lines};
use crate::serving::{self, Listen};
use crate::{runtime, tls};

/// Receive files into a folder, each complete or not at all
///
/// Prints `listening on ADDRESS` on stdout for every address, once connections are accepted; then the texts that come,
/// which are no files: each as it is, and a line ending (escaped, if stdout is a terminal). Logs go to stderr, and name
/// client and file: complete, skipped, refused or cut, and why. On a terminal bars show what is under way.
///
/// A file has its name when it is complete and on the disk; one that is cut leaves nothing, and what was there under
/// its name stays as it was. CSV files are appended to what is there. Names that lead out of the folder, through links,
/// or can't be seen are refused, each by itself. What a receiver that was killed has left in the folder is removed.
///
/// When everything that a sender sent has its name, its connection is ended: that is what it can wait for.
///
/// SIGTERM or SIGINT accepts nobody any more, lets transfers end within the grace, cuts the others, and exits with 0;
/// stderr says what was cut, and then what was received. A second one exits at once with 1; it leaves no part of a file
/// either. Exit code 1, too, if DIR can't be written in.
///
/// When stdout can't be written it ends at once: with 0 if nobody reads it any more, else with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to listen: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH; repeatable
    #[arg(long, value_name = "ADDR", default_value = "tcp://127.0.0.1:5555")]
    listen: Vec<Address>,

    #[command(flatten)]
    tls: tls::server::Args,

    /// The folder that files go to; made if it is not there
    #[arg(long, value_name = "DIR", default_value = "./received")]
    dir: PathBuf,

    /// What becomes of a file whose name is taken, but for CSV, which is appended
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = Existing::Replace)]
    on_exist: Existing,

    #[command(flatten)]
    serving: serving::Args,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Existing {
    /// It takes the name, at once, when it is complete
    Replace,
    /// What is there stays, and the new one is passed over; to its sender that is as good as stored
    Skip,
    /// It takes another name: `name (1).txt`
    Rename,
    /// What is there stays, and the new one is refused
    Fail,
}

impl From<Existing> for OnExist {
    fn from(existing: Existing) -> Self {
        match existing {
            Existing::Replace => Self::Replace,
            Existing::Skip => Self::Skip,
            Existing::Rename => Self::Rename,
            Existing::Fail => Self::Fail,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let listen = Listen::on(args.listen, &args.tls)?;
    let options = args.serving.connections_with(JsonFormat::new(), heartwire_files::receive::config())?;
    let store = Store::open(&args.dir, args.on_exist.into()).map_err(Failure::failed)?;
    let leftovers = store.leftovers() as u64;
    if leftovers > 0 {
        let dir = args.dir.to_string_lossy();
        tracing::info!(
            "removed from {}: {} of transfers that were cut",
            shown(&dir),
            count(leftovers, "part")
        );
    }
    runtime::block_on(receive(listen, options, store))
}

async fn receive(listen: Listen, options: ConnectionOptions<JsonHeader>, store: Store) -> Outcome {
    let begun = Instant::now();
    let progress = Arc::new(Progress::start(None));
    let (lines, mut printed) = printing::start();
    let tally: Arc<Mutex<Tally>> = Arc::default();
    let desk = Arc::new(Desk {
        store: store.clone(),
        transfers: progress.transfers(),
        tally: Arc::clone(&tally),
        lines,
        people: io::stdout().is_terminal(),
        clients: AtomicU64::new(0),
    });
    let handler = move |connection| {
        let desk = Arc::clone(&desk);
        async move { desk.receive(connection).await }
    };
    let at_once = {
        let (progress, store) = (Arc::clone(&progress), store.clone());
        move || {
            progress.clear();
            store.abandon();
        }
    };
    let served = tokio::select! {
        served = serving::serve_with(listen, options, handler, at_once) => served,
        // texts could not be told
        failure = printed.failed() => Err(failure),
    };
    progress.clear();
    // what was cut may still be on its way to the disk
    store.abandon();
    served?;
    for line in lock(&tally).lines(begun.elapsed()) {
        say(line);
    }
    printed.finish().await
}

/// What all connections have in common.
struct Desk {
    store: Store,
    transfers: Transfers,
    tally: Arc<Mutex<Tally>>,
    /// Texts go there.
    lines: Lines,
    /// People read them.
    people: bool,
    /// How many have come.
    clients: AtomicU64,
}

impl Desk {
    async fn receive(&self, connection: Connection<JsonHeader>) {
        let number = self.clients.fetch_add(1, Ordering::Relaxed) + 1;
        let client = format!("client {number} ({})", serving::peer(connection.endpoints().peer.as_ref()));
        tracing::info!("{client}: connected");
        let told = Mutex::new(Told::new(&client, self));
        let on_event = |event| lock(&told).tell(event);
        let mut receiving =
            pin!(heartwire_files::receive::unconfirmed::<Tokio>(connection, &self.store, on_event));
        let unconfirmed = loop {
            // while texts wait to be printed, nothing more is received: who reads stdout slowly slows who sends them
            let (over, texts) = poll_fn(|cx| {
                let over = receiving.as_mut().poll(cx);
                let texts = mem::take(&mut lock(&told).texts);
                match over {
                    Poll::Ready(unconfirmed) => Poll::Ready((Some(unconfirmed), texts)),
                    Poll::Pending if texts.is_empty() => Poll::Pending,
                    Poll::Pending => Poll::Ready((None, texts)),
                }
            })
            .await;
            for text in texts {
                // if printing has failed, that ends the program
                self.lines.print(self.line(&text)).await;
            }
            if let Some(unconfirmed) = over {
                break unconfirmed;
            }
        };
        // its texts are printed, but for the last ones that are on their way
        let received = unconfirmed.confirm().await;
        if received.ended.is_orderly() && !received.cut {
            tracing::info!("{client}: closed: {}", serving::ending(&received.ended));
        } else {
            tracing::warn!("{client}: closed: {}", serving::ending(&received.ended));
        }
    }

    /// A text as a line of stdout.
    fn line(&self, text: &Bytes) -> Vec<u8> {
        let mut line = if self.people { escape_bytes(text).to_string().into() } else { text.to_vec() };
        line.push(b'\n');
        line
    }
}

/// What was told of a client, and what it is sending.
struct Told<'a> {
    client: &'a str,
    desk: &'a Desk,
    file: Option<File>,
    /// To be printed.
    texts: Vec<Bytes>,
}

/// A file that is being received.
struct File {
    name: String,
    written: u64,
    size: u64,
    transfer: Transfer,
}

impl<'a> Told<'a> {
    fn new(client: &'a str, desk: &'a Desk) -> Self {
        Self { client, desk, file: None, texts: Vec::new() }
    }

    fn tell(&mut self, event: Event) {
        let Self { client, desk, .. } = self;
        match event {
            Event::Begun { name, kind, size } => {
                tracing::debug!("{client}: receiving {}, {size} bytes ({kind})", shown(&name));
                let transfer = desk.transfers.begin(&name, size);
                self.file = Some(File { name, written: 0, size, transfer });
            }
            Event::Progress { written } => {
                if let Some(file) = &mut self.file {
                    file.written = written;
                    file.transfer.at(written);
                }
            }
            Event::Stored(stored) => {
                let sent_as = self.file.take().map(|file| file.name);
                let line = complete(sent_as.as_deref(), &stored);
                tracing::info!("{client}: {line}");
                lock(&desk.tally).stored(&stored);
            }
            Event::Skipped { name, size } => {
                self.file = None;
                let line = format!("skipped: {}, {size} bytes: a file of this name is there", shown(&name));
                tracing::info!("{client}: {line}");
                lock(&desk.tally).skipped(line);
            }
            Event::Refused { name, why, .. } => {
                self.file = None;
                let name = called(&name, &why);
                let line = format!("refused: {}: {}", shown(name), shown(&why.to_string()));
                tracing::warn!("{client}: {line}");
                lock(&desk.tally).refused(line);
            }
            Event::Cut { name, received, size, why } => {
                self.file = None;
                self.cut(&name, received, size, &why);
            }
            Event::Text(text) => {
                tracing::info!("{client}: a text, {} bytes", text.len());
                lock(&desk.tally).text();
                self.texts.push(text);
            }
            _ => {}
        }
    }

    fn cut(&self, name: &str, received: u64, size: u64, why: &str) {
        let line = format!("cut: {} after {received} of {size} bytes: {}", shown(name), shown(why));
        tracing::warn!("{}: {line}", self.client);
        lock(&self.desk.tally).cut(line);
    }
}

impl Drop for Told<'_> {
    /// The handler was ended where it was: nobody else tells.
    fn drop(&mut self) {
        if let Some(File { name, written, size, .. }) = self.file.take() {
            self.cut(&name, written, size, "the receiver was stopped");
        }
    }
}

/// A file is there.
fn complete(sent_as: Option<&str>, stored: &Stored) -> String {
    let (name, size) = (stored.name.as_str(), stored.size);
    let sent_as = sent_as.unwrap_or(name);
    let how = match stored.how {
        How::New => String::new(),
        How::Replaced => ", replaced".into(),
        How::Appended => ", appended".into(),
        How::Renamed => format!(", as {}", shown(name)),
    };
    format!("complete: {}, {size} bytes{how}", shown(sent_as))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use heartwire_files::Name;

    use super::*;

    #[test]
    fn a_file_that_is_there_is_told_with_how_it_took_its_name() {
        let stored = |how| Stored { name: Name::parse("a (1).txt").unwrap(), size: 5, how };
        for (sent_as, how, line) in [
            ("a (1).txt", How::New, "complete: a (1).txt, 5 bytes"),
            ("a (1).txt", How::Replaced, "complete: a (1).txt, 5 bytes, replaced"),
            ("a (1).txt", How::Appended, "complete: a (1).txt, 5 bytes, appended"),
            ("a.txt", How::Renamed, "complete: a.txt, 5 bytes, as a (1).txt"),
        ] {
            assert_eq!(complete(Some(sent_as), &stored(how)), line);
        }
    }
}
