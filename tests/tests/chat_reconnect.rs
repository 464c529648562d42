//! `chat connect --reconnect`, while servers go away and come back.
#![cfg(unix)]

#[path = "terminal/mod.rs"]
mod terminal;

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};

use heartwire_tests::chat::{chat, one_line_of_stderr, stop};
use heartwire_tests::program::{Running, run};
use tempfile::TempDir;
use terminal::Terminal;

/// An address that stays the same, whoever listens there.
fn address() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let address = format!("unix://{}", dir.path().join("chat.sock").display());
    (dir, address)
}

fn serve(address: &str) -> Running {
    let mut server = Running::spawn(&mut chat("serve", ["--listen", address]));
    assert_eq!(server.ready(), address);
    server
}

fn client(address: &str, more: &[&str]) -> std::process::Command {
    let mut command = chat("connect", [address, "--reconnect", "--reconnect-cap", "20ms"]);
    command.args(["--reconnect-attempts", "1000000"]).args(more);
    command
}

#[test]
fn a_client_goes_on_when_its_server_is_back() {
    let (_dir, address) = address();
    let mut client = Running::spawn(&mut client(&address, &[]));
    let mut stdin = client.stdin().unwrap();
    // nobody there yet; the line waits
    writeln!(stdin, "early").unwrap();
    let said = client.log_line("can't connect to");
    assert!(
        said.contains(&address) && said.contains("; trying again in 0.0s (attempt 2 of 1000000)"),
        "{said}"
    );
    for killed in [true, false] {
        let mut server = serve(&address);
        client.log_line(&format!("connected to {address}"));
        if killed {
            assert_eq!(client.line(), "early");
        }
        writeln!(stdin, "hello").unwrap();
        assert_eq!(client.line(), "hello");
        let why = if killed {
            server.kill();
            "ended-without-disconnect"
        } else {
            stop(server);
            "the server closed it: Server shutting down"
        };
        let said = client.log_line("connection lost: ");
        assert!(said.contains(why) && said.contains("; trying again in"), "{said}");
        client.log_line("can't connect to");
    }
    // leaves while it waits
    writeln!(stdin, "exit").unwrap();
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""));
}

#[test]
fn the_end_of_input_and_signals_leave_while_there_is_no_server() {
    let (_dir, address) = address();
    for end in ["the end", "TERM", "INT"] {
        let mut client = Running::spawn(&mut client(&address, &[]));
        client.log_line("trying again in");
        let stdin = client.stdin();
        match end {
            "the end" => drop(stdin),
            signal => {
                client.signal(signal);
                // input that has not ended is no reason to leave
                std::mem::forget(stdin);
            }
        }
        assert_eq!(client.finish().code(), 0, "{end}");
    }
}

#[test]
fn attempts_that_are_spent_and_another_key_are_failures() {
    let (_dir, address) = address();
    let mut command = chat("connect", [&address, "--reconnect", "--reconnect-attempts", "3"]);
    let mut client = Running::spawn(command.args(["--reconnect-cap", "5ms"]));
    let _stdin = client.stdin();
    client.log_line("(attempt 3 of 3)");
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    let said: Vec<&str> = finished.stderr.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("given up after 3 attempts in a row"), "{said:?}");
    assert!(said[1].contains("is a server running there?"), "{said:?}");

    let server = serve(&address);
    let mut command = chat("connect", [&address, "--reconnect"]);
    let mut client = Running::spawn(command.env("HEARTWIRE_KEY", "another key, as long as need be"));
    let _stdin = client.stdin();
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &["mac-mismatch", "the server has another key", "--key-file"]);
    stop(server);
}

