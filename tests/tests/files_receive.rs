//! `files receive` with senders written by hand: what arrives is there byte for byte, under its name, and only then.

use std::fs;
use std::path::Path;
use std::thread;

use heartwire_tests::chat::stop;
use heartwire_tests::files::{
    MUCH, Rooms, Sender, failed, forest, parts, receive, receive_command, receive_with, shown, small_files,
    start, tree, until_parts,
};
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::json_header::{self, Header, message};
use heartwire_tests::program::{Running, run};

const NONE: [&str; 0] = [];

#[test]
fn files_of_every_size_and_type_are_there_byte_for_byte() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let sizes = [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 262_144, 262_145, 3 * 1024 * 1024 + 1];
    let files: Vec<_> = sizes
        .iter()
        .flat_map(|size| {
            let named =
                |kind: &str| (kind.to_owned(), format!("{}/{size}", kind.to_lowercase()), bytes(*size));
            ["TEXT", "CSV", "IMAGE", "UNKNOWN", "SOMETHING"].map(named)
        })
        .collect();
    let mut sender = Sender::connect(&address);
    for (kind, name, content) in &files {
        sender.whole(kind, name, content);
    }
    assert_eq!(sender.finish(), NONE);
    let expected = forest(files.iter().map(|(_, name, content)| (name.as_str(), &content[..])));
    assert_eq!(tree(&rooms.inner), expected);
    for (_, name, content) in &files {
        let line = receiver.log_line(name);
        assert!(line.contains(&content.len().to_string()), "{line}");
    }
    stop(receiver);
}

#[test]
fn senders_as_they_exist_are_served() {
    let rooms = Rooms::new();
    let source = tempfile::tempdir().unwrap();
    let path = source.path().join("source");
    fs::write(&path, bytes(200_000)).unwrap();
    let (mut receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    for name in ["a.txt", "run/sub/b.png", "run/é c.bin"] {
        json_header::send_file(&mut sender.0, &path, name).unwrap();
    }
    json_header::send_text(&mut sender.0, "a text").unwrap();
    assert_eq!(sender.finish(), NONE);
    assert_eq!(receiver.line(), "a text");
    let content = bytes(200_000);
    let expected = forest(["a.txt", "run/sub/b.png", "run/é c.bin"].map(|name| (name, &content[..])));
    assert_eq!(tree(&rooms.inner), expected);
    stop(receiver);
}

#[test]
fn however_a_stream_is_split_it_is_the_same() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut stream = message("TEXT", "a.txt", b"first");
    stream.extend(message("CSV", "b/c.csv", b"1,2\n"));
    stream.extend(message("UNKNOWN", "empty", b""));
    stream.extend(message("CSV", "b/c.csv", b"3,4\n"));
    for step in [1, 3, 50, stream.len()] {
        let mut sender = Sender::connect(&address);
        sender.0.set_nodelay(true).unwrap();
        for piece in stream.chunks(step) {
            sender.raw(piece);
        }
        assert_eq!(sender.finish(), NONE);
    }
    let values = b"1,2\n3,4\n".repeat(4);
    assert_eq!(tree(&rooms.inner), forest([("a.txt", &b"first"[..]), ("b/c.csv", &values), ("empty", b"")]));
    stop(receiver);
}

#[test]
fn thousands_of_small_files_in_nested_folders_are_there() {
    let (source, rooms) = (tempfile::tempdir().unwrap(), Rooms::new());
    let files = small_files(source.path(), 3000);
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    let mut stream = Vec::new();
    for (name, content) in &files {
        stream.extend(message("UNKNOWN", name, content));
    }
    sender.raw(&stream);
    assert_eq!(sender.finish(), NONE);
    assert_eq!(tree(&rooms.inner), tree(source.path()));
    stop(receiver);
}

#[test]
fn a_name_is_taken_only_by_what_is_complete() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let content = bytes(MUCH);
    let mut sender = Sender::connect(&address);
    sender.begin("UNKNOWN", "folder/large.bin", MUCH).raw(&content[..MUCH - 1]);
    until_parts(&rooms.inner, 1, MUCH as u64 / 2);
    let part = parts(&rooms.inner).remove(0).0;
    assert!(part.starts_with("folder/.large.bin."), "beside its destination: {part}");
    assert!(!rooms.inner.join("folder/large.bin").exists());
    sender.raw(&content[MUCH - 1..]);
    assert_eq!(sender.finish(), NONE);
    assert_eq!(tree(&rooms.inner), forest([("folder/large.bin", &content[..])]));
    stop(receiver);
}

