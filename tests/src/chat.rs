//! The `heartwire chat` programs, with the key of these tests.

use std::ffi::OsStr;
use std::process::Command;

use crate::peer::KEY;
use crate::program::{Finished, Running, heartwire};

/// A subcommand of `chat`.
pub fn chat<S: AsRef<OsStr>>(subcommand: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = heartwire(["chat", subcommand]);
    command.args(args).env("HEARTWIRE_KEY", std::str::from_utf8(KEY).expect("text"));
    command
}

/// A server on a TCP port of its own and with these options; and its address.
#[track_caller]
pub fn serve<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (Running, String) {
    let mut command = chat("serve", ["--listen", "tcp://127.0.0.1:0"]);
    let mut server = Running::spawn(command.args(args));
    let address = server.ready();
    (server, address)
}

/// Stops a server by a signal, and checks that it ended well.
#[track_caller]
pub fn stop(server: Running) -> Finished {
    server.signal("TERM");
    let finished = server.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    finished
}

/// The address for `TcpStream::connect`.
#[track_caller]
pub fn host_and_port(address: &str) -> &str {
    address.strip_prefix("tcp://").expect("a TCP address")
}

/// Checks that stderr is one line that says all of this.
#[track_caller]
pub fn one_line_of_stderr(finished: &Finished, texts: &[&str]) {
    let stderr = &finished.stderr;
    assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
    for text in texts {
        assert!(stderr.contains(text), "no {text:?} in {stderr:?}");
    }
}
