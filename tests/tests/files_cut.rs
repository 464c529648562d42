//! `files receive` when a transfer is cut: what is there afterwards is exactly what was there before.

use std::io::Read;
use std::net::TcpStream;

use heartwire_tests::chat::stop;
use heartwire_tests::files::{Rooms, Sender, forest, parts, receive, tree, until, until_parts};
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::json_header::{Header, kind_of};

const LEN: usize = 300_000;

/// Where the sender stops: so many bytes after its beginning, of a header of this length.
fn points(header: usize) -> [(&'static str, usize); 7] {
    [
        ("in the length", 2),
        ("in the header", header / 2),
        ("after the header", header),
        ("in the first piece", header + 1000),
        ("behind the first piece", header + 64 * 1024),
        ("in the middle", header + LEN / 2),
        ("one byte before the end", header + LEN - 1),
    ]
}

/// How it stops.
#[derive(Clone, Copy, Debug)]
enum How {
    /// Its stream ends there.
    Ends,
    /// The connection is reset.
    Resets,
}

/// Cuts transfers of that name everywhere, and checks that the folder is always what it was.
#[track_caller]
fn cut_everywhere(rooms: &Rooms, name: &str) {
    let (mut receiver, address) = receive(&rooms.inner);
    let before = tree(&rooms.inner);
    let header = Header::new(kind_of(name), LEN as u64, name).bytes();
    let message = [&header[..], &bytes(LEN)].concat();
    for how in [How::Ends, How::Resets] {
        for (place, at) in points(header.len()) {
            let what = format!("{name}, {how:?} {place}");
            let mut sender = Sender::connect(&address);
            sender.raw(&message[..at]);
            if at >= header.len() {
                until(&format!("{what}: it is being received"), || parts(&rooms.inner).len() == 1);
            }
            match how {
                How::Ends => {
                    let lines = sender.cut();
                    let said = |line: &String| line.starts_with(&format!("{name}: "));
                    assert!(lines.len() <= 1 && lines.iter().all(said), "{what}: {lines:?}");
                }
                How::Resets => sender.reset(),
            }
            if at >= header.len() {
                let line = receiver.log_line(name);
                // Its beginning may be told before.
                let line = if line.contains("cut") { line } else { receiver.log_line("cut") };
                assert!(line.contains(name), "{what}: {line}");
            }
            until(&format!("{what}: nothing is left"), || parts(&rooms.inner).is_empty());
            assert_eq!(tree(&rooms.inner), before, "{what}");
        }
    }
    // And it goes on.
    let mut sender = Sender::connect(&address);
    sender.file(name, b"complete\n").file("after.txt", b"1");
    assert_eq!(sender.finish(), [""; 0]);
    let mut after = before;
    let appends = kind_of(name) == "CSV";
    let kept = if appends && after.contains_key(name) { "0,0\n" } else { "" };
    after.extend(forest([(name, format!("{kept}complete\n").as_bytes()), ("after.txt", b"1")]));
    assert_eq!(tree(&rooms.inner), after);
    rooms.untouched();
    stop(receiver);
}

#[test]
fn of_a_new_file_nothing_is_left() {
    cut_everywhere(&Rooms::new(), "new.bin");
}

#[test]
fn of_new_values_nothing_is_left() {
    cut_everywhere(&Rooms::new(), "new.csv");
}

#[test]
fn a_file_that_is_there_keeps_its_content() {
    let rooms = Rooms::new();
    rooms.write("there.bin", bytes(5000));
    rooms.write("other.txt", "other");
    cut_everywhere(&rooms, "there.bin");
}

#[test]
fn values_that_are_there_keep_theirs() {
    let rooms = Rooms::new();
    rooms.write("there.csv", "0,0\n");
    cut_everywhere(&rooms, "there.csv");
}

#[test]
fn files_in_folders_that_are_there_leave_nothing_either() {
    let rooms = Rooms::new();
    rooms.write("a/b/there.bin", bytes(5000));
    cut_everywhere(&rooms, "a/b/there.bin");
    cut_everywhere(&rooms, "a/new.csv");
}

/// Folders that were made for it go with it.
#[test]
fn of_a_file_in_new_folders_nothing_is_left() {
    let rooms = Rooms::new();
    rooms.write("a/there.txt", "there");
    cut_everywhere(&rooms, "a/new/newer/new.bin");
}

#[test]
fn what_came_before_the_cut_is_kept() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender.file("1.bin", &bytes(LEN)).file("2.csv", b"1\n").begin("UNKNOWN", "3.bin", LEN).raw(&bytes(1000));
    assert!(sender.cut().iter().all(|line| line.starts_with("3.bin: ")));
    // What was cut, and how much of it there was.
    let line = receiver.log_line("cut");
    assert!(line.contains("3.bin") && line.contains("1000"), "{line}");
    assert_eq!(tree(&rooms.inner), forest([("1.bin", &bytes(LEN)[..]), ("2.csv", b"1\n")]));
    stop(receiver);
}

