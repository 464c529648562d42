//! `lines connect`: a client for people who type, and for scripts.

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use heartwire_tokio::connection::lines::{Line, Lines};
use heartwire_tokio::connection::{Ended, Receiver, Sender};
use heartwire_tokio::{Address, ConnectionOptions, Refused, Why};
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};

use super::LineArgs;
use crate::connecting::Connector;
use crate::console::{Console, Input, Output, Rules, Shown};
use crate::endings::{Expected, link_over, no_link};
use crate::exit::{Failure, Outcome};
use crate::log::{count, say};
use crate::stop::Stop;
use crate::{duration, runtime, tls};

/// What is to listen at the address.
const CONNECTION: Expected = Expected { link: "connection", server: "heartwire lines serve" };

/// How long an edited line, or a reader of stdout that is stuck, may hold up the end for the last lines.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Connect to a server of lines
///
/// Each line of stdin is sent, blank ones too, and lines are printed as they arrive. At the end of input the server is
/// sent the end of the stream, and printing goes on until the server ends its own: exit code 0; 1 if it ends before
/// everything was sent, the connection breaks, or what comes is no line.
///
/// Where people type, lines are edited, a line that can't be sent is refused and the next may follow, and the end of
/// input (Ctrl-D) leaves at once.
///
/// SIGTERM or SIGINT sends what is queued and the end of the stream, leaves within the grace, and exits with 0; stderr
/// says how many lines were not sent, and if lines were not printed. A second one exits at once with 1.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server is: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH
    #[arg(value_name = "ADDR", default_value = "tcp://127.0.0.1:8080")]
    address: Address,

    #[command(flatten)]
    tls: tls::client::Args,

    #[command(flatten)]
    lines: LineArgs,

    /// How long a stop by a signal may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    grace: Duration,
}

pub fn run(args: Args) -> Outcome {
    let connector = Connector::new(&args.address, &args.tls)?;
    runtime::block_on(talk(args, connector))
}

async fn talk(args: Args, connector: Connector) -> Outcome {
    let Args { address, lines, grace, .. } = args;
    let options = ConnectionOptions::<Lines>::new(lines.settings());
    let mut stop = Stop::within(grace)?;
    let connection = tokio::select! {
        made = connector.connect(&options) => made.map_err(|error| no_link(CONNECTION, &address, &error))?,
        () = stop.asked() => return Ok(()),
    };
    let rules =
        Rules { longest: lines.limit as u64, limit: "the most that --limit allows", skip_blank: false };
    let greeting =
        format_args!("connected to {address}; type a line to send it, the end of input (Ctrl-D) leaves");
    let Console { lines, output, terminal } = Console::open(None, rules, greeting)?;
    let (sender, receiver) = connection.split();
    let talk = Talk { address, sender, output, typed: terminal.is_some(), state: State::default() };
    let outcome = talk.run(lines, receiver, &mut stop).await;
    drop(terminal);
    outcome
}

struct Talk {
    address: Address,
    sender: Sender<Lines>,
    output: Output,
    /// People type.
    typed: bool,
    state: State,
}

/// What sending and receiving, which run side by side, know of each other.
#[derive(Default)]
struct State {
    /// Lines that were queued.
    queued: Cell<u64>,
    /// The input has ended, and all of it is queued or sent.
    all_queued: Cell<bool>,
    /// The server ended its stream before all was sent.
    too_early: Cell<bool>,
    stdout_failed: Notify,
}

/// Why we leave.
enum Leave {
    /// Everything was done.
    Done,
    /// The input was no good.
    Failed(Failure),
    Signal,
    StdoutFailed,
    /// The connection is over.
    Ended,
}

impl Talk {
    async fn run(self, lines: mpsc::Receiver<Input>, receiver: Receiver<Lines>, stop: &mut Stop) -> Outcome {
        let (why, ended) = self.talk_and_leave(lines, receiver, stop).await?;
        self.outcome(why, ended, stop).await
    }

    /// Talks until there is a reason to leave, and leaves. Gives how the connection ended; none: not before the
    /// grace did.
    async fn talk_and_leave(
        &self,
        mut lines: mpsc::Receiver<Input>,
        receiver: Receiver<Lines>,
        stop: &mut Stop,
    ) -> Outcome<(Leave, Option<Arc<Ended<Line>>>)> {
        let mut receiving = pin!(self.receive(receiver));
        let mut over = None;
        let why = tokio::select! {
            ended = &mut receiving => {
                over = Some(ended);
                Leave::Ended
            }
            sent = self.send(&mut lines) => sent.map_or_else(Leave::Failed, |()| Leave::Done),
            () = stop.asked() => Leave::Signal,
            () = self.state.stdout_failed.notified() => Leave::StdoutFailed,
        };
        drop(lines);
        let leaving = async {
            let ended = match over {
                Some(ended) => ended,
                None => {
                    self.sender.start_close();
                    // what arrives until then is printed, too
                    receiving.as_mut().await
                }
            };
            self.sender.closed().await;
            ended
        };
        let ended = stop.at_most(leaving).await?;
        Ok((why, ended))
    }

