//! `chat connect` against `chat serve`, as people and scripts use them.

#[cfg(unix)]
mod terminal;

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use heartwire_tests::chat::{chat, one_line_of_stderr, serve, stop};
use heartwire_tests::legacy::Legacy;
use heartwire_tests::program::{Finished, Running, heartwire, run};
use tempfile::TempDir;

/// A directory with a file of this content.
fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("messages.txt");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

/// A server on TCP and on a Unix socket.
fn serve_both() -> (Running, [String; 2], TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}", dir.path().join("chat.sock").display());
    let (mut server, tcp) = serve(["--listen", &unix]);
    assert_eq!(server.ready(), unix);
    (server, [tcp, unix], dir)
}

fn send_file(address: &str, path: &PathBuf) -> Finished {
    run(chat("connect", [address]).arg("--file").arg(path), b"stdin is ignored\n")
}

#[test]
fn thousands_of_lines_in_several_scripts_come_back_in_order() {
    let scripts =
        ["naïve café", "Ελληνικά", "Русский", "עברית", "العربية", "हिन्दी", "日本語", "🦀 é", " spaces \t "];
    let lines: Vec<String> =
        (0..5000).map(|n| format!("{n} {}", scripts[n % scripts.len()].repeat(1 + n % 7))).collect();
    let endings = ["\n", "\r\n", "\n\n", "\n \t\r\n"];
    let text: String = lines.iter().enumerate().flat_map(|(n, line)| [line, endings[n % 4]]).collect();
    // the last line lacks its ending
    let (_dir, path) = file(text + "last");
    let (server, addresses, _socket) = serve_both();
    for address in &addresses {
        let finished = send_file(address, &path);
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{address}");
        let back: Vec<&str> = finished.stdout.split_terminator('\n').collect();
        assert!(back.iter().eq(lines.iter().chain([&"last".to_owned()])), "{} lines back", back.len());
    }
    let log = stop(server).stderr;
    assert_eq!(log.matches(": received ").count(), 2 * 5001);
    assert_eq!(log.matches("closed by the peer: Client disconnecting").count(), 2);
    assert!(log.ends_with("no sessions\n"), "{log:?}");
}

#[test]
fn a_line_of_20_mb_comes_back() {
    let line: String =
        (0..).map(|n: u32| n.to_string()).flat_map(|n| [n, "é".into()]).take(5_000_000).collect();
    assert!(line.len() > 20_000_000);
    let (_dir, path) = file(format!("before\n{line}\nafter\n"));
    let (server, addresses, _socket) = serve_both();
    for address in &addresses {
        let finished = send_file(address, &path);
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{address}");
        // small ones overtake it: each is whole, and all are there
        let mut back: Vec<&str> = finished.stdout.lines().collect();
        back.sort_by_key(|line| line.len());
        assert!(back == ["after", "before", line.as_str()], "{} lines", back.len());
    }
    stop(server);
}

#[cfg(unix)]
#[test]
fn lines_of_a_named_pipe_are_sent_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (mut server, address) = serve([""; 0]);
    let mut client = Running::spawn(chat("connect", [&address]).arg("--file").arg(&path));
    // before anybody writes
    server.log_line("connected");
    let mut pipe = OpenOptions::new().write(true).open(&path).unwrap();
    for n in 0..20 {
        // the next is written only when this one came back
        writeln!(pipe, "line {n}").unwrap();
        assert_eq!(client.line(), format!("line {n}"));
    }
    pipe.write_all(b"last").unwrap();
    drop(pipe);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str(), finished.stderr.as_str()), (0, "last\n", ""));
    stop(server);
}

#[test]
fn an_empty_file_is_done_at_once() {
    let (mut server, address) = serve([""; 0]);
    for text in ["", "\n", " \r\n\t"] {
        let (_dir, path) = file(text);
        let finished = send_file(&address, &path);
        assert_eq!((finished.code(), finished.stdout.as_str(), finished.stderr.as_str()), (0, "", ""));
        server.log_line("closed by the peer: Client disconnecting");
    }
    stop(server);
}

