//! The `heartwire` program, run as others run it: arguments, stdin, two outputs, an exit code.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The connection, on which nothing waits for ever.
///
/// # Panics
///
/// Never: the time is one that can be set.
#[track_caller]
#[must_use]
pub fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// The program, with nothing of this process's environment that changes what it does.
pub fn heartwire<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command.args(args).env_remove("HEARTWIRE_KEY").env_remove("RUST_LOG").env("NO_COLOR", "1");
    command
}

/// Where the program is; built on the first call, in the profile of the tests.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // TARGET_DIR/[TRIPLE/]PROFILE/deps/TEST-HASH
        let test = std::env::current_exe().expect("a test has a path");
        let profile = test.parent().and_then(Path::parent).expect("a test stands in deps/");
        let name = profile.file_name().and_then(|name| name.to_str()).expect("a profile has a name");
        let above = profile.parent().expect("a profile stands in the target directory");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "heartwire", "--bin", "heartwire", "--profile"]);
        cargo.arg(if name == "debug" { "dev" } else { name });
        // cargo marks the target directory; with --target the profile stands one deeper
        if above.join("CACHEDIR.TAG").exists() {
            cargo.arg("--target-dir").arg(above);
        } else {
            cargo.arg("--target").arg(above.file_name().expect("a triple"));
            cargo.arg("--target-dir").arg(above.parent().expect("a target directory"));
        }
        cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
        let status = cargo.status().expect("cargo runs");
        assert!(status.success(), "the program does not build");
        profile.join(format!("heartwire{}", std::env::consts::EXE_SUFFIX))
    })
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// The exit code; panics if a signal ended it.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self:?}"))
    }
}

/// Runs a command on this input to its end.
#[track_caller]
pub fn run(command: &mut Command, stdin: &[u8]) -> Finished {
    let mut running = Running::spawn(command);
    let mut pipe = running.stdin().expect("stdin was not taken");
    let stdin = stdin.to_vec();
    // it may end without reading all of it
    let writer = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let finished = running.finish();
    writer.join().expect("writing does not panic");
    finished
}

/// A program that runs. Dropped, it is killed.
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

impl Running {
    /// Starts a command with three pipes.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = Lines::of(child.stdout.take().expect("piped"));
        let stderr = Lines::of(child.stderr.take().expect("piped"));
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdin, once; dropping it is the end of input.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// The next line of stdout, without its ending.
    #[track_caller]
    pub fn line(&mut self) -> String {
        match self.stdout.next() {
            Some(line) => line,
            None => panic!("no line on stdout; stderr: {:?}", self.stderr.rest(Duration::from_millis(200))),
        }
    }

    /// The next line of stderr that contains `text`.
    #[track_caller]
    pub fn log_line(&mut self, text: &str) -> String {
        loop {
            let line = self.stderr.next().unwrap_or_else(|| panic!("no line with {text:?} on stderr"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the ready line, `listening on ADDRESS`, and returns the address.
    #[track_caller]
    pub fn ready(&mut self) -> String {
        let line = self.line();
        let address = line.strip_prefix("listening on ");
        address.unwrap_or_else(|| panic!("not a ready line: {line:?}")).to_owned()
    }

    /// Sends a signal (`TERM`, `INT`, `STOP`, …) to this one process.
    #[track_caller]
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(status.success(), "kill -s {name} {id}");
    }

    /// Kills it, whatever it is doing.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
    }

    /// Waits for it to end and for both outputs; lines already taken are not among them. Input that was
    /// not taken ends.
    #[track_caller]
    pub fn finish(mut self) -> Finished {
        drop(self.stdin.take());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                self.kill();
                panic!("still running after {PATIENCE:?}; stderr: {:?}", self.stderr.rest(PATIENCE));
            }
            thread::sleep(Duration::from_millis(2));
        };
        Finished { status, stdout: self.stdout.rest(PATIENCE), stderr: self.stderr.rest(PATIENCE) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of an output, read by a thread so that waiting for one can end.
struct Lines {
    lines: Receiver<String>,
}

impl Lines {
    fn of(output: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while output.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Self { lines }
    }

    fn next(&mut self) -> Option<String> {
        let line = self.lines.recv_timeout(PATIENCE).ok()?;
        Some(line.strip_suffix('\n').unwrap_or(&line).to_owned())
    }

    fn rest(&mut self, patience: Duration) -> String {
        let mut rest = String::new();
        let until = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => rest.push_str(&line),
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => return rest,
            }
        }
    }
}
