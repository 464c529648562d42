//! `files receive` and `files send` when they are told to stop, or killed, in the middle of a transfer: what is left on
//! the disk, what is said, and what the other side learns. Peers that stall hold everything still meanwhile.

#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::process::{ChildStdout, Stdio};

use heartwire_tests::channel::set_len;
use heartwire_tests::chat::stop;
use heartwire_tests::files::{
    MUCH, Rooms, Sender, accept, everything, failed, forest, is_reset, listen, parts, receive,
    receive_command, receive_with, send, tree, until, until_deaf, until_parts,
};
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::json_header::read_head;
use heartwire_tests::program::{Finished, Running, run};

const NONE: [&str; 0] = [];
/// Half of it is more than is gathered before it is written.
const LEN: usize = 1_200_000;

/// A receiver with files in the middle of their transfer, and their senders: `old.bin`, which is there, `values.csv`,
/// the same, and `new/new.bin`.
struct Middle {
    rooms: Rooms,
    receiver: Running,
    address: String,
    senders: Vec<Sender>,
    before: std::collections::BTreeMap<String, String>,
}

const NAMES: [&str; 3] = ["old.bin", "values.csv", "new/new.bin"];

impl Middle {
    fn begin(grace: &str) -> Self {
        let rooms = Rooms::new();
        rooms.write("old.bin", "old");
        rooms.write("values.csv", "0\n");
        let before = tree(&rooms.inner);
        let (receiver, address) = receive_with(&rooms.inner, ["--grace", grace]);
        let senders = NAMES.iter().enumerate().map(|(number, name)| {
            let mut sender = Sender::connect(&address);
            let kind = if *name == "values.csv" { "CSV" } else { "UNKNOWN" };
            sender.begin(kind, name, LEN).raw(&bytes(LEN)[..LEN / 2]);
            until_parts(&rooms.inner, number + 1, 0);
            sender
        });
        let senders: Vec<_> = senders.collect();
        until_parts(&rooms.inner, 3, 3 * 256 * 1024);
        Self { rooms, receiver, address, senders, before }
    }
}

/// The connection does not end as if all were well.
#[track_caller]
fn is_no_orderly_end(sender: &mut Sender) {
    match sender.answer() {
        Ok(lines) => assert!(!lines.is_empty(), "it ends in order, and says nothing"),
        Err(error) => assert!(is_reset(&error), "{error:?}"),
    }
}

#[test]
fn a_stopped_receiver_cuts_what_is_not_done_within_the_grace() {
    for signal in ["TERM", "INT"] {
        let mut middle = Middle::begin("300ms");
        let mut idle = Sender::connect(&middle.address);
        middle.receiver.signal(signal);
        let finished = middle.receiver.finish();
        assert_eq!(finished.code(), 0, "{finished:?}");
        for name in NAMES {
            let cut = |line: &str| line.contains(name) && line.contains("cut");
            assert!(finished.stderr.lines().any(cut), "{name}: {finished:?}");
        }
        assert_eq!(tree(&middle.rooms.inner), middle.before);
        middle.senders.iter_mut().for_each(is_no_orderly_end);
        let _ = idle.answer();
    }
}

#[test]
fn a_stopped_receiver_takes_what_is_complete_within_the_grace() {
    let mut middle = Middle::begin("25s");
    middle.receiver.signal("TERM");
    until_deaf(&middle.address);
    for mut sender in middle.senders.drain(..) {
        sender.raw(&bytes(LEN)[LEN / 2..]);
        assert_eq!(sender.finish(), NONE);
    }
    let finished = middle.receiver.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let values = [b"0\n", &bytes(LEN)[..]].concat();
    let all = bytes(LEN);
    let expected = [("old.bin", &all[..]), ("values.csv", &values), ("new/new.bin", &all)];
    assert_eq!(tree(&middle.rooms.inner), forest(expected));
}

#[test]
fn a_second_signal_ends_a_receiver_at_once_and_leaves_nothing() {
    let mut middle = Middle::begin("25s");
    middle.receiver.signal("TERM");
    until_deaf(&middle.address);
    middle.receiver.signal("TERM");
    let finished = middle.receiver.finish();
    failed(&finished, &["second signal"]);
    assert_eq!(tree(&middle.rooms.inner), middle.before);
    middle.senders.iter_mut().for_each(is_no_orderly_end);
}

#[test]
fn an_idle_receiver_stops_at_once_and_leaves_the_folder_as_it_is() {
    let rooms = Rooms::new();
    rooms.write("a/b", "b");
    let before = tree(&rooms.inner);
    let (receiver, address) = receive_with(&rooms.inner, ["--grace", "25s"]);
    let mut sender = Sender::connect(&address);
    sender.file("a/c", b"c");
    assert_eq!(sender.finish(), NONE);
    fs::remove_file(rooms.inner.join("a/c")).unwrap();
    stop(receiver);
    assert_eq!(tree(&rooms.inner), before);
}