#[test]
fn typed_lines_are_sent_and_exit_or_the_end_leaves() {
    let (mut server, address) = serve([""; 0]);
    for leave in ["exit\n", " exit \r\n", ""] {
        let mut client = Running::spawn(&mut chat("connect", [&address]));
        let mut stdin = client.stdin().unwrap();
        for line in ["hello", "exit or not", "你好"] {
            write!(stdin, "{line}\n\n").unwrap();
            assert_eq!(client.line(), line);
        }
        stdin.write_all(leave.as_bytes()).unwrap();
        if leave.is_empty() {
            drop(stdin);
        }
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stdout.as_str(), finished.stderr.as_str()), (0, "", ""));
        server.log_line("closed by the peer: Client disconnecting");
    }
    stop(server);
}

#[test]
fn messages_that_do_not_come_back_are_waited_for_and_then_missed() {
    // alone in a broadcast
    let (mut server, address) = serve(["--mode", "broadcast"]);
    let (_dir, path) = file("a\nb\n");
    let finished = run(chat("connect", [&address]).arg("--file").arg(&path).args(["--wait", "200ms"]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &["2 of 2 messages did not come back", "200ms", "--wait"]);
    server.log_line("closed by the peer: Client disconnecting");
    stop(server);
}

/// Each message that comes back begins the wait anew.
#[test]
fn the_wait_counts_from_the_last_message() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let (_dir, path) = file("a\nb\nc\n");
    let mut client =
        Running::spawn(chat("connect", [&address]).arg("--file").arg(&path).args(["--wait", "700ms"]));
    let mut server = Legacy::accept(&listener);
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        server.frame_but_heartbeats();
    }
    for n in 0..2 {
        // time itself is what is looked at here
        thread::sleep(std::time::Duration::from_millis(400));
        let echo = server.peer.message(&[b'a' + n]);
        server.send(&[echo]);
    }
    assert_eq!(server.frame_but_heartbeats().kind(), "disconnect");
    assert!(begun.elapsed() >= std::time::Duration::from_millis(1500), "{:?}", begun.elapsed());
    drop(server);
    assert_eq!([client.line(), client.line()], ["a", "b"]);
    let finished = client.finish();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["1 of 3 messages did not come back"]);
}

#[test]
fn a_file_that_is_not_text_or_not_there_is_a_failure() {
    let (mut server, address) = serve([""; 0]);
    let (dir, path) = file(b"good\nb\xffd\nmore\n");
    let finished = send_file(&address, &path);
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["messages.txt, line 2: not UTF-8 at byte 2"]);
    server.log_line("received 4 bytes");
    server.log_line("closed by the peer: Client disconnecting");

    for path in [dir.path().join("none"), dir.path().into()] {
        let finished = send_file(&address, &path);
        assert_eq!(finished.code(), 1);
        one_line_of_stderr(&finished, &["can't read it", "check --file"]);
    }
    stop(server);
}

#[test]
fn another_key_is_refused_and_both_sides_say_so() {
    let (mut server, address) = serve([""; 0]);
    let other = "another key, as long as need be";
    let finished = run(chat("connect", [&address]).env("HEARTWIRE_KEY", other), b"hello\n");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &["mac-mismatch", "the server has another key", "--key-file"]);
    server.log_line("mac-mismatch");
    stop(server);
}

#[test]
fn no_key_and_weak_keys_are_bad_usage() {
    for subcommand in ["serve", "connect"] {
        let finished = run(&mut heartwire(["chat", subcommand]), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
        one_line_of_stderr(&finished, &["no key; give --key-file FILE, or set HEARTWIRE_KEY"]);
        for weak in ["default-key", "15 bytes of key"] {
            let finished = run(chat(subcommand, [""; 0]).env("HEARTWIRE_KEY", weak), b"");
            assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
            one_line_of_stderr(&finished, &["--allow-weak-key"]);
        }
    }
}

#[test]
fn weak_keys_serve_where_they_are_allowed_and_old_keys_while_they_are_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = ["old", "new"].map(|name| {
        let path = dir.path().join(name);
        std::fs::write(&path, format!("the {name} key of this test\n")).unwrap();
        path
    });
    let mut command = heartwire(["chat", "serve", "--listen", "tcp://127.0.0.1:0", "--key-file"]);
    let mut server = Running::spawn(command.arg(&old).arg("--key-file").arg(&new));
    let address = server.ready();
    // who has both, and signs with the new one
    let mut command = heartwire(["chat", "connect", &address, "--key-file"]);
    let mut client = Running::spawn(command.arg(&new).arg("--key-file").arg(&old));
    let mut stdin = client.stdin().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(client.line(), "hello");
    drop(stdin);
    assert_eq!(client.finish().code(), 0);
    stop(server);

    let weak = |subcommand, address| {
        let mut command = heartwire(["chat", subcommand, "--allow-weak-key"]);
        command.env("HEARTWIRE_KEY", "default-key").args(address);
        command
    };
    let mut server = Running::spawn(&mut weak("serve", &["--listen", "tcp://127.0.0.1:0"][..]));
    let address = server.ready();
    let (_dir, path) = file("hello");
    let finished = run(weak("connect", &[address.as_str(), "--file"]).arg(&path), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, "hello\n"));
    stop(server);
}

