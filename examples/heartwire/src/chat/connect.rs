//! `chat connect`: a client for people who type, and for files.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use heartwire_tokio::{Address, Ended, Message, Options, Receiver, SendError, Sender, Session, Why};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, timeout_at};

use super::reconnect;
use super::shown::shown;
use crate::connecting::Connector;
use crate::console::{Console, Input, Output, Rules, Source};
use crate::endings::{Expected, link_over, no_link};
use crate::exit::{Failure, Outcome};
use crate::log::say;
use crate::stop::Stop;
use crate::{duration, keys, runtime, tls};

/// What is to listen at the address.
pub(super) const SESSION: Expected = Expected { link: "session", server: "heartwire chat serve" };

/// How long an edited line may hold up the last messages, once the session is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Connect to a chat server
///
/// Each line that is typed is sent as a message, and messages are printed as they arrive. `exit`, or the end of input,
/// leaves.
///
/// With --file, each line of the file that is not blank is sent instead, and the program leaves when as many
/// messages came back: exit code 0, or 1 if they did not.
///
/// SIGTERM or SIGINT says goodbye to the server, leaves within the grace, and exits with 0; with --file, stderr says
/// what is missing. A second one exits at once with 1.
///
/// With --reconnect, a server that is away is waited for, and connected to again; one that says nothing counts as away.
/// Another key, a certificate that is no good, or an answer in another protocol, ends the program all the same.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the server is: tcp://HOST:PORT, tls://HOST:PORT or unix://PATH
    #[arg(value_name = "ADDR", default_value = "tcp://127.0.0.1:9999")]
    address: Address,

    #[command(flatten)]
    tls: tls::client::Args,

    /// Send the lines of this file, as they are read; a named pipe works
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// With --file: how long to wait for the next message, once the file has ended
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "5s")]
    wait: Duration,

    /// How long a stop by a signal may take before what is left is cut
    #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "3s")]
    grace: Duration,

    #[command(flatten)]
    reconnect: reconnect::Args,

    #[command(flatten)]
    keys: keys::Args,
}

pub fn run(args: Args) -> Outcome {
    let options = Options::new(args.keys.keys()?);
    let connector = Connector::new(&args.address, &args.tls)?;
    let backoff = args.reconnect.backoff()?;
    let source = args.file.as_deref().map(|file| Source::open("--file", file)).transpose()?;
    let Args { address, wait, grace, .. } = args;
    match backoff {
        None => runtime::block_on(chat(address, connector, options, source, wait, grace)),
        Some(backoff) => {
            let connect = move || {
                let (connector, options) = (connector.clone(), options.clone());
                async move { connector.connect(&options).await }
            };
            runtime::block_on(reconnect::chat(address, connect, backoff, source, wait, grace))
        }
    }
}

async fn chat(
    address: Address,
    connector: Connector,
    options: Options,
    source: Option<Source>,
    wait: Duration,
    grace: Duration,
) -> Outcome {
    let mut stop = Stop::within(grace)?;
    let session = tokio::select! {
        session = connector.connect(&options) => session.map_err(|error| no_link(SESSION, &address, &error))?,
        () = stop.asked() => {
            if source.is_some() {
                say_stopped(&State::default());
            }
            return Ok(());
        }
    };
    let rules = Rules {
        longest: session.established().longest_message(),
        limit: "the most that this server takes in a message",
        skip_blank: true,
    };
    let in_file = source.is_some();
    let greeting = format_args!("connected to {address}; type a line to send it, `exit` to leave");
    let Console { mut lines, output, terminal } = Console::open(source, rules, greeting)?;
    let chat = Chat { address, output, file: in_file.then_some(wait), state: State::default() };
    let why = chat.talk(session, &mut lines, &mut stop).await?;
    lines.close();
    let outcome = chat.outcome(why, &mut stop).await;
    drop(terminal);
    outcome
}

/// What a signal left undone of a file.
fn say_stopped(state: &State) {
    let (sent, back) = (state.sent.get(), state.received.get());
    say(format_args!("stopped by a signal: {sent} sent, {back} came back"));
}

