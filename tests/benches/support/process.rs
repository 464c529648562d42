//! Processes of a bench: its own program again in another part, and what a process takes of memory and
//! processor time. Linux only, like the benches that use it: what they measure stands in `/proc`.

use std::fmt::Display;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Names the part that a process plays; the bench itself has none.
const PART: &str = "HEARTWIRE_BENCH_PART";

/// The part this process plays, unless it is the bench itself. One that plays a part ends when the bench does, however
/// that comes.
pub fn part() -> Option<String> {
    let part = std::env::var(PART).ok()?;
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .expect("Linux does that");
    Some(part)
}

/// This program again, in another part and without arguments.
pub fn this_program(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.env(PART, part);
    command
}

/// This program again, in another part: it is asked in lines and answers in lines. Dropped, it is killed.
pub struct Helper {
    child: Child,
    asks: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    /// Starts this program in that part.
    pub fn start(part: &str) -> Self {
        let mut command = this_program(part);
        command.args(std::env::args_os().skip(1));
        Self::start_as(command, part)
    }

    /// Starts a command that runs this program, in that part.
    pub fn start_as(mut command: Command, part: &str) -> Self {
        command.env(PART, part).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let asks = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, asks, answers }
    }

    /// The next line it says.
    pub fn line(&mut self) -> String {
        let line = self.answers.next().expect("the other process goes on until it is not asked any more");
        line.expect("it says text")
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, question: &str) -> String {
        let asks = self.asks.as_mut().expect("it is kept until the end");
        writeln!(asks, "{question}").expect("the other process listens");
        self.line()
    }

    /// The same, where the answer is a number.
    pub fn ask_number(&mut self, question: &str) -> f64 {
        let answer = self.ask(question);
        answer.parse().unwrap_or_else(|_| panic!("{question}: {answer} is not a number"))
    }

    /// Asks no more, and waits until it ended in order.
    pub fn finish(mut self) {
        // The end of what it is asked is its end.
        self.asks = None;
        let status = self.child.wait().expect("it can be waited for");
        assert!(status.success(), "the other process: {status}");
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a helper: answers what it is asked until nobody asks any more.
pub fn answer_all<R: Display>(mut answer: impl FnMut(&str) -> R) {
    for question in std::io::stdin().lines().map_while(Result::ok) {
        println!("{}", answer(&question));
    }
}

/// The number that `--NAME` is followed by on the command line, or what holds without it.
pub fn option(name: &str, otherwise: usize) -> usize {
    let mut args = std::env::args().skip_while(|arg| arg.strip_prefix("--") != Some(name)).skip(1);
    args.next().map_or(otherwise, |value| value.parse().unwrap_or_else(|_| panic!("--{name} takes a number")))
}

/// Memory of this process that is resident now, in KiB.
pub fn resident_kib() -> f64 {
    status_kib("self", "VmRSS:").expect("Linux has it")
}

/// The most that was resident at once, in KiB.
pub fn peak_resident_kib() -> f64 {
    status_kib("self", "VmHWM:").expect("Linux has it")
}

/// The same of another process; none: it ended.
pub fn peak_resident_kib_of(process: u32) -> Option<f64> {
    status_kib(&process.to_string(), "VmHWM:")
}

/// Waits until a process has ended: the most memory it took, in KiB, as it was at the last look before.
pub fn watch_memory(process: u32) -> JoinHandle<f64> {
    thread::spawn(move || {
        let mut peak = 0.0;
        while let Some(now) = peak_resident_kib_of(process) {
            peak = now;
            thread::sleep(Duration::from_millis(2));
        }
        peak
    })
}

fn status_kib(process: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse().expect("it is a number"))
}

/// The processor time this process took so far in its own name and in the system's, in all threads it has.
pub fn processor_time() -> Duration {
    // Counted in nanoseconds. The clock of the process would say the same, but not under valgrind, where the
    // parts of a bench run too.
    let threads = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    let nanos = threads.flatten().map(|thread| {
        // One that ended meanwhile is not counted any more.
        let counts = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        counts.split(' ').next().and_then(|ran| ran.parse().ok()).unwrap_or(0)
    });
    Duration::from_nanos(nanos.sum())
}

/// Lets this process open that many files, or ends it and says what to do.
#[cfg(unix)]
pub fn need_files(count: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let count = count as u64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let enough = limit.maximum.is_none_or(|maximum| maximum >= count);
    if !enough || setrlimit(Resource::Nofile, raised).is_err() {
        let most = limit.maximum.unwrap_or(u64::MAX);
        eprintln!(
            "{count} open files are needed and {most} allowed: raise it (ulimit -Hn), or take fewer --sessions"
        );
        std::process::exit(1);
    }
}

#[cfg(not(unix))]
pub fn need_files(_: usize) {}