#[test]
fn a_server_that_goes_away_is_told_from_one_that_says_goodbye() {
    let (mut server, address) = serve([""; 0]);
    let mut client = Running::spawn(&mut chat("connect", [&address]));
    let mut stdin = client.stdin().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(client.line(), "hello");
    server.kill();
    let finished = client.finish();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &[&address, "is gone: connect again when it is back"]);

    let (server, address) = serve([""; 0]);
    let mut client = Running::spawn(&mut chat("connect", [&address]));
    let mut stdin = client.stdin().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(client.line(), "hello");
    stop(server);
    let finished = client.finish();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["Server shutting down", "connect again when the server is back"]);
}

#[test]
fn nobody_there_and_somebody_else_there() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&[b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(); 4].concat()).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let finished = run(&mut chat("connect", [&address]), b"");
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["bad-magic", "check the address"]);
    other.join().unwrap();
    // now nobody listens there any more
    for address in [address.as_str(), "unix:///nowhere/chat.sock"] {
        let finished = run(&mut chat("connect", [address]), b"");
        assert_eq!(finished.code(), 1);
        one_line_of_stderr(&finished, &["can't connect to", address, "is a server running there?"]);
    }
    let finished = run(&mut chat("connect", ["/tmp/chat.sock"]), b"");
    assert_eq!(finished.code(), 2);
    assert!(finished.stderr.contains("write unix:///tmp/chat.sock"), "{finished:?}");
}

#[cfg(unix)]
#[test]
fn a_client_that_is_stopped_says_goodbye() {
    let (mut server, address) = serve([""; 0]);
    for signal in ["TERM", "INT"] {
        let mut client = Running::spawn(&mut chat("connect", [&address]));
        let mut stdin = client.stdin().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        assert_eq!(client.line(), "hello");
        client.signal(signal);
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
        server.log_line("closed by the peer: Client disconnecting");
    }
    stop(server);

    // with a file, something is missing
    let (mut server, address) = serve(["--mode", "broadcast"]);
    let (_dir, path) = file("a\n");
    let client = Running::spawn(chat("connect", [&address]).arg("--file").arg(&path));
    server.log_line("received 1 bytes");
    client.signal("INT");
    let finished = client.finish();
    assert_eq!(finished.code(), 0);
    assert_eq!(finished.stderr, "heartwire: stopped by a signal: 1 sent, 0 came back\n");
    server.log_line("closed by the peer: Client disconnecting");
    stop(server);
}

#[cfg(unix)]
#[test]
fn a_client_is_stopped_before_there_is_a_session_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let (_dir, path) = file("a\n");
    for (args, said) in [
        (&[][..], ""),
        (&["--file", path.to_str().unwrap()], "heartwire: stopped by a signal: 0 sent, 0 came back\n"),
    ] {
        let client = Running::spawn(chat("connect", [&address]).args(args));
        let _silent = listener.accept().unwrap();
        client.signal("TERM");
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, said));
    }
}