pub(super) struct Chat {
    pub(super) address: Address,
    pub(super) output: Output,
    /// With a file: how long to wait for the next message once it has ended.
    pub(super) file: Option<Duration>,
    pub(super) state: State,
}

/// What sending and receiving, which run side by side, know of each other.
#[derive(Default)]
pub(super) struct State {
    /// Lines to send before others are taken, oldest first.
    pub(super) waiting: RefCell<VecDeque<Line>>,
    pub(super) sent: Cell<u64>,
    received: Cell<u64>,
    /// When the last message came back.
    last: Cell<Option<Instant>>,
    /// A message waits for stdout: nothing more can come back meanwhile.
    printing: Cell<bool>,
    /// All lines were sent.
    pub(super) all_sent: Cell<bool>,
    arrived: Notify,
    pub(super) stdout_failed: Notify,
}

/// A line to send.
#[derive(Clone)]
pub(super) struct Line {
    /// Its number, where it is known.
    pub(super) number: Option<u64>,
    pub(super) message: Message,
}

/// Why we leave.
pub(super) enum Leave {
    /// Everything was done, or `exit` was said.
    Done,
    /// The input, or a message, was no good; or messages are missing.
    Failed(Failure),
    Signal,
    StdoutFailed,
    /// It was not us: the session is over.
    Ended(Arc<Ended>),
}

impl Chat {
    /// Talks until there is a reason to leave, and leaves: the connection is closed then.
    pub(super) async fn talk(
        &self,
        session: Session,
        lines: &mut mpsc::Receiver<Input>,
        stop: &mut Stop,
    ) -> Outcome<Leave> {
        let (sender, receiver) = session.split();
        let mut receiving = pin!(self.receive(receiver));
        let why = tokio::select! {
            ended = &mut receiving => Leave::Ended(ended),
            sent = self.send(&sender, lines) => sent.map_or_else(Leave::Failed, |()| Leave::Done),
            () = stop.asked() => Leave::Signal,
            () = self.state.stdout_failed.notified() => Leave::StdoutFailed,
        };
        let leaving = async {
            let mut ended = None;
            if !matches!(why, Leave::Ended(_)) {
                lines.close();
                sender.start_close(None);
                // what arrives until then is printed, too
                ended = Some(receiving.as_mut().await);
            }
            sender.closed().await;
            ended
        };
        let ended = stop.at_most(leaving).await?.flatten();
        Ok(match (why, ended) {
            // not everything that was to be sent was
            (Leave::Done, Some(ended)) if !ended.unsent.is_empty() => Leave::Ended(ended),
            (why, _) => why,
        })
    }

    /// What it comes to, once everything is printed.
    pub(super) async fn outcome(self, why: Leave, stop: &mut Stop) -> Outcome {
        let all_back = self.all_back();
        let Self { address, output, file, state, .. } = self;
        let printing = async {
            tokio::select! {
                printed = output.finish() => printed,
                // an edited line does not hold it up for long
                () = sleep(LAST_WORDS), if file.is_none() => Ok(()),
            }
        };
        // whoever asked us to stop need not wait for a reader of stdout that is stuck
        let printed = stop.at_most(printing).await?;
        let all_printed = printed.is_some();
        printed.unwrap_or(Ok(())).map_err(|error| Failure::stdout(&error))?;
        let missing = state.sent.get().saturating_sub(state.received.get());
        match why {
            Leave::Done | Leave::StdoutFailed => Ok(()),
            Leave::Failed(failure) => Err(failure),
            Leave::Signal => {
                if file.is_some() && !(all_back && all_printed) {
                    say_stopped(&state);
                }
                Ok(())
            }
            Leave::Ended(_) if all_back => Ok(()),
            Leave::Ended(ended) if file.is_some() => {
                let sent = state.sent.get();
                let left = format!(", with {missing} of {sent} sent messages missing");
                Err(link_over(SESSION, &address, &ended, left))
            }
            Leave::Ended(ended) => {
                let left = match ended.unsent.len() {
                    0 => String::new(),
                    unsent => format!(", with {unsent} messages not sent"),
                };
                Err(link_over(SESSION, &address, &ended, left))
            }
        }
    }