#[test]
fn what_is_no_header_ends_its_connection_alone() {
    use heartwire_tests::peers::json_header::{head, head_claiming};

    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let mut stalled = Sender::connect(&address);
    stalled.begin("UNKNOWN", "stalled.bin", 10).raw(b"12345");
    until_parts(&rooms.inner, 1, 0);
    for (bytes, code) in [
        (head_claiming(64 * 1024 + 1, b"{"), "header-too-large"),
        (head_claiming(u32::MAX, b""), "header-too-large"),
        (head(b"no JSON"), "invalid-header"),
        (head(br#"{"type": "TEXT", "size": -1, "filename": "x"}"#), "invalid-header"),
        (head(br#"{"type": "TEXT", "size": 18446744073709551616, "filename": "x"}"#), "invalid-header"),
        (head(br#"{"type": "TEXT", "filename": "x"}"#), "invalid-header"),
        (head(b""), "invalid-header"),
    ] {
        let mut sender = Sender::connect(&address);
        sender.file("before.txt", b"before").raw(&bytes);
        receiver.log_line(code);
        // However it ends: not as if all were well, without the sender's end.
        let _ = sender.0.read_to_end(&mut Vec::new());
        until(code, || tree(&rooms.inner).contains_key("before.txt"));
        std::fs::remove_file(rooms.inner.join("before.txt")).unwrap();
    }
    stalled.raw(b"67890");
    assert_eq!(stalled.finish(), [""; 0]);
    assert_eq!(tree(&rooms.inner), forest([("stalled.bin", &b"1234567890"[..])]));
    stop(receiver);
}

#[test]
fn lengths_that_no_disk_has_are_claims() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    for name in ["large.bin", "large.csv"] {
        let mut sender = Sender::connect(&address);
        sender.raw(&Header::new(kind_of(name), u64::MAX, name).bytes()).raw(&bytes(1000));
        until_parts(&rooms.inner, 1, 0);
        assert!(parts(&rooms.inner)[0].1 <= 1000, "{:?}", parts(&rooms.inner));
        let _ = sender.cut();
        until("nothing is left", || parts(&rooms.inner).is_empty());
        assert_eq!(tree(&rooms.inner), forest([]));
    }
    // A text that claims it is not gathered for.
    let mut sender = Sender::connect(&address);
    sender.raw(&Header::new("TEXT", u64::MAX, "").bytes()).raw(&bytes(1000));
    let _ = sender.cut();
    stop(receiver);
}

#[test]
fn a_connection_that_only_opens_leaves_no_trace() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut stream = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let ended = stream.read(&mut [0]);
    assert!(matches!(&ended, Ok(0)), "{ended:?}");
    Sender::connect(&address).reset();
    assert_eq!(Sender::connect(&address).finish(), [""; 0]);
    assert_eq!(tree(&rooms.inner), forest([]));
    stop(receiver);
}
