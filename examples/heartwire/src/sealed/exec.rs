//! Answers from a command: what it prints when it is fed a request.

use std::convert::Infallible;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::Metadata;
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes};
use heartwire_core::escape::escape_bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::group::{Exit, Group, Groups};
use crate::duration;
use crate::exit::{Failure, Outcome};

/// How much of a command's name is shown, in characters.
const SHOWN: usize = 100;
/// How much room there is for an answer at first, in bytes.
const ROOM: usize = 16 * 1024;
/// Where commands are where no PATH says it.
const USUAL_PATH: &str = "/bin:/usr/bin";

/// A command that answers requests.
#[derive(Debug)]
pub struct Exec {
    /// The command and its arguments.
    program: OsString,
    args: Vec<OsString>,
    /// How long it may take.
    time: Duration,
    /// The most bytes that it may answer.
    most: usize,
    groups: Arc<Groups>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// It could not be started.
    NotStarted(io::Error),
    /// It failed.
    Ended(Exit),
    /// It took too long.
    TooSlow(Duration),
    /// It ended, and something that it started held its output open for too long.
    HeldOpen(Duration),
    /// It answered more than so many bytes.
    TooMuch(usize),
    /// The operating system was in the way.
    Failed(io::Error),
}

impl Exec {
    /// This command line, which is not empty. Bad usage if there is no such command.
    pub fn new(line: Vec<OsString>, time: Duration, most: usize, groups: Arc<Groups>) -> Outcome<Self> {
        let mut line = line.into_iter();
        let program = line.next().unwrap_or_default();
        find(&program).map_err(|why| {
            let name = program.display();
            Failure::usage(format_args!("--exec: {name}: {why}; give a command that can be run"))
        })?;
        Ok(Self { program, args: line.collect(), time, most, groups })
    }

    /// Runs it, fed this request. Gives what it prints; none of its processes stays. Dropped, it is killed with all
    /// that it started.
    pub async fn answer(&self, request: Bytes) -> Result<Bytes, NoAnswer> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut group = self.groups.start(&mut command).map_err(NoAnswer::NotStarted)?;
        let answer = match timeout(self.time, self.converse(&mut group, request)).await {
            Ok(answer) => answer,
            Err(_) if group.has_exited() => Err(NoAnswer::HeldOpen(self.time)),
            Err(_) => Err(NoAnswer::TooSlow(self.time)),
        };
        group.end().await;
        answer
    }

    /// Feeds and reads at once, to the end of its output and its own.
    async fn converse(&self, group: &mut Group, request: Bytes) -> Result<Bytes, NoAnswer> {
        let (stdin, stdout) = group.pipes();
        let ended_well = async {
            match group.exited().await.map_err(NoAnswer::Failed)? {
                Exit::Status(0) => Ok(()),
                exit => Err(NoAnswer::Ended(exit)),
            }
        };
        tokio::select! {
            done = async { tokio::try_join!(read(stdout, self.most), ended_well) } => {
                done.map(|(answer, ())| answer)
            }
            // it need not read what it is asked, and may be done before it has
            never = feed(stdin, request) => match never {},
        }
    }
}

impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", escape_bytes(self.program.as_encoded_bytes()).limit(SHOWN))
    }
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => write!(f, "could not be started: {error}"),
            Self::Ended(Exit::Status(code)) => write!(f, "ended with exit status {code}"),
            Self::Ended(Exit::Signal(signal)) => write!(f, "was killed by signal {signal}"),
            Self::TooSlow(time) => {
                write!(f, "was killed: it did not end within {} (--exec-timeout)", duration::show(*time))
            }
            Self::HeldOpen(time) => write!(
                f,
                "ended, but what it started held its output open and was killed after {} (--exec-timeout)",
                duration::show(*time)
            ),
            Self::TooMuch(most) => {
                write!(
                    f,
                    "was killed: it printed more than {most} bytes, the most that fit a packet (--limit)"
                )
            }
            Self::Failed(error) => write!(f, "was killed: it can't be talked to: {error}"),
        }
    }
}

/// Feeds a command, as far as it wants to be fed.
async fn feed(stdin: Option<ChildStdin>, request: Bytes) -> Infallible {
    if let Some(mut stdin) = stdin {
        // it may close its end at any time
        let _ = stdin.write_all(&request).await;
    }
    drop(request);
    pending().await
}

/// Reads to the end, and no more than so many bytes.
async fn read(stdout: Option<ChildStdout>, most: usize) -> Result<Bytes, NoAnswer> {
    let mut answer = Vec::new();
    let Some(mut stdout) = stdout else { return Ok(answer.into()) };
    loop {
        let left = most.saturating_add(1) - answer.len();
        if answer.len() == answer.capacity() {
            // doubled, but never beyond what it may hold
            answer.reserve_exact(answer.len().max(ROOM).min(left));
        }
        let mut room = (&mut answer).limit(left);
        if stdout.read_buf(&mut room).await.map_err(NoAnswer::Failed)? == 0 {
            return Ok(answer.into());
        }
        if answer.len() > most {
            return Err(NoAnswer::TooMuch(most));
        }
    }
}

/// Looks for a command as it will be looked for when it is started: a path is itself, a name stands in PATH.
fn find(program: &OsStr) -> Result<(), String> {
    if program.is_empty() {
        return Err("no command".into());
    }
    if !cfg!(unix) {
        return Ok(());
    }
    let path = Path::new(program);
    if program.as_encoded_bytes().contains(&b'/') {
        return match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Err("a folder".into()),
            Ok(metadata) if !can_run(&metadata) => Err("a file that may not be executed".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("no such command: {error}")),
        };
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
    let found = env::split_paths(&folders).any(|folder: PathBuf| {
        let file = if folder.as_os_str().is_empty() { path.into() } else { folder.join(path) };
        file.metadata().is_ok_and(|metadata| !metadata.is_dir() && can_run(&metadata))
    });
    if found { Ok(()) } else { Err("no such command in PATH".into()) }
}

#[cfg(unix)]
fn can_run(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::mode(metadata) & 0o111 != 0
}

#[cfg(not(unix))]
fn can_run(_: &Metadata) -> bool {
    true
}
