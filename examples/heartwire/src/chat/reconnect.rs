//! `chat connect --reconnect`: waits for a server that is away, and says so.

use std::future::pending;
use std::time::Duration;

use heartwire_core::escape::{escape, escape_bytes};
use heartwire_tokio::{
    Address, Backoff, Config, ConnectError, Ended, GivenUp, Progress, Reconnecting, Session, Sleep,
};
use tokio::sync::mpsc;

use super::connect::{Chat, Leave, Line, SESSION, State};
use crate::console::{Console, Input, Rules, Shown, Source};
use crate::duration;
use crate::endings::{link_over, lost, no_link, not_connected};
use crate::exit::{Failure, Outcome};
use crate::log::say;
use crate::serving::check_time;
use crate::stop::Stop;

/// How many lines that were not sent are shown, where there may be many.
const LISTED: usize = 10;
/// How much of each, in characters.
const SHOWN: usize = 100;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Wait for a server that is away, and connect again when the connection is lost
    ///
    /// stderr says what happens. Lines of a file or a pipe that were not sent are sent first on the next connection, in
    /// order; one that was on its way when the connection broke may arrive twice. What was sent is not sent again: it may
    /// be lost, and its answer with it, which --file finds out at the end. What people type and what was not sent, or
    /// what they type while there is no connection, is shown as not sent.
    #[arg(long)]
    reconnect: bool,

    /// With --reconnect: how many attempts in a row there are, before it is given up; a connection that stays up for 30s
    /// begins a new row
    #[arg(
        long,
        value_name = "N",
        requires = "reconnect",
        value_parser = clap::value_parser!(u32).range(1..),
        default_value_t = Backoff::default().attempts()
    )]
    reconnect_attempts: u32,

    /// With --reconnect: the longest time between two attempts; each is drawn at random, and the longest that is possible
    /// doubles from 200ms up to this
    #[arg(
        long,
        value_name = "TIME",
        requires = "reconnect",
        value_parser = duration::parse,
        default_value = "30s"
    )]
    reconnect_cap: Duration,
}

impl Args {
    /// How it is tried again, if it is.
    pub fn backoff(&self) -> Outcome<Option<Backoff>> {
        if !self.reconnect {
            return Ok(None);
        }
        let cap = check_time("--reconnect-cap", self.reconnect_cap)?;
        let base = Backoff::default().base().min(cap);
        let backoff = Backoff::builder().base(base).cap(cap).attempts(self.reconnect_attempts).build();
        backoff.map(Some).map_err(Failure::usage)
    }
}

pub async fn chat<C, F>(
    address: Address,
    connect: C,
    backoff: Backoff,
    source: Option<Source>,
    wait: Duration,
    grace: Duration,
) -> Outcome
where
    C: FnMut() -> F + Send + 'static,
    F: Future<Output = Result<Session, ConnectError>> + Send + 'static,
{
    let mut stop = Stop::within(grace)?;
    let rules = Rules {
        longest: Config::default().message_limit(),
        limit: "the most that a server takes in a message",
        skip_blank: true,
    };
    let file = source.is_some().then_some(wait);
    let greeting = "type a line to send it, `exit` to leave";
    let Console { mut lines, output, terminal } = Console::open(source, rules, greeting)?;
    let chat = Chat { address, output, file, state: State::default() };
    let again = Again { chat, people: terminal.is_some() };
    let why = again.talk(connect, backoff, &mut lines, &mut stop).await?;
    lines.close();
    again.say_not_sent(&why, &mut stop).await;
    let outcome = again.chat.outcome(why, &mut stop).await;
    drop(terminal);
    outcome
}

struct Again {
    chat: Chat,
    /// Lines are typed: what is not sent is shown, and not sent later.
    people: bool,
}

