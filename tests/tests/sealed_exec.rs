//! `sealed serve --exec`: answers from a command, and what becomes of its processes.

#![cfg(unix)]

use std::fs;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use heartwire_tests::chat::one_line_of_stderr;
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::sealed::{LIMIT, ask, nonce, packet, read, write};
use heartwire_tests::program::{PATIENCE, Running, run};
use heartwire_tests::sealed::{KEY, Programs, connect, ends, rest};

const LONGEST: usize = LIMIT as usize - 16;

/// A server that answers by this script, which is given these arguments.
fn script(programs: &Programs, options: &[&str], script: &str, args: &[&str]) -> (Running, String) {
    programs.serve([options, &["--exec", "sh", "-c", script, "script"], args].concat())
}

/// The answer to a request on a connection of its own.
fn answer(address: &str, request: &[u8]) -> Vec<u8> {
    ask(&mut connect(address), &KEY, &nonce(0), request).unwrap().expect("an answer").plaintext
}

/// Such a request is not answered: the stream ends in order, without a byte.
fn no_answer(address: &str, request: &[u8]) {
    let mut stream = connect(address);
    write(&mut stream, &KEY, &nonce(0), request).unwrap();
    ends(stream);
}

/// The numbers in the next line of the log that begins with `pids`.
fn pids(server: &mut Running) -> Vec<u32> {
    let line = server.log_line("pids");
    line.split(' ').skip(1).map(|pid| pid.parse().unwrap()).collect()
}

