//! `sealed forward`: one request, one answer, and every way in which there is none.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use heartwire_tests::chat::one_line_of_stderr;
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::sealed::{LIMIT, Opened, head, nonce, packet, raw, read, write};
use heartwire_tests::program::{Finished, PATIENCE, Running, patient, run};
use heartwire_tests::sealed::{KEY, OTHER_KEY, Programs, ends, exact};

const LONGEST: usize = LIMIT as usize - 16;

/// A server by hand for one connection, and its address.
fn served<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> (JoinHandle<T>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    (thread::spawn(move || serve(patient(listener.accept().unwrap().0))), address)
}

fn request(stream: &mut TcpStream) -> Vec<u8> {
    let Opened { plaintext, .. } = read(stream, &KEY, LIMIT).unwrap().expect("a request");
    plaintext
}

/// It fails with one line that says this, and prints nothing.
#[track_caller]
fn fails(finished: &Finished, said: &[&str]) {
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
    one_line_of_stderr(finished, said);
}

/// What becomes of a request that is answered so, whatever comes after it.
fn answered(programs: &Programs, args: &[&str], answer: &[u8]) -> Finished {
    let answer = answer.to_vec();
    let (serving, address) = served(move |mut stream| {
        request(&mut stream);
        // it may be gone before all is written
        let _ = stream.write_all(&answer);
    });
    let finished = run(programs.forward(&KEY, &address).args(args), b"request");
    serving.join().unwrap();
    finished
}

#[test]
fn requests_and_answers_of_every_size_pass_exactly() {
    let programs = Programs::new();
    for (asked, answer) in [(0, 0), (0, LONGEST), (1, 2), (65_536, 65_535), (1 << 20, 0), (LONGEST, LONGEST)]
    {
        let (serving, address) = served(move |mut stream| {
            let request = request(&mut stream);
            write(&mut stream, &KEY, &nonce(0), &bytes(answer)).unwrap();
            // one packet, and the end of the stream
            ends(stream);
            request
        });
        let output = exact(&mut programs.forward(&KEY, &address), &bytes(asked));
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{asked} {answer}");
        assert!(output.stdout == bytes(answer), "{answer} bytes");
        assert!(serving.join().unwrap() == bytes(asked), "{asked} bytes");
    }
}

#[test]
fn the_program_talks_to_itself() {
    let programs = Programs::new();
    let (mut server, address) = programs.serve([""; 0]);
    for size in [0, 1, 70_000, LONGEST] {
        let output = exact(&mut programs.forward(&KEY, &address), &bytes(size));
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{size} bytes");
        assert!(output.stdout == bytes(size), "{size} bytes");
        server.log_line(&format!("received {size} bytes"));
        server.log_line("closed: closed by the peer: the end of its stream");
    }
}

#[test]
fn both_sides_say_that_they_have_not_the_same_key() {
    let programs = Programs::new();
    let (mut server, address) = programs.serve([""; 0]);
    let finished = run(&mut programs.forward(&OTHER_KEY, &address), b"a secret");
    let said = format!("{address} closed the connection without an answer; it may have another key");
    fails(&finished, &[&said, "its log says more"]);
    server.log_line("closed: decryption-failed: a packet that does not open: another key");
}

