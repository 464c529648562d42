//! The `heartwire sealed` programs, with keys of these tests.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::chat::host_and_port;
use crate::peers::sealed::Key;
use crate::program::{Running, heartwire, patient};

/// The key that both sides have.
pub const KEY: Key = [0x5A; 32];
/// One that only one of them has.
pub const OTHER_KEY: Key = [0xA5; 32];

/// A folder for key files, and the programs that are given them.
pub struct Programs {
    /// The folder.
    pub dir: TempDir,
}

impl Programs {
    /// With both keys.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let programs = Self { dir };
        for key in [&KEY, &OTHER_KEY] {
            let path = programs.key_file(key);
            std::fs::write(&path, key).expect("a key file");
            #[cfg(unix)]
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
                .expect("ours");
        }
        programs
    }

    /// The file that holds this key.
    #[must_use]
    pub fn key_file(&self, key: &Key) -> PathBuf {
        self.dir.path().join(format!("{:02x}", key[0]))
    }

    /// `sealed serve` on a TCP port of its own, with the key and these options at the end.
    pub fn serve_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = heartwire(["sealed", "serve", "--listen", "tcp://127.0.0.1:0", "--key-file"]);
        command.arg(self.key_file(&KEY)).args(args);
        command
    }

    /// It runs; and its address.
    #[track_caller]
    pub fn serve<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> (Running, String) {
        let mut server = Running::spawn(&mut self.serve_command(args));
        let address = server.ready();
        (server, address)
    }

    /// `sealed forward` to this address with this key.
    pub fn forward(&self, key: &Key, address: &str) -> Command {
        let mut command = heartwire(["sealed", "forward", address, "--key-file"]);
        command.arg(self.key_file(key));
        command
    }
}

impl Default for Programs {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command on this input to its end; its output to the byte.
#[track_caller]
pub fn exact(command: &mut Command, stdin: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut pipe = child.stdin.take().expect("piped");
    let stdin = stdin.to_vec();
    // it may end without reading all of it
    let writer = thread::spawn(move || drop(pipe.write_all(&stdin)));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("writing does not panic");
    output
}

/// A connection to this address that does not wait for ever.
#[track_caller]
pub fn connect(address: &str) -> TcpStream {
    patient(TcpStream::connect(host_and_port(address)).expect("it listens"))
}

/// Sends this, and the end of the stream; gives all that comes back before its end.
#[track_caller]
pub fn say_and_listen(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("it reads");
    stream.shutdown(Shutdown::Write).expect("it is open");
    rest(&mut stream)
}

/// Everything up to the end of the stream, which is in order.
#[track_caller]
pub fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the stream ends in order");
    rest
}

/// The end of the stream comes next: not a byte, and no reset.
#[track_caller]
pub fn ends(mut stream: TcpStream) {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(0) => {}
        Ok(_) => panic!("a byte came: {byte:?}"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no end of the stream"),
        Err(error) => panic!("no end of the stream: {error}"),
    }
}

/// The memory that a process had resident at most, in bytes.
#[cfg(target_os = "linux")]
#[track_caller]
pub fn memory(process: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("linux says it");
    1024 * line.trim().strip_suffix(" kB").expect("in kB").parse::<usize>().expect("a number")
}
