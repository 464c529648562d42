//! `lines connect` against a server by hand, and against `lines serve`.

#![cfg(unix)]

mod terminal;

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use heartwire_tests::chat::{one_line_of_stderr, stop};
use heartwire_tests::lines::{Client, command, serve};
use heartwire_tests::peers::lines;
use heartwire_tests::program::{Finished, Running, run};
use rustix::net::sockopt::set_socket_linger;

/// A server by hand, and its address.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// A client that runs, and the server's side of its connection.
fn connected(args: &[&str]) -> (Running, Client, String) {
    let (listener, address) = listen();
    let client = Running::spawn(command("connect", [&address]).args(args));
    let server = Client::of(listener.accept().unwrap().0);
    (client, server, address)
}

fn reset(server: Client) {
    set_socket_linger(server.stream(), Some(Duration::ZERO)).unwrap();
}

#[track_caller]
fn clean(finished: &Finished, stdout: &str) {
    let met = (finished.code(), finished.stdout.as_str(), finished.stderr.as_str());
    assert_eq!(met, (0, stdout, ""));
}

#[test]
fn every_line_of_stdin_is_sent_blank_ones_too_and_then_the_end() {
    for (stdin, sent) in [
        ("one\n\n  \ntwo\r\n\r\nlast", "one\n\n  \ntwo\n\nlast\n"),
        ("a\rb\r\r\n", "a\rb\r\r\n"),
        ("日本語 🦀\u{0}\u{1b}\n", "日本語 🦀\u{0}\u{1b}\n"),
        ("exit\n", "exit\n"),
        ("\n", "\n"),
        ("", ""),
    ] {
        let (mut client, mut server, _) = connected(&[]);
        let mut pipe = client.stdin().unwrap();
        pipe.write_all(stdin.as_bytes()).unwrap();
        drop(pipe);
        assert_eq!(String::from_utf8(server.rest()).unwrap(), sent, "{stdin:?}");
        drop(server);
        clean(&client.finish(), "");
    }
}

#[test]
fn what_arrives_is_printed_as_it_is_until_the_server_ends_its_stream() {
    let (mut client, mut server, _) = connected(&[]);
    server.send("before the end of input");
    assert_eq!(client.line(), "before the end of input");
    drop(client.stdin());
    assert_eq!(server.rest(), b"");
    server.write("after\r\n\n\u{1b}[31m\u{202e}é\na\rb\r\r\nlast");
    drop(server);
    clean(&client.finish(), "after\n\n\u{1b}[31m\u{202e}é\na\rb\r\nlast\n");
}

#[test]
fn bytes_one_at_a_time_are_the_same_lines() {
    let (mut client, mut server, _) = connected(&[]);
    drop(client.stdin());
    assert_eq!(server.rest(), b"");
    for byte in "né\r\n\n🦀".as_bytes() {
        server.write([*byte]);
    }
    drop(server);
    clean(&client.finish(), "né\n\n🦀\n");
}

#[test]
fn a_file_as_stdin_comes_back_whole_from_the_program() {
    let text: String = (0..100_000).map(|n| format!("{n} {}\n", "é".repeat(n % 80))).collect();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines.txt");
    std::fs::write(&path, &text).unwrap();
    let (server, address) = serve([""; 0]);
    let mut child = command("connect", [&address]);
    child.stdin(File::open(&path).unwrap()).stderr(Stdio::piped());
    let output = child.output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    assert!(output.stdout == text.as_bytes(), "{} of {} bytes", output.stdout.len(), text.len());
    stop(server);
}

#[test]
fn three_programs_print_the_same() {
    let (mut server, address) = serve([""; 0]);
    let mut programs = [(); 3].map(|()| {
        let mut program = Running::spawn(&mut command("connect", [&address]));
        server.log_line("connected");
        let stdin = program.stdin().unwrap();
        (program, stdin)
    });
    for (who, (_, stdin)) in programs.iter_mut().enumerate() {
        let lines: String = (0..200).map(|n| format!("{who} {n}\n")).collect();
        stdin.write_all(lines.as_bytes()).unwrap();
    }
    let printed =
        programs.each_mut().map(|(program, _)| (0..600).map(|_| program.line()).collect::<Vec<_>>());
    assert_eq!(printed[0], printed[1]);
    assert_eq!(printed[0], printed[2]);
    for (program, stdin) in programs {
        drop(stdin);
        clean(&program.finish(), "");
    }
    stop(server);
}

