//! The chat programs with hand-written peers that have no features, in both roles.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use heartwire_tests::chat::{chat, host_and_port, one_line_of_stderr, serve, stop};
use heartwire_tests::legacy::Legacy;
use heartwire_tests::program::{Running, run};

#[test]
fn a_client_without_features_gets_its_messages_back_in_frames_it_understands() {
    let (mut server, address) = serve(["--heartbeat", "10m", "--idle-timeout", "20m"]);
    let mut client = Legacy::connect(host_and_port(&address), "");
    server.log_line("a peer without features");

    // joined
    let frames = [&b"one"[..], &[b'x'; 5000], b"two"].map(|content| client.peer.message(content));
    client.send(&frames);
    for content in [&b"one"[..], &[b'x'; 5000], b"two"] {
        let echo = client.frame();
        assert_eq!((echo.kind(), &echo.content[..]), ("message", content));
    }
    // split: within the prefix, the header, the content
    for at in [1, 8, 63, 64, 100, 300, 4000] {
        let content = vec![b'y'; 5000];
        let frame = client.peer.message(&content);
        client.send_split(&frame, at);
        assert_eq!(client.frame().content, content, "split at {at}");
    }
    // one byte after another
    let frame = client.peer.message(b"bytes");
    for byte in &frame {
        client.send(&[vec![*byte]]);
    }
    assert_eq!(client.frame().content, b"bytes");
    // two joined, the second of which is split
    let frame = client.peer.message(b"again");
    client.send_split(&[frame.clone(), frame].concat(), 300);
    assert_eq!([client.frame().content, client.frame().content], [b"again", b"again"]);

    let ping = client.peer.frame("heartbeat", "", b"ping");
    client.send(&[ping]);
    let pong = client.frame();
    assert_eq!((pong.kind(), pong.text()), ("heartbeat", "pong"));

    let goodbye = client.peer.disconnect("that was all");
    client.send(&[goodbye]);
    assert_eq!(client.try_frame(), None);
    server.log_line("closed by the peer: that was all");
    stop(server);
}