    /// What it comes to, once everything is printed.
    async fn outcome(self, why: Leave, ended: Option<Arc<Ended<Line>>>, stop: &mut Stop) -> Outcome {
        let Self { address, sender, output, typed, state } = self;
        let mut printing = pin!(async {
            tokio::select! {
                printed = output.finish() => printed,
                // an edited line does not hold it up for long
                () = sleep(LAST_WORDS), if typed => Ok(()),
            }
        });
        // whoever asked us to stop need not wait for a reader of stdout that is stuck
        let printed = match stop.at_most(printing.as_mut()).await? {
            Some(printed) => Some(printed),
            // the grace may have gone by with the connection, and nothing be left to print
            None => timeout(LAST_WORDS, printing).await.ok(),
        };
        let all_printed = printed.is_some();
        printed.unwrap_or(Ok(())).map_err(|error| Failure::stdout(&error))?;
        let unsent = state.queued.get().saturating_sub(sender.stats().messages_sent);
        match (why, ended) {
            (Leave::StdoutFailed, _) => Ok(()),
            (Leave::Failed(failure), _) => Err(failure),
            (Leave::Signal, _) | (_, None) => {
                let unsent = (unsent > 0).then(|| format!("{} not sent", count(unsent, "line")));
                let unprinted = (!all_printed).then(|| "not all that arrived was printed".into());
                let left: Vec<String> = unsent.into_iter().chain(unprinted).collect();
                if !left.is_empty() {
                    say(format_args!("stopped by a signal: {}", left.join(", ")));
                }
                Ok(())
            }
            (Leave::Done | Leave::Ended, Some(ended)) => {
                let left = match unsent {
                    0 if state.all_queued.get() && !state.too_early.get() && ended.is_orderly() => {
                        return Ok(());
                    }
                    0 if !typed && !state.all_queued.get() => ", before the end of the input".into(),
                    0 => String::new(),
                    unsent => format!(", with {} not sent", count(unsent, "line")),
                };
                Err(link_over(CONNECTION, &address, &ended, left))
            }
        }
    }

    /// Sends the lines, to the end of input. Where nobody types, the rest is up to the server then.
    async fn send(&self, lines: &mut mpsc::Receiver<Input>) -> Outcome {
        let state = &self.state;
        while let Some(input) = lines.recv().await {
            match input {
                Input::Line(number, text) => self.send_line(number, text).await?,
                Input::Refused(why) => self.refuse(why).await?,
                Input::Failed(failure) => return Err(failure),
            }
        }
        state.all_queued.set(true);
        if self.typed {
            return Ok(());
        }
        self.sender.finish();
        pending().await
    }

    async fn send_line(&self, number: u64, text: String) -> Outcome {
        let line = match Line::new(text) {
            Ok(line) => line,
            Err(error) => {
                return self
                    .refuse(format!("line {number} is not one line: {error}; send it as several"))
                    .await;
            }
        };
        let len = line.as_bytes().len();
        match self.sender.send(line).await {
            Ok(_) => self.state.queued.set(self.state.queued.get() + 1),
            Err(Refused { why: Why::Never(code), .. }) => {
                return self
                    .refuse(format!("line {number} of {len} bytes can't be sent: {code}; split it"))
                    .await;
            }
            // the connection is over, which receiving will tell
            Err(_) => pending().await,
        }
        Ok(())
    }

    /// A line can't be sent: who types may go on with another.
    async fn refuse(&self, why: String) -> Outcome {
        if !self.typed {
            return Err(Failure::failed(why));
        }
        // that it can't be shown will show
        self.output.print(Shown::Note(format!("not sent: {why}"))).await;
        Ok(())
    }

    /// Receives and prints, to the end of the connection.
    async fn receive(&self, mut receiver: Receiver<Lines>) -> Arc<Ended<Line>> {
        let state = &self.state;
        let mut broken = false;
        while let Some(line) = receiver.recv().await {
            if !broken {
                broken = !self.output.print(Shown::Text(line.as_bytes().clone())).await;
                if broken {
                    state.stdout_failed.notify_one();
                }
            }
        }
        if receiver.ended().is_none() {
            // the server sends nothing more; there is no use in sending what nobody answers
            state.too_early.set(!state.all_queued.get() || self.sender.queued_bytes() > 0);
            self.sender.start_close();
        }
        receiver.end().await
    }
}