impl Again {
    /// Connects, and talks, until there is a reason to leave.
    async fn talk<C, F>(
        &self,
        connect: C,
        backoff: Backoff,
        lines: &mut mpsc::Receiver<Input>,
        stop: &mut Stop,
    ) -> Outcome<Leave>
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = Result<Session, ConnectError>> + Send + 'static,
    {
        let Chat { address, state, .. } = &self.chat;
        let attempts = backoff.attempts();
        let mut client = Reconnecting::<Sleep, _>::new(backoff, connect).map_err(Failure::failed)?;
        // what happened last, in short; and what it comes to, if it was the last attempt
        let (mut happened, mut failure) = (String::new(), None);
        loop {
            let progress = tokio::select! {
                // what happened is said before what was not sent because of it
                biased;
                () = stop.asked() => return Ok(Leave::Signal),
                progress = client.next() => progress,
                leave = self.take_while_away(lines) => return Ok(leave),
                () = state.stdout_failed.notified() => return Ok(Leave::StdoutFailed),
            };
            let said = match progress {
                Some(Progress::Connected(session)) => {
                    if let Some(leave) = self.note(&format!("connected to {address}"), stop).await {
                        return Ok(leave);
                    }
                    let ended = match self.chat.talk(session, lines, stop).await? {
                        Leave::Ended(ended) => ended,
                        leave => return Ok(leave),
                    };
                    self.take_back(&ended);
                    if stop.was_asked() {
                        // while that connection was ending
                        return Ok(Leave::Signal);
                    }
                    if self.chat.all_back() {
                        return Ok(Leave::Done);
                    }
                    happened = lost(&ended);
                    failure = Some(link_over(SESSION, address, &ended, ""));
                    client.lost(&ended);
                    continue;
                }
                Some(Progress::Failed(error)) => {
                    happened = not_connected(SESSION, address, &error);
                    failure = Some(no_link(SESSION, address, &error));
                    continue;
                }
                Some(Progress::Waiting { delay, attempt }) => {
                    let delay = delay.as_secs_f64();
                    format!("{happened}; trying again in {delay:.1}s (attempt {attempt} of {attempts})")
                }
                Some(Progress::GivenUp(GivenUp::BudgetSpent)) => {
                    format!("given up after {attempts} attempts in a row")
                }
                Some(Progress::GivenUp(_)) | None => {
                    return Ok(failure.map_or(Leave::Done, Leave::Failed));
                }
                Some(_) => continue,
            };
            if let Some(leave) = self.note(&said, stop).await {
                return Ok(leave);
            }
            if self.people
                && let Some(leave) = self.hand_back(stop).await
            {
                return Ok(leave);
            }
        }
    }

    /// Takes lines while there is no connection: typed ones are handed back, one of another kind waits.
    async fn take_while_away(&self, lines: &mut mpsc::Receiver<Input>) -> Leave {
        let waiting = &self.chat.state.waiting;
        loop {
            if self.chat.file.is_some() || !(self.people || waiting.borrow().is_empty()) {
                return pending().await;
            }
            let Some(input) = lines.recv().await else { return Leave::Done };
            match self.chat.taken(input) {
                Ok(Some(line)) if self.people => {
                    let note = not_sent(&line);
                    // kept until it is shown
                    waiting.borrow_mut().push_back(line);
                    if !self.chat.output.print(Shown::Note(note)).await {
                        return Leave::StdoutFailed;
                    }
                    waiting.borrow_mut().pop_back();
                }
                Ok(Some(line)) => waiting.borrow_mut().push_back(line),
                Ok(None) => return Leave::Done,
                Err(failure) => return Leave::Failed(failure),
            }
        }
    }

    /// What was queued and not sent waits again, before everything else.
    fn take_back(&self, ended: &Ended) {
        let State { waiting, sent, all_sent, .. } = &self.chat.state;
        let mut waiting = waiting.borrow_mut();
        for message in ended.unsent.iter().rev().filter_map(|unsent| unsent.message.clone()) {
            waiting.push_front(Line { number: None, message });
            sent.set(sent.get().saturating_sub(1));
        }
        all_sent.set(all_sent.get() && waiting.is_empty());
    }

    /// Shows what waits as not sent.
    async fn hand_back(&self, stop: &mut Stop) -> Option<Leave> {
        loop {
            let line = self.chat.state.waiting.borrow_mut().pop_front()?;
            let leave = self.print(not_sent(&line), stop).await;
            if leave.is_some() {
                return leave;
            }
        }
    }

    /// Says at the end what still waits.
    async fn say_not_sent(&self, why: &Leave, stop: &mut Stop) {
        let rest = {
            let State { waiting, all_sent, .. } = &self.chat.state;
            let mut waiting = waiting.borrow_mut();
            let more = waiting.len().saturating_sub(LISTED);
            waiting.truncate(LISTED);
            let unread = self.chat.file.is_some() && !all_sent.get() && matches!(why, Leave::Failed(_));
            match (more, unread) {
                (0, false) => None,
                (0, true) => Some("not sent: the rest of the file".into()),
                (more, false) => Some(format!("not sent: {more} more")),
                (more, true) => Some(format!("not sent: {more} more, and the rest of the file")),
            }
        };
        if self.hand_back(stop).await.is_none()
            && let Some(rest) = rest
        {
            self.print(rest, stop).await;
        }
    }

    /// Says this, which may quote what a peer sent. If that can't be done, why we leave.
    async fn note(&self, text: &str, stop: &mut Stop) -> Option<Leave> {
        self.print(escape(text).to_string(), stop).await
    }

    async fn print(&self, note: String, stop: &mut Stop) -> Option<Leave> {
        if !self.people {
            // a reader of stdout that is slow need not hold it up
            say(note);
            return None;
        }
        // above the line that is edited
        tokio::select! {
            printed = self.chat.output.print(Shown::Note(note)) => {
                (!printed).then_some(Leave::StdoutFailed)
            }
            () = stop.asked() => Some(Leave::Signal),
        }
    }
}

fn not_sent(line: &Line) -> String {
    format!("not sent: {}", escape_bytes(&line.message.content).limit(SHOWN))
}