#[test]
fn one_that_stalls_holds_none_of_the_others_up() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let content = bytes(3_000_000);
    let mut stalled = Sender::connect(&address);
    stalled.begin("UNKNOWN", "stalled.bin", content.len()).raw(&content[..1_500_000]);
    until_parts(&rooms.inner, 1, 1);
    let others: Vec<_> = (0..9)
        .map(|number| {
            let (address, content) = (address.clone(), content.clone());
            thread::spawn(move || {
                let mut sender = Sender::connect(&address);
                sender.whole("UNKNOWN", &format!("{number}.bin"), &content);
                sender.finish()
            })
        })
        .collect();
    for other in others {
        assert_eq!(other.join().unwrap(), NONE);
    }
    let names: Vec<_> = (0..9).map(|number| format!("{number}.bin")).collect();
    for name in &names {
        assert_eq!(fs::read(rooms.inner.join(name)).unwrap(), content, "{name}");
    }
    assert!(!rooms.inner.join("stalled.bin").exists());
    stalled.raw(&content[1_500_000..]);
    assert_eq!(stalled.finish(), NONE);
    let all = names.iter().map(String::as_str).chain(["stalled.bin"]);
    assert_eq!(tree(&rooms.inner), forest(all.map(|name| (name, &content[..]))));
    stop(receiver);
}

#[test]
fn of_two_with_one_name_the_last_to_be_complete_has_it_whole() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let (one, two) = (vec![b'1'; 300_000], vec![b'2'; 200_000]);
    let (mut first, mut second) = (Sender::connect(&address), Sender::connect(&address));
    first.begin("UNKNOWN", "same.bin", one.len()).raw(&one[..150_000]);
    until_parts(&rooms.inner, 1, 0);
    second.begin("UNKNOWN", "same.bin", two.len()).raw(&two[..100_000]);
    until_parts(&rooms.inner, 2, 0);
    second.raw(&two[100_000..]);
    assert_eq!(second.finish(), NONE);
    assert_eq!(shown(&fs::read(rooms.inner.join("same.bin")).unwrap()), shown(&two));
    first.raw(&one[150_000..]);
    assert_eq!(first.finish(), NONE);
    assert_eq!(tree(&rooms.inner), forest([("same.bin", &one[..])]));

    // Many that race.
    let all: Vec<_> = (0..8)
        .map(|number: u8| {
            let address = address.clone();
            thread::spawn(move || {
                let mut sender = Sender::connect(&address);
                sender.whole("UNKNOWN", "new/raced.bin", &vec![number; 100_000 + usize::from(number)]);
                assert_eq!(sender.finish(), NONE);
            })
        })
        .collect();
    for sender in all {
        sender.join().unwrap();
    }
    let won = fs::read(rooms.inner.join("new/raced.bin")).unwrap();
    assert_eq!(won, vec![won[0]; 100_000 + usize::from(won[0])]);
    assert_eq!(parts(&rooms.inner), []);
    stop(receiver);
}

#[test]
fn values_of_two_senders_are_appended_each_as_a_whole() {
    let rooms = Rooms::new();
    rooms.write("values.csv", "0\n");
    let (receiver, address) = receive(&rooms.inner);
    let (one, two) = (b"1\n".repeat(100_000), b"2\n".repeat(50_000));
    let (mut first, mut second) = (Sender::connect(&address), Sender::connect(&address));
    first.begin("CSV", "values.csv", one.len()).raw(&one[..100_000]);
    second.begin("CSV", "values.csv", two.len()).raw(&two[..50_000]);
    until_parts(&rooms.inner, 2, 0);
    assert_eq!(fs::read(rooms.inner.join("values.csv")).unwrap(), b"0\n");
    second.raw(&two[50_000..]);
    assert_eq!(second.finish(), NONE);
    first.raw(&one[100_000..]);
    assert_eq!(first.finish(), NONE);
    let expected = [&b"0\n"[..], &two, &one].concat();
    assert_eq!(tree(&rooms.inner), forest([("values.csv", &expected[..])]));

    // Many that race.
    let all: Vec<_> = (0..8)
        .map(|number| {
            let address = address.clone();
            thread::spawn(move || {
                let mut sender = Sender::connect(&address);
                let line = format!("{number}\n").repeat(20_000);
                sender.file("raced.csv", line.as_bytes());
                assert_eq!(sender.finish(), NONE);
            })
        })
        .collect();
    for sender in all {
        sender.join().unwrap();
    }
    let text = fs::read_to_string(rooms.inner.join("raced.csv")).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 8 * 20_000);
    lines.dedup();
    assert_eq!(lines.len(), 8, "mixed");
    assert_eq!(parts(&rooms.inner), []);
    stop(receiver);
}

