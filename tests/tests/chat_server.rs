//! `chat serve` under load, with bad peers, and when it is stopped.

#![cfg(unix)]

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use heartwire_tests::chat::{chat, host_and_port, one_line_of_stderr, serve, stop};
use heartwire_tests::legacy::Legacy;
use heartwire_tests::peer::{FEATURES, KEY, frame, read};
use heartwire_tests::program::{PATIENCE, Running, run};
use heartwire_tokio::{Address, Code, ConnectError, EndedBy, Key, Keys, Message, Options, Session, connect};

fn options() -> Options {
    Options::new(Keys::new(Key::new(KEY).unwrap()))
}

async fn join(address: &str) -> Session {
    let address: Address = address.parse().unwrap();
    connect(&address, &options()).await.unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it ends in time") })
}

/// A peer with features that sends messages and never reads what comes back, until nothing more is taken. Says how
/// many bytes were.
fn never_read(address: &str) -> (Legacy, usize) {
    let mut peer = Legacy::connect(host_and_port(address), FEATURES);
    let message = peer.peer.message(&[b'x'; 60_000]);
    peer.stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut taken = 0;
    while taken < 512 * 1024 * 1024 {
        match peer.stream.write(&message[taken % message.len()..]) {
            Ok(n) => taken += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return (peer, taken);
            }
            Err(error) => panic!("{error} after {taken} bytes"),
        }
    }
    panic!("{taken} bytes were taken from a peer that never reads");
}

/// The memory a process has resident at most, in bytes.
#[cfg(target_os = "linux")]
fn memory(server: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    1024 * line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap()
}

#[test]
fn a_peer_that_never_reads_takes_bounded_memory_and_nobody_elses_time() {
    let (server, address) = serve([""; 0]);
    let (_peer, _) = never_read(&address);
    block_on(async {
        let mut session = join(&address).await;
        for n in 0..100 {
            session.send(Message::text(format!("message {n}"))).await.unwrap();
            assert_eq!(session.recv_message().await.unwrap().content, format!("message {n}"));
        }
        session.close(None).await;
    });
    #[cfg(target_os = "linux")]
    assert!(memory(&server) < 48 * 1024 * 1024, "{} bytes", memory(&server));
    drop(server);
}