#[test]
fn more_than_a_packet_holds_is_told_before_anything_is_connected() {
    let programs = Programs::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    for (limit, most) in [("16777216", LONGEST), ("100", 84), ("16", 0)] {
        let mut command = programs.forward(&KEY, &address);
        let finished = run(command.args(["--limit", limit]), &bytes(most + 1));
        let said =
            format!("stdin: more than {most} bytes do not fit a packet; send less, or give both sides");
        fails(&finished, &[&said, "--limit"]);
    }
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn where_nobody_listens_it_says_so() {
    let programs = Programs::new();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("tcp://127.0.0.1:{port}");
    let finished = run(&mut programs.forward(&KEY, &address), b"request");
    fails(&finished, &[&format!("can't connect to {address}: "), "start one with `heartwire sealed serve`"]);
}

#[test]
fn an_end_without_an_answer_is_a_failure() {
    let finished = answered(&Programs::new(), &[], b"");
    fails(&finished, &["closed the connection without an answer", "its log says more"]);
}

#[test]
fn a_broken_connection_is_a_failure() {
    let (serving, address) = served(|mut stream| {
        // closed with something unread, it is reset
        stream.read_exact(&mut [0; 10]).unwrap();
    });
    let finished = run(&mut Programs::new().forward(&KEY, &address), &bytes(100_000));
    serving.join().unwrap();
    fails(&finished, &["broke before it answered: ", "its log says more"]);
}

#[test]
fn an_answer_under_another_key_is_a_failure() {
    let finished = answered(&Programs::new(), &[], &packet(&OTHER_KEY, &nonce(0), b"answer"));
    fails(&finished, &["does not open; it has another key: give the server's with --key-file"]);
}

#[test]
fn an_answer_that_is_no_packet_is_a_failure() {
    let programs = Programs::new();
    for (answer, code) in [
        (raw(2, &[0; 24], &[0; 16]), "unsupported-version"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "unsupported-version"),
        (raw(1, &[0; 12], &[0; 16]), "bad-nonce-length"),
        (raw(1, &[0; 24], &[0; 15]), "ciphertext-too-short"),
    ] {
        let finished = answered(&programs, &[], &answer);
        fails(&finished, &["is no sealed packet (", code, "another protocol: check the address"]);
    }
}

#[test]
fn an_answer_over_the_limit_is_a_failure() {
    let programs = Programs::new();
    let finished = answered(&programs, &[], &head(1, 24, LIMIT + 1));
    fails(&finished, &["is too large", "a ciphertext of 16777217 bytes", "give a larger --limit"]);
    let finished = answered(&programs, &["--limit", "32"], &packet(&KEY, &nonce(0), &[7; 17]));
    fails(&finished, &["is too large", "a ciphertext of 33 bytes; at most 32 are taken"]);
    let finished = answered(&programs, &["--limit", "32"], &packet(&KEY, &nonce(0), b"sixteen bytes ok"));
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, "sixteen bytes ok"), "{finished:?}");
}

#[test]
fn a_cut_answer_is_a_failure() {
    let programs = Programs::new();
    let whole = packet(&KEY, &nonce(0), &bytes(100));
    for cut in [1, 8, 9, 33, 49, whole.len() - 1] {
        let finished = answered(&programs, &[], &whole[..cut]);
        let said = format!("is cut (the stream ended {cut} bytes into a packet)");
        fails(&finished, &[&said, "try again when it is back"]);
    }
}

#[test]
fn a_server_that_says_nothing_is_a_failure_after_the_timeout() {
    let (serving, address) = served(|mut stream| {
        request(&mut stream);
        ends(stream);
    });
    let programs = Programs::new();
    let mut command = programs.forward(&KEY, &address);
    let finished = run(command.args(["--timeout", "300ms"]), b"request");
    serving.join().unwrap();
    fails(&finished, &["no answer from", "nothing moved for 300ms; give a longer --timeout"]);
}

#[test]
fn an_answer_that_trickles_is_a_failure_after_the_timeout() {
    let (serving, address) = served(|mut stream| {
        request(&mut stream);
        // each wait for its end is one for the next byte
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        for byte in packet(&KEY, &nonce(0), &bytes(10_000)) {
            let _ = stream.write_all(&[byte]);
            match stream.read(&mut [0]) {
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                _ => return,
            }
        }
        panic!("it waited for all of it");
    });
    let programs = Programs::new();
    let finished = run(programs.forward(&KEY, &address).args(["--timeout", "500ms"]), b"request");
    serving.join().unwrap();
    fails(&finished, &["came too slowly: less than 4 KiB in 500ms; give a longer --timeout"]);
}

#[test]
fn the_timeout_is_not_for_the_whole() {
    let (serving, address) = served(|mut stream| {
        request(&mut stream);
        let answer = packet(&KEY, &nonce(0), &bytes(30_000));
        for piece in answer.chunks(5000) {
            // nothing comes: it is a pause
            stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            assert!(stream.read(&mut [0]).is_err());
            stream.write_all(piece).unwrap();
        }
    });
    let programs = Programs::new();
    let output = exact(programs.forward(&KEY, &address).args(["--timeout", "1s"]), b"request");
    serving.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stdout == bytes(30_000));
}

#[test]
fn what_comes_after_the_answer_changes_nothing() {
    let programs = Programs::new();
    let answer = packet(&KEY, &nonce(0), b"answer");
    for more in [&packet(&KEY, &nonce(1), b"more")[..], b"rubbish", &[1, 0, 0]] {
        let finished = answered(&programs, &[], &[&answer, more].concat());
        assert_eq!((finished.code(), finished.stdout.as_str()), (0, "answer"), "{finished:?}");
        assert_eq!(finished.stderr, "");
    }
}