#[test]
fn a_killed_receiver_leaves_parts_which_the_next_removes() {
    let mut middle = Middle::begin("3s");
    middle.receiver.kill();
    middle.receiver.finish();
    // Whoever sends is not told that all is well.
    for sender in &mut middle.senders {
        let error = sender.answer().expect_err("it ends in order");
        assert!(is_reset(&error), "{error:?}");
    }
    assert_eq!(parts(&middle.rooms.inner).len(), 3);
    // What is there under its name is what was there.
    let left = tree(&middle.rooms.inner);
    for (name, what) in &middle.before {
        assert_eq!(left.get(name), Some(what), "{name}");
    }
    let (receiver, address) = receive(&middle.rooms.inner);
    assert_eq!(parts(&middle.rooms.inner), []);
    let mut after = tree(&middle.rooms.inner);
    after.remove("new");
    assert_eq!(after, middle.before);
    let mut sender = Sender::connect(&address);
    sender.file("new/new.bin", b"again");
    assert_eq!(sender.finish(), NONE);
    let log = stop(receiver).stderr;
    assert!(log.contains(": 3 parts of transfers that were cut"), "{log}");
}

#[test]
fn what_a_running_receiver_has_not_finished_is_left_to_it() {
    let mut middle = Middle::begin("3s");
    // One that was killed, on the same folder.
    let (mut killed, address) = receive(&middle.rooms.inner);
    assert_eq!(parts(&middle.rooms.inner).len(), 3);
    let mut sender = Sender::connect(&address);
    sender.begin("UNKNOWN", "killed.bin", 10).raw(b"12345");
    until_parts(&middle.rooms.inner, 4, 0);
    killed.kill();
    killed.finish();
    assert_eq!(parts(&middle.rooms.inner).len(), 4);
    let (third, address) = receive(&middle.rooms.inner);
    let left = parts(&middle.rooms.inner);
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.iter().any(|(name, _)| name.contains("killed")), "{left:?}");
    for mut sender in middle.senders.drain(..) {
        sender.raw(&bytes(LEN)[LEN / 2..]);
        assert_eq!(sender.finish(), NONE);
    }
    let mut sender = Sender::connect(&address);
    sender.file("third.txt", b"3");
    assert_eq!(sender.finish(), NONE);
    stop(third);
    stop(middle.receiver);
    let (all, values) = (bytes(LEN), [b"0\n", &bytes(LEN)[..]].concat());
    let expected =
        [("old.bin", &all[..]), ("values.csv", &values), ("new/new.bin", &all), ("third.txt", b"3")];
    assert_eq!(tree(&middle.rooms.inner), forest(expected));
}

/// Files that look like parts and are none of a receiver's stay: they hold what nobody can send again.
#[test]
fn what_only_looks_like_a_part_stays() {
    let rooms = Rooms::new();
    rooms.write(".x.part", "1");
    rooms.write("x.0123456789abcdef.part", "2");
    rooms.write(".x.0123456789abcdeg.part", "3");
    rooms.write("sub/.x.0123456789abcde.part", "4");
    fs::create_dir(rooms.inner.join(".folder.0123456789abcdef.part")).unwrap();
    rooms.write(".folder.0123456789abcdef.part/kept", "5");
    std::os::unix::fs::symlink("../out", rooms.inner.join("link")).unwrap();
    fs::write(rooms.outer.path().join("out/.x.0123456789abcdef.part"), "outside").unwrap();
    let before = tree(&rooms.inner);
    rooms.write("sub/.left.0123456789abcdef.part", "left");
    let (receiver, _) = receive(&rooms.inner);
    assert_eq!(tree(&rooms.inner), before);
    assert!(rooms.outer.path().join("out/.x.0123456789abcdef.part").exists());
    stop(receiver);
}

/// A program that sends a large file, and how much of it has been written where it is received.
fn sending(rooms: &Rooms, address: &str) -> Running {
    let large = rooms.outer.path().join("out/large.bin");
    set_len(&large, 4 << 30);
    let sender = Running::spawn(send(address, [&large]).args(["--grace", "1m"]));
    until_parts(&rooms.inner, 1, 1);
    sender
}

#[test]
fn a_sender_learns_that_its_receiver_was_killed() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let sender = sending(&rooms, &address);
    receiver.signal("STOP");
    assert_eq!(parts(&rooms.inner).len(), 1);
    receiver.kill();
    let finished = sender.finish();
    failed(&finished, &["large.bin", "again"]);
    receiver.finish();
    let (receiver, _) = receive(&rooms.inner);
    assert_eq!(tree(&rooms.inner), forest([]));
    stop(receiver);
}

#[test]
fn of_a_sender_that_was_killed_or_stopped_nothing_is_left() {
    for signal in ["KILL", "TERM", "INT"] {
        let rooms = Rooms::new();
        rooms.write("large.bin", "old");
        let before = tree(&rooms.inner);
        let (mut receiver, address) = receive(&rooms.inner);
        let sender = sending(&rooms, &address);
        sender.signal(signal);
        let finished = sender.finish();
        if signal == "KILL" {
            assert_eq!(finished.status.code(), None, "{finished:?}");
        } else {
            stopped(&finished, "large.bin");
        }
        let line = receiver.log_line("cut");
        assert!(line.contains("large.bin"), "{line}");
        until("nothing is left", || parts(&rooms.inner).is_empty());
        assert_eq!(tree(&rooms.inner), before);
        stop(receiver);
    }
}

