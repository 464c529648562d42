//! `channel listen` against peers written by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use heartwire_tests::channel::{
    SIZES, connect, ended, file, files, listen, name, peak_memory_kib, read, received, received_bytes,
    set_len, write,
};
use heartwire_tests::chat::{one_line_of_stderr, stop};
use heartwire_tests::peers::length_prefixed::{length, message};
use heartwire_tests::program::{Running, heartwire, run};

const MIB: usize = 1024 * 1024;
/// More than any two socket buffers and queues hold.
const MUCH: usize = 32 * MIB;

/// The peer's stream has not ended: existing programs take that for the end of the connection.
fn still_open(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
}

#[test]
fn messages_of_every_size_are_hashed_and_logged_by_name() {
    let (mut listener, address) = listen([""; 0]);
    let mut peer = connect(&address);
    let local = format!("tcp://{}", peer.local_addr().unwrap());
    let connected = listener.log_line("connected");
    assert!(
        connected.ends_with(&format!("INFO channel {}: connected: {local}", name(&address))),
        "{connected}"
    );
    for len in SIZES {
        write(&mut peer, len).unwrap();
        // at once, while the connection goes on
        assert_eq!(listener.line(), received(len));
        still_open(&peer);
        let logged = listener.log_line(": received ");
        assert!(
            logged.ends_with(&format!("channel {}: received {len} bytes from {local}", name(&address))),
            "{logged}"
        );
    }
    peer.shutdown(Shutdown::Write).unwrap();
    ended(&peer);
    let closed = listener.log_line(": closed ");
    assert!(
        closed.ends_with(&format!(
            "INFO channel {}: closed {local}: closed by the peer: the end of its stream",
            name(&address)
        )),
        "{closed}"
    );
    stop(listener);
}

#[test]
fn many_small_messages_in_one_write_are_all_there_in_order() {
    let (mut listener, address) = listen([""; 0]);
    let mut peer = connect(&address);
    let messages: Vec<String> = (0..2000).map(|n| "x".repeat(n % 50) + &n.to_string()).collect();
    let all: Vec<u8> = messages.iter().flat_map(|text| message(text.as_bytes())).collect();
    peer.write_all(&all).unwrap();
    for text in &messages {
        assert_eq!(listener.line(), received_bytes(text.as_bytes()));
    }
    stop(listener);
}

#[test]
fn files_are_sent_in_order_to_everyone_who_connects() {
    let (_dir, paths) = files(&SIZES);
    let args: Vec<_> = paths.iter().flat_map(|path| ["--send".as_ref(), path.as_os_str()]).collect();
    let (mut listener, address) = listen(args);
    for _ in 0..3 {
        let mut peer = connect(&address);
        SIZES.iter().for_each(|len| read(&mut peer, *len));
        let last = listener.log_line("5.bin");
        let local = peer.local_addr().unwrap();
        let sent = format!("sent {}, {} bytes to tcp://{local}", paths[5].display(), SIZES[5]);
        assert!(last.ends_with(&sent), "{last}");
        peer.shutdown(Shutdown::Write).unwrap();
        ended(&peer);
    }
    stop(listener);
}

#[test]
fn large_messages_go_both_ways_at_once() {
    const LEN: usize = 64 * MIB;
    let (_dir, path) = file(LEN);
    let (mut listener, address) = listen(["--send".as_ref(), path.as_os_str()]);
    // Each writes all of its own before it reads: one of them must do both at once.
    let peer = connect(&address);
    let mut half = peer.try_clone().unwrap();
    let writing = thread::spawn(move || {
        write(&mut half, LEN).unwrap();
        half.shutdown(Shutdown::Write).unwrap();
    });
    writing.join().unwrap();
    assert_eq!(listener.line(), received(LEN));
    read(&mut &peer, LEN);
    ended(&peer);
    stop(listener);
}

