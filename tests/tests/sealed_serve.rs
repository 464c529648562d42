//! `sealed serve`: what it opens and answers, what it refuses, how it ends.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use heartwire_tests::chat::one_line_of_stderr;
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::sealed::{LIMIT, ask, head, nonce, packet, raw, read, write};
use heartwire_tests::program::run;
#[cfg(target_os = "linux")]
use heartwire_tests::sealed::memory;
use heartwire_tests::sealed::{KEY, OTHER_KEY, Programs, connect, ends, say_and_listen};

const LONGEST: usize = LIMIT as usize - 16;

#[test]
fn plaintexts_of_every_size_come_back_under_nonces_of_its_own() {
    let (server, address) = Programs::new().serve([""; 0]);
    let mut stream = connect(&address);
    let mut nonces = Vec::new();
    for (number, size) in (0..).zip([0, 1, 63, 64, 65, 4096, 65_536, 1 << 20, LONGEST]) {
        let plaintext = bytes(size);
        let answer = ask(&mut stream, &KEY, &nonce(number), &plaintext).unwrap().unwrap();
        assert!(answer.plaintext == plaintext, "{size} bytes");
        assert!(answer.nonce != nonce(number) && !nonces.contains(&answer.nonce), "{size} bytes");
        nonces.push(answer.nonce);
    }
    drop((stream, server));
}

#[test]
fn one_byte_more_than_a_packet_holds_is_refused() {
    let (mut server, address) = Programs::new().serve([""; 0]);
    let mut stream = connect(&address);
    stream.write_all(&head(1, 24, LIMIT + 1)).unwrap();
    ends(stream);
    server
        .log_line("closed: ciphertext-too-large: a ciphertext of 16777217 bytes; at most 16777216 are taken");
}

#[test]
fn the_limit_is_the_ciphertexts() {
    let (mut server, address) = Programs::new().serve(["--limit", "32"]);
    let mut stream = connect(&address);
    assert_eq!(ask(&mut stream, &KEY, &nonce(0), &[7; 16]).unwrap().unwrap().plaintext, [7; 16]);
    write(&mut stream, &KEY, &nonce(1), &[7; 17]).unwrap();
    ends(stream);
    server.log_line("closed: ciphertext-too-large: a ciphertext of 33 bytes; at most 32 are taken");
}

#[test]
fn another_key_gets_the_end_of_the_stream_and_the_log_says_whose_it_was() {
    let (mut server, address) = Programs::new().serve([""; 0]);
    for number in 0..3 {
        let mut stream = connect(&address);
        let peer = stream.local_addr().unwrap();
        write(&mut stream, &OTHER_KEY, &nonce(number), b"a secret").unwrap();
        // not closed here: the log does not wait for that
        let line = server.log_line("closed: decryption-failed");
        assert!(line.contains(" INFO ") && line.contains(&format!("tcp://{peer}: closed")), "{line}");
        ends(stream);
    }
    let answer = ask(&mut connect(&address), &KEY, &nonce(3), b"no secret").unwrap().unwrap();
    assert_eq!(answer.plaintext, b"no secret");
}

#[test]
fn what_is_no_packet_gets_the_end_of_the_stream_as_soon_as_it_shows() {
    let (mut server, address) = Programs::new().serve([""; 0]);
    let cases = [
        ("unsupported-version", raw(2, &[0; 24], &[0; 16])),
        ("unsupported-version", b"GET / HTTP/1.1\r\n".to_vec()),
        ("unsupported-version", vec![0]),
        ("bad-nonce-length", raw(1, &[0; 12], &[0; 16])),
        ("bad-nonce-length", head(1, u32::MAX, 16)),
        ("ciphertext-too-short", raw(1, &[0; 24], &[0; 15])),
        ("ciphertext-too-large", head(1, 24, u32::MAX)),
    ];
    for (code, bytes) in cases {
        let mut stream = connect(&address);
        stream.write_all(&bytes).unwrap();
        server.log_line(&format!("closed: {code}: "));
        ends(stream);
    }
}

#[test]
fn a_cut_packet_is_not_answered() {
    let (mut server, address) = Programs::new().serve([""; 0]);
    let whole = packet(&KEY, &nonce(0), &bytes(100));
    for cut in [1, 5, 9, 20, 33, 34, 49, 50, whole.len() - 1] {
        assert_eq!(say_and_listen(&address, &whole[..cut]), b"", "cut at {cut}");
        server.log_line(&format!("closed: truncated: the stream ended {cut} bytes into a packet"));
    }
    assert_eq!(say_and_listen(&address, b""), b"");
    server.log_line("closed: closed by the peer: the end of its stream");
}

#[test]
fn requests_sent_at_once_are_answered_in_order() {
    let (server, address) = Programs::new().serve([""; 0]);
    let mut stream = connect(&address);
    let requests: Vec<_> = (0..50).map(|n| format!("request {n} ").repeat(n * n)).collect();
    let mut all = Vec::new();
    for (number, request) in (0..).zip(&requests) {
        all.extend(packet(&KEY, &nonce(number), request.as_bytes()));
    }
    stream.write_all(&all).unwrap();
    for request in &requests {
        let answer = read(&mut stream, &KEY, LIMIT).unwrap().unwrap();
        assert!(answer.plaintext == request.as_bytes(), "{request}");
    }
    drop(server);
}