/// It ended as a sender that has not been confirmed, and said what was cut.
#[track_caller]
fn stopped(finished: &Finished, name: &str) {
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(finished.stderr.lines().any(|line| line.contains(name) && line.contains("cut")), "{finished:?}");
}

/// A sender whose receiver has stopped reading in the middle of a file.
fn stalled(rooms: &Rooms, grace: &str) -> (Running, TcpStream) {
    rooms.write("large.bin", bytes(MUCH));
    let (listener, address) = listen();
    let sender = Running::spawn(send(&address, [rooms.inner.join("large.bin")]).args(["--grace", grace]));
    let mut stream = accept(&listener);
    assert_eq!(read_head(&mut stream).unwrap().unwrap().size, MUCH as u64);
    (sender, stream)
}

#[test]
fn a_stopped_sender_cuts_what_its_receiver_does_not_take() {
    let rooms = Rooms::new();
    let (sender, mut stream) = stalled(&rooms, "300ms");
    sender.signal("TERM");
    stopped(&sender.finish(), "large.bin");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < MUCH, "it is complete");
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_signal_ends_a_sender_at_once() {
    let rooms = Rooms::new();
    let (sender, mut stream) = stalled(&rooms, "25s");
    // Two that come at once may be one.
    until("it has ended", || {
        sender.signal("TERM");
        state_of(sender.id()) == 'Z'
    });
    failed(&sender.finish(), &["second signal"]);
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() < MUCH, "it is complete");
}

/// The state of a process, as a letter: `Z` is one that has ended.
#[cfg(target_os = "linux")]
fn state_of(process: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// A signal while the receiver's word is awaited: nobody knows whether all was stored.
#[test]
fn a_sender_that_is_stopped_while_it_waits_says_what_is_not_known() {
    let rooms = Rooms::new();
    rooms.write("a.bin", bytes(1000));
    let (listener, address) = listen();
    let sender = Running::spawn(send(&address, [rooms.inner.join("a.bin")]).args(["--grace", "300ms"]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    sender.signal("TERM");
    let finished = sender.finish();
    assert_eq!(finished.code(), 1, "{finished:?}");
    assert!(finished.stderr.contains("confirm"), "{finished:?}");
    drop(stream);
}

/// Whether the other end, in another process, has read all that was written here.
#[cfg(target_os = "linux")]
fn all_was_read(stream: &TcpStream) -> bool {
    let hex = |port: u16| format!("0100007F:{port:04X}");
    let (here, there) = (stream.local_addr().unwrap().port(), stream.peer_addr().unwrap().port());
    let (here, there) = (hex(here), hex(there));
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    // number, local address, remote address, state, bytes queued to leave : to be read
    let queued = |from: &str, to: &str| {
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|line| line[1] == from && line[2] == to)?;
        line[4].split_once(':').map(|(leave, read)| (leave.to_owned(), read.to_owned()))
    };
    let nothing = "00000000";
    queued(&here, &there).is_none_or(|(leave, _)| leave == nothing)
        && queued(&there, &here).is_none_or(|(_, read)| read == nothing)
}

/// The receiver can't print its texts, so that it has not ended its stream when it is killed.
#[cfg(target_os = "linux")]
#[test]
fn a_receiver_that_is_killed_after_it_took_everything_has_confirmed_nothing() {
    let rooms = Rooms::new();
    let mut command = receive_command(&rooms.inner, NONE);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut receiver = command.spawn().unwrap();
    // Nobody reads more of it than this.
    let mut stdout = receiver.stdout.take().unwrap();
    let address = first_line(&mut stdout).strip_prefix("listening on ").unwrap().to_owned();
    let mut log = BufReader::new(receiver.stderr.take().unwrap()).lines();
    let mut sender = Sender::connect(&address);
    // The pipe does not hold the first of these; and one waits for another.
    for _ in 0..3 {
        sender.whole("TEXT", "", "t".repeat(100_000).as_bytes());
        log.find(|line| line.as_ref().unwrap().contains("a text")).unwrap().unwrap();
    }
    sender.file("a.txt", b"a");
    sender.end();
    until("it has read everything", || all_was_read(&sender.0));
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    let error = sender.answer().expect_err("it ends in order");
    assert!(is_reset(&error), "{error:?}");
}

fn first_line(stdout: &mut ChildStdout) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while stdout.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// It stands still; the sender goes on when it does.
#[test]
fn a_receiver_that_stands_still_for_a_while_loses_nothing() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let source = rooms.outer.path().join("out/large.bin");
    fs::write(&source, bytes(MUCH)).unwrap();
    receiver.signal("STOP");
    let sender = Running::spawn(&mut send(&address, [&source]));
    receiver.signal("CONT");
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(tree(&rooms.inner), forest([("large.bin", &bytes(MUCH)[..])]));
    stop(receiver);
    let again = run(&mut send(&address, [&source]), b"");
    failed(&again, &["heartwire files receive"]);
}