#[test]
fn what_is_appended_goes_by_the_senders_type_not_by_the_name() {
    let rooms = Rooms::new();
    for mode in ["replace", "skip", "rename", "fail"] {
        let (values, text) = (format!("{mode}/values.txt"), format!("{mode}/new.csv"));
        rooms.write(&values, "1\n");
        let (receiver, address) = receive_with(&rooms.inner, ["--on-exist", mode]);
        let mut sender = Sender::connect(&address);
        sender.whole("CSV", &values, b"2").whole("CSV", &values, b"3\n").whole("TEXT", &text, b"4\n");
        assert_eq!(sender.finish(), NONE, "{mode}");
        assert_eq!(fs::read(rooms.inner.join(&values)).unwrap(), b"1\n23\n", "{mode}");
        assert_eq!(fs::read(rooms.inner.join(&text)).unwrap(), b"4\n", "{mode}");
        stop(receiver);
    }
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender.whole("UNKNOWN", "replace/values.txt", b"5").whole("TEXT", "replace/new.csv", b"6");
    assert_eq!(sender.finish(), NONE);
    assert_eq!(fs::read(rooms.inner.join("replace/values.txt")).unwrap(), b"5");
    assert_eq!(fs::read(rooms.inner.join("replace/new.csv")).unwrap(), b"6");
    stop(receiver);
}

#[test]
fn a_name_that_is_taken_is_replaced_skipped_renamed_or_refused() {
    for (mode, expected) in [
        ("replace", vec![("a/n.tar.gz", "second")]),
        ("skip", vec![("a/n.tar.gz", "old")]),
        ("fail", vec![("a/n.tar.gz", "old")]),
    ] {
        let rooms = Rooms::new();
        rooms.write("a/n.tar.gz", "old");
        let (receiver, address) = receive_with(&rooms.inner, ["--on-exist", mode]);
        let mut sender = Sender::connect(&address);
        sender.file("a/n.tar.gz", b"first").file("a/n.tar.gz", b"second").file("after.txt", b"1");
        let lines = sender.finish();
        // What stays because it was asked to is no failure.
        let told = if mode == "fail" { 2 } else { 0 };
        assert_eq!(lines.len(), told, "{mode}: {lines:?}");
        assert!(lines.iter().all(|line| line.starts_with("a/n.tar.gz: ")), "{lines:?}");
        let files = expected.iter().map(|(name, content)| (*name, content.as_bytes()));
        assert_eq!(tree(&rooms.inner), forest(files.chain([("after.txt", &b"1"[..])])), "{mode}");
        let log = stop(receiver).stderr;
        assert!(log.lines().filter(|line| line.contains("a/n.tar.gz")).count() >= 2, "{mode}: {log}");
    }

    let rooms = Rooms::new();
    rooms.write("a/n.txt", "old");
    rooms.write("a/n (1).txt", "taken");
    let (receiver, address) = receive_with(&rooms.inner, ["--on-exist", "rename"]);
    let mut sender = Sender::connect(&address);
    sender.file("a/n.txt", b"first").file("a/n.txt", b"second").file("a/other", b"x").file("a/other", b"y");
    assert_eq!(sender.finish(), NONE);
    let expected = [
        ("a/n.txt", &b"old"[..]),
        ("a/n (1).txt", b"taken"),
        ("a/n (2).txt", b"first"),
        ("a/n (3).txt", b"second"),
        ("a/other", b"x"),
        ("a/other (1)", b"y"),
    ];
    assert_eq!(tree(&rooms.inner), forest(expected));
    let log = stop(receiver).stderr;
    assert!(log.contains("n (2).txt"), "{log}");

    let finished = run(&mut receive_command(&rooms.inner, ["--on-exist", "ask"]), b"");
    assert_eq!(finished.code(), 2, "{finished:?}");
}

