//! `files send` with receivers written by hand: what it puts on the wire, to the byte; what it refuses before it
//! connects; and what it says of a receiver's end.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use heartwire_tests::channel::{peak_memory_kib, set_len};
use heartwire_tests::chat::{one_line_of_stderr, stop};
use heartwire_tests::files::{
    MUCH, Rooms, accept, everything, failed, forest, last_words, listen, nobody, receive, send, small_files,
    tree, unprivileged,
};
use heartwire_tests::peers::content::{Content, bytes};
use heartwire_tests::peers::json_header::{self, Header, message, read_head};
use heartwire_tests::program::{Finished, Running, heartwire, run};

const NONE: [&str; 0] = [];

/// Takes everything it sends as it is, and ends in order.
#[track_caller]
fn taken(listener: &TcpListener, sender: Running) -> (Vec<u8>, Finished) {
    let mut stream = accept(listener);
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    drop(stream);
    (bytes, sender.finish())
}

/// What `files send` puts on the wire with these arguments.
#[track_caller]
fn wire<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Vec<u8> {
    let (listener, address) = listen();
    let (bytes, finished) = taken(&listener, Running::spawn(&mut send(&address, args)));
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    bytes
}

/// Checks that this is refused in one line before anybody is connected to.
#[track_caller]
fn refused(command: impl FnOnce(&str) -> Command, texts: &[&str]) {
    let (listener, address) = listen();
    let finished = run(&mut command(&address), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
    one_line_of_stderr(&finished, texts);
    nobody(&listener);
}

#[test]
fn types_go_by_extension_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut paths = Vec::new();
    for (names, kind) in [
        ("a.txt b.md c.log d.json e.xml F.TXT g.b.Log", "TEXT"),
        ("h.csv i.CsV", "CSV"),
        ("j.jpg k.jpeg l.png m.bmp n.gif o.tiff p.webp q.JPG", "IMAGE"),
        ("r s. t.tif u.txt.gz .txt txt é.bin", "UNKNOWN"),
    ] {
        for name in names.split(' ') {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            paths.push(path);
            expected.extend(message(kind, name, name.as_bytes()));
        }
    }
    assert_eq!(wire(&paths), expected);
}

#[test]
fn one_type_for_all_may_be_said() {
    let dir = tempfile::tempdir().unwrap();
    let paths = ["a.txt", "b.csv", "c"].map(|name| dir.path().join(name));
    for path in &paths {
        fs::write(path, "x").unwrap();
    }
    for kind in ["TEXT", "CSV", "IMAGE", "UNKNOWN"] {
        let expected = ["a.txt", "b.csv", "c"].map(|name| message(kind, name, b"x")).concat();
        let mut args = vec!["--type".into(), kind.into()];
        args.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
        assert_eq!(wire(args), expected, "{kind}");
    }
    let finished = run(&mut send("tcp://127.0.0.1:9", ["--type", "OTHER", "x"]), b"");
    assert_eq!(finished.code(), 2, "{finished:?}");
}

#[test]
fn files_of_every_size_come_in_order_and_then_the_text() {
    let sizes = [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 3 * 1024 * 1024 + 1];
    let (_dir, paths) = heartwire_tests::channel::files(&sizes);
    let mut expected = Vec::new();
    for (number, size) in sizes.iter().enumerate() {
        expected.extend(message("UNKNOWN", &format!("{number}.bin"), &bytes(*size)));
    }
    expected.extend(message("TEXT", "", "zwölf \u{1f600}\n".as_bytes()));
    let mut args = vec!["--text".into(), "zwölf \u{1f600}\n".into()];
    args.extend(paths.iter().map(|path| path.as_os_str().to_owned()));
    let sent = wire(args);
    assert!(sent == expected, "{} bytes instead of {}", sent.len(), expected.len());
    // A text alone; one that is empty.
    assert_eq!(wire(["--text", "alone"]), message("TEXT", "", b"alone"));
    assert_eq!(wire(["--text", ""]), message("TEXT", "", b""));
    // It may look like an option.
    assert_eq!(wire(["--text", "-5 °C"]), message("TEXT", "", "-5 °C".as_bytes()));
}

#[test]
fn nothing_to_send_is_bad_usage() {
    let finished = run(&mut send("tcp://127.0.0.1:9", NONE), b"");
    assert_eq!(finished.code(), 2, "{finished:?}");
}