    /// Whether a whole file was sent, and as many messages came back.
    pub(super) fn all_back(&self) -> bool {
        let State { sent, received, all_sent, .. } = &self.state;
        self.file.is_some() && all_sent.get() && received.get() >= sent.get()
    }

    /// Sends what waits, and the lines; with a file, waits for what comes back.
    async fn send(&self, sender: &Sender, lines: &mut mpsc::Receiver<Input>) -> Outcome {
        let state = &self.state;
        self.send_waiting(sender).await?;
        while let Some(input) = lines.recv().await {
            match self.taken(input)? {
                Some(line) => state.waiting.borrow_mut().push_back(line),
                None => return Ok(()),
            }
            self.send_waiting(sender).await?;
        }
        state.all_sent.set(true);
        match self.file {
            Some(wait) => self.wait_for_all(wait).await,
            None => Ok(()),
        }
    }

    /// What is to be sent of what was read; none: it says that we leave.
    pub(super) fn taken(&self, input: Input) -> Outcome<Option<Line>> {
        match input {
            Input::Line(_, line) if self.file.is_none() && line.trim() == "exit" => Ok(None),
            Input::Line(number, line) => {
                Ok(Some(Line { number: Some(number), message: Message::text(line) }))
            }
            Input::Refused(why) => Err(Failure::failed(why)),
            Input::Failed(failure) => Err(failure),
        }
    }

    /// Sends what waits. A line stays there until it is queued: when the session is over, it was not sent.
    async fn send_waiting(&self, sender: &Sender) -> Outcome {
        let state = &self.state;
        loop {
            let Some(Line { number, message }) = state.waiting.borrow().front().cloned() else {
                return Ok(());
            };
            match sender.try_send(message) {
                Ok(_) => {
                    state.waiting.borrow_mut().pop_front();
                    state.sent.set(state.sent.get() + 1);
                }
                Err(SendError { why: Why::Full, command }) => sender.ready_for(&command).await,
                Err(SendError { why: Why::Never(code), command }) => {
                    let len = command.content.len();
                    let line = number.map_or_else(|| "a line".into(), |number| format!("line {number}"));
                    return Err(Failure::failed(format_args!(
                        "{line} of {len} bytes can't be sent to this server: {code}; split it"
                    )));
                }
                // the session is over, which receiving will tell
                Err(_) => std::future::pending().await,
            }
        }
    }

    async fn wait_for_all(&self, wait: Duration) -> Outcome {
        let state = &self.state;
        let mut since = Instant::now();
        while !self.all_back() {
            since = state.last.get().map_or(since, |last| last.max(since));
            if timeout_at(since + wait, state.arrived.notified()).await.is_ok() {
                continue;
            }
            if state.printing.get() {
                since = Instant::now();
            } else if state.last.get().is_none_or(|last| last <= since) {
                let (sent, back) = (state.sent.get(), state.received.get());
                return Err(Failure::failed(format_args!(
                    "{} of {sent} messages did not come back: the last wait of {} was in vain; does the server echo? a longer --wait may help",
                    sent - back,
                    duration::show(wait)
                )));
            }
        }
        Ok(())
    }

    /// Receives and prints, to the end of the session.
    async fn receive(&self, mut receiver: Receiver) -> Arc<Ended> {
        let state = &self.state;
        let mut broken = false;
        loop {
            let message = match receiver.recv_message().await {
                Ok(message) => message,
                Err(ended) => return ended,
            };
            state.received.set(state.received.get() + 1);
            if !broken {
                state.printing.set(true);
                broken = !self.output.print(shown(message)).await;
                state.printing.set(false);
                if broken {
                    state.stdout_failed.notify_one();
                }
            }
            state.last.set(Some(Instant::now()));
            state.arrived.notify_one();
        }
    }
}