/// What appears under a name while a file of it is being received counts, too.
#[test]
fn a_name_that_is_taken_meanwhile_is_taken() {
    for (mode, expected) in
        [("skip", "meanwhile"), ("fail", "meanwhile"), ("replace", "new"), ("rename", "meanwhile")]
    {
        let rooms = Rooms::new();
        let (receiver, address) = receive_with(&rooms.inner, ["--on-exist", mode]);
        let mut sender = Sender::connect(&address);
        sender.begin("UNKNOWN", "n.txt", 3).raw(b"n");
        until_parts(&rooms.inner, 1, 0);
        rooms.write("n.txt", "meanwhile");
        sender.raw(b"ew");
        let lines = sender.finish();
        assert_eq!(lines.len(), usize::from(mode == "fail"), "{mode}: {lines:?}");
        assert_eq!(fs::read_to_string(rooms.inner.join("n.txt")).unwrap(), expected, "{mode}");
        assert_eq!(rooms.inner.join("n (1).txt").exists(), mode == "rename");
        assert_eq!(parts(&rooms.inner), []);
        stop(receiver);
    }
}

/// Somebody else holds the lock on the values: who appends to them waits, nobody else does.
#[cfg(unix)]
#[test]
fn a_file_that_is_locked_holds_up_nobody_else() {
    use rustix::fs::{FlockOperation, flock};

    let rooms = Rooms::new();
    rooms.write("values.csv", "0\n");
    let lock = fs::File::options().read(true).open(rooms.inner.join("values.csv")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let (receiver, address) = receive(&rooms.inner);
    // More than there are threads for tasks.
    let waiting: Vec<_> = (0..6)
        .map(|_| {
            let mut sender = Sender::connect(&address);
            sender.file("values.csv", b"1\n");
            sender
        })
        .collect();
    until_parts(&rooms.inner, 6, 12);
    for name in ["a.txt", "other.csv"] {
        let mut sender = Sender::connect(&address);
        sender.file(name, b"1\n");
        assert_eq!(sender.finish(), NONE);
    }
    assert_eq!(fs::read(rooms.inner.join("values.csv")).unwrap(), b"0\n");
    drop(lock);
    for sender in waiting {
        assert_eq!(sender.finish(), NONE);
    }
    let values = [&b"0\n"[..], &b"1\n".repeat(6)].concat();
    assert_eq!(
        tree(&rooms.inner),
        forest([("values.csv", &values[..]), ("a.txt", b"1\n"), ("other.csv", b"1\n")])
    );
    stop(receiver);
}

#[test]
fn texts_are_printed_and_leave_no_file() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender.whole("TEXT", "", b"one").whole("TEXT", "", "zwölf \u{1f600}".as_bytes()).whole("TEXT", "", b"");
    sender.whole("TEXT", "", "x".repeat(100_000).as_bytes());
    sender.file("after.txt", b"1");
    assert_eq!(sender.finish(), NONE);
    assert_eq!(receiver.line(), "one");
    assert_eq!(receiver.line(), "zwölf \u{1f600}");
    let mut line = receiver.line();
    if line.is_empty() {
        line = receiver.line();
    }
    assert_eq!(line.len(), 100_000);
    assert_eq!(tree(&rooms.inner), forest([("after.txt", &b"1"[..])]));
    stop(receiver);
}

#[test]
fn texts_that_are_too_long_are_refused_by_themselves() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    let long = "l".repeat(1024 * 1024);
    let mut sender = Sender::connect(&address);
    sender.whole("TEXT", "", (long.clone() + "x").as_bytes()).whole("TEXT", "", long.as_bytes());
    sender.file("after.txt", b"1");
    let lines = sender.finish();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("text"), "{lines:?}");
    assert_eq!(receiver.line(), long);
    assert_eq!(tree(&rooms.inner), forest([("after.txt", &b"1"[..])]));
    stop(receiver);
}