#[test]
fn an_echo_is_what_was_sent_content_type_and_entries_included() {
    let (server, address) = serve([""; 0]);
    let mut client = Legacy::connect(host_and_port(&address), "");
    let header = |id: &str| {
        format!(
            r#"{{"type":"message","content_type":"image/x; a=\"é\"","session_id":"{id}","other":1,"app":{{"n": 1.50, "deep": [{{}}]}}}}"#
        )
    };
    let content: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let frame = heartwire_tests::peer::frame(&client.peer.key, &header(&client.peer.id), &content);
    client.send(&[frame]);
    let echo = client.frame();
    assert_eq!((echo.kind(), &echo.content), ("message", &content));
    assert_eq!(echo.header["content_type"], r#"image/x; a="é""#);
    // unchanged to the letter
    assert!(echo.raw.contains(r#"{"n": 1.50, "deep": [{}]}"#), "{}", echo.raw);
    assert!(echo.header.get("other").is_none());
    stop(server);
}

#[test]
fn a_silent_client_is_pinged_and_in_the_end_told() {
    let (mut server, address) = serve(["--heartbeat", "100ms", "--idle-timeout", "400ms"]);
    let begun = Instant::now();
    let mut client = Legacy::connect(host_and_port(&address), "");
    let ping = client.frame();
    assert_eq!((ping.kind(), ping.text()), ("heartbeat", "ping"));
    let error = loop {
        let seen = client.frame();
        if seen.kind() != "heartbeat" {
            break seen;
        }
    };
    assert_eq!((error.kind(), &error.header["code"]), ("error", &"peer-silent".into()));
    // by default it may take 30 s
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(client.try_frame(), None);
    server.log_line("closed: peer-silent");
    stop(server);
}

#[test]
fn what_can_not_be_returned_ends_the_session_with_the_reason() {
    let (mut server, address) = serve([""; 0]);
    // it does not take chunks, but the server does
    let mut client = Legacy::connect(host_and_port(&address), "");
    let empty = client.peer.chunk(1, 0, true, "", b"");
    client.send(&[empty]);
    let error = client.frame();
    assert_eq!((error.kind(), &error.header["code"]), ("error", &"empty-content".into()));
    assert!(
        error.text().contains("it is empty, which only peers with the feature `chunk` take"),
        "{}",
        error.text()
    );
    server.log_line("closed: empty-content");
    // one that takes chunks takes empty contents, too
    let mut client = Legacy::connect(host_and_port(&address), r#", "features": ["chunk"]"#);
    let empty = client.peer.chunk(1, 0, true, "", b"");
    client.send(&[empty]);
    let echo = client.try_frame().unwrap();
    assert_eq!((echo.kind(), &echo.content[..]), ("chunk", &b""[..]));
    stop(server);
}

/// A listener, and the address of it.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, address)
}

#[test]
fn a_server_without_features_gets_lines_in_frames_it_understands() {
    let (listener, address) = listener();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    let lines: Vec<String> = (0..60).map(|n| format!("line {n} {}", "é".repeat(n * 20))).collect();
    std::fs::write(&file, lines.join("\n")).unwrap();
    let sent = lines.clone();
    let serving = thread::spawn(move || {
        let mut server = Legacy::accept(&listener);
        for (n, pair) in sent.chunks(2).enumerate() {
            let echoes = pair.iter().map(|line| {
                let seen = server.frame_but_heartbeats();
                assert_eq!((seen.kind(), seen.text()), ("message", line.as_str()));
                assert_eq!(seen.header["content_type"], "text/plain; charset=utf-8");
                server.peer.message(&seen.content)
            });
            let echoes: Vec<_> = echoes.collect();
            // joined, or split where it hurts
            match n % 2 {
                0 => server.send(&echoes),
                _ => server.send_split(&echoes.concat(), 1 + n),
            }
        }
        let goodbye = server.frame_but_heartbeats();
        assert_eq!(goodbye.kind(), "disconnect");
        assert!(goodbye.text().contains("Client disconnecting"));
        assert_eq!(server.try_frame(), None);
    });
    let finished = run(chat("connect", [&address]).arg("--file").arg(&file), b"");
    serving.join().unwrap();
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
    assert_eq!(finished.stdout.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_server_without_features_is_pinged_and_answered() {
    let (listener, address) = listener();
    let mut client = Running::spawn(&mut chat("connect", [&address]));
    let mut server = Legacy::accept(&listener);
    let ping = server.peer.frame("heartbeat", "", b"ping");
    server.send(&[ping]);
    let pong = server.frame();
    assert_eq!((pong.kind(), pong.text()), ("heartbeat", "pong"));
    // after the client's interval of 5 s
    let ping = server.frame();
    assert_eq!((ping.kind(), ping.text()), ("heartbeat", "ping"));
    let pong = server.peer.pong(ping.header["seq"].as_u64());
    server.send(&[pong]);
    let message = server.peer.message("späte Nachricht".as_bytes());
    server.send(&[message]);
    assert_eq!(client.line(), "späte Nachricht");
    drop(client.stdin());
    assert_eq!(server.frame().kind(), "disconnect");
    drop(server);
    assert_eq!(client.finish().code(), 0);
}

#[test]
fn a_line_too_long_for_a_server_without_chunks_is_refused_clearly() {
    let (listener, address) = listener();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lines");
    let limit = 10 * 1024 * 1024;
    std::fs::write(&file, ["short\n", &"x".repeat(limit), "\n", &"x".repeat(limit + 1), "\n"].concat())
        .unwrap();
    let serving = thread::spawn(move || {
        let mut server = Legacy::accept(&listener);
        assert_eq!(server.frame_but_heartbeats().content, b"short");
        assert_eq!(server.frame_but_heartbeats().content.len(), limit);
        assert_eq!(server.frame_but_heartbeats().kind(), "disconnect");
    });
    let finished = run(chat("connect", [&address]).arg("--file").arg(&file), b"");
    serving.join().unwrap();
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["line 3", "10485760 bytes", "split it"]);
}

#[test]
fn what_a_server_sends_is_exact_for_programs() {
    let (listener, address) = listener();
    let mut client = Running::spawn(&mut chat("connect", [&address]));
    let mut server = Legacy::accept(&listener);
    let text = "\u{1b}[31m\u{202e}red\t\\";
    let frames = [server.peer.message(text.as_bytes()), server.peer.message(b"end")];
    server.send(&frames);
    assert_eq!([client.line(), client.line()], [text, "end"]);
    // what is not text does not stand among the texts
    let header =
        format!(r#"{{"type":"message","content_type":"image/\u001b[2J","session_id":"{}"}}"#, server.peer.id);
    let image = heartwire_tests::peer::frame(&server.peer.key, &header, b"\x89PNG");
    server.send(&[image]);
    assert!(client.log_line("not text").contains("received 4 bytes that are not text: image/\\u{1b}[2J"));
    let error = server.peer.frame("error", r#", "code": "bad\u001b[2J""#, b"bad: \x1b[2J\n\xe2\x80\xae");
    server.send(&[error]);
    // Its input stays open: the end of that would be a reason of its own to leave.
    let _input = client.stdin();
    let finished = client.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""));
    one_line_of_stderr(&finished, &[r"\u{1b}[2J\n\u{202e}", "the server reports peer-error"]);
    assert!(!finished.stderr.contains(['\u{1b}', '\u{202e}']));
}
