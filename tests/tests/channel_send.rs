//! `channel send` against peers written by hand, and against `channel listen`.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use heartwire_tests::channel::{
    SIZES, ended, file, files, listen, peak_memory_kib, read, received, received_bytes, send, set_len, write,
};
use heartwire_tests::chat::{one_line_of_stderr, stop};
use heartwire_tests::peers::length_prefixed::{self, length, message, read_length};
use heartwire_tests::program::{Finished, Running, patient, run};

const MIB: usize = 1024 * 1024;
/// More than any two socket buffers and queues hold.
const MUCH: usize = 32 * MIB;

/// Where a hand-written peer listens, and its address.
fn peer() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().unwrap().0)
}

/// Nobody has connected.
fn nobody(listener: &TcpListener) {
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// The last line of stderr, without what stands before each such line.
fn last_words(finished: &Finished) -> &str {
    let last = finished.stderr.lines().last().unwrap_or_default();
    last.strip_prefix("heartwire: ").unwrap_or_else(|| panic!("no sentence: {finished:?}"))
}

/// Has a command's stdin be this file, and gives what it left behind.
fn run_on(command: &mut Command, stdin: File) -> Finished {
    let output = command.stdin(Stdio::from(stdin)).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Finished { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn files_of_every_size_are_sent_in_order_and_answers_are_printed() {
    let (_dir, paths) = files(&SIZES);
    let (listener, address) = peer();
    let mut sender = Running::spawn(&mut send(&address, &paths));
    let mut stream = accept(&listener);
    let name = address.strip_prefix("tcp://").unwrap();
    assert!(sender.log_line("connected").ends_with(&format!("INFO channel {name}: connected")));
    for (len, path) in SIZES.iter().zip(&paths) {
        read(&mut stream, *len);
        let sent = format!("channel {name}: sent {}, {len} bytes", path.display());
        assert!(sender.log_line(": sent ").ends_with(&sent));
    }
    ended(&stream);
    // after its stream has ended, too
    for len in SIZES {
        write(&mut stream, len).unwrap();
        assert_eq!(sender.line(), received(len));
    }
    drop(stream);
    let finished = sender.finish();
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    assert!(finished.stderr.contains(&format!("channel {name}: closed: closed here")), "{finished:?}");
}

#[test]
fn what_is_sent_arrives_in_the_other_program() {
    let (_dir, paths) = files(&SIZES);
    let (mut listener, address) = listen([""; 0]);
    let finished = run(&mut send(&address, &paths), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    for len in SIZES {
        assert_eq!(listener.line(), received(len));
    }
    stop(listener);
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_called_by_their_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("channel.sock");
    let (_dir, file) = file(100_000);
    let address = format!("unix://{}", path.display());
    let (mut listener, _tcp) = listen(["--listen", &address]);
    assert_eq!(listener.ready(), address);
    let finished = run(&mut send(&address, [&file]), b"");
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(finished.stderr.contains(&format!("channel {}: connected\n", path.display())), "{finished:?}");
    assert_eq!(listener.line(), received(100_000));
    stop(listener);
}

#[test]
fn large_messages_go_both_ways_at_once() {
    const LEN: usize = 64 * MIB;
    let (_dir, path) = file(LEN);
    let (mut listener, address) = listen(["--send".as_ref(), path.as_os_str()]);
    let finished = run(&mut send(&address, [&path]), b"");
    assert_eq!((finished.code(), finished.stdout.trim_end()), (0, received(LEN).as_str()), "{finished:?}");
    assert_eq!(listener.line(), received(LEN));
    stop(listener);
}

#[test]
fn neither_program_holds_a_message() {
    const LEN: usize = 256 * MIB;
    let (dir, paths) = files(&[]);
    assert!(paths.is_empty());
    let path = dir.path().join("large.bin");
    set_len(&path, LEN as u64);
    let (mut listener, address) = listen([""; 0]);
    let (answer, back) = peer();
    // through a peer that answers, so that the sender is there still when all is sent
    let mut sender = Running::spawn(&mut send(&back, [&path]));
    let mut from = accept(&answer);
    let mut to = heartwire_tests::channel::connect(&address);
    std::io::copy(&mut from, &mut to).unwrap();
    let line = listener.line();
    assert!(line.starts_with(&format!("received {LEN} bytes sha256 ")), "{line}");
    for (process, what) in [(sender.id(), "send"), (listener.id(), "listen")] {
        let peak = peak_memory_kib(process);
        assert!(peak < 32 * 1024, "{what}: {peak} KiB");
    }
    sender.log_line(": sent ");
    drop(from);
    assert_eq!(sender.finish().code(), 0);
    stop(listener);
}

#[test]
fn what_a_peer_does_not_read_is_not_read_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.bin");
    set_len(&path, 256 * MIB as u64);
    let (listener, address) = peer();
    let mut sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    // takes longer than reading the file would
    write(&mut stream, 64 * MIB).unwrap();
    assert_eq!(sender.line(), received(64 * MIB));
    let peak = peak_memory_kib(sender.id());
    assert!(peak < 32 * 1024, "{peak} KiB");
}

#[test]
fn stdin_is_sent_whatever_it_is() {
    let (mut listener, address) = listen([""; 0]);
    let pipe = heartwire_tests::peers::content::bytes(200_000);
    assert_eq!(run(&mut send(&address, ["-"]), &pipe).code(), 0);
    assert_eq!(listener.line(), received(200_000));
    assert_eq!(run(&mut send(&address, ["-"]), b"").code(), 0);
    assert_eq!(listener.line(), received(0));

    let (dir, path) = file(100_000);
    // from its position on, with other files around it
    let mut stdin = File::open(&path).unwrap();
    stdin.seek(SeekFrom::Start(99_000)).unwrap();
    let none = dir.path().join("none");
    set_len(&none, 0);
    let finished = run_on(&mut send(&address, [&none, Path::new("-"), &path]), stdin);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(listener.line(), received(0));
    let rest = &heartwire_tests::peers::content::bytes(100_000)[99_000..];
    assert_eq!(listener.line(), received_bytes(rest));
    assert_eq!(listener.line(), received(100_000));
    // at its end
    let mut stdin = File::open(&path).unwrap();
    stdin.seek(SeekFrom::Start(200_000)).unwrap();
    assert_eq!(run_on(&mut send(&address, ["-"]), stdin).code(), 0);
    assert_eq!(listener.line(), received(0));
    stop(listener);
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_regular_file_is_measured_by_its_end() {
    let (mut listener, address) = listen([""; 0]);
    assert_eq!(run(&mut send(&address, ["/dev/stdin"]), b"through a pipe").code(), 0);
    assert_eq!(listener.line(), received_bytes(b"through a pipe"));
    // it says that it is empty
    assert_eq!(run(&mut send(&address, ["/proc/version"]), b"").code(), 0);
    assert_eq!(listener.line(), received_bytes(&std::fs::read("/proc/version").unwrap()));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut pipe = File::options().write(true).open(&path).unwrap();
    pipe.write_all(b"named").unwrap();
    drop(pipe);
    assert_eq!(sender.finish().code(), 0);
    assert_eq!(listener.line(), received_bytes(b"named"));
    stop(listener);
}

#[test]
fn what_can_not_be_sent_is_said_before_anybody_is_connected_to() {
    let (dir, good) = file(10);
    let large = dir.path().join("large.bin");
    set_len(&large, 1 << 32);
    let (listener, address) = peer();
    for (bad, said) in [
        (dir.path().join("missing.bin"), "No such file"),
        (dir.path().into(), "directory"),
        (large, "4294967296 bytes are more than the 4294967295 that a message may have"),
    ] {
        let finished = run(&mut send(&address, [&good, &bad]), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
        one_line_of_stderr(&finished, &[bad.to_str().unwrap(), said]);
    }
    for args in [&[][..], &["-", "-"], &["x", "--limit", "-1"], &["x", "--timeout", "0s"]] {
        let finished = run(&mut send(&address, args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""), "{finished:?}");
    }
    nobody(&listener);
}

#[test]
fn the_largest_message_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.bin");
    set_len(&path, u32::MAX.into());
    let (listener, address) = peer();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    assert_eq!(read_length(&mut stream, u32::MAX).unwrap(), Some(u32::MAX));
    drop(stream);
    assert_eq!(sender.finish().code(), 1);
}

#[test]
fn a_folder_for_temporary_files_that_has_no_room_is_named() {
    let (listener, address) = peer();
    let finished = run(send(&address, ["-"]).env("TMPDIR", "/nowhere/at all"), b"x");
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["stdin", "/nowhere/at all", "TMPDIR"]);
    nobody(&listener);
}

#[test]
fn that_nobody_listens_is_said() {
    let (listener, address) = peer();
    drop(listener);
    let (_dir, path) = file(10);
    let finished = run(&mut send(&address, [&path]), b"");
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &["can't connect to", &address, "heartwire channel listen"]);
}

#[test]
fn a_reset_in_the_middle_says_which_file_was_sent_how_far() {
    let (dir, small) = file(10);
    let large = dir.path().join("large.bin");
    set_len(&large, MUCH as u64);
    let (listener, address) = peer();
    let sender = Running::spawn(&mut send(&address, [&small, &large]));
    let mut stream = accept(&listener);
    read(&mut stream, 10);
    stream.read_exact(&mut [0; 4]).unwrap();
    // with unread bytes, this is a reset
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    let said = last_words(&finished);
    assert!(said.contains(&format!("of the {MUCH} bytes of {} sent", large.display())), "{said}");
    assert!(said.contains("transport-failed") && said.contains(&address), "{said}");
}

#[test]
fn names_are_escaped_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a\u{1b}[31m\\b");
    let (listener, address) = peer();
    let finished = run(&mut send(&address, [&path]), b"");
    one_line_of_stderr(&finished, &[r"/a\u{1b}[31m\\b: can't read it"]);
    assert!(!finished.stderr.contains(r"\\u") && !finished.stderr.contains(r"\\\"), "{finished:?}");

    File::create(&path).unwrap().set_len(MUCH as u64).unwrap();
    let mut sender = Running::spawn(&mut send(&address, [&path]));
    drop(accept(&listener));
    let log = sender.log_line("closed: ");
    assert!(log.contains(r"/a\u{1b}[31m\\b sent") && !log.contains(r"\\\"), "{log}");
    let finished = sender.finish();
    assert!(last_words(&finished).contains(r"/a\u{1b}[31m\\b sent: "), "{finished:?}");
    assert!(!finished.stderr.contains(r"\\u"), "{finished:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn who_does_not_answer_is_given_up_after_the_timeout() {
    let (listener, address) = peer();
    // one is let in, and waits there
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (_dir, path) = file(1);
    let mut command = send(&address, [path.as_os_str(), "--timeout".as_ref(), "200ms".as_ref()]);
    let finished = run(&mut command, b"");
    assert_eq!(finished.code(), 1);
    one_line_of_stderr(&finished, &[&address, "nobody answered within 200ms"]);
}

#[test]
fn who_never_reads_is_given_up_after_the_timeout() {
    let (_dir, path) = file(MUCH);
    let (listener, address) = peer();
    let sender = Running::spawn(send(&address, [&path]).args(["--timeout", "100ms"]));
    let _stream = accept(&listener);
    let finished = sender.finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    let said = last_words(&finished);
    assert!(said.contains("peer-silent") && said.contains(&format!("of the {MUCH} bytes of ")), "{said}");
}

#[test]
fn a_stop_while_a_message_is_under_way_says_how_far() {
    let (_dir, path) = file(MUCH);
    let (listener, address) = peer();
    let mut sender = Running::spawn(send(&address, [&path]).args(["--grace", "100ms"]));
    // it never reads
    let _stream = accept(&listener);
    sender.log_line("connected");
    sender.signal("TERM");
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let said = last_words(&finished);
    assert!(said.starts_with("stopped by a signal, with "), "{said}");
    assert!(said.ends_with(&format!("of the {MUCH} bytes of {} sent", path.display())), "{said}");
}

#[test]
fn a_stop_when_everything_is_sent_is_none() {
    let (_dir, path) = file(10);
    let (listener, address) = peer();
    let mut sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    read(&mut stream, 10);
    ended(&stream);
    stream.write_all(&message(b"back")).unwrap();
    assert_eq!(sender.line(), received_bytes(b"back"));
    sender.log_line(": sent ");
    sender.signal("TERM");
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
}

#[test]
fn a_stop_of_both_ends_both() {
    let (dir, _) = file(0);
    let path = dir.path().join("large.bin");
    set_len(&path, u32::MAX.into());
    let (mut listener, address) = listen([""; 0]);
    let mut sender = Running::spawn(&mut send(&address, [&path]));
    listener.log_line("connected");
    sender.log_line("connected");
    listener.signal("TERM");
    sender.signal("TERM");
    let (listener, sender) = (listener.finish(), sender.finish());
    assert_eq!((listener.code(), sender.code()), (0, 0), "{listener:?} {sender:?}");
    assert!(last_words(&sender).contains("of the 4294967295 bytes of "), "{sender:?}");
}

#[test]
fn a_file_that_shrinks_is_cut_where_it_ends_and_the_others_are_not_sent() {
    let (_dir, paths) = files(&[MUCH, 10]);
    let (listener, address) = peer();
    let sender = Running::spawn(&mut send(&address, &paths));
    let mut stream = accept(&listener);
    assert_eq!(read_length(&mut stream, u32::MAX).unwrap(), Some(MUCH as u32));
    set_len(&paths[0], 100_000);
    let error = heartwire_tests::peers::pieces(&mut stream, MUCH as u64, MIB, |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), "truncated");
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    let said = format!(
        "{}: it has shrunk while it was sent, from {MUCH} to 100000 bytes; send it when nobody writes to it",
        paths[0].display()
    );
    assert_eq!(last_words(&finished), said);
}

#[test]
fn a_file_that_grows_is_sent_as_it_was_measured() {
    let (_dir, path) = file(MUCH);
    let (listener, address) = peer();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    set_len(&path, MUCH as u64 + 1);
    read(&mut stream, MUCH);
    ended(&stream);
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let said = format!("{} has grown while it was sent: only its first {MUCH} bytes were", path.display());
    assert!(finished.stderr.contains(&said), "{finished:?}");
}

#[test]
fn a_peers_bad_message_is_a_failure() {
    let (_dir, path) = file(10);
    for (bad, said) in [
        (&[0, 0, 0, 9, 1][..], &["truncated", "1 of the 9 bytes of a message received"][..]),
        (&[0, 0, 0, 100], &["message-too-large", "at most 99", "--limit"]),
    ] {
        let (listener, address) = peer();
        let sender = Running::spawn(send(&address, [&path]).args(["--limit", "99"]));
        let mut stream = accept(&listener);
        read(&mut stream, 10);
        length_prefixed::write(&mut stream, &[7; 99]).unwrap();
        stream.write_all(bad).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        ended(&stream);
        drop(stream);
        let finished = sender.finish();
        assert_eq!((finished.code(), finished.stdout.lines().count()), (1, 1), "{finished:?}");
        let sentence = last_words(&finished);
        said.iter().for_each(|said| assert!(sentence.contains(said), "no {said:?} in {sentence:?}"));
    }
}

#[test]
fn a_peer_that_ends_in_a_length_is_truncated() {
    let (_dir, path) = file(10);
    let (listener, address) = peer();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    read(&mut stream, 10);
    stream.write_all(&length(7)[..3]).unwrap();
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 1);
    assert!(
        last_words(&finished).contains("truncated: the stream ended 3 bytes into a header"),
        "{finished:?}"
    );
}