#[test]
fn what_can_not_be_is_bad_usage() {
    for (args, said) in [
        (&["--reconnect-attempts", "5"][..], "--reconnect"),
        (&["--reconnect", "--reconnect-attempts", "0"], "--reconnect-attempts"),
        (&["--reconnect", "--reconnect-cap", "0s"], "--reconnect-cap: 0s is not between"),
    ] {
        let finished = run(chat("connect", [""; 0]).args(args), b"");
        assert_eq!(finished.code(), 2, "{finished:?}");
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
}

/// A server that takes connections, gives the handshake to a real one, and stops passing on what the client says: what
/// the client queues behind that is not sent.
struct Stuck {
    listener: UnixListener,
    behind: String,
}

impl Stuck {
    /// Passes on both directions until the client's `bytes` came through, and is then stuck.
    fn accept(&self, bytes: usize) -> [UnixStream; 2] {
        let (ours, _) = self.listener.accept().unwrap();
        let path = self.behind.strip_prefix("unix://").unwrap();
        let theirs = UnixStream::connect(path).unwrap();
        let (mut from, mut to) = (theirs.try_clone().unwrap(), ours.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
        });
        let (mut from, mut to) = (ours.try_clone().unwrap(), theirs.try_clone().unwrap());
        let mut left = bytes;
        let mut buffer = [0; 4096];
        while left > 0 {
            let most = left.min(buffer.len());
            let n = from.read(&mut buffer[..most]).unwrap();
            assert!(n > 0, "the client left");
            to.write_all(&buffer[..n]).unwrap();
            left -= n;
        }
        [ours, theirs]
    }
}

/// Lines of a file that were not sent when the connection broke are sent again, in order: each comes back once.
#[test]
fn a_file_goes_on_with_what_was_not_sent() {
    let (_dir, behind) = address();
    let (dir, front) = address();
    let path = front.strip_prefix("unix://").unwrap();
    let mut server = serve(&behind);
    let stuck = Stuck { listener: UnixListener::bind(path).unwrap(), behind };
    // Each is more than the sockets hold, all are more than the queue takes. The later, the larger: none overtakes.
    let lines: Vec<String> = (0..8).map(|n| format!("{n} {}", "x".repeat(500_000 + n * 1000))).collect();
    let file = dir.path().join("lines");
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut client = Running::spawn(&mut client(&front, &["--file", file.to_str().unwrap()]));
    let mut pipe = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    // who reads the fifth has queued the first two, and can't send them
    let writing = std::thread::spawn({
        let begun = format!("first\n{}\n", lines[..5].join("\n"));
        move || {
            pipe.write_all(begun.as_bytes()).unwrap();
            pipe
        }
    });
    let halves = stuck.accept(100_000);
    assert_eq!(client.line(), "first");
    let mut pipe = writing.join().unwrap();
    for half in halves {
        half.shutdown(std::net::Shutdown::Both).unwrap();
    }
    client.log_line("connection lost: ");
    drop(stuck);
    std::fs::remove_file(path).unwrap();
    server.log_line("closed: ");
    let second = serve(&front);
    pipe.write_all(lines[5..].join("\n").as_bytes()).unwrap();
    drop(pipe);
    let finished = client.finish();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    let back: Vec<&str> = finished.stdout.lines().collect();
    let begin = |line: &&str| line[..line.len().min(8)].to_owned();
    assert!(back == lines, "{:?}", back.iter().map(begin).collect::<Vec<_>>());
    stop(second);
    stop(server);
}

/// What was sent and not answered is not sent again, and missed at the end.
#[test]
fn a_file_misses_what_was_not_answered() {
    let (dir, address) = address();
    let path = address.strip_prefix("unix://").unwrap();
    // nobody says anything back
    let mut first = Running::spawn(&mut chat("serve", ["--listen", &address, "--mode", "broadcast"]));
    first.ready();
    let file = dir.path().join("lines");
    std::fs::write(&file, "a\nb\n").unwrap();
    let mut client =
        Running::spawn(&mut client(&address, &["--wait", "1m", "--file", file.to_str().unwrap()]));
    first.log_line("received 1 bytes");
    first.log_line("received 1 bytes");
    first.kill();
    drop(first);
    client.log_line("connection lost: ");
    let _ = std::fs::remove_file(path);
    let mut second = serve(&address);
    client.log_line("connected to");
    second.log_line("connected");
    client.signal("TERM");
    let finished = client.finish();
    assert_eq!(finished.code(), 0);
    assert!(finished.stderr.ends_with("stopped by a signal: 2 sent, 0 came back\n"), "{finished:?}");
    assert!(!stop(second).stderr.contains("received"));
}