#[test]
fn a_line_at_the_limit_is_sent_and_a_longer_one_is_refused() {
    for (args, limit) in [(&[][..], 65536), (&["--limit", "5"], 5)] {
        let longest = "x".repeat(limit);
        for ending in ["\n", "\r\n", ""] {
            let (mut client, mut server, _) = connected(args);
            let mut pipe = client.stdin().unwrap();
            write!(pipe, "{longest}{ending}").unwrap();
            drop(pipe);
            assert_eq!(server.rest(), format!("{longest}\n").as_bytes());
            drop(server);
            clean(&client.finish(), "");

            let (mut client, mut server, _) = connected(args);
            let mut pipe = client.stdin().unwrap();
            write!(pipe, "fore\n{longest}x{ending}").unwrap();
            drop(pipe);
            // what came before it is sent
            assert_eq!(server.rest(), b"fore\n");
            drop(server);
            let finished = client.finish();
            assert_eq!(finished.code(), 1);
            let long =
                format!("stdin, line 2: longer than {limit} bytes, the most that --limit allows; split it");
            one_line_of_stderr(&finished, &[&long]);
        }
    }
}

#[test]
fn input_that_is_not_utf_8_is_refused() {
    let (mut client, mut server, _) = connected(&[]);
    client.stdin().unwrap().write_all(b"good\nb\xffd\nmore\n").unwrap();
    assert_eq!(server.rest(), b"good\n");
    drop(server);
    let finished = client.finish();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["stdin, line 2: not UTF-8 at byte 2; convert it to UTF-8"]);
}

#[test]
fn what_comes_and_is_no_line_is_a_failure() {
    for (bytes, args, texts) in [
        (&b"ok\nb\xffd\n"[..], &[][..], &["invalid-utf8", "may speak another protocol"][..]),
        (b"ok\n\xc3", &[], &["invalid-utf8"]),
        (
            b"ok\n123456\n",
            &["--limit", "5"],
            &["line-too-long", "a line of more than 5 bytes", "larger --limit"],
        ),
        (b"ok\n123456", &["--limit", "5"], &["line-too-long"]),
    ] {
        let (mut client, mut server, address) = connected(args);
        server.write(bytes);
        server.finish();
        assert_eq!(client.line(), "ok");
        server.rest_or_reset();
        drop(server);
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
        one_line_of_stderr(&finished, texts);
        one_line_of_stderr(&finished, &[&address]);
    }
}

#[test]
fn a_server_that_ends_before_the_input_does_is_a_failure() {
    let (mut client, mut server, address) = connected(&[]);
    let mut stdin = client.stdin().unwrap();
    stdin.write_all(b"hello\n").unwrap();
    assert_eq!(server.line().as_deref(), Some("hello"));
    server.send("goodbye");
    server.finish();
    assert_eq!(client.line(), "goodbye");
    assert_eq!(server.rest(), b"");
    drop(server);
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    let said = [
        "is over, before the end of the input: the server closed it",
        "connect again when the server is back",
    ];
    one_line_of_stderr(&finished, &[&address, said[0], said[1]]);
    drop(stdin);
}

#[test]
fn a_server_that_ends_before_everything_has_left_is_a_failure() {
    let (mut client, server, address) = connected(&[]);
    endless_and_stuck(&mut client);
    server.finish();
    let finished = client.finish();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &[&address, "lines not sent: the server closed it"]);
}

#[test]
fn a_connection_that_breaks_is_a_failure() {
    for input_ends in [false, true] {
        let (mut client, mut server, address) = connected(&[]);
        let mut stdin = client.stdin().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        assert_eq!(server.line().as_deref(), Some("hello"));
        server.send("hello");
        assert_eq!(client.line(), "hello");
        let stdin = (!input_ends).then_some(stdin);
        if input_ends {
            assert_eq!(server.rest(), b"");
        }
        reset(server);
        let finished = client.finish();
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
        one_line_of_stderr(&finished, &[&address, "transport-failed", "connect again when it is back"]);
        drop(stdin);
    }
}

#[test]
fn a_server_that_is_stopped_or_killed_is_told() {
    for kill in [true, false] {
        let (mut server, address) = serve([""; 0]);
        let mut client = Running::spawn(&mut command("connect", [&address]));
        let mut stdin = client.stdin().unwrap();
        stdin.write_all(b"hello\n").unwrap();
        assert_eq!(client.line(), "hello");
        if kill {
            server.kill();
        } else {
            stop(server);
        }
        let finished = client.finish();
        assert_eq!(finished.code(), 1);
        let said = "is over, before the end of the input: the server closed it";
        one_line_of_stderr(&finished, &[&address, said, "connect again when the server is back"]);
        drop(stdin);
    }
}

