//! `lines serve` with clients that do not read, or not at once: nobody else notices.

#![cfg(target_os = "linux")]

use std::io::{ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use heartwire_tests::chat::stop;
use heartwire_tests::lines::{Client, serve};
use heartwire_tests::program::Running;

const MIB: usize = 1024 * 1024;

/// The memory a process has resident at most, in bytes.
fn memory(server: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap()
}

/// So many lines of so many bytes, from this number on.
fn batch(from: usize, count: usize, len: usize) -> String {
    (from..from + count).map(|n| format!("{n:08} {}\n", "z".repeat(len - 10))).collect()
}

/// The lines that a text begins with, with their numbers in order from 0; how many they are.
fn check_prefix(text: &[u8], len: usize) -> usize {
    for (n, line) in text.chunks_exact(len).enumerate() {
        assert!(line == batch(n, 1, len).as_bytes(), "line {n}");
    }
    text.len() / len
}

#[test]
fn one_of_a_hundred_never_reads_and_the_others_get_every_line() {
    const LEN: usize = 8192;
    let (mut server, address) = serve([""; 0]);
    let mut slow = Client::join(&mut server, &address);
    let mut others: Vec<_> = (0..99).map(|_| Client::join(&mut server, &address)).collect();
    let mut sent = 0;
    let mut dropped = None;
    while dropped.is_none() {
        assert!(sent < 4000, "nobody is dropped");
        let lines = batch(sent, 16, LEN);
        others[sent % 99].write(&lines);
        sent += 16;
        for (n, client) in others.iter_mut().enumerate() {
            assert!(client.bytes(lines.len()) == lines.as_bytes(), "client {n}, up to line {sent}");
        }
        for _ in 0..16 {
            // dropped in the middle of a line's way, and before that is logged as the next
            let line = server.log_line(": ");
            if line.contains("too-slow, dropped") {
                dropped = Some(line);
                break;
            }
        }
    }
    let dropped = dropped.unwrap();
    assert!(dropped.contains(&slow.address()) && dropped.contains(" bytes waited for it"), "{dropped}");
    let waited = dropped.split(' ').rev().nth(4).unwrap().parse::<usize>().unwrap();
    assert!((MIB..MIB + 2 * LEN).contains(&waited), "{dropped}");
    // whoever is left still hears, and the one that never read has nothing but what came first
    others[0].send("end");
    for client in &mut others {
        assert_eq!(client.line().as_deref(), Some("end"));
    }
    let had = check_prefix(&slow.rest_or_reset(), LEN);
    assert!((1..sent).contains(&had), "{had} of {sent}");
    // a queue of its own, what all have in common, and a little for each
    assert!(memory(&server) < 24 * MIB, "{} bytes", memory(&server));
    drop(others);
    assert_eq!(stop(server).stderr.matches("closed: too-slow: ").count(), 1);
}

#[test]
fn a_reader_that_is_only_a_little_slow_gets_everything() {
    const LEN: usize = 1000;
    let (mut server, address) = serve([""; 0]);
    let mut late = Client::join(&mut server, &address);
    let mut client = Client::join(&mut server, &address);
    let mut sent = 0;
    // behind by half a queue all the time
    for n in 0..60 {
        let lines = batch(sent, 500, LEN);
        client.write(&lines);
        sent += 500;
        assert!(client.bytes(lines.len()) == lines.as_bytes());
        if n > 0 {
            assert!(late.bytes(lines.len()) == batch(sent - 1000, 500, LEN).as_bytes());
        }
    }
    assert!(late.bytes(500 * LEN) == batch(sent - 500, 500, LEN).as_bytes());
    drop((late, client));
    assert!(!stop(server).stderr.contains("too-slow"));
}

/// Sends lines until no more are taken. Says how many bytes were.
fn send_without_reading(client: &Client, len: usize) -> usize {
    client.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let lines = batch(0, 100_000, len);
    let mut taken = 0;
    loop {
        match client.stream().write(&lines.as_bytes()[taken..]) {
            Ok(n) => taken += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return taken;
            }
            Err(error) => panic!("{error} after {taken} bytes"),
        }
        assert!(taken < lines.len(), "all was taken from a client that never reads");
    }
}

#[test]
fn from_who_does_not_read_its_own_lines_no_more_are_taken_and_none_is_lost() {
    const LEN: usize = 1000;
    let (mut server, address) = serve([""; 0]);
    let mut client = Client::join(&mut server, &address);
    let taken = send_without_reading(&client, LEN);
    // it reads after all, and goes on
    let stream = client.stream().try_clone().unwrap();
    let sending =
        thread::spawn(move || (&stream).write_all(&batch(0, 100_000, LEN).as_bytes()[taken..]).unwrap());
    assert!(client.bytes(100_000 * LEN) == batch(0, 100_000, LEN).as_bytes());
    sending.join().unwrap();
    assert!(memory(&server) < 16 * MIB, "{} bytes", memory(&server));
    drop(client);
    stop(server);
}

#[test]
fn who_never_reads_its_own_lines_is_dropped_in_the_end() {
    let (mut server, address) = serve([""; 0]);
    let client = Client::join(&mut server, &address);
    send_without_reading(&client, 1000);
    let dropped = server.log_line("too-slow, dropped");
    assert!(dropped.contains(&client.address()), "{dropped}");
    assert!(server.log_line("closed").contains("it took none of "));
    stop(server);
}

#[test]
fn who_does_not_read_its_own_lines_is_dropped_at_once_when_others_come() {
    let (mut server, address) = serve(["--queue", "100000"]);
    let mute = Client::join(&mut server, &address);
    send_without_reading(&mute, 1000);
    let mut other = Client::join(&mut server, &address);
    let begun = std::time::Instant::now();
    let line = "x".repeat(9_999);
    for _ in 0..6 {
        other.send(&line);
        assert_eq!(other.line().as_ref(), Some(&line));
    }
    assert!(server.log_line("too-slow, dropped").contains(&mute.address()));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(other);
    stop(server);
}

/// What a line costs beside its text counts, too.
#[test]
fn who_never_reads_takes_bounded_memory_however_short_lines_are() {
    const QUEUE: usize = 256 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lines.sock");
    let unix = format!("unix://{}", path.display());
    let (mut server, address) = serve(["--listen", &unix, "--queue", &QUEUE.to_string()]);
    server.ready();
    // the operating system holds little for these
    let silent: Vec<_> = (0..20)
        .map(|_| {
            let client = UnixStream::connect(&path).unwrap();
            server.log_line("connected");
            client
        })
        .collect();
    let before = memory(&server);
    let mut client = Client::join(&mut server, &address);
    let lines = "\n".repeat(500);
    let mut dropped = false;
    for _ in 0..4000 {
        client.write(&lines);
        client.bytes(lines.len());
        for _ in 0..500 {
            dropped |= server.log_line(": ").contains("too-slow, dropped");
        }
        if dropped {
            break;
        }
    }
    assert!(dropped, "nobody is dropped");
    let each = (memory(&server) - before) / silent.len();
    assert!(each < 4 * QUEUE, "{each} bytes for each");
    drop(client);
    stop(server);
}