#[test]
fn what_does_not_end_within_the_grace_is_cut_and_said() {
    let (server, address) = serve(["--grace", "300ms"]);
    let (_peer, _) = never_read(&address);
    let finished = stop(server);
    let last = finished.stderr.lines().last().unwrap();
    assert!(last.starts_with("heartwire: stopped in ") && last.contains("1 session cut ("), "{last}");
    assert!(last.ends_with("unsent)"), "{last}");
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for second in ["TERM", "INT"] {
        let (mut server, address) = serve(["--grace", "10m"]);
        let (_peer, _) = never_read(&address);
        server.signal("TERM");
        server.log_line("stopping");
        server.signal(second);
        let begun = Instant::now();
        let finished = server.finish();
        assert_eq!(finished.code(), 1);
        assert!(finished.stderr.contains("a second signal"), "{finished:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}

#[test]
fn a_stop_in_mid_transfer_tells_the_peers_and_what_was_returned_is_whole() {
    for signal in ["TERM", "INT"] {
        let (server, address) = serve([""; 0]);
        let returned = block_on(async {
            let (sender, mut receiver) = join(&address).await.split();
            let sending = tokio::spawn(async move {
                let mut n = 0_u32;
                // small ones and such that go in chunks
                while sender
                    .send(Message::text(format!("{n} ").repeat(1 + n as usize % 7 * 1000)))
                    .await
                    .is_ok()
                {
                    n += 1;
                }
            });
            let mut returned = Vec::new();
            let ended = loop {
                match receiver.recv_message().await {
                    Ok(message) => {
                        let text = std::str::from_utf8(&message.content).unwrap();
                        let n: u32 = text.split(' ').next().unwrap().parse().unwrap();
                        assert_eq!(text, format!("{n} ").repeat(1 + n as usize % 7 * 1000));
                        returned.push(n);
                        if returned.len() == 200 {
                            server.signal(signal);
                        }
                    }
                    Err(ended) => break ended,
                }
            };
            sending.await.unwrap();
            assert_eq!((ended.by, ended.code), (EndedBy::Peer, Code::Disconnected), "{ended}");
            assert_eq!(ended.detail, "Server shutting down");
            returned
        });
        assert!(returned.len() >= 200);
        // none twice, and none left out before the last but such in chunks, which others overtake
        let mut sorted = returned.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), returned.len());
        for n in 0..*sorted.last().unwrap() {
            let len = format!("{n} ").len() * (1 + n as usize % 7 * 1000);
            assert!(len > 8192 || sorted.binary_search(&n).is_ok(), "{n} was left out");
        }
        let finished = server.finish();
        assert_eq!(finished.code(), 0);
        assert!(finished.stderr.contains("closed: closed here: Server shutting down"), "{finished:?}");
        let last = finished.stderr.lines().last().unwrap();
        assert!(last.contains(": 1 session closed"), "{last}");
    }
}

#[test]
fn a_reader_too_slow_for_a_broadcast_is_told_and_dropped_and_the_others_get_everything() {
    let (mut server, address) = serve(["--mode", "broadcast"]);
    let mut slow = Legacy::connect(host_and_port(&address), FEATURES);
    server.log_line("connected");
    let (all_are_there, start) = tokio::sync::oneshot::channel();
    let talk = async {
        let mut others = Vec::new();
        for _ in 0..2 {
            others.push(join(&address).await);
        }
        let speaker = join(&address).await;
        start.await.unwrap();
        // those who keep up say so, so that nobody but the slow one falls behind
        for n in 0..60_u8 {
            speaker.send(Message::binary(vec![n; 1024 * 1024])).await.unwrap();
            for other in &mut others {
                let message = other.recv_message().await.unwrap();
                assert!(
                    message.content.len() == 1024 * 1024 && message.content.iter().all(|byte| *byte == n)
                );
            }
        }
        // and nobody hears himself
        others[0].send(Message::text("end")).await.unwrap();
        let (_, mut receiver) = speaker.split();
        assert_eq!(receiver.recv_message().await.unwrap().content, "end");
    };
    std::thread::scope(|scope| {
        let talk = scope.spawn(|| block_on(talk));
        for _ in 0..3 {
            server.log_line("connected");
        }
        all_are_there.send(()).unwrap();
        // not before 16 MiB waited
        let mut received = 0;
        while !server.log_line("session ").contains("too slow, dropped") {
            received += 1;
        }
        assert!((17..60).contains(&received), "{received} messages");
        // what had left by then, and at its end why there is no more
        let last = std::iter::from_fn(|| slow.try_frame()).last().unwrap();
        assert_eq!((last.kind(), &last.header["code"]), ("error", &"too-slow".into()));
        assert!(last.text().contains("16777216 bytes"), "{}", last.text());
        server.log_line("closed: too-slow");
        talk.join().unwrap();
    });
    #[cfg(target_os = "linux")]
    assert!(memory(&server) < 96 * 1024 * 1024, "{} bytes", memory(&server));
    stop(server);
}

#[test]
fn a_broadcast_goes_to_all_others_in_one_order_unchanged() {
    let (mut server, address) = serve(["--mode", "broadcast"]);
    block_on(async {
        let mut sessions = Vec::new();
        for _ in 0..5 {
            sessions.push(join(&address).await);
        }
        for _ in 0..5 {
            server.log_line("connected");
        }
        let app = heartwire_tokio::App::from_json(r#"{"from": "me"}"#).unwrap();
        let content_type = heartwire_tokio::ContentType::new("text/x").unwrap();
        let message = Message::new(content_type, "to all").with_app(app);
        sessions[2].send(message.clone()).await.unwrap();
        for (n, session) in sessions.iter_mut().enumerate().filter(|(n, _)| *n != 2) {
            assert_eq!(session.recv_message().await.unwrap(), message, "session {n}");
        }
        // all speak at once: who listens to all of them hears the same as the others who do
        let (mut first, mut second) = (sessions.remove(0), sessions.remove(0));
        for n in 0..50 {
            for (who, session) in sessions.iter().enumerate() {
                session.send(Message::text(format!("{who} {n}"))).await.unwrap();
            }
        }
        for n in 0..150 {
            let [one, other] = [first.recv_message().await.unwrap(), second.recv_message().await.unwrap()];
            assert_eq!(one, other, "message {n}");
        }
    });
    drop(server);
}

#[test]
fn a_thousand_sessions_at_once() {
    let (server, address) = serve([""; 0]);
    let begun = Instant::now();
    block_on(async {
        let joining: Vec<_> = (0..1000)
            .map(|n| {
                let address = address.clone();
                tokio::spawn(async move {
                    let session = join(&address).await;
                    session.send(Message::text(format!("I am {n}"))).await.unwrap();
                    session
                })
            })
            .collect();
        let mut sessions = Vec::new();
        for session in joining {
            sessions.push(session.await.unwrap());
        }
        // all of them are there, and each gets its own back
        for (n, session) in sessions.iter_mut().enumerate() {
            assert_eq!(session.recv_message().await.unwrap().content, format!("I am {n}"));
        }
        for session in &sessions {
            assert!(!session.is_closing());
            session.send(Message::text("again")).await.unwrap();
        }
        for session in &mut sessions {
            assert_eq!(session.recv_message().await.unwrap().content, "again");
        }
        println!("1,000 sessions, two messages each: {:?}", begun.elapsed());
        #[cfg(target_os = "linux")]
        println!("server's memory at most: {} KiB", memory(&server) / 1024);
        server.signal("TERM");
        for session in &mut sessions {
            let ended = session.recv_message().await.unwrap_err();
            assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "Server shutting down"));
        }
    });
    let finished = server.finish();
    assert_eq!(finished.code(), 0);
    assert!(finished.stderr.lines().last().unwrap().ends_with(": 1000 sessions closed"), "{finished:?}");
}