#[test]
fn folders_are_sent_by_name_with_everything_below() {
    let rooms = Rooms::new();
    for name in ["run/b.txt", "run/a/z.csv", "run/a/b/c/d", "run/é/ü", "run/.hidden"] {
        rooms.write(name, name);
    }
    fs::create_dir(rooms.inner.join("run/empty")).unwrap();
    let names = ["run/.hidden", "run/a/b/c/d", "run/a/z.csv", "run/b.txt", "run/é/ü"];
    let expected: Vec<_> = names
        .map(|name| {
            (Header::new(json_header::kind_of(name), name.len() as u64, name), name.as_bytes().to_vec())
        })
        .into();
    let run = rooms.inner.join("run");
    let slash = format!("{}/", run.display());
    for path in [run.to_str().unwrap(), &slash] {
        let sent = wire([path]);
        assert_eq!(everything(&mut &sent[..]).unwrap(), expected, "{path}");
    }
    // As it is called where it is.
    let (listener, address) = listen();
    let sender = Running::spawn(send(&address, ["."]).current_dir(&run));
    let (sent, finished) = taken(&listener, sender);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(everything(&mut &sent[..]).unwrap(), expected);
}

#[cfg(unix)]
#[test]
fn links_are_followed_where_they_were_named_and_not_in_folders() {
    use std::os::unix::fs::symlink;

    let rooms = Rooms::new();
    rooms.write("run/a.txt", "a");
    symlink("../../secret.txt", rooms.inner.join("run/secret.txt")).unwrap();
    symlink("../../out", rooms.inner.join("run/out")).unwrap();
    symlink(".", rooms.inner.join("run/round")).unwrap();
    symlink("nowhere", rooms.inner.join("run/dangling")).unwrap();
    symlink("run", rooms.inner.join("folder")).unwrap();
    symlink("../secret.txt", rooms.inner.join("file")).unwrap();
    let pipe = rooms.inner.join("run/pipe");
    #[cfg(target_os = "linux")]
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [rooms.inner.join("folder"), rooms.inner.join("file")]));
    let (sent, finished) = taken(&listener, sender);
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert_eq!(sent, [message("TEXT", "folder/a.txt", b"a"), message("UNKNOWN", "file", b"secret")].concat());
    // And what was left out is told.
    for name in ["run/secret.txt", "run/out", "run/round", "run/dangling"]
        .map(|name| name.rsplit_once('/').unwrap().1)
    {
        assert!(finished.stderr.contains(name), "{name}: {finished:?}");
    }
    refused(|address| send(address, [rooms.inner.join("run/dangling")]), &["dangling"]);
}