fn fifo(programs: &Programs) -> PathBuf {
    let path = programs.dir.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// Whether a process runs; one that has ended and was not waited for does not.
fn runs(pid: u32) -> bool {
    // its name stands in brackets and may hold anything
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// All of them end soon. There is nothing to wait for in somebody else's processes.
#[track_caller]
fn gone(pids: &[u32]) {
    assert!(!pids.is_empty());
    let until = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(Instant::now() < until, "one of {pids:?} still runs");
        thread::yield_now();
    }
}

#[test]
fn requests_of_every_size_go_through_a_command() {
    let programs = Programs::new();
    let (server, address) = programs.serve(["--exec", "cat"]);
    let mut stream = connect(&address);
    for (number, size) in (0..).zip([0, 1, 65_536, 1 << 20, LONGEST]) {
        let request = bytes(size);
        let answer = ask(&mut stream, &KEY, &nonce(number), &request).unwrap().unwrap();
        assert!(answer.plaintext == request, "{size} bytes");
    }
    drop(server);
}

#[test]
fn each_request_has_a_process_of_its_own() {
    let programs = Programs::new();
    let (_server, address) = script(&programs, &[], "echo $$", &[]);
    let mut stream = connect(&address);
    let first = ask(&mut stream, &KEY, &nonce(0), b"").unwrap().unwrap().plaintext;
    let second = ask(&mut stream, &KEY, &nonce(1), b"").unwrap().unwrap().plaintext;
    assert_ne!(first, second);
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let programs = Programs::new();
    let (_server, address) = programs.serve(["--exec", "cat"]);
    let mut stream = connect(&address);
    let all: Vec<u8> =
        (0..10).flat_map(|n| packet(&KEY, &nonce(n), format!("request {n}").as_bytes())).collect();
    std::io::Write::write_all(&mut stream, &all).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    for n in 0..10 {
        let answer = read(&mut stream, &KEY, LIMIT).unwrap().unwrap();
        assert_eq!(answer.plaintext, format!("request {n}").as_bytes());
    }
    ends(stream);
}

#[test]
fn a_command_need_not_read_what_it_is_asked() {
    let programs = Programs::new();
    for (line, expected) in [
        ("echo ignored", "ignored\n"),
        ("exec 0<&-; echo closed", "closed\n"),
        ("head -c 5 >/dev/null; echo early", "early\n"),
        // what it leaves behind holds its input, and does not read it either
        ("exec 3<&0; sleep 1000 <&3 >/dev/null 2>&1 & echo left", "left\n"),
        ("true", ""),
    ] {
        let (_server, address) = script(&programs, &[], line, &[]);
        assert_eq!(answer(&address, &bytes(1 << 20)), expected.as_bytes(), "{line}");
    }
}

#[test]
fn arguments_are_passed_as_they_are() {
    let programs = Programs::new();
    let args = [
        "two words",
        "it's",
        "\"quoted\"",
        "$HOME",
        "`id`",
        ";",
        "|",
        "*",
        "",
        "\\n",
        "-h",
        "--help",
        "--limit",
        "1",
        "--",
        "--exec",
        "-v",
        "é",
    ];
    let (_server, address) = programs.serve([&["--exec", "printf", "[%s]"], &args[..]].concat());
    let expected: String = args.iter().map(|arg| format!("[{arg}]")).collect();
    assert_eq!(String::from_utf8(answer(&address, b"")).unwrap(), expected);
}

#[test]
fn its_stderr_is_the_servers() {
    let programs = Programs::new();
    let (mut server, address) = script(&programs, &[], "printf 'a \\033[1m word\\n' >&2", &[]);
    assert_eq!(answer(&address, b""), b"");
    assert_eq!(server.log_line("word"), "a \x1b[1m word");
}

#[test]
fn an_answer_may_be_as_large_as_a_packet_and_no_larger() {
    let programs = Programs::new();
    for (limit, most) in [("16777216", LONGEST), ("1016", 1000)] {
        let (mut server, address) = script(&programs, &["--limit", limit], "head -c $(cat) /dev/zero", &[]);
        assert_eq!(answer(&address, most.to_string().as_bytes()).len(), most);
        no_answer(&address, (most + 1).to_string().as_bytes());
        server.log_line(&format!("no answer: `sh` was killed: it printed more than {most} bytes"));
    }
    let (mut server, address) = script(&programs, &["--limit", "16"], "printf '%s' $1", &["x"]);
    no_answer(&address, b"");
    server.log_line("no answer: `sh` was killed: it printed more than 0 bytes");
}

#[test]
fn a_command_that_writes_without_end_is_killed() {
    let programs = Programs::new();
    let (mut server, address) = script(&programs, &[], "yes & echo pids $$ $! >&2; exec yes", &[]);
    no_answer(&address, b"");
    let pids = pids(&mut server);
    server.log_line("no answer: `sh` was killed: it printed more than 16777200 bytes");
    gone(&pids);
}

#[test]
fn a_command_that_fails_gives_no_answer_and_the_log_says_how() {
    let programs = Programs::new();
    for (line, said) in [
        ("echo half an answer; exit 3", "no answer: `sh` ended with exit status 3"),
        ("cat; exit 255", "no answer: `sh` ended with exit status 255"),
        ("echo half an answer; kill -KILL $$", "no answer: `sh` was killed by signal 9"),
        // at once, though something holds its output open
        ("sleep 1000 & exit 4", "no answer: `sh` ended with exit status 4"),
    ] {
        let (mut server, address) = script(&programs, &[], line, &[]);
        let mut stream = connect(&address);
        let peer = stream.local_addr().unwrap();
        write(&mut stream, &KEY, &nonce(0), b"request").unwrap();
        ends(stream);
        let line = server.log_line(said);
        assert!(line.contains(&format!(" WARN tcp://{peer}: ")), "{line}");
        server.log_line("closed: closed here");
    }
}

#[test]
fn a_command_that_can_not_be_run_is_told_at_once() {
    let programs = Programs::new();
    let dir = programs.dir.path();
    let file = dir.join("file");
    fs::write(&file, "no program").unwrap();
    let name = |path: &Path| path.display().to_string();
    for (command, said) in [
        ("heartwire-no-such-command".to_owned(), "no such command in PATH"),
        (String::new(), "no command"),
        (name(&dir.join("none")), "no such command"),
        (name(dir), "a folder"),
        (name(&file), "a file that may not be executed"),
        (name(&file.join("below")), "no such command"),
    ] {
        let finished = run(&mut programs.serve_command(["--exec", &command]), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
        one_line_of_stderr(&finished, &["heartwire: --exec: ", said, "give a command that can be run"]);
    }
}

#[test]
fn a_command_that_is_gone_by_then_gives_no_answer() {
    let programs = Programs::new();
    let command = programs.dir.path().join("command");
    fs::write(&command, "#!/bin/sh\ncat\n").unwrap();
    fs::set_permissions(&command, PermissionsExt::from_mode(0o700)).unwrap();
    let (mut server, address) = programs.serve(["--exec".as_ref(), command.as_os_str()]);
    assert_eq!(answer(&address, b"here"), b"here");
    fs::remove_file(&command).unwrap();
    no_answer(&address, b"gone");
    let line = server.log_line("no answer: ");
    assert!(line.contains("command` could not be started: No such file or directory"), "{line}");
}

#[test]
fn a_command_that_takes_too_long_is_killed_with_what_holds_its_output() {
    let programs = Programs::new();
    for (line, said) in [
        (
            "sleep 1000 & echo pids $$ $! >&2; wait",
            "no answer: `sh` was killed: it did not end within 1s (--exec-timeout)",
        ),
        (
            "trap '' TERM INT HUP; sleep 1000 & echo pids $$ $! >&2; while :; do wait; done",
            "no answer: `sh` was killed: it did not end within 1s (--exec-timeout)",
        ),
        (
            "sleep 1000 & echo pids $$ $! >&2; echo an answer",
            "no answer: `sh` ended, but what it started held its output open and was killed after 1s",
        ),
    ] {
        let (mut server, address) = script(&programs, &["--exec-timeout", "1s"], line, &[]);
        no_answer(&address, b"request");
        let pids = pids(&mut server);
        assert_eq!(pids.len(), 2);
        server.log_line(said);
        gone(&pids);
    }
}

#[test]
fn what_a_command_leaves_running_is_killed_when_it_has_answered() {
    let programs = Programs::new();
    let line = "sleep 1000 >/dev/null & echo pids $! >&2; echo an answer";
    let (mut server, address) = script(&programs, &[], line, &[]);
    assert_eq!(answer(&address, b""), b"an answer\n");
    gone(&pids(&mut server));
}

#[test]
fn a_slow_command_holds_up_nobody_else() {
    let programs = Programs::new();
    let fifo = fifo(&programs);
    let line = "if [ $(cat) = slow ]; then echo waits >&2; cat \"$1\"; else echo fast; fi";
    let (mut server, address) = script(&programs, &[], line, &[fifo.to_str().unwrap()]);
    let mut slow = connect(&address);
    write(&mut slow, &KEY, &nonce(0), b"slow").unwrap();
    server.log_line("waits");
    for _ in 0..5 {
        assert_eq!(answer(&address, b"other"), b"fast\n");
    }
    fs::write(&fifo, "slow").unwrap();
    assert_eq!(read(&mut slow, &KEY, LIMIT).unwrap().unwrap().plaintext, b"slow");
}

#[test]
fn the_idle_timeout_stands_still_while_a_command_runs() {
    let programs = Programs::new();
    let (mut server, address) = script(&programs, &["--timeout", "300ms"], "sleep 1; cat", &[]);
    let mut stream = connect(&address);
    let answer = ask(&mut stream, &KEY, &nonce(0), b"late").unwrap().unwrap();
    assert_eq!(answer.plaintext, b"late");
    ends(stream);
    server.log_line("closed: peer-silent");
}

#[test]
fn a_stop_lets_a_command_answer_and_takes_no_more_requests() {
    for signal in ["TERM", "INT"] {
        let programs = Programs::new();
        let fifo = fifo(&programs);
        let (mut server, address) =
            script(&programs, &["--grace", "10m"], "echo waits >&2; cat \"$1\"", &[fifo.to_str().unwrap()]);
        let mut idle = connect(&address);
        server.log_line("connected");
        let mut stream = connect(&address);
        // the second one comes too late
        for number in 0..2 {
            write(&mut stream, &KEY, &nonce(number), b"request").unwrap();
        }
        server.log_line("waits");
        server.signal(signal);
        server.log_line("stopping");
        assert_eq!(rest(&mut idle), b"", "others are closed meanwhile");
        fs::write(&fifo, "the answer").unwrap();
        assert_eq!(read(&mut stream, &KEY, LIMIT).unwrap().unwrap().plaintext, b"the answer");
        ends(stream);
        drop(idle);
        let finished = server.finish();
        assert_eq!(finished.code(), 0, "{finished:?}");
        let last = finished.stderr.lines().last().unwrap();
        assert!(last.ends_with(": 2 connections closed"), "{last}");
    }
}

#[test]
fn a_command_that_does_not_end_within_the_grace_is_killed() {
    let programs = Programs::new();
    let (mut server, address) =
        script(&programs, &["--grace", "300ms"], "sleep 1000 & echo pids $$ $! >&2; wait", &[]);
    let mut stream = connect(&address);
    write(&mut stream, &KEY, &nonce(0), b"request").unwrap();
    let pids = pids(&mut server);
    server.signal("TERM");
    ends(stream);
    let finished = server.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.stderr.contains("no answer: `sh` was killed: the connection is gone"), "{finished:?}");
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.ends_with(": 1 connection cut"), "{last}");
    gone(&pids);
}