/// A server that takes the goodbye and stays.
#[cfg(unix)]
#[test]
fn a_stopped_client_waits_for_the_grace_and_a_second_signal_ends_it_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let (_dir, path) = file("a\nb\n");
    let said = "heartwire: stopped by a signal: 2 sent, 1 came back\n";
    for (grace, second, code, said) in [
        ("100ms", None, 0, said),
        ("1m", Some("TERM"), 1, "heartwire: stopped at once by a second signal\n"),
        ("1m", Some("INT"), 1, "heartwire: stopped at once by a second signal\n"),
    ] {
        let mut command = chat("connect", [&address]);
        let mut client = Running::spawn(command.args(["--grace", grace, "--file"]).arg(&path));
        let mut server = Legacy::accept(&listener);
        server.frame_but_heartbeats();
        server.frame_but_heartbeats();
        let echo = server.peer.message(b"a");
        server.send(&[echo]);
        assert_eq!(client.line(), "a");
        client.signal("TERM");
        assert_eq!(server.frame_but_heartbeats().kind(), "disconnect");
        let begun = std::time::Instant::now();
        if let Some(second) = second {
            client.signal(second);
        }
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stderr.as_str()), (code, said));
        // without either, the protocol's own time to wait for the server's end is 2 s
        assert!(begun.elapsed() < std::time::Duration::from_millis(1500), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_time_longer_than_a_year_is_bad_usage() {
    for option in ["--wait", "--grace"] {
        for time in ["18446744073709551615s", "525601m"] {
            let finished = run(&mut chat("connect", [option, time]), b"");
            assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
            assert!(finished.stderr.contains("at most 525600m (a year)"), "{finished:?}");
        }
    }
}

#[test]
fn a_reader_of_stdout_that_leaves_is_no_failure() {
    let (mut server, address) = serve([""; 0]);
    let (_dir, path) = file("line\n".repeat(1000));
    let mut command = chat("connect", [&address]);
    command.arg("--file").arg(&path).stdout(std::process::Stdio::piped());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    server.log_line("closed by the peer: Client disconnecting");
    stop(server);
}

/// What people see: a line editor, and nothing of the server's that could steer the terminal.
#[cfg(unix)]
mod typed {
    use super::terminal::Terminal;
    use super::*;

    #[test]
    fn lines_are_edited_and_what_comes_is_escaped() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut terminal = Terminal::open();
        let client = terminal.run(&mut chat("connect", [&address]));
        let mut server = Legacy::accept(&listener);
        terminal.wait_for("> ");
        // a typing mistake, and backspace
        terminal.write(b"helk\x7flo\r");
        let message = server.frame_but_heartbeats();
        assert_eq!((message.kind(), message.text()), ("message", "hello"));
        let echo = server.peer.message("héllo\u{1b}[31;7m\u{7}\u{202e}\nmore".as_bytes());
        server.send(&[echo]);
        terminal.wait_for(r"héllo\u{1b}[31;7m\u{7}\u{202e}\nmore");
        terminal.write(b"exit\r");
        assert_eq!(server.frame_but_heartbeats().kind(), "disconnect");
        drop(server);
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("`exit` to leave"));
        assert!(terminal.is_cooked());
    }

    #[test]
    fn the_terminal_has_its_mode_back_whatever_ends_the_program() {
        let (mut server, address) = serve([""; 0]);
        for end in ["TERM", "Ctrl-C", "Ctrl-D", "goodbye"] {
            let mut terminal = Terminal::open();
            assert!(terminal.is_cooked());
            let mut client = terminal.run(&mut chat("connect", [&address]));
            terminal.wait_for("> ");
            terminal.write(b"hello\r");
            server.log_line("received 5 bytes");
            terminal.wait_for("hello\r\n");
            terminal.wait_for("> ");
            assert!(!terminal.is_cooked());
            match end {
                "TERM" => {
                    let id = client.id().to_string();
                    assert!(std::process::Command::new("kill").arg(id).status().unwrap().success());
                }
                "Ctrl-C" => terminal.write(b"\x03"),
                "Ctrl-D" => terminal.write(b"\x04"),
                _ => server.signal("TERM"),
            }
            let expected = i32::from(end == "goodbye");
            assert_eq!(client.wait().unwrap().code(), Some(expected), "{end}");
            assert!(terminal.is_cooked(), "{end}");
        }
        assert_eq!(server.finish().code(), 0);
    }
}

#[test]
fn the_help_says_what_there_is() {
    for (args, texts) in [
        (["chat", "serve", "--help"], &["--listen", "broadcast", "--grace", "[default: 5s]", "10000"][..]),
        (
            ["chat", "connect", "--help"],
            &["[default: tcp://127.0.0.1:9999]", "--file", "--grace", "(\\n or \\r\\n)", "exit"],
        ),
    ] {
        let finished = run(&mut heartwire(args), b"");
        assert_eq!(finished.code(), 0);
        for text in texts {
            assert!(finished.stdout.contains(text), "no {text:?} in {}", finished.stdout);
        }
    }
}