#[test]
fn who_ends_his_stream_after_the_request_gets_the_answer_and_the_end() {
    let (server, address) = Programs::new().serve([""; 0]);
    for size in [5, LONGEST] {
        let mut stream = connect(&address);
        let request = bytes(size);
        write(&mut stream, &KEY, &nonce(0), &request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(read(&mut stream, &KEY, LIMIT).unwrap().unwrap().plaintext == request, "{size} bytes");
        ends(stream);
    }
    drop(server);
}

/// Many claim the largest packet there is, or a larger one, and send little of it.
#[cfg(target_os = "linux")]
#[test]
fn claims_take_no_memory() {
    let (mut server, address) = Programs::new().serve([""; 0]);
    let mut streams = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&address);
        stream.write_all(&[&head(1, 24, LIMIT)[..], &[0; 1000]].concat()).unwrap();
        streams.push(stream);
        say_and_listen(&address, &head(1, 24, u32::MAX));
    }
    assert_eq!(ask(&mut connect(&address), &KEY, &nonce(0), b"x").unwrap().unwrap().plaintext, b"x");
    drop(streams);
    for _ in 0..100 {
        server.log_line("closed: truncated: the stream ended 1009 bytes into a packet");
    }
    assert!(memory(&server) < 24 << 20, "{} bytes", memory(&server));
}

/// What `--max-connections` says that one connection can hold.
#[cfg(target_os = "linux")]
#[test]
fn a_peer_that_never_reads_takes_bounded_memory_and_is_closed() {
    let (mut server, address) = Programs::new().serve(["--timeout", "1s"]);
    // first what takes long: the server waits a second
    let request = packet(&KEY, &nonce(0), &bytes(LONGEST));
    let mut stream = connect(&address);
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut taken = 0;
    // until the server reads no more
    while stream.write_all(&request[taken..]).is_ok() {
        taken = 0;
    }
    server.log_line("received 16777200 bytes");
    server.log_line("received 16777200 bytes");
    server.log_line("closed: too-slow: ");
    assert!(memory(&server) < (64 + 16) << 20, "{} bytes", memory(&server));
}

#[test]
fn one_connection_too_many_is_closed_without_a_word() {
    let (mut server, address) = Programs::new().serve(["--max-connections", "2"]);
    let mut served = [connect(&address), connect(&address)];
    for stream in &mut served {
        assert_eq!(ask(stream, &KEY, &nonce(0), b"x").unwrap().unwrap().plaintext, b"x");
    }
    ends(connect(&address));
    server.log_line("turned away tcp://127.0.0.1");
    for stream in &mut served {
        assert_eq!(ask(stream, &KEY, &nonce(1), b"y").unwrap().unwrap().plaintext, b"y");
    }
    drop(served);
    server.log_line("closed by the peer");
    server.log_line("closed by the peer");
}

#[test]
fn an_idle_client_is_closed_after_the_timeout() {
    let (mut server, address) = Programs::new().serve(["--timeout", "200ms"]);
    ends(connect(&address));
    server.log_line("closed: peer-silent: nothing was received for 200ms");
    let mut stream = connect(&address);
    assert!(ask(&mut stream, &KEY, &nonce(0), b"x").unwrap().is_some());
    ends(stream);
    server.log_line("closed: peer-silent: nothing was received for 200ms");
}

#[test]
fn a_packet_that_trickles_is_closed_after_the_timeout() {
    let (mut server, address) = Programs::new().serve(["--timeout", "500ms"]);
    let mut stream = connect(&address);
    let packet = packet(&KEY, &nonce(0), &bytes(10_000));
    // each wait for an answer is one for the next byte
    stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    for byte in packet {
        stream.write_all(&[byte]).unwrap();
        match stream.read(&mut [0]) {
            Ok(0) => {
                server.log_line("closed: frame-stalled: ");
                return;
            }
            Ok(_) => panic!("a byte came"),
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
            }
        }
    }
    panic!("it was never closed");
}

#[cfg(unix)]
#[test]
fn a_stop_closes_the_connections_and_exits_with_0() {
    for signal in ["TERM", "INT"] {
        let (server, address) = Programs::new().serve([""; 0]);
        let mut stream = connect(&address);
        assert!(ask(&mut stream, &KEY, &nonce(0), b"x").unwrap().is_some());
        server.signal(signal);
        ends(stream);
        let finished = server.finish();
        assert_eq!(finished.code(), 0, "{finished:?}");
        let last = finished.stderr.lines().last().unwrap();
        assert!(
            last.starts_with("heartwire: stopped in ") && last.ends_with(": 1 connection closed"),
            "{last}"
        );
    }
}

#[cfg(unix)]
#[test]
fn it_serves_on_a_unix_socket_too() {
    let programs = Programs::new();
    let path = programs.dir.path().join("socket");
    let listen = format!("unix://{}", path.display());
    let (mut server, _) = programs.serve(["--listen", &listen]);
    assert_eq!(server.ready(), listen);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(ask(&mut stream, &KEY, &nonce(0), b"x").unwrap().unwrap().plaintext, b"x");
    server.log_line("a local client: received 1 bytes");
    server.signal("TERM");
    assert_eq!(server.finish().code(), 0);
    assert!(!path.exists());
}

#[test]
fn what_it_can_not_do_is_bad_usage() {
    let programs = Programs::new();
    for (args, said) in [
        (&["--limit", "15"][..], "--limit"),
        (&["--max-connections", "0"], "--max-connections: 0 is not between 1 and"),
        (&["--timeout", "0s"], "--timeout: 0s is not between"),
        (&["--exec-timeout", "0s"], "--exec-timeout: 0s is not between"),
        (&["--exec"], "--exec"),
    ] {
        let finished = run(&mut programs.serve_command(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
        assert!(finished.stderr.contains(said), "{finished:?}");
    }
    std::fs::write(programs.key_file(&KEY), b"short").unwrap();
    let finished = run(&mut programs.serve_command([""; 0]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
    one_line_of_stderr(&finished, &["holds 5 bytes", "heartwire keygen"]);
}
