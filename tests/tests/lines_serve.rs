//! `lines serve` as its clients see it.

#![cfg(unix)]

use std::io::{BufReader, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

use heartwire_tests::chat::{one_line_of_stderr, stop};
use heartwire_tests::lines::{Client, command, serve};
use heartwire_tests::peers::lines::{self, LIMIT};
use heartwire_tests::program::{Running, run};
use rustix::net::sockopt::set_socket_linger;

/// What a client sends and what the others get of it, to the byte.
#[track_caller]
fn passed_on(sent: &[u8], expected: &[u8]) {
    let (mut server, address) = serve([""; 0]);
    let mut listener = Client::join(&mut server, &address);
    for step in [sent.len(), 1, 7] {
        let mut sender = Client::join(&mut server, &address);
        for piece in sent.chunks(step) {
            sender.write(piece);
        }
        sender.finish();
        let what = format!("{step} bytes at a time");
        assert_eq!(sender.rest().escape_ascii().to_string(), expected.escape_ascii().to_string(), "{what}");
        let heard = listener.bytes(expected.len());
        assert_eq!(heard.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{what}");
    }
    listener.finish();
    assert_eq!(listener.rest(), b"");
    stop(server);
}

#[test]
fn a_line_goes_to_all_and_to_who_sent_it() {
    let (mut server, address) = serve([""; 0]);
    let mut clients = [(); 3].map(|()| Client::join(&mut server, &address));
    let mut program = Running::spawn(&mut command("connect", [&address]));
    server.log_line("connected");
    for (n, text) in ["hello", "", "  spaces \t ", "日本語 🦀 é\u{301}"].into_iter().enumerate() {
        if n == 3 {
            let mut stdin = program.stdin().unwrap();
            writeln!(stdin, "{text}").unwrap();
        } else {
            clients[n].send(text);
        }
        for client in &mut clients {
            assert_eq!(client.line().as_deref(), Some(text));
        }
        assert_eq!(program.line(), text);
        let received = server.log_line("received");
        assert!(received.ends_with(&format!("received {} bytes", text.len())), "{received}");
    }
    assert_eq!(program.finish().code(), 0);
    stop(server);
}

#[test]
fn all_hear_many_senders_in_one_order() {
    const SENDERS: usize = 6;
    const LINES: usize = 400;
    let (mut server, address) = serve([""; 0]);
    let clients: Vec<_> = (0..SENDERS).map(|_| Client::join(&mut server, &address)).collect();
    let mut listener = Client::join(&mut server, &address);
    let heard: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(who, mut client)| {
            let stream = client.stream().try_clone().unwrap();
            let sending = thread::spawn(move || {
                for n in 0..LINES {
                    lines::write(&mut &stream, &format!("{who} {n} {}", "x".repeat(n % 50))).unwrap();
                }
            });
            thread::spawn(move || {
                let heard: Vec<_> = (0..SENDERS * LINES).map(|_| client.line().unwrap()).collect();
                sending.join().unwrap();
                heard
            })
        })
        .collect();
    let order: Vec<_> = (0..SENDERS * LINES).map(|_| listener.line().unwrap()).collect();
    for heard in heard {
        assert!(heard.join().unwrap() == order, "another order");
    }
    for who in 0..SENDERS {
        let own: Vec<_> = order.iter().filter(|line| line.starts_with(&format!("{who} "))).collect();
        let numbers = own.iter().map(|line| line.split(' ').nth(1).unwrap().parse::<usize>().unwrap());
        assert!(numbers.eq(0..LINES), "the lines of {who} are out of order");
    }
    stop(server);
}

#[test]
fn lines_end_with_a_newline_a_carriage_return_before_it_or_the_stream() {
    passed_on(b"one\ntwo\r\nthree", b"one\ntwo\nthree\n");
    passed_on(b"one\r\n", b"one\n");
}

#[test]
fn a_carriage_return_that_is_no_ending_is_kept() {
    passed_on(b"a\rb\r\nc\r\r\n\rd\n\r\n", b"a\rb\nc\r\r\n\rd\n\n");
}

#[test]
fn the_last_line_keeps_a_carriage_return_without_a_newline() {
    passed_on(b"a\r", b"a\r\r\n");
}

#[test]
fn empty_lines_and_unicode_are_lines() {
    let text = "\n\n\r\n \u{feff}é\u{0}\n🦀\u{2028}\u{85}\u{202e}\n";
    passed_on(text.as_bytes(), text.replace("\r\n", "\n").as_bytes());
}

#[test]
fn many_lines_in_one_write_are_as_many_lines() {
    let text: String = (0..3000).map(|n| format!("line {n}\n")).collect();
    let (mut server, address) = serve([""; 0]);
    let mut client = Client::join(&mut server, &address);
    client.write(&text);
    client.finish();
    assert!(client.rest() == text.as_bytes());
    assert_eq!(stop(server).stderr.matches(": received ").count(), 3000);
}

#[test]
fn who_ends_his_stream_gets_all_that_is_queued_and_then_the_end() {
    let (mut server, address) = serve([""; 0]);
    // more than the operating system and the queue hold: it is taken as fast as it is read
    let text: String = (0..200_000).map(|n| format!("line {n} {}\n", "x".repeat(n % 100))).collect();
    let mut client = Client::join(&mut server, &address);
    let stream = client.stream().try_clone().unwrap();
    let whole = text.clone();
    let sending = thread::spawn(move || {
        (&stream).write_all(whole.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
    });
    assert!(client.rest() == text.as_bytes());
    sending.join().unwrap();
    server.log_line("closed by the peer: the end of its stream");
    stop(server);
}

#[test]
fn a_line_at_the_limit_is_passed_on_and_one_more_byte_is_not() {
    for (options, limit) in [(&[][..], LIMIT), (&["--limit", "5"], 5)] {
        let (mut server, address) = serve(options);
        let mut listener = Client::join(&mut server, &address);
        let longest = "x".repeat(limit);
        for ending in ["\n", "\r\n", ""] {
            let sender = Client::join(&mut server, &address);
            sender.write(format!("{longest}{ending}"));
            sender.finish();
            assert_eq!(listener.line().as_ref(), Some(&longest), "{ending:?}");
        }
        // the last without an end: no server waits for it
        for ending in ["\n", "\r\n", ""] {
            let mut sender = Client::join(&mut server, &address);
            sender.write(format!("fore\n{longest}x{ending}"));
            assert_eq!(listener.line().as_deref(), Some("fore"));
            sender.rest_or_reset();
            // those before it may be noticed late
            let closed = server.log_line(&format!("({}): closed", sender.address()));
            for text in [&sender.address(), "line-too-long", &format!("a line of more than {limit} bytes")] {
                assert!(closed.contains(text), "no {text:?} in {closed}");
            }
        }
        listener.send("ok");
        assert_eq!(listener.line().as_deref(), Some("ok"), "nobody got the long one");
        stop(server);
    }
}

#[test]
fn a_line_that_is_not_utf_8_ends_the_connection_of_who_sent_it() {
    let (mut server, address) = serve([""; 0]);
    let mut listener = Client::join(&mut server, &address);
    for bad in [&b"ab\xff\n"[..], b"\xc3\n\xa9\n", b"\xed\xa0\x80\n", b"\x80"] {
        let mut sender = Client::join(&mut server, &address);
        sender.write([b"before\n", bad].concat());
        sender.finish();
        assert_eq!(listener.line().as_deref(), Some("before"));
        sender.rest_or_reset();
        let closed = server.log_line("closed");
        assert!(closed.contains(&sender.address()) && closed.contains("invalid-utf8"), "{closed}");
    }
    listener.send("ok");
    assert_eq!(listener.line().as_deref(), Some("ok"));
    stop(server);
}

#[test]
fn a_client_that_resets_takes_nobody_along() {
    let (mut server, address) = serve([""; 0]);
    let mut listener = Client::join(&mut server, &address);
    let rude = Client::join(&mut server, &address);
    rude.write("before\nunfinished");
    assert_eq!(listener.line().as_deref(), Some("before"));
    let name = rude.address();
    set_socket_linger(rude.stream(), Some(std::time::Duration::ZERO)).unwrap();
    drop(rude);
    let closed = server.log_line("closed");
    assert!(closed.contains(&name) && closed.contains("transport-failed"), "{closed}");
    listener.send("ok");
    assert_eq!(listener.line().as_deref(), Some("ok"));
    stop(server);
}

#[test]
fn one_client_too_many_is_closed_without_a_word() {
    let (mut server, address) = serve(["--max-connections", "2"]);
    let mut clients = [(); 2].map(|()| Client::join(&mut server, &address));
    let mut third = Client::connect(&address);
    third.finish();
    assert_eq!(third.rest(), b"");
    let log = server.log_line("turned away");
    assert!(log.contains(&third.address()) && log.contains("holds 2"), "{log}");
    clients[0].send("still here");
    for client in &mut clients {
        assert_eq!(client.line().as_deref(), Some("still here"));
    }
    // one leaves, and there is room
    let [one, _two] = clients;
    drop(one);
    server.log_line("closed");
    while run(&mut command("connect", [&address]), b"hello\n").stdout != "hello\n" {}
    stop(server);
}

#[test]
fn who_is_being_turned_away_when_it_stops_is_reported_as_such() {
    let (mut server, address) = serve(["--max-connections", "1"]);
    let mut served = Client::join(&mut server, &address);
    let mut refused = Client::connect(&address);
    // it has been told, and has not ended its own stream, which is waited for
    assert_eq!(refused.rest(), b"");
    server.signal("TERM");
    // who is served is told when those were counted
    assert_eq!(served.rest(), b"");
    drop(served);
    let finished = server.finish();
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.ends_with("1 connection closed, 1 turned away"), "{last}");
}

#[cfg(target_os = "linux")]
#[test]
fn logs_that_can_not_be_written_are_no_reason_to_stop_serving() {
    let program = command("serve", ["--listen", "tcp://127.0.0.1:0"]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", r#"exec "$0" "$@" 2>/dev/full"#]).arg(program.get_program()).args(program.get_args());
    let mut server = Running::spawn(&mut shell);
    let address = server.ready();
    for text in ["one", "two"] {
        let mut client = Client::connect(&address);
        client.send(text);
        assert_eq!(client.line().as_deref(), Some(text));
    }
    stop(server);
}

#[test]
fn an_idle_client_is_closed_only_where_a_timeout_is_given() {
    let (mut patient, address) = serve([""; 0]);
    let mut silent = Client::join(&mut patient, &address);
    let (mut server, address) = serve(["--timeout", "300ms"]);
    let mut idle = Client::join(&mut server, &address);
    assert_eq!(idle.rest(), b"");
    let closed = server.log_line("closed");
    assert!(closed.contains(&idle.address()) && closed.contains("peer-silent"), "{closed}");
    // the same time is none to the other server
    silent.send("here");
    assert_eq!(silent.line().as_deref(), Some("here"));
    stop(server);
    stop(patient);
}

#[test]
fn a_stopped_server_sends_what_is_queued_and_then_the_end() {
    for signal in ["TERM", "INT"] {
        // far more than the operating system holds
        let (mut server, address) = serve(["--queue", "33554432", "--grace", "20s"]);
        let mut reader = Client::join(&mut server, &address);
        let mut sender = Client::join(&mut server, &address);
        let line = "y".repeat(9_999);
        for _ in 0..2000 {
            sender.send(&line);
            assert_eq!(sender.line().as_ref(), Some(&line));
        }
        server.signal(signal);
        server.log_line("stopping");
        assert_eq!(sender.rest(), b"");
        assert_eq!(reader.bytes(20_000_000).iter().filter(|byte| **byte == b'\n').count(), 2000);
        assert_eq!(reader.rest(), b"");
        drop((reader, sender));
        let finished = server.finish();
        assert_eq!(finished.code(), 0);
        let last = finished.stderr.lines().last().unwrap();
        assert!(last.ends_with(": 2 connections closed"), "{last}");
    }
}

#[test]
fn what_does_not_leave_within_the_grace_is_cut_and_said() {
    let (mut server, address) = serve(["--queue", "33554432", "--grace", "300ms"]);
    let _reader = Client::join(&mut server, &address);
    let mut sender = Client::join(&mut server, &address);
    let line = "y".repeat(9_999);
    for _ in 0..2000 {
        sender.send(&line);
        assert_eq!(sender.line().as_ref(), Some(&line));
    }
    let stopping = thread::spawn(move || stop(server));
    assert_eq!(sender.rest(), b"");
    drop(sender);
    let finished = stopping.join().unwrap();
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.contains("1 connection closed, 1 cut (") && last.ends_with("messages unsent)"), "{last}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (mut server, address) = serve(["--grace", "10m"]);
    // one that does not end its side
    let mut client = Client::join(&mut server, &address);
    server.signal("TERM");
    assert_eq!(client.rest(), b"");
    server.signal("INT");
    let finished = server.finish();
    assert_eq!(finished.code(), 1);
    assert!(finished.stderr.contains("stopped at once by a second signal"), "{finished:?}");
}

#[test]
fn clients_of_a_unix_socket_and_of_tcp_hear_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines.sock");
    let unix = format!("unix://{}", path.display());
    let (mut server, address) = serve(["--listen", &unix]);
    assert_eq!(server.ready(), unix);
    let mut client = Client::join(&mut server, &address);
    let local = UnixStream::connect(&path).unwrap();
    server.log_line("client 2 (a local client): connected");
    let mut program = Running::spawn(&mut command("connect", [&unix]));
    server.log_line("client 3 (a local client): connected");
    client.send("from TCP");
    let mut reader = BufReader::new(&local);
    assert_eq!(lines::read(&mut reader, LIMIT).unwrap().as_deref(), Some("from TCP"));
    lines::write(&mut &local, "from here").unwrap();
    for text in ["from TCP", "from here"] {
        assert_eq!(client.line().as_deref(), Some(text));
        assert_eq!(program.line(), text);
    }
    local.shutdown(Shutdown::Write).unwrap();
    assert_eq!(program.finish().code(), 0);
    drop((local, client));
    stop(server);
    assert!(!path.exists());
}

#[test]
fn a_hundred_clients_come_and_go_while_others_talk() {
    let (mut server, address) = serve([""; 0]);
    let mut stays = Client::join(&mut server, &address);
    for n in 0..100 {
        let mut comes = Client::join(&mut server, &address);
        stays.send(&format!("{n}"));
        assert_eq!(comes.line(), Some(format!("{n}")));
        assert_eq!(stays.line(), Some(format!("{n}")));
    }
    stop(server);
}

#[test]
fn what_a_client_sends_does_not_stand_in_the_log() {
    let (mut server, address) = serve([""; 0]);
    let mut client = Client::join(&mut server, &address);
    client.send("\u{1b}[2J forged");
    client.line().unwrap();
    client.write(b"\xff\x1b[2J forged\n");
    client.rest_or_reset();
    server.log_line("received 11 bytes");
    let log = stop(server).stderr;
    assert!(!log.contains(['\u{1b}', '\u{202e}', '\r']) && !log.contains("forged"), "{log:?}");
}

#[test]
fn options_that_can_not_be_are_bad_usage() {
    for (args, text) in [
        (&["--listen", "/tmp/lines.sock"][..], "write unix:///tmp/lines.sock"),
        (&["--limit", "0"], "0 is not in 1..=1073741824"),
        (&["--queue", "0"], "0 is not in 1..=1073741824"),
        (&["--queue", "1073741825"], "1073741825 is not in 1..=1073741824"),
        (&["--limit", "64K"], "invalid digit"),
        (&["--timeout", "0s"], "heartwire: --timeout: 0s is not between 1ms and 525600m\n"),
        (&["--max-connections", "0"], "heartwire: --max-connections: 0 is not between 1 and "),
    ] {
        let finished = run(&mut command("serve", args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{args:?}");
        assert!(finished.stderr.contains(text), "{args:?}: {}", finished.stderr);
    }
}

#[test]
fn where_it_can_not_listen_it_says_why() {
    let (server, address) = serve([""; 0]);
    let finished = run(&mut command("serve", ["--listen", &address]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &["can't listen on", &address, "choose another address"]);
    stop(server);
}

#[test]
fn the_help_says_what_there_is() {
    for (args, texts) in [
        (
            ["serve", "--help"],
            &[
                "[default: tcp://127.0.0.1:8080]",
                "--limit <BYTES>",
                "[default: 65536]",
                "--queue <BYTES>",
                "[default: 1048576]",
                "--max-connections",
                "--timeout",
                "[default: 3s]",
            ][..],
        ),
        (["connect", "--help"], &["[default: tcp://127.0.0.1:8080]", "--limit", "--grace", "Ctrl-D"]),
    ] {
        let finished = run(&mut command(args[0], &args[1..]), b"");
        assert_eq!(finished.code(), 0);
        for text in texts {
            assert!(finished.stdout.contains(text), "no {text:?} in {}", finished.stdout);
        }
        assert!(!finished.stdout.contains("exit`"), "{}", finished.stdout);
    }
}
