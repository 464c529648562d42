//! `files send`: sends files and folders, and waits until they are stored.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use heartwire_core::protocol::Cut;
use heartwire_core::wire::json_header::Kind;
use heartwire_files::send::{Event, Why};
use heartwire_files::{SendError, Sent, Sources};
use heartwire_tokio::connection::json_header::{JsonFormat, JsonHeader};
use heartwire_tokio::{Address, ConnectionOptions, Tokio};

use super::progress::{Progress, Total, Transfer, Transfers};
use super::shown;
use crate::connecting::{Connector, Times};
use crate::endings::{Expected, link_over, no_link};
use crate::exit::{Failure, Outcome};
use crate::log::{count, say};
use crate::stop::Stop;
use crate::{duration, runtime, serving, tls};

/// What is to listen at the address.
const RECEIVER: Expected = Expected { link: "connection", server: "heartwire files receive" };

/// Send files and folders, and wait until the receiver has stored them
///
/// All paths are sent in their order over one connection, then the text. A file is called by the last part of its path;
/// of a folder every file below it is sent, as FOLDER/SUB/FILE; folders without files are not. A path that is a link is
/// followed; links in folders, and what is no file, are left out, which the log says.
///
/// All files are opened before connecting: if one can't be, nothing is sent. A file that changes while it is sent ends
/// the connection, and the receiver keeps nothing of it.
///
/// When everything is sent, the stream to the receiver is ended, and its own end awaited: a heartwire receiver ends it
/// when everything has its name, and says before what it has not stored, and why. Each file that has left is logged as
/// `sent NAME, N bytes`, in order; a summary follows, and after it why it failed, if it did. On a terminal bars show
/// what is under way, at which rate, and how long it will take.
///
/// Exit code 0: everything was sent, and the receiver ended its stream in order; 1: not so, and stderr says why and what
/// had left.
///
/// SIGTERM or SIGINT ends the connection within the grace; stderr says what was cut. The exit code is 1 then, too, unless
/// the receiver has ended its stream in order before. A second one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the receiver listens: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH
    #[arg(value_name = "ADDR")]
    address: Address,

    #[command(flatten)]
    tls: tls::client::Args,

    /// What to send: files, and folders with all that is in them
    #[arg(value_name = "PATH", required_unless_present = "text")]
    paths: Vec<PathBuf>,

    /// Send this text, which is no file, after all paths; receivers take up to 1 MiB
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    text: Option<String>,

    /// What the files are said to be; without it each name's extension tells. Receivers append a CSV to the file of its
    /// name
    #[arg(long = "type", value_name = "TYPE", ignore_case = true)]
    kind: Option<Type>,

    /// How long the receiver may take, after everything was sent, to say that it is stored; not longer than --timeout
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "60s")]
    wait: Duration,

    #[command(flatten)]
    times: Times,
}

/// What a file can be said to be.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Type {
    Text,
    Csv,
    Image,
    Unknown,
}

impl From<Type> for Kind {
    fn from(kind: Type) -> Self {
        match kind {
            Type::Text => Self::Text,
            Type::Csv => Self::Csv,
            Type::Image => Self::Image,
            Type::Unknown => Self::Unknown,
        }
    }
}

pub fn run(args: Args) -> Outcome {
    let wait = serving::check_time("--wait", args.wait)?;
    let options = args.times.connection(JsonFormat::new(), heartwire_files::send::config())?;
    let connector = Connector::new(&args.address, &args.tls)?;
    let sources = sources(&args)?;
    let job = Job { address: args.address, files: sources.files() as u64, begun: Instant::now() };
    runtime::block_on(job.send(connector, options, sources, wait, args.times.grace))
}

/// Everything that is to be sent.
fn sources(args: &Args) -> Outcome<Sources> {
    let mut sources = Sources::new();
    for path in &args.paths {
        let added = sources.add(path, args.kind.map(Kind::from));
        added.map_err(|error| Failure::failed(format_args!("nothing was sent: {error}")))?;
    }
    if let Some(text) = &args.text {
        sources.add_text(text.clone());
    }
    for path in sources.left_out() {
        let path = path.to_string_lossy();
        tracing::warn!("left out: {}: it is a link, or no file", shown(&path));
    }
    Ok(sources)
}

/// What is to be done.
struct Job {
    address: Address,
    /// How many files there are.
    files: u64,
    begun: Instant,
}