#[test]
fn a_second_signal_kills_commands_too() {
    let programs = Programs::new();
    let (mut server, address) =
        script(&programs, &["--grace", "10m"], "sleep 1000 & echo pids $$ $! >&2; wait", &[]);
    let mut stream = connect(&address);
    write(&mut stream, &KEY, &nonce(0), b"request").unwrap();
    let pids = pids(&mut server);
    server.signal("TERM");
    server.log_line("stopping");
    server.signal("TERM");
    let finished = server.finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    gone(&pids);
}

#[test]
fn many_commands_at_once_are_all_waited_for() {
    let programs = Programs::new();
    let (server, address) = programs.serve(["--exec", "cat"]);
    thread::scope(|scope| {
        for client in 0..8 {
            let address = &address;
            scope.spawn(move || {
                let mut stream = connect(address);
                for number in 0..25 {
                    let request = format!("{client} {number}").repeat(1000);
                    let answer = ask(&mut stream, &KEY, &nonce(number), request.as_bytes()).unwrap().unwrap();
                    assert!(answer.plaintext == request.as_bytes());
                }
            });
        }
    });
    // none is left, not even one that nobody waited for
    let children = fs::read_dir(format!("/proc/{}/task", server.id()))
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default());
    assert_eq!(children.collect::<String>(), "");
}

#[test]
fn a_command_is_handed_no_file_of_the_server() {
    let programs = Programs::new();
    // what the server was given itself, and not what it opened
    let given = Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
    let (_server, address) = programs.serve(["--exec", "ls", "/proc/self/fd"]);
    let mut idle = connect(&address);
    assert!(ask(&mut idle, &KEY, &nonce(0), b"").unwrap().is_some());
    assert_eq!(answer(&address, b""), given);
}