#[test]
fn a_claimed_length_takes_no_memory_and_a_cut_message_is_truncated() {
    let (mut listener, address) = listen([""; 0]);
    let mut peer = connect(&address);
    peer.write_all(&length(u32::MAX)).unwrap();
    peer.write_all(&[7; 1000]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    ended(&peer);
    let closed = listener.log_line(": closed ");
    let said = "truncated: the stream ended 4294966295 bytes before the end of a message, \
                with 1000 of the 4294967295 bytes of a message received";
    assert!(closed.contains(&format!("WARN channel {}: closed ", name(&address))), "{closed}");
    assert!(closed.ends_with(said), "{closed}");
    let peak = peak_memory_kib(listener.id());
    assert!(peak < 32 * 1024, "{peak} KiB");

    // in a length, too; and others are served as before
    let mut peer = connect(&address);
    peer.write_all(&[0, 0]).unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    ended(&peer);
    assert!(listener.log_line(": closed ").ends_with("truncated: the stream ended 2 bytes into a header"));
    write(&mut connect(&address), 5).unwrap();
    assert_eq!(listener.line(), received(5));
    stop(listener);
}

#[test]
fn a_message_over_the_limit_ends_its_connection_alone() {
    let (mut listener, address) = listen(["--limit", "4096"]);
    let mut other = connect(&address);
    let mut peer = connect(&address);
    write(&mut peer, 4096).unwrap();
    assert_eq!(listener.line(), received(4096));
    // as soon as it is said
    peer.write_all(&length(4097)).unwrap();
    ended(&peer);
    let closed = listener.log_line(": closed ");
    assert!(
        closed.contains("message-too-large: a message of 4097 bytes; at most 4096 are taken"),
        "{closed}"
    );
    write(&mut other, 1).unwrap();
    assert_eq!(listener.line(), received(1));
    stop(listener);
}

#[test]
fn a_silent_peer_is_given_up_after_the_timeout_in_a_message_or_before() {
    for begun in [&[0, 0, 0, 5, 1][..], &[]] {
        let (mut listener, address) = listen(["--timeout", "50ms"]);
        let mut peer = connect(&address);
        peer.write_all(begun).unwrap();
        ended(&peer);
        let closed = listener.log_line(": closed ");
        assert!(closed.contains(&format!("WARN channel {}: closed ", name(&address))), "{closed}");
        assert!(closed.contains("peer-silent"), "{closed}");
        stop(listener);
    }
}

#[test]
fn a_message_that_trickles_is_stalled() {
    let (mut listener, address) = listen(["--timeout", "300ms"]);
    let mut peer = connect(&address);
    peer.write_all(&length(100_000)).unwrap();
    // a byte whenever the end of the stream has not come for a while
    peer.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    while peer.read(&mut [0]).is_err() {
        peer.write_all(&[1]).unwrap();
    }
    let closed = listener.log_line(": closed ");
    assert!(closed.contains("frame-stalled"), "{closed}");
    stop(listener);
}

#[test]
fn who_never_reads_is_given_up_after_the_timeout() {
    let (_dir, path) = file(MUCH);
    let (mut listener, address) =
        listen(["--timeout".as_ref(), "100ms".as_ref(), "--send".as_ref(), path.as_os_str()]);
    let _peer = connect(&address);
    let closed = listener.log_line(": closed ");
    assert!(closed.contains("peer-silent") && closed.contains("of the 33554432 bytes of "), "{closed}");
    stop(listener);
}

#[test]
fn who_never_reads_does_not_hold_up_a_stop_beyond_the_grace() {
    let (_dir, path) = file(MUCH);
    let (mut listener, address) =
        listen(["--grace".as_ref(), "100ms".as_ref(), "--send".as_ref(), path.as_os_str()]);
    let _peer = connect(&address);
    listener.log_line("connected");
    let log = stop(listener).stderr;
    assert!(log.contains("(1 message unsent)") && log.contains("of the 33554432 bytes of "), "{log}");
}

#[test]
fn a_stop_ends_the_streams_and_says_what_was_cut() {
    let (mut listener, address) = listen([""; 0]);
    let idle = connect(&address);
    listener.log_line("connected");
    let mut peer = connect(&address);
    listener.log_line("connected");
    // together, so that the second has begun when the first is reported
    peer.write_all(&[&message(b"whole")[..], &length(10)].concat()).unwrap();
    assert_eq!(listener.line(), received_bytes(b"whole"));
    listener.signal("TERM");
    ended(&idle);
    ended(&peer);
    drop((idle, peer));
    let finished = listener.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    assert!(finished.stderr.contains("2 connections closed"), "{finished:?}");
    assert!(finished.stderr.contains(", with 0 of the 10 bytes of a message received"), "{finished:?}");
}

#[test]
fn a_reset_in_the_middle_is_logged_with_its_code() {
    let (_dir, path) = file(MUCH);
    let (mut listener, address) = listen(["--send".as_ref(), path.as_os_str()]);
    let mut peer = connect(&address);
    let mut first = [0; 4];
    peer.read_exact(&mut first).unwrap();
    // with unread bytes, this is a reset
    assert_eq!(peer.peek(&mut [0]).unwrap(), 1);
    drop(peer);
    let closed = listener.log_line(": closed ");
    assert!(closed.contains("transport-failed") && closed.contains("of the 33554432 bytes of "), "{closed}");
    stop(listener);
}

#[test]
fn who_comes_when_there_are_enough_is_turned_away() {
    let (mut listener, address) = listen(["--max-connections", "1"]);
    let first = connect(&address);
    listener.log_line("connected");
    let second = connect(&address);
    ended(&second);
    listener.log_line("turned away");
    drop(first);
    listener.log_line(": closed ");
    // its place is free when its task has ended, which nobody is told
    loop {
        let mut next = connect(&address);
        if write(&mut next, 1).is_ok() && next.shutdown(Shutdown::Write).is_ok() {
            let mut log = listener.log_line("tcp://");
            if log.contains("turned away") {
                continue;
            }
            assert!(log.contains("connected"), "{log}");
            log = listener.line();
            assert_eq!(log, received(1));
            break;
        }
    }
    stop(listener);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_is_called_by_its_path() {
    use std::os::unix::net::UnixStream;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sock");
    let (_files, sent) = file(100_000);
    let listen = format!("unix://{}", path.display());
    let mut command = heartwire(["channel", "listen", "--listen", &listen, "--send"]);
    let mut listener = Running::spawn(command.arg(&sent));
    assert_eq!(listener.ready(), listen);
    let mut peer = UnixStream::connect(&path).unwrap();
    let connected = listener.log_line("connected");
    assert!(
        connected.ends_with(&format!("channel {}: connected: a local client", path.display())),
        "{connected}"
    );
    write(&mut peer, 4097).unwrap();
    assert_eq!(listener.line(), received(4097));
    read(&mut peer, 100_000);
    peer.shutdown(Shutdown::Write).unwrap();
    ended(&peer);
    listener.log_line("closed by the peer");
    stop(listener);
    assert!(!path.exists());
}

#[test]
fn a_file_that_shrinks_cuts_the_connection_to_who_gets_it() {
    let (_dir, path) = file(MUCH);
    let (mut listener, address) = listen(["--send".as_ref(), path.as_os_str()]);
    let mut peer = connect(&address);
    let mut first = [0; 4];
    peer.read_exact(&mut first).unwrap();
    set_len(&path, 100_000);
    let error = heartwire_tests::peers::pieces(&mut peer, MUCH as u64, MIB, |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "truncated");
    let said = listener.log_line("it has shrunk while it was sent, from 33554432 to 100000 bytes");
    assert!(said.contains(&format!("ERROR channel {}: ", name(&address))), "{said}");
    listener.log_line("aborted");
    stop(listener);
}

#[test]
fn what_can_not_be_sent_is_said_before_anybody_is_listened_to() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing.bin");
    let mut command = heartwire(["channel", "listen", "--listen", "tcp://127.0.0.1:0", "--send"]);
    let finished = run(command.arg(&missing), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &["missing.bin", "can't read it"]);
    for args in [["--limit", "4294967296"], ["--timeout", "0s"], ["--max-connections", "0"]] {
        let finished = run(heartwire(["channel", "listen"]).args(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
        assert!(finished.stderr.contains(args[0]), "{finished:?}");
    }
}

#[test]
fn it_ends_when_nobody_reads_what_it_prints() {
    let mut command = heartwire(["channel", "listen", "--listen", "tcp://127.0.0.1:0"]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut stdout = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).unwrap();
    drop(stdout);
    let mut peer = connect(line.trim().strip_prefix("listening on ").unwrap());
    write(&mut peer, 1).unwrap();
    let mut rest = Vec::new();
    // cut or ended, but not left waiting
    let _ = peer.read_to_end(&mut rest);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