#[test]
fn one_session_too_many_is_told() {
    let (mut server, address) = serve(["--max-sessions", "2"]);
    block_on(async {
        let (one, _two) = (join(&address).await, join(&address).await);
        for _ in 0..2 {
            server.log_line("connected");
        }
        let error = connect(&address.parse().unwrap(), &options()).await.unwrap_err();
        let ConnectError::Handshake(ended) = error else { panic!("{error}") };
        assert_eq!((ended.by, ended.code), (EndedBy::PeerError, Code::TooManySessions));
        let finished = tokio::task::spawn_blocking({
            let address = address.clone();
            move || run(&mut chat("connect", [&address]), b"")
        });
        let finished = finished.await.unwrap();
        assert_eq!(finished.code(), 1);
        one_line_of_stderr(&finished, &["too-many-sessions", "holds 2 sessions", "try again later"]);
        // one leaves, and there is room
        one.close(None).await;
        server.log_line("closed by the peer");
        while connect(&address.parse().unwrap(), &options()).await.is_err() {}
    });
    stop(server);
}

#[test]
fn a_handshake_takes_no_longer_than_it_may() {
    let (mut server, address) = serve(["--handshake-timeout", "200ms"]);
    let begun = Instant::now();
    let mut stream = TcpStream::connect(host_and_port(&address)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    // by default it may take 10 s
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // nothing follows the init to who did not answer
    assert_eq!(read(KEY, &received).unwrap().len, received.len());
    assert!(server.log_line("no session with").contains("handshake-timeout"));
    stop(server);
}

#[test]
fn what_a_peer_says_stands_in_the_log_escaped_and_short() {
    let (mut server, address) = serve([""; 0]);
    let evil = "\\u001b[2J\\n2026 INFO forged\\u202e\\u0007";
    let mut peer = Legacy::connect(host_and_port(&address), "");
    let long = evil.repeat(200);
    let header = |kind: &str, content_type: &str| {
        format!(r#"{{"type":"{kind}","content_type":"{content_type}","session_id":"{}"}}"#, peer.peer.id)
    };
    let message = frame(KEY, &header("message", &long), b"x");
    let goodbye = peer.peer.disconnect(&long);
    peer.send(&[message, goodbye]);
    let received = server.log_line("received 1 bytes");
    let closed = server.log_line("closed by the peer");
    for line in [&received, &closed] {
        assert!(line.contains(r"\u{1b}[2J\n2026 INFO forged\u{202e}\u{7}"), "{line}");
        assert!(line.chars().count() < 400 && line.ends_with('…'), "{line}");
        assert!(!line.contains(|char: char| char.is_control() || char == '\u{202e}'), "{line:?}");
    }
    // an error of the peer's, and one before there is a session
    let mut peer = Legacy::connect(host_and_port(&address), "");
    let content = "bad: \u{1b}[2J\n2026 INFO forged\u{202e}".repeat(100);
    let error = peer.peer.frame("error", r#", "code": "mac-mismatch""#, content.as_bytes());
    peer.send(&[error]);
    server.log_line("the peer reports mac-mismatch");
    let mut peer = Legacy::open(TcpStream::connect(host_and_port(&address)).unwrap(), "x");
    peer.one_read();
    let error = frame(
        KEY,
        r#"{"type":"error","content_type":"text/plain","session_id":null,"code":"x"}"#,
        content.as_bytes(),
    );
    peer.send(&[error]);
    server.log_line("no session with");
    let log = stop(server).stderr;
    assert!(!log.contains(['\u{1b}', '\u{202e}', '\r', '\u{7}']), "{log:?}");
    assert!(!log.lines().any(|line| line.starts_with("2026 INFO forged")), "{log:?}");
}

#[test]
fn a_socket_file_is_replaced_if_stale_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.sock");
    let address = format!("unix://{}", path.display());
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let mut server = Running::spawn(&mut chat("serve", ["--listen", &address]));
    assert_eq!(server.ready(), address);
    // a live one is left alone
    let finished = run(&mut chat("serve", ["--listen", &address]), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &[&address, "a server is listening here already"]);
    block_on(async {
        let mut session = join(&address).await;
        session.send(Message::text("still there")).await.unwrap();
        assert_eq!(session.recv_message().await.unwrap().content, "still there");
        session.close(None).await;
    });
    stop(server);
    assert!(!path.exists());
    // something else is left alone, too
    std::fs::write(&path, "a letter").unwrap();
    let finished = run(&mut chat("serve", ["--listen", &address]), b"");
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["not a socket"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a letter");
}

#[test]
fn where_it_can_not_listen_it_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", listener.local_addr().unwrap());
    let long = format!("unix:///tmp/{}", "x".repeat(200));
    for (address, text) in [
        (taken.as_str(), "choose another address"),
        ("unix:///nowhere/chat.sock", "/nowhere/chat.sock"),
        (long.as_str(), "107 at most"),
        ("tcp://192.0.2.1:1", "choose an address of this machine"),
    ] {
        let finished = run(&mut chat("serve", ["--listen", address]), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
        one_line_of_stderr(&finished, &["can't listen on", text]);
        assert_eq!(finished.stderr.matches("://").count(), 1, "the address stands once: {finished:?}");
    }
    drop(listener);
}

#[test]
fn options_that_can_not_be_are_bad_usage() {
    for (args, text) in [
        (&["--listen", "/tmp/chat.sock"][..], "write unix:///tmp/chat.sock"),
        (&["--heartbeat", "5"], "like 200ms, 5s or 2m"),
        (&["--heartbeat", "0s"], "heartwire: --heartbeat: 0s is not between 1ms and 525600m\n"),
        (&["--heartbeat", "40s"], "heartwire: --idle-timeout (30s) must be longer than --heartbeat (40s)"),
        (&["--idle-timeout", "0s"], "heartwire: --idle-timeout: 0s is not between"),
        (&["--timeout", "0s"], "heartwire: --idle-timeout: 0s is not between"),
        (&["--handshake-timeout", "0ms"], "heartwire: --handshake-timeout: 0s is not between"),
        (&["--grace", "18446744073709551615s"], "at most 525600m (a year)"),
        (&["--max-sessions", "0"], "heartwire: --max-sessions: 0 is not between 1 and "),
        (&["--max-connections", "0"], "heartwire: --max-sessions: 0 is not between 1 and "),
        (&["--mode", "shout"], "broadcast"),
    ] {
        let finished = run(chat("serve", ["--listen", "tcp://127.0.0.1:0"]).args(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{args:?}");
        assert!(finished.stderr.contains(text), "{args:?}: {}", finished.stderr);
        assert!(!finished.stderr.contains('_'), "an internal name: {}", finished.stderr);
    }
}

#[test]
fn what_can_not_be_returned_is_told_for_what_it_is() {
    let (server, address) = serve([""; 0]);
    let limits = r#", "features": ["chunk"], "limits": {"message": 100, "unfinished": 8}"#;
    let fails = |peer: &mut Legacy, message: Vec<u8>| {
        peer.send(&[message]);
        let last = std::iter::from_fn(|| peer.try_frame()).last().unwrap();
        assert_eq!(last.kind(), "error");
        (last.header["code"].as_str().unwrap().to_owned(), last.text().to_owned())
    };
    let mut peer = Legacy::connect(host_and_port(&address), limits);
    let message = peer.peer.message(&[b'x'; 101]);
    let (code, text) = fails(&mut peer, message);
    assert_eq!(code, "message-too-large");
    assert!(text.contains("its 101 bytes are more than the 100 that you take"), "{text}");

    let mut peer = Legacy::connect(host_and_port(&address), limits);
    let header = format!(
        r#"{{"type":"message","content_type":"{}","session_id":"{}"}}"#,
        // It is escaped when it is sent back, and takes three times the place.
        "ж".repeat(15_000),
        peer.peer.id
    );
    let message = frame(KEY, &header, b"x");
    let (code, text) = fails(&mut peer, message);
    assert_eq!(code, "header-too-large");
    assert!(text.contains("the content type is too long to be sent back: 30000 bytes"), "{text}");
    stop(server);
}

/// The core lets a small message in behind one large message that passed the limit; a broadcast does not.
#[test]
fn a_member_over_its_limit_is_dropped_by_a_small_message_too() {
    let (mut server, address) = serve(["--mode", "broadcast"]);
    let mut slow = Legacy::connect(host_and_port(&address), FEATURES);
    server.log_line("connected");
    block_on(async {
        let speaker = join(&address).await;
        server.log_line("connected");
        // far more than the operating system holds beside the limit
        speaker.send(Message::binary(vec![0; 48 * 1024 * 1024])).await.unwrap();
        server.log_line("received 50331648 bytes");
        speaker.send(Message::text("small")).await.unwrap();
        server.log_line("received 5 bytes");
        assert!(server.log_line("session ").contains("too slow, dropped"));
    });
    let last = std::iter::from_fn(|| slow.try_frame()).last().unwrap();
    assert_eq!((last.kind(), &last.header["code"]), ("error", &"too-slow".into()));
    assert!(last.text().contains("16777216 bytes or more"), "{}", last.text());
    stop(server);
}