#[test]
fn the_folder_is_made_and_is_called_received_unless_told_otherwise() {
    let outer = tempfile::tempdir().unwrap();
    let mut command =
        heartwire_tests::program::heartwire(["files", "receive", "--listen", "tcp://127.0.0.1:0"]);
    let (receiver, address) = start(command.current_dir(outer.path()));
    let mut sender = Sender::connect(&address);
    sender.file("a.txt", b"1");
    assert_eq!(sender.finish(), NONE);
    stop(receiver);
    assert_eq!(tree(outer.path()), forest([("received/a.txt", &b"1"[..])]));

    let deep = outer.path().join("new/deep");
    let (receiver, _) = receive(&deep);
    assert!(deep.is_dir());
    stop(receiver);

    let file = outer.path().join("received/a.txt");
    let finished = run(&mut receive_command(&file, NONE), b"");
    failed(&finished, &[file.to_str().unwrap()]);
}

#[cfg(unix)]
#[test]
fn unix_sockets_serve_as_well() {
    let rooms = Rooms::new();
    let path = rooms.outer.path().join("out/files.sock");
    let address = format!("unix://{}", path.display());
    let mut command =
        heartwire_tests::program::heartwire(["files", "receive", "--listen", &address, "--dir"]);
    let mut receiver = Running::spawn(command.arg(&rooms.inner));
    assert_eq!(receiver.ready(), address);
    let file = rooms.outer.path().join("secret.txt");
    let finished = run(&mut heartwire_tests::files::send(&address, [&file]), b"");
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(tree(&rooms.inner), forest([("secret.txt", &b"secret"[..])]));
    stop(receiver);
    assert!(!path.exists());
}

/// The folder itself may be a link: who starts the receiver chose it.
#[cfg(unix)]
#[test]
fn the_folder_itself_may_be_a_link() {
    let rooms = Rooms::new();
    let link = rooms.outer.path().join("out/link");
    std::os::unix::fs::symlink(&rooms.inner, &link).unwrap();
    let (receiver, address) = receive(&link);
    let mut sender = Sender::connect(&address);
    sender.file("a/b.txt", b"1").file("c.csv", b"2\n");
    assert_eq!(sender.finish(), NONE);
    assert_eq!(tree(&rooms.inner), forest([("a/b.txt", &b"1"[..]), ("c.csv", b"2\n")]));
    stop(receiver);
}

/// Permissions are those that new files have; one that is replaced keeps its own.
#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_keeps_its_permissions() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let rooms = Rooms::new();
    for name in ["old.txt", "old.csv"] {
        rooms.write(name, "old\n");
        fs::set_permissions(rooms.inner.join(name), fs::Permissions::from_mode(0o640)).unwrap();
    }
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender
        .file("old.txt", b"new\n")
        .file("old.csv", b"new\n")
        .file("new.txt", b"new\n")
        .file("new.csv", b"new\n");
    assert_eq!(sender.finish(), NONE);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    let usual = mode(&rooms.outer.path().join("secret.txt"));
    for (name, expected) in [("old.txt", 0o640), ("old.csv", 0o640), ("new.txt", usual), ("new.csv", usual)] {
        assert_eq!(mode(&rooms.inner.join(name)), expected, "{name}");
    }
    stop(receiver);
}

#[cfg(target_os = "linux")]
#[test]
fn no_file_is_held_in_memory() {
    const LEN: usize = 256 * 1024 * 1024;
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let large = rooms.outer.path().join("out/large.bin");
    heartwire_tests::channel::set_len(&large, LEN as u64);
    let finished = run(&mut heartwire_tests::files::send(&address, [&large]), b"");
    assert_eq!(finished.code(), 0, "{finished:?}");
    let mut csv = Sender::connect(&address);
    csv.raw(&Header::new("CSV", LEN as u64 / 4, "large.csv").bytes());
    for _ in 0..LEN / 4 / (1024 * 1024) {
        csv.raw(&[b'1'; 1024 * 1024]);
    }
    assert_eq!(csv.finish(), NONE);
    let peak = heartwire_tests::channel::peak_memory_kib(receiver.id());
    assert!(peak < 32 * 1024, "{peak} KiB");
    assert_eq!(fs::metadata(rooms.inner.join("large.bin")).unwrap().len(), LEN as u64);
    assert_eq!(fs::metadata(rooms.inner.join("large.csv")).unwrap().len(), LEN as u64 / 4);
    stop(receiver);
}
