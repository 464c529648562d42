//! What people see of `files send` and `files receive` on a terminal, and what nobody sees elsewhere.

#![cfg(unix)]

#[allow(dead_code, reason = "these tests type nothing")]
mod terminal;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;

use heartwire_tests::program::{heartwire, patient, run};
use tempfile::TempDir;
use terminal::Terminal;

/// More than waits in sockets.
const SIZE: u64 = 64 << 20;
/// What certainly moves a bar.
const STEP: usize = 16 << 20;

/// A receiver by hand, and its address.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// Files of `SIZE` with these names.
fn files<const N: usize>(folder: &TempDir, names: [&str; N]) -> [PathBuf; N] {
    names.map(|name| {
        let path = folder.path().join(name);
        File::create(&path).unwrap().set_len(SIZE).unwrap();
        path
    })
}

/// What stands before a payload.
fn head(kind: &str, name: &str, size: usize) -> Vec<u8> {
    let json = format!(r#"{{"type": "{kind}", "size": {size}, "filename": "{name}"}}"#);
    let mut head = u32::try_from(json.len()).unwrap().to_be_bytes().to_vec();
    head.extend_from_slice(json.as_bytes());
    head
}

#[track_caller]
fn exits(mut child: Child, code: i32) {
    assert_eq!(child.wait().unwrap().code(), Some(code));
}

#[test]
fn sending_shows_a_bar_for_the_file_and_one_for_all_with_rate_and_time() {
    let folder = tempfile::tempdir().unwrap();
    let paths = files(&folder, ["first\u{202e}.bin", "second.bin"]);
    let (listener, address) = listen();
    let mut terminal = Terminal::open();
    let sending = terminal.run_whole(heartwire(["files", "send", &address]).args(paths));
    let mut receiver = patient(listener.accept().unwrap().0);
    let mut piece = vec![0; STEP];
    receiver.read_exact(&mut piece).unwrap();
    // the name is escaped, as everywhere
    terminal.wait_for(r"first\u{202e}.bin");
    terminal.wait_for("0 of 2 files");
    receiver.read_exact(&mut piece).unwrap();
    // of the file, then of all
    for _ in 0..2 {
        terminal.wait_for("B/s");
        terminal.wait_for("s left");
    }
    for _ in 0..3 {
        receiver.read_exact(&mut piece).unwrap();
    }
    // the line of the log stands where the bars were, and they are below it
    terminal.wait_for("\u{1b}[2K");
    terminal.wait_for("INFO sent first\\u{202e}.bin, 67108864 bytes\r\n");
    terminal.wait_for("second.bin");
    terminal.wait_for("1 of 2 files");
    let reading = thread::spawn(move || receiver.read_to_end(&mut Vec::new()).unwrap());
    terminal.wait_for("INFO sent second.bin, 67108864 bytes\r\n");
    terminal.wait_for("heartwire: sent 2 files, 134217728 bytes in ");
    reading.join().unwrap();
    exits(sending, 0);
}

#[test]
fn receiving_shows_bars_and_texts_above_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut terminal = Terminal::open();
    let mut command = heartwire(["files", "receive", "--listen", "tcp://127.0.0.1:0", "--dir"]);
    let receiving = terminal.run_whole(command.arg(folder.path()));
    terminal.wait_for("listening on tcp://127.0.0.1:");
    let port: u16 = terminal.wait_for("\r\n").parse().unwrap();
    let connect = || patient(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut sender = connect();
    sender.write_all(&head("UNKNOWN", "large.bin", SIZE as usize)).unwrap();
    let piece = vec![b'x'; STEP];
    sender.write_all(&piece).unwrap();
    terminal.wait_for("large.bin");
    sender.write_all(&piece).unwrap();
    terminal.wait_for("B/s");
    terminal.wait_for("s left");

    let mut other = connect();
    other.write_all(&head("TEXT", "", 6)).unwrap();
    other.write_all(b"a\x1b[2Jz").unwrap();
    terminal.wait_for("\u{1b}[2K");
    terminal.wait_for("a\\u{1b}[2Jz\r\n");
    // and the bar is there again
    terminal.wait_for("large.bin");

    sender.write_all(&piece).unwrap();
    sender.write_all(&piece).unwrap();
    terminal.wait_for("complete: large.bin, 67108864 bytes\r\n");
    drop((sender, other));
    let id = receiving.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &id]).status().unwrap().success());
    terminal.wait_for("heartwire: received 1 file, 67108864 bytes in ");
    exits(receiving, 0);
}

#[test]
fn where_stderr_is_no_terminal_there_are_no_bars() {
    let folder = tempfile::tempdir().unwrap();
    let paths = files(&folder, ["first.bin", "second.bin"]);
    let (_listener, address) = listen();
    // nobody reads: it goes on for long enough to show bars
    let send = || {
        let mut command = heartwire(["files", "send", "--timeout", "500ms", &address]);
        command.args(&paths);
        command
    };
    let finished = run(&mut send(), b"");
    assert_eq!(finished.code(), 1);
    let said = finished.stdout + &finished.stderr;
    assert!(said.contains("first.bin") && !said.contains(['\u{1b}', '\r']), "{said:?}");

    let finished = Terminal::open().run(&mut send()).wait_with_output().unwrap();
    let said = String::from_utf8(finished.stderr).unwrap();
    assert!(said.contains("first.bin") && !said.contains(['\u{1b}', '\r']), "{said:?}");
}