#[test]
fn what_is_missing_is_said_before_anybody_is_connected_to() {
    let rooms = Rooms::new();
    rooms.write("a.txt", "a");
    let missing = rooms.inner.join("missing.txt");
    let args = [&rooms.inner.join("a.txt"), &missing];
    refused(|address| send(address, args), &[missing.to_str().unwrap(), "No such file", "; "]);
    // What people may not see as it is, is escaped.
    let odd = rooms.inner.join("a\u{1b}[31mb\u{202e}");
    let finished = run(&mut send("tcp://127.0.0.1:9", [&odd]), b"");
    assert!(!finished.stderr.contains(['\u{1b}', '\u{202e}']), "{finished:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_can_not_be_read_is_said_before_anybody_is_connected_to() {
    use std::os::unix::fs::PermissionsExt;

    let closed = fs::Permissions::from_mode(0o000);
    let rooms = Rooms::new();
    for name in ["run/a.txt", "run/sub/b.txt", "file.txt", "single/c.txt"] {
        rooms.write(name, "x");
    }
    for name in ["run/sub", "file.txt", "single/c.txt"] {
        fs::set_permissions(rooms.inner.join(name), closed.clone()).unwrap();
    }
    for (name, which) in [("run", "run/sub"), ("file.txt", "file.txt"), ("single", "single/c.txt")] {
        let path = rooms.inner.join(which);
        let asked = |address: &str| unprivileged(&send(address, [rooms.inner.join(name)]));
        refused(asked, &[path.to_str().unwrap(), "Permission denied", "; "]);
    }
    fs::set_permissions(rooms.inner.join("run/sub"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_file_is_said_before_anybody_is_connected_to() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let rooms = Rooms::new();
    let pipe = rooms.inner.join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    refused(|address| send(address, [&pipe]), &["pipe", "no file", "; "]);
    refused(|address| send(address, ["/dev/zero"]), &["/dev/zero", "no file"]);
    refused(|address| send(address, ["/"]), &["/", "name"]);
    let odd = rooms.inner.join("run").join(OsStr::from_bytes(b"a\xffb.txt"));
    fs::create_dir(rooms.inner.join("run")).unwrap();
    fs::write(&odd, "x").unwrap();
    refused(|address| send(address, [&odd]), &["UTF-8", "; "]);
    refused(|address| send(address, [rooms.inner.join("run")]), &["UTF-8", "; "]);
}

#[test]
fn two_files_of_one_name_are_refused_but_for_values() {
    let rooms = Rooms::new();
    for name in ["a/same.txt", "b/same.txt", "a/same.csv", "b/same.csv"] {
        rooms.write(name, name);
    }
    let paths = |name: &str| ["a", "b"].map(|folder| rooms.inner.join(folder).join(name));
    refused(|address| send(address, paths("same.txt")), &["same.txt", "; "]);
    let twice = [&rooms.inner.join("a"), &rooms.inner.join("b/../a")];
    refused(|address| send(address, twice), &["a/same.txt"]);
    let mut typed = vec!["--type".into(), "TEXT".into()];
    typed.extend(paths("same.csv").map(std::path::PathBuf::into_os_string));
    refused(|address| send(address, typed), &["same.csv"]);
    let expected =
        [message("CSV", "same.csv", b"a/same.csv"), message("CSV", "same.csv", b"b/same.csv")].concat();
    assert_eq!(wire(paths("same.csv")), expected);
}

#[test]
fn nobody_there_is_said_with_what_to_do() {
    let (_dir, path) = heartwire_tests::channel::file(10);
    let (listener, address) = listen();
    drop(listener);
    let finished = run(&mut send(&address, [&path]), b"");
    failed(&finished, &[address.trim_start_matches("tcp://"), "heartwire files receive"]);
}

#[test]
fn it_is_done_only_when_the_receiver_ends_in_order() {
    let (_dir, path) = heartwire_tests::channel::file(100_000);
    // Until then it waits, and says so when it waits no more.
    let (listener, address) = listen();
    let mut sender = Running::spawn(send(&address, [&path]).args(["--wait", "200ms"]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    sender.log_line("0.bin");
    failed(&sender.finish(), &["200ms", "confirm"]);
    drop(stream);

    // It does not end its stream, it resets the connection, after it has read everything.
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
    failed(&sender.finish(), &["reset", "again"]);

    // It ends in order.
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(sender.finish().code(), 0);
}

#[test]
fn a_receiver_that_ends_too_early_has_not_stored_everything() {
    let (_dir, paths) = heartwire_tests::channel::files(&[10, MUCH]);
    for (what, at_once) in [("its stream ends", false), ("the connection does", true)] {
        let (listener, address) = listen();
        let sender = Running::spawn(&mut send(&address, &paths));
        let mut stream = accept(&listener);
        assert_eq!(json_header::read(&mut stream).unwrap().unwrap().1, bytes(10));
        assert_eq!(read_head(&mut stream).unwrap().unwrap().filename, "1.bin");
        if at_once {
            drop(stream);
            let finished = sender.finish();
            failed(&finished, &["1.bin", "again"]);
            continue;
        }
        stream.shutdown(Shutdown::Write).unwrap();
        let finished = sender.finish();
        failed(&finished, &["1.bin", "before everything was sent", "again"]);
        assert!(!finished.stderr.contains("panicked"), "{what}: {finished:?}");
    }
}

#[test]
fn what_a_receiver_refused_is_said_and_is_a_failure() {
    let (_dir, path) = heartwire_tests::channel::file(10);
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    json_header::send_text(&mut stream, "0.bin: it is there\n\u{1b}[31m\u{202e}x: why\n").unwrap();
    drop(stream);
    let finished = sender.finish();
    failed(&finished, &["0.bin: it is there", "x: why"]);
    assert!(!finished.stderr.contains(['\u{1b}', '\u{202e}']), "{finished:?}");

    // An endless answer is not held.
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [&path]));
    let mut stream = accept(&listener);
    assert_eq!(everything(&mut stream).unwrap().len(), 1);
    json_header::write_from(
        &mut stream,
        &Header::new("TEXT", MUCH as u64, ""),
        &mut Content::new(MUCH as u64),
    )
    .unwrap();
    let peak = peak_memory_kib(sender.id());
    assert!(peak < 32 * 1024, "{peak} KiB");
    drop(stream);
    let finished = sender.finish();
    assert_eq!(finished.code(), 1);
    assert!(finished.stderr.len() < 200_000, "{}", finished.stderr.len());

    // One that breaks off, or is none, is no confirmation either.
    for answer in [&message("TEXT", "", b"0.bin: why")[..20], b"\0\0\0\x03abc", b"\0\0"] {
        let (listener, address) = listen();
        let sender = Running::spawn(&mut send(&address, [&path]));
        let mut stream = accept(&listener);
        assert_eq!(everything(&mut stream).unwrap().len(), 1);
        stream.write_all(answer).unwrap();
        drop(stream);
        failed(&sender.finish(), &[]);
    }
}

/// A large file that a receiver has begun to read, and then holds back; and the sender of it.
struct Held {
    rooms: Rooms,
    sender: Running,
    stream: TcpStream,
}

impl Held {
    /// The file is `run/1.bin`; `0.bin` comes before it, `2.bin` after it.
    fn begin() -> Self {
        let rooms = Rooms::new();
        rooms.write("run/0.bin", bytes(10));
        rooms.write("run/1.bin", bytes(MUCH));
        rooms.write("run/2.bin", bytes(20));
        let (listener, address) = listen();
        let sender = Running::spawn(&mut send(&address, [rooms.inner.join("run")]));
        let mut stream = accept(&listener);
        assert_eq!(json_header::read(&mut stream).unwrap().unwrap().1, bytes(10));
        assert_eq!(read_head(&mut stream).unwrap(), Some(Header::new("UNKNOWN", MUCH as u64, "run/1.bin")));
        Self { rooms, sender, stream }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.rooms.inner.join("run").join(name)
    }

    /// Reads on until nothing more comes, however the stream ends: how much of the file came, and what the sender
    /// left behind.
    fn go_on(mut self) -> (usize, Finished) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
        drop(self.stream);
        (rest.len(), self.sender.finish())
    }

    /// The file was changed: it never is complete, and the sender says what happened to it.
    #[track_caller]
    fn ends_cut(self, texts: &[&str]) {
        let path = self.path("1.bin");
        let (came, finished) = self.go_on();
        assert!(came < MUCH, "it is complete: {came}");
        failed(
            &finished,
            &[&["run/1.bin", path.to_str().unwrap(), &MUCH.to_string(), "send it"], texts].concat(),
        );
    }
}

#[test]
fn a_file_that_shrinks_is_cut() {
    let held = Held::begin();
    set_len(&held.path("1.bin"), MUCH as u64 - 1);
    held.ends_cut(&["shrunk", &(MUCH - 1).to_string()]);

    let held = Held::begin();
    set_len(&held.path("1.bin"), 0);
    held.ends_cut(&["shrunk", " 0 bytes"]);
}

#[test]
fn a_file_that_grows_is_cut() {
    let held = Held::begin();
    let mut file = File::options().append(true).open(held.path("1.bin")).unwrap();
    file.write_all(b"x").unwrap();
    held.ends_cut(&["grown", &(MUCH + 1).to_string()]);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_written_to_is_cut() {
    use std::os::unix::fs::FileExt;

    for at in [0, MUCH as u64 - 1] {
        let held = Held::begin();
        File::options().write(true).open(held.path("1.bin")).unwrap().write_at(b"x", at).unwrap();
        held.ends_cut(&["written to"]);
    }
}

/// Who replaces a file as a whole does no harm: what was begun is sent to its end.
#[cfg(unix)]
#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    for replaced in [false, true] {
        let mut held = Held::begin();
        if replaced {
            held.rooms.write("new", "another");
            fs::rename(held.rooms.inner.join("new"), held.path("1.bin")).unwrap();
        } else {
            fs::remove_file(held.path("1.bin")).unwrap();
        }
        let mut content = vec![0; MUCH];
        held.stream.read_exact(&mut content).unwrap();
        assert!(content == bytes(MUCH), "the content is another");
        assert_eq!(everything(&mut held.stream).unwrap()[0].1, bytes(20));
        assert_eq!(held.go_on().1.code(), 0);
    }
}

#[cfg(unix)]
#[test]
fn what_a_file_has_become_by_its_turn_counts() {
    // It is gone.
    let held = Held::begin();
    fs::remove_file(held.path("2.bin")).unwrap();
    let path = held.path("2.bin");
    let (_, finished) = held.go_on();
    failed(&finished, &[path.to_str().unwrap(), "No such file", "; "]);

    // It has become a link to elsewhere, which is not followed.
    let held = Held::begin();
    fs::remove_file(held.path("2.bin")).unwrap();
    std::os::unix::fs::symlink("../../secret.txt", held.path("2.bin")).unwrap();
    let path = held.path("2.bin");
    let (came, finished) = held.go_on();
    assert!(came <= MUCH, "{came}");
    failed(&finished, &[path.to_str().unwrap(), "; "]);

    // It is another, which is sent.
    let held = Held::begin();
    fs::write(held.path("2.bin"), "changed before its turn").unwrap();
    let (came, finished) = held.go_on();
    assert_eq!(finished.code(), 0, "{finished:?}");
    assert!(came > MUCH);
}

#[cfg(target_os = "linux")]
#[test]
fn neither_memory_nor_open_files_grow_with_what_is_sent() {
    let source = tempfile::tempdir().unwrap();
    let files = small_files(&source.path().join("many"), 500);
    let (listener, address) = listen();
    let command = send(&address, [source.path().join("many")]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    let (sent, finished) = taken(&listener, Running::spawn(&mut limited));
    assert_eq!(finished.code(), 0, "{finished:?}");
    let sent = everything(&mut &sent[..]).unwrap();
    let mut expected: Vec<_> =
        files.into_iter().map(|(name, content)| (format!("many/{name}"), content)).collect();
    expected.sort_by_key(|(name, _)| name.split('/').map(ToOwned::to_owned).collect::<Vec<_>>());
    let sent: Vec<_> = sent.into_iter().map(|(header, content)| (header.filename, content)).collect();
    assert!(sent == expected, "{} files", sent.len());

    let large = source.path().join("large.bin");
    set_len(&large, 256 * 1024 * 1024);
    let (listener, address) = listen();
    let sender = Running::spawn(&mut send(&address, [&large]));
    let mut stream = accept(&listener);
    assert_eq!(json_header::read_pieces(&mut stream, |_| Ok(())).unwrap().unwrap().size, 256 * 1024 * 1024);
    let peak = peak_memory_kib(sender.id());
    assert!(peak < 32 * 1024, "{peak} KiB");
    // Who has all of it need not wait for the end of the stream.
    drop(stream);
    assert_eq!(sender.finish().code(), 0);
}

#[test]
fn receivers_as_they_exist_are_served() {
    let (source, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = small_files(&source.path().join("run"), 100);
    fs::write(source.path().join("values.csv"), "1\n").unwrap();
    for _ in 0..2 {
        let (listener, address) = listen();
        let sender = Running::spawn(&mut send(
            &address,
            [source.path().join("run"), source.path().join("values.csv")],
        ));
        let mut stream = accept(&listener);
        while json_header::save(&mut stream, target.path()).unwrap().is_some() {}
        drop(stream);
        let finished = sender.finish();
        assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    }
    assert_eq!(fs::read_to_string(target.path().join("values.csv")).unwrap(), "1\n1\n");
    assert_eq!(tree(&target.path().join("run")), tree(&source.path().join("run")));
    assert!(files.len() == 100);
}

#[test]
fn what_one_program_sends_is_there_in_the_other() {
    let (source, rooms) = (tempfile::tempdir().unwrap(), Rooms::new());
    let _ = small_files(&source.path().join("run"), 3000);
    fs::write(source.path().join("large.bin"), bytes(5_000_000)).unwrap();
    let (mut receiver, address) = receive(&rooms.inner);
    let mut args = ["run", "large.bin"].map(|name| source.path().join(name).into_os_string()).to_vec();
    args.extend(["--text".into(), "that was all".into()]);
    let finished = run(&mut send(&address, args), b"");
    assert_eq!((finished.code(), finished.stdout.as_str()), (0, ""), "{finished:?}");
    assert_eq!(receiver.line(), "that was all");
    assert_eq!(tree(&rooms.inner), tree(source.path()));

    // What is refused is said there, too, and everything else arrives.
    let odd = tempfile::tempdir().unwrap();
    fs::write(odd.path().join("a\u{202e}b.txt"), "x").unwrap();
    fs::write(odd.path().join("fine.txt"), "fine").unwrap();
    let finished =
        run(&mut send(&address, ["a\u{202e}b.txt", "fine.txt"].map(|name| odd.path().join(name))), b"");
    failed(&finished, &["did not store everything", "b.txt: "]);
    assert!(!last_words(&finished).contains('\u{202e}'), "{finished:?}");
    let mut expected = tree(source.path());
    expected.extend(forest([("fine.txt", &b"fine"[..])]));
    assert_eq!(tree(&rooms.inner), expected);
    stop(receiver);
}

#[test]
fn the_wait_may_be_set_and_everything_is_in_the_help() {
    let help = run(&mut heartwire(["files", "send", "--help"]), b"");
    assert_eq!(help.code(), 0);
    for option in ["--text", "--type", "--wait", "--grace", "60s", "ADDR", "PATH"] {
        assert!(help.stdout.contains(option), "{option}: {}", help.stdout);
    }
    let help = run(&mut heartwire(["files", "receive", "--help"]), b"");
    for option in ["--listen", "--dir", "--on-exist", "--max-connections", "--timeout", "--grace", "received"]
    {
        assert!(help.stdout.contains(option), "{option}: {}", help.stdout);
    }
}