#[test]
fn a_server_that_keeps_the_connection_does_not_keep_the_program() {
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let (serving, address) = served(move |mut stream| {
        request(&mut stream);
        write(&mut stream, &KEY, &nonce(0), b"answer").unwrap();
        let _ = left.recv();
    });
    let programs = Programs::new();
    let finished = run(&mut programs.forward(&KEY, &address), b"request");
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, "answer"), "{finished:?}");
    drop(leave);
    serving.join().unwrap();
}

#[test]
fn a_missing_key_is_bad_usage_before_anything_is_read() {
    let programs = Programs::new();
    std::fs::remove_file(programs.key_file(&KEY)).unwrap();
    let mut client = Running::spawn(&mut programs.forward(&KEY, "tcp://127.0.0.1:1"));
    let stdin = client.stdin();
    let finished = client.finish();
    drop(stdin);
    assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
    one_line_of_stderr(&finished, &["can't read the key file"]);
}

#[test]
fn what_it_can_not_do_is_bad_usage() {
    let programs = Programs::new();
    for args in [&["--limit", "15"][..], &["--limit", "4294967296"], &["--timeout", "0s"], &["--exec", "cat"]]
    {
        let finished = run(programs.forward(&KEY, "tcp://127.0.0.1:1").args(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
        assert!(finished.stderr.contains(args[0]), "{finished:?}");
    }
    assert_eq!(run(&mut programs.forward(&KEY, "ftp://127.0.0.1:1"), b"").code(), 2);
}

/// Nobody reads its stdout: the one at the other end of the pipe is gone.
#[cfg(unix)]
#[test]
fn a_stdout_that_nobody_reads_any_more_is_no_failure() {
    let programs = Programs::new();
    let (_server, address) = programs.serve([""; 0]);
    let mut script = Command::new("sh");
    script.args(["-c", "{ \"$@\"; echo $? >&2; } | true", "sh"]);
    let client = programs.forward(&KEY, &address);
    script.arg(client.get_program()).args(client.get_args());
    let finished = run(&mut script, &bytes(1 << 20));
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", "0\n"));
}

#[cfg(unix)]
mod signals {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn while_stdin_is_read_nothing_was_sent() {
        for signal in ["TERM", "INT"] {
            let programs = Programs::new();
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            let address = format!("tcp://{}", listener.local_addr().unwrap());
            let mut client = Running::spawn(&mut programs.forward(&KEY, &address));
            let mut stdin = client.stdin().unwrap();
            // more than a pipe holds: it is being read
            stdin.write_all(&bytes(1 << 20)).unwrap();
            client.signal(signal);
            let finished = client.finish();
            assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""));
            one_line_of_stderr(&finished, &["stopped by a signal: nothing was sent"]);
            assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        }
    }

    /// A client whose request has arrived, and what its server is told to do then.
    fn asking(args: &[&str]) -> (Running, mpsc::Sender<&'static [u8]>, JoinHandle<()>) {
        let (tell, told) = mpsc::channel::<&[u8]>();
        let (asked, has_asked) = mpsc::channel();
        let (serving, address) = served(move |mut stream| {
            request(&mut stream);
            asked.send(()).unwrap();
            if let Ok(answer) = told.recv() {
                write(&mut stream, &KEY, &nonce(0), answer).unwrap();
            }
            let _ = stream.shutdown(Shutdown::Write);
        });
        let programs = Programs::new();
        let mut client = Running::spawn(programs.forward(&KEY, &address).args(args));
        client.stdin().unwrap().write_all(b"request").unwrap();
        has_asked.recv_timeout(PATIENCE).unwrap();
        (client, tell, serving)
    }

    #[test]
    fn an_answer_within_the_grace_is_printed() {
        let (client, tell, serving) = asking(&["--grace", "10m"]);
        client.signal("TERM");
        tell.send(b"answer").unwrap();
        let finished = client.finish();
        serving.join().unwrap();
        assert_eq!((finished.code(), finished.stdout.as_str()), (0, "answer"), "{finished:?}");
        assert_eq!(finished.stderr, "");
    }

    #[test]
    fn without_an_answer_within_the_grace_it_says_so() {
        let (client, tell, serving) = asking(&["--grace", "200ms"]);
        client.signal("INT");
        let finished = client.finish();
        drop(tell);
        serving.join().unwrap();
        assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
        one_line_of_stderr(&finished, &["stopped by a signal: no answer came"]);
    }

    #[test]
    fn a_second_one_ends_it_at_once() {
        let (client, tell, serving) = asking(&["--grace", "10m"]);
        // two of one kind may arrive as one
        client.signal("TERM");
        client.signal("INT");
        let finished = client.finish();
        drop(tell);
        serving.join().unwrap();
        fails(&finished, &["stopped at once by a second signal"]);
    }
}