/// A signal counts once, also while the end of a connection is still under way.
#[test]
fn a_signal_while_a_connection_ends_leaves() {
    let (_behind, behind) = address();
    let (_front, front) = address();
    let listener = UnixListener::bind(front.strip_prefix("unix://").unwrap()).unwrap();
    let mut server = serve(&behind);
    let mut client = Running::spawn(&mut client(&front, &[]));
    let _stdin = client.stdin();
    // what is said passes both ways, and no end of a stream
    let (mut ours, _) = listener.accept().unwrap();
    let mut theirs = UnixStream::connect(behind.strip_prefix("unix://").unwrap()).unwrap();
    let (mut from, mut to) = (theirs.try_clone().unwrap(), ours.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let half_closed = std::thread::spawn(move || {
        std::io::copy(&mut ours, &mut theirs).unwrap();
        (ours, theirs)
    });
    client.log_line("connected to");
    // a moment after its client; who is not greeted yet is cut without a goodbye
    server.log_line("connected");
    server.signal("TERM");
    // the client took the goodbye, and waits for the end of the server's stream
    let _halves = half_closed.join().unwrap();
    client.signal("TERM");
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""));
    assert!(!finished.stderr.contains("trying again"), "{finished:?}");
    stop(server);
}

/// The end of a pipe is no reason to forget what is still queued.
#[test]
fn what_was_not_sent_at_the_end_of_a_pipe_is_said() {
    let (_dir, behind) = address();
    let (_front, front) = address();
    let path = front.strip_prefix("unix://").unwrap();
    let server = serve(&behind);
    let stuck = Stuck { listener: UnixListener::bind(path).unwrap(), behind };
    for reconnect in [true, false] {
        let mut command = chat("connect", [&front]);
        command.args(reconnect.then_some("--reconnect"));
        let mut client = Running::spawn(&mut command);
        let mut stdin = client.stdin().unwrap();
        // more than the sockets hold: the goodbye waits behind it, and is given up
        let line = format!("queued {}", "x".repeat(900_000));
        let writing = std::thread::spawn(move || stdin.write_all(line.as_bytes()).unwrap());
        let _halves = stuck.accept(100_000);
        writing.join().unwrap();
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
        let said = if reconnect { "not sent: queued xxx" } else { "is over, with 1 messages not sent: " };
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
    stop(server);
}

/// People are shown what was not sent, above the line that they edit; it is not sent later.
#[test]
fn what_people_type_meanwhile_is_handed_back() {
    let (_dir, address) = address();
    let mut server = serve(&address);
    let mut terminal = Terminal::open();
    let mut client = terminal.run(&mut client(&address, &[]));
    terminal.wait_for(&format!("[connected to {address}]"));
    terminal.write(b"hello\r");
    terminal.wait_for("hello\r\n");
    server.log_line("connected");
    stop(server);
    terminal.wait_for("[connection lost: the server closed it: Server shutting down; trying again in ");
    terminal.wait_for("[can't connect to ");
    terminal.write(b"anybody?\r");
    terminal.wait_for("[not sent: anybody?]");
    let mut server = serve(&address);
    terminal.wait_for(&format!("[connected to {address}]"));
    terminal.write(b"back\r");
    assert!(server.log_line("received ").contains("received 4 bytes"));
    stop(server);
    terminal.wait_for("[can't connect to ");
    terminal.write(b"exit\r");
    assert_eq!(client.wait().unwrap().code(), Some(0));
    assert!(terminal.is_cooked());
}