impl Job {
    async fn send(
        self,
        connector: Connector,
        options: ConnectionOptions<JsonHeader>,
        sources: Sources,
        wait: Duration,
        grace: Duration,
    ) -> Outcome {
        let mut stop = Stop::within(grace)?;
        let connection = tokio::select! {
            connected = connector.connect(&options) =>
                connected.map_err(|error| no_link(RECEIVER, &self.address, &error))?,
            () = stop.asked() => {
                return Err(Failure::failed("stopped by a signal: nothing was sent"));
            }
        };
        tracing::info!("connected to {}", self.address);
        // one file's own bar says it all
        let total = (self.files > 1).then_some(Total { files: self.files, bytes: sources.bytes() });
        let progress = Progress::start(total);
        let all_sent = Arc::new(AtomicBool::new(false));
        let mut teller =
            Teller { transfers: progress.transfers(), current: None, all_sent: Arc::clone(&all_sent) };
        let sender = connection.sender().clone();
        let sending =
            heartwire_files::send::<Tokio>(connection, sources, wait, move |event| teller.tell(event));
        // beside the driver, where it wakes and is woken at little cost
        let sending = tokio::spawn(sending);
        let asked = || {
            // what has left may still be confirmed
            if !all_sent.load(Ordering::Relaxed) {
                sender.start_close();
            }
        };
        let over = stop.sent(sending, asked, || sender.cut(Cut::Aborted)).await?;
        let over =
            over.ok_or_else(|| Failure::failed("stopped by a signal while a file was read; send it again"))?;
        let stopped = stop.was_asked();
        stop.at_most(sender.closed()).await?;
        progress.clear();
        self.outcome(over, stopped)
    }

    /// What it comes to.
    fn outcome(&self, over: Result<Sent, SendError>, stopped: bool) -> Outcome {
        let took = self.begun.elapsed().as_secs_f64();
        let error = match over {
            Ok(Sent { files, bytes, texts, .. }) => {
                let texts = if texts > 0 { format!(", {}", count(texts, "text")) } else { String::new() };
                let (files, bytes) = (count(files, "file"), count(bytes, "byte"));
                say(format_args!("sent {files}, {bytes} in {took:.1}s{texts}"));
                return Ok(());
            }
            Err(error) => error,
        };
        let left = format!(
            "{} of {}, {}, had left after {took:.1}s",
            error.sent.files,
            count(self.files, "file"),
            count(error.sent.bytes, "byte")
        );
        if stopped {
            let cut = match &error.cut {
                Some(cut) => format!("; {} was cut after {} of {} bytes", cut.name, cut.read, cut.size),
                None if matches!(error.why, Why::NotStored(_)) => format!("; {error}"),
                None => "; the receiver has not confirmed them".into(),
            };
            // no success: who runs it with `&&` goes on as if all were stored
            return Err(Failure::failed(format_args!("stopped by a signal: {left}{cut}")));
        }
        say(left);
        Err(match (&error.why, &error.cut) {
            (Why::Ended(ended), Some(cut)) => {
                let left = format_args!(", with {} cut after {} of {} bytes", cut.name, cut.read, cut.size);
                link_over(RECEIVER, &self.address, ended, left)
            }
            (Why::Ended(ended), None) => {
                link_over(RECEIVER, &self.address, ended, ", and the receiver has not confirmed everything")
            }
            _ => Failure::failed(error),
        })
    }
}

/// Tells what happens.
struct Teller {
    transfers: Transfers,
    current: Option<Transfer>,
    all_sent: Arc<AtomicBool>,
}

impl Teller {
    fn tell(&mut self, event: Event) {
        match event {
            Event::Begun { name, kind, size } => {
                tracing::debug!("sending {}, {size} bytes ({kind})", shown(&name));
                self.current = Some(self.transfers.begin(&name, size));
            }
            Event::Progress { sent } => {
                if let Some(current) = &self.current {
                    current.at(sent);
                }
            }
            Event::Sent { name, size } => {
                tracing::info!("sent {}, {size} bytes", shown(&name));
                self.transfers.file_done();
            }
            Event::SentText { size } => tracing::info!("sent a text, {size} bytes"),
            Event::Finished => {
                self.all_sent.store(true, Ordering::Relaxed);
                tracing::debug!("everything is on its way; the receiver's word is awaited");
            }
            _ => {}
        }
    }
}