#[test]
fn nobody_there_is_a_failure_and_no_address_is_bad_usage() {
    let (listener, address) = listen();
    drop(listener);
    for address in [address.as_str(), "unix:///nowhere/lines.sock"] {
        let finished = run(&mut command("connect", [address]), b"hello\n");
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
        one_line_of_stderr(
            &finished,
            &["can't connect to", address, "start one with `heartwire lines serve`"],
        );
    }
    for (args, text) in [
        (&["/tmp/lines.sock"][..], "write unix:///tmp/lines.sock"),
        (&["--limit", "0"], "0 is not in 1..="),
        (&["--grace", "525601m"], "at most 525600m (a year)"),
    ] {
        let finished = run(&mut command("connect", args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
        assert!(finished.stderr.contains(text), "{finished:?}");
    }
}

/// Input that never ends, as fast as it is taken. Says when some was.
fn endless(mut stdin: ChildStdin, line: &str) -> Receiver<()> {
    let lines = lines::line(line).repeat(100);
    let (taken, progress) = channel();
    thread::spawn(move || {
        while stdin.write_all(&lines).is_ok() {
            let _ = taken.send(());
        }
    });
    progress
}

/// The same, to a server that reads nothing: until no more is taken.
fn endless_and_stuck(client: &mut Running) {
    // the client's queue holds more than what the operating system may take after all
    let progress = endless(client.stdin().unwrap(), &"y".repeat(9_999));
    while progress.recv_timeout(Duration::from_millis(500)).is_ok() {}
}

#[test]
fn a_signal_ends_it_amid_input_without_end() {
    for signal in ["TERM", "INT"] {
        let (mut client, mut server, _) = connected(&[]);
        endless(client.stdin().unwrap(), "y");
        assert_eq!(server.line().as_deref(), Some("y"));
        client.signal(signal);
        // whole lines, then the end
        let rest = server.rest();
        assert!(rest.chunks(2).all(|line| line == b"y\n"), "{} bytes", rest.len());
        drop(server);
        clean(&client.finish(), "");
    }
}

#[test]
fn what_a_signal_leaves_unsent_is_said() {
    let (mut client, server, _) = connected(&["--grace", "300ms"]);
    endless_and_stuck(&mut client);
    client.signal("TERM");
    let finished = client.finish();
    assert_eq!(finished.code(), 0);
    one_line_of_stderr(&finished, &["stopped by a signal: ", " lines not sent"]);
    drop(server);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut client, mut server, _) = connected(&["--grace", "1m"]);
    let stdin = client.stdin().unwrap();
    server.send("it talks");
    assert_eq!(client.line(), "it talks");
    client.signal("TERM");
    assert_eq!(server.rest(), b"");
    client.signal("INT");
    let finished = client.finish();
    assert_eq!(
        (finished.code(), finished.stderr.as_str()),
        (1, "heartwire: stopped at once by a second signal\n")
    );
    drop((stdin, server));
}

#[test]
fn a_signal_ends_it_while_it_waits_for_the_server_to_end() {
    let (mut client, mut server, _) = connected(&[]);
    drop(client.stdin());
    assert_eq!(server.rest(), b"");
    client.signal("TERM");
    clean(&client.finish(), "");
}

#[test]
fn a_reader_of_stdout_that_leaves_is_no_failure() {
    let (server, address) = serve([""; 0]);
    // as `yes | heartwire lines connect | head -1`
    let mut client = command("connect", [&address]);
    let client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().unwrap();
    endless(client.stdin.take().unwrap(), "y");
    let mut line = [0; 2];
    client.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let output = client.wait_with_output().unwrap();
    assert_eq!((&line, output.status.code(), output.stderr.as_slice()), (b"y\n", Some(0), &b""[..]));
    stop(server);
}

/// A client whose stdout nobody reads, and a server that sends until no more is taken; what, and how much was taken.
fn standing_still(args: &[&str]) -> (Child, Client, Vec<u8>, usize) {
    let (listener, address) = listen();
    let mut child = command("connect", [&address]);
    child.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = child.spawn().unwrap();
    let server = Client::of(listener.accept().unwrap().0);
    let line = lines::line(&"x".repeat(999));
    server.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let text = line.repeat(64 * 1024);
    let mut taken = 0;
    while let Ok(n) = server.stream().write(&text[taken..]) {
        taken += n;
        assert!(taken < text.len(), "all was taken");
    }
    (child, server, text, taken)
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_signal_leaves_unprinted_is_said() {
    let (mut child, _server, ..) = standing_still(&["--grace", "300ms"]);
    let id = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "heartwire: stopped by a signal: not all that arrived was printed\n");
}

#[test]
fn stdout_that_stands_still_stops_the_reading_of_the_socket() {
    let (mut child, server, text, taken) = standing_still(&[]);
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: usize = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
        assert!(peak < 24 * 1024, "{peak} KiB");
    }
    // it goes on where it stopped
    drop(child.stdin.take());
    let mut stdout = child.stdout.take().unwrap();
    let reading = thread::spawn(move || {
        let mut printed = Vec::new();
        stdout.read_to_end(&mut printed).unwrap();
        printed
    });
    server.stream().set_write_timeout(None).unwrap();
    server.write(&text[taken..]);
    server.finish();
    assert!(reading.join().unwrap() == text);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Where people type.
mod typed {
    use super::terminal::Terminal;
    use super::*;

    /// A client in a terminal, and the server's side of its connection.
    fn typing(args: &[&str]) -> (Terminal, Child, Client) {
        let (listener, address) = listen();
        let mut terminal = Terminal::open();
        let client = terminal.run(command("connect", [&address]).args(args));
        let server = Client::of(listener.accept().unwrap().0);
        terminal.wait_for("> ");
        (terminal, client, server)
    }

    #[track_caller]
    fn stderr_of(client: Child, code: i32) -> String {
        let output = client.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        stderr
    }

    #[test]
    fn lines_are_edited_what_comes_is_escaped_and_the_end_of_input_leaves_at_once() {
        let (mut terminal, client, mut server) = typing(&[]);
        // a typing mistake, and backspace
        terminal.write(b"helk\x7flo\r");
        assert_eq!(server.line().as_deref(), Some("hello"));
        terminal.wait_for("> ");
        // blank lines and `exit` are lines
        terminal.write(b"\r");
        assert_eq!(server.line().as_deref(), Some(""));
        terminal.wait_for("> ");
        terminal.write(b"exit\r");
        assert_eq!(server.line().as_deref(), Some("exit"));
        server.send("héllo\u{1b}[31;7m\u{7}\u{202e}");
        terminal.wait_for(r"héllo\u{1b}[31;7m\u{7}\u{202e}");
        terminal.write(b"\x04");
        assert_eq!(server.rest(), b"");
        drop(server);
        let stderr = stderr_of(client, 0);
        assert!(stderr.contains("the end of input (Ctrl-D) leaves"), "{stderr}");
        assert!(terminal.is_cooked());
    }

    #[test]
    fn a_line_that_can_not_be_sent_is_refused_and_the_next_is_sent() {
        let (mut terminal, client, mut server) = typing(&["--limit", "5"]);
        terminal.write(b"123456\r");
        terminal
            .wait_for("[not sent: a line is longer than 5 bytes, the most that --limit allows; split it]");
        // until it is back, the terminal would take the quoting for itself
        terminal.wait_for("> ");
        // a newline, quoted
        terminal.write(b"a\x16\nb\r");
        terminal.wait_for("[not sent: line 2 is not one line: a newline at byte 1; send it as several]");
        terminal.write(b"12345\r");
        assert_eq!(server.line().as_deref(), Some("12345"));
        terminal.write(b"\x04");
        assert_eq!(server.rest(), b"");
        // it leaves though the server does not
        stderr_of(client, 0);
        drop(server);
    }

    #[test]
    fn a_server_that_ends_is_told() {
        let (terminal, client, mut server) = typing(&[]);
        server.send("goodbye");
        server.finish();
        assert_eq!(server.rest(), b"");
        drop(server);
        let stderr = stderr_of(client, 1);
        assert!(stderr.contains("is over: the server closed it: the end of its stream; connect"), "{stderr}");
        assert!(terminal.is_cooked());
    }

    #[test]
    fn a_signal_leaves_and_gives_the_terminal_back() {
        let (terminal, client, mut server) = typing(&[]);
        assert!(!terminal.is_cooked());
        let id = client.id().to_string();
        assert!(Command::new("kill").arg(id).status().unwrap().success());
        assert_eq!(server.rest(), b"");
        drop(server);
        stderr_of(client, 0);
        assert!(terminal.is_cooked());
    }
}
