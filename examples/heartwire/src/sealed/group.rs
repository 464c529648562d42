//! Processes with all that they start: groups that end as a whole.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// The groups of this program that run.
#[derive(Debug, Default)]
pub struct Groups {
    running: Mutex<Running>,
}

#[derive(Debug, Default)]
struct Running {
    ids: Vec<Id>,
    /// The program ends: nothing more is started.
    over: bool,
}

#[cfg(unix)]
type Id = rustix::process::Pid;
#[cfg(not(unix))]
type Id = u32;

/// A process that was started, and what it started in turn. Dropped, all of them are killed, except such as made a
/// group of their own.
#[derive(Debug)]
pub struct Group {
    child: Child,
    groups: Arc<Groups>,
    /// None when it was killed. Until then the first process is not waited for, so that its id, which is the
    /// group's, is nobody else's.
    id: Option<Id>,
    /// Wakes when a child may have ended.
    #[cfg(unix)]
    children: tokio::signal::unix::Signal,
    exit: Option<Exit>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Status(i32),
    Signal(i32),
}

impl Groups {
    /// Starts a process in a group of its own.
    pub fn start(self: &Arc<Self>, command: &mut Command) -> io::Result<Group> {
        #[cfg(unix)]
        command.process_group(0);
        #[cfg(not(unix))]
        command.kill_on_drop(true);
        // before it starts, so that its end is noticed
        #[cfg(unix)]
        let children = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::child())?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.over {
            return Err(io::Error::other("the program is ending"));
        }
        let child = command.spawn()?;
        let id = id_of(&child);
        running.ids.extend(id);
        drop(running);
        Ok(Group {
            child,
            groups: Arc::clone(self),
            id,
            #[cfg(unix)]
            children,
            exit: None,
        })
    }

    /// Kills all, and starts no more.
    pub fn kill_all(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.over = true;
        running.ids.drain(..).for_each(kill);
    }

    /// Kills this one, once.
    fn kill(&self, id: Id) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = running.ids.iter().position(|running| *running == id) {
            running.ids.swap_remove(at);
            kill(id);
        }
    }
}

impl Group {
    /// Its pipes, once.
    pub fn pipes(&mut self) -> (Option<ChildStdin>, Option<ChildStdout>) {
        (self.child.stdin.take(), self.child.stdout.take())
    }

    /// Waits until its first process has ended. Others may go on.
    #[cfg(unix)]
    pub async fn exited(&mut self) -> io::Result<Exit> {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let Some(id) = self.id else { return Err(io::Error::other("it was killed")) };
        // the process stays until all of the group are killed
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        loop {
            if let Some(status) = waitid(WaitId::Pid(id), options)? {
                let exit = match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Exit::Status(code),
                    (None, Some(signal)) => Exit::Signal(signal),
                    (None, None) => return Err(io::Error::other("it ended in no known way")),
                };
                self.exit = Some(exit);
                return Ok(exit);
            }
            if self.children.recv().await.is_none() {
                return Err(io::Error::other("the ends of processes are not told any more"));
            }
        }
    }

    /// Waits until its first process has ended. Others may go on.
    #[cfg(not(unix))]
    pub async fn exited(&mut self) -> io::Result<Exit> {
        let status = self.child.wait().await?;
        let exit = Exit::Status(status.code().unwrap_or(-1));
        self.exit = Some(exit);
        Ok(exit)
    }

    /// Whether its first process is known to have ended.
    pub fn has_exited(&self) -> bool {
        self.exit.is_some()
    }

    /// Kills what is left of it.
    pub async fn end(mut self) {
        self.kill();
        #[cfg(not(unix))]
        let _ = self.child.start_kill();
        // killed, it does not take long
        let _ = self.child.wait().await;
    }

    fn kill(&mut self) {
        if let Some(id) = self.id.take() {
            self.groups.kill(id);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(unix)]
fn id_of(child: &Child) -> Option<Id> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
}

#[cfg(unix)]
fn kill(id: Id) {
    // refused: there is nobody, or such as took another user's rights and may not be killed
    let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
}

#[cfg(not(unix))]
fn id_of(child: &Child) -> Option<Id> {
    child.id()
}

#[cfg(not(unix))]
fn kill(_: Id) {}
