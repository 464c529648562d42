//! Comma-separated values are added to what is there: whole, or not at all.
#![cfg(unix)]

mod common;

use std::fs;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use common::*;
use heartwire_files::{Failed, How, OnExist, Store};
use rustix::fs::{FlockOperation, flock};

#[test]
fn values_are_added_whatever_was_chosen() {
    for on_exist in ALL {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), on_exist).unwrap();
        for name in ["a.csv", "sub/values.TXT"] {
            let receive = |content: &str| {
                let mut incoming = store.begin(&csv(name, content.len())).unwrap();
                incoming.write(content.as_bytes()).unwrap();
                incoming.finish().unwrap()
            };
            assert_eq!(receive("a,b\n").how, How::New);
            let stored = receive("1,2\n");
            assert_eq!((stored.name.as_str(), stored.size, stored.how), (name, 4, How::Appended));
            assert_eq!(receive("").how, How::Appended);
            assert_eq!(receive("3,4").how, How::Appended);
            assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), "a,b\n1,2\n3,4");
        }
        assert!(temporary(dir.path()).is_empty());
    }
}

#[test]
fn what_is_added_to_stays_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "old\n").unwrap();
    set_mode(&path, 0o600);
    let inode = fs::metadata(&path).unwrap().ino();
    let incoming = written(&store, "a.csv", b"new\n");
    assert_eq!(mode(&dir.path().join(&temporary(dir.path())[0])), 0o600);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\n");
    incoming.finish().unwrap();
    assert_eq!((mode(&path), fs::metadata(&path).unwrap().ino()), (0o600, inode));
    assert_eq!(tree(dir.path()), files([("a.csv", "old\nnew\n")]));
}

#[test]
fn records_of_many_at_once_are_all_there_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let threads: Vec<_> = (0..8)
        .map(|number| {
            // Half of them share a store, half have one of their own, as other programs would.
            let store = Store::open(dir.path(), OnExist::Replace).unwrap();
            thread::spawn(move || {
                for round in 0..20 {
                    let record = format!("{number},{round},{}\n", "x".repeat(50_000));
                    receive(&store, "sub/a.csv", &record).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let all = fs::read_to_string(dir.path().join("sub/a.csv")).unwrap();
    let mut records: Vec<_> = all.lines().collect();
    assert_eq!(records.len(), 8 * 20);
    records.sort_unstable();
    records.dedup();
    assert_eq!(records.len(), 8 * 20);
    for record in records {
        let mut values = record.splitn(3, ',');
        assert!(values.next().is_some() && values.next().is_some());
        assert_eq!(values.next(), Some(&*"x".repeat(50_000)));
    }
    assert!(temporary(dir.path()).is_empty());
}

#[test]
fn somebody_elses_lock_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "old\n").unwrap();
    let held = OpenOptions::new().append(true).open(&path).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let incoming = written(&store, "a.csv", b"new\n");
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = incoming.finish();
        done.send(()).unwrap();
        result.unwrap()
    });
    assert!(ended.recv_timeout(Duration::from_millis(200)).is_err(), "it was added to under a lock");
    (&held).write_all(b"held\n").unwrap();
    drop(held);
    ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(thread.join().unwrap().how, How::Appended);
    assert_eq!(tree(dir.path()), files([("a.csv", "old\nheld\nnew\n")]));
}

#[test]
fn who_waits_for_a_lock_gives_up_with_the_receiver_and_adds_to_what_has_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "old\n").unwrap();
    let held = OpenOptions::new().append(true).open(&path).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    // The file is exchanged while one waits for it.
    let incoming = written(&store, "a.csv", b"new\n");
    let thread = thread::spawn(move || incoming.finish());
    fs::rename(&path, dir.path().join("moved")).unwrap();
    let how = thread.join().unwrap().unwrap().how;
    assert_eq!(how, How::New);
    assert_eq!(tree(dir.path()), files([("a.csv", "new\n"), ("moved", "old\n")]));
    // Everything is given up while one waits.
    fs::rename(dir.path().join("moved"), &path).unwrap();
    let incoming = written(&store, "a.csv", b"new\n");
    let thread = thread::spawn(move || incoming.finish());
    store.abandon();
    assert!(matches!(thread.join().unwrap(), Err(Failed::Disk(_))));
    assert_eq!(tree(dir.path()), files([("a.csv", "old\n")]));
}

#[test]
fn what_does_not_fit_is_cut_back() {
    on_tmpfs("full", "size=1m");
}

#[test]
#[ignore = "run by the one before, on a file system of its own"]
fn full() {
    let dir = dir();
    let store = Store::open(&dir, OnExist::Replace).unwrap();
    let old = "old\n".repeat(30_000);
    fs::write(dir.join("a.csv"), &old).unwrap();
    // It fits once, as what is there of it, and not twice.
    let incoming = written(&store, "a.csv", &b"new\n".repeat(125_000));
    let failed = incoming.finish().unwrap_err();
    assert!(matches!(&failed, Failed::Disk(err) if err.kind() == ErrorKind::StorageFull), "{failed:?}");
    assert!(failed.to_string().ends_with(&format!("; make room in {}", dir.display())), "{failed}");
    assert_eq!(tree(&dir), files([("a.csv", &old)]));
    assert_eq!(receive(&store, "a.csv", "new\n").unwrap().how, How::Appended);
    assert_eq!(fs::read_to_string(dir.join("a.csv")).unwrap(), format!("{old}new\n"));
}

#[test]
fn what_was_added_when_everything_is_given_up_is_cut_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    let new = b"new\n".repeat(8 << 20);
    let mut cut = 0;
    for _ in 0..5 {
        fs::write(&path, "old\n").unwrap();
        let store = Store::open(dir.path(), OnExist::Replace).unwrap();
        let incoming = written(&store, "a.csv", &new);
        let thread = thread::spawn(move || incoming.finish());
        until_longer(&path, 4);
        store.abandon();
        let len = fs::metadata(&path).unwrap().len();
        assert!(temporary(dir.path()).is_empty());
        match thread.join().unwrap() {
            Ok(_) => assert_eq!(len, 4 + new.len() as u64),
            Err(failed) => {
                assert!(matches!(failed, Failed::Disk(_)));
                assert_eq!(len, 4);
                cut += 1;
            }
        }
    }
    assert!(cut > 0, "it was always too late");
}

fn until_longer(path: &Path, len: u64) {
    let began = Instant::now();
    while fs::metadata(path).unwrap().len() <= len {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is added");
        thread::yield_now();
    }
}

#[test]
fn what_a_killed_receiver_has_added_is_cut_back() {
    let mut cut = 0;
    for _ in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        fs::write(&path, "old\n").unwrap();
        let mut child = this_test("adds", dir.path()).stdout(std::process::Stdio::null()).spawn().unwrap();
        until_longer(&path, 4);
        child.kill().unwrap();
        child.wait().unwrap();
        let len = fs::metadata(&path).unwrap().len();
        let noted = temporary(dir.path()).iter().any(|name| name.ends_with(".undo"));
        cut += usize::from(noted && len > 4);
        Store::open(dir.path(), OnExist::Replace).unwrap();
        assert_eq!(temporary(dir.path()), [""; 0]);
        let after = fs::metadata(&path).unwrap().len();
        if after != 4 {
            // It came in time to say that all was there, at least.
            assert_eq!(after, 4 + ADDED as u64);
        }
    }
    assert!(cut > 0, "it was always too late");
}

const ADDED: usize = 32 << 20;

#[test]
#[ignore = "run by the one before, and killed"]
fn adds() {
    let store = Store::open(dir(), OnExist::Replace).unwrap();
    written(&store, "a.csv", &b"new\n".repeat(ADDED / 4)).finish().unwrap();
}

/// A note of a file's length, as a receiver that was killed leaves it.
fn note(dir: &Path, name: &str, inode: u64, text: &str) -> PathBuf {
    let path = dir.join(format!(".{name}.{inode:016x}.undo"));
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn notes_that_nobody_holds_are_followed() {
    for below in ["", "sub/deep"] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join(below);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.csv");
        // what is there, what is said of it, and what comes of it
        for (content, len, added, after) in [
            ("old\nnew\n", 4, 4, "old\n"),
            ("old\nne", 4, 4, "old\n"),
            ("new", 0, 4, ""),
            // nothing had come; it has been cut by hand; somebody else has added
            ("old\n", 4, 4, "old\n"),
            ("old", 4, 4, "old"),
            ("old\nnew\nmore", 4, 4, "old\nnew\nmore"),
            ("old\nne", 4, u64::MAX, "old\n"),
        ] {
            fs::write(&path, content).unwrap();
            let inode = fs::metadata(&path).unwrap().ino();
            note(&folder, "a.csv", inode, &format!("heartwire-undo 1\n{len}\n{added}\n-\na.csv\nend\n"));
            let store = Store::open(dir.path(), OnExist::Replace).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), after);
            assert!(temporary(dir.path()).is_empty());
            assert_eq!(store.leftovers(), 0);
        }
    }
}

#[test]
fn a_receiver_that_runs_follows_the_note_of_one_that_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    let path = dir.path().join("a.csv");
    fs::write(&path, "old\nkil").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    note(dir.path(), "a.csv", inode, "heartwire-undo 1\n4\n7\n-\na.csv\nend\n");
    receive(&store, "a.csv", "new\n").unwrap();
    Store::open(dir.path(), OnExist::Replace).unwrap();
    assert_eq!(tree(dir.path()), files([("a.csv", "old\nnew\n")]));
}

/// A file that is made after another was removed often has its number.
#[test]
fn a_file_that_was_made_since_is_not_cut_whatever_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.csv");
    for (later, after) in [(0, "old\n"), (1, "old\nnew\n")] {
        fs::write(&path, "old\nnew\n").unwrap();
        let file = fs::metadata(&path).unwrap();
        let Ok(made) = file.created() else { return eprintln!("skipped: files here have no such time") };
        let made = made.duration_since(UNIX_EPOCH).unwrap().as_secs() - later;
        note(dir.path(), "a.csv", file.ino(), &format!("heartwire-undo 1\n4\n4\n{made}\na.csv\nend\n"));
        Store::open(dir.path(), OnExist::Replace).unwrap();
        assert_eq!(tree(dir.path()), files([("a.csv", after)]));
    }
}

#[test]
fn notes_that_are_held_or_speak_of_something_else_cut_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, store) = (dir.path().join("store/a.csv"), dir.path().join("store"));
    fs::create_dir(&store).unwrap();
    fs::write(&path, "old\nnew").unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    let whole = "heartwire-undo 1\n4\n4\n-\na.csv\nend\n";
    let open = || Store::open(&store, OnExist::Replace).unwrap();

    let held = fs::File::open(note(&store, "a.csv", inode, whole)).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    open();
    assert_eq!(tree(&store).len(), 2);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew");
    drop(held);
    // The file is held: it is tried again later.
    let held = fs::File::open(&path).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    open();
    assert_eq!(tree(&store).len(), 2);
    drop(held);
    open();
    assert_eq!(tree(&store), files([("a.csv", "old\n")]));

    fs::write(&path, "old\nnew").unwrap();
    let gone = tree(&store);
    fs::write(dir.path().join("outside"), "outside").unwrap();
    std::os::unix::fs::symlink("../outside", store.join("link")).unwrap();
    let before = tree(&store);
    let outside = fs::metadata(dir.path().join("outside")).unwrap().ino();
    for (inode, text) in [
        // another file has its name since
        (inode + 1, whole.to_owned()),
        // cut short, damaged, empty
        (inode, whole.replace("end\n", "")),
        (inode, whole.replace("4", "four")),
        (inode, String::new()),
        (inode, "\u{0}".repeat(10_000)),
        // what is elsewhere, a link, nothing
        (outside, whole.replace("a.csv", "../outside")),
        (outside, whole.replace("a.csv", "link")),
        (inode, whole.replace("a.csv", "b.csv")),
    ] {
        note(&store, "a.csv", inode, &text);
        open();
        assert_eq!(tree(&store), before, "{text:?}");
        assert_eq!(fs::read_to_string(dir.path().join("outside")).unwrap(), "outside");
    }
    assert_eq!(gone.len() + 1, before.len());
    // A link that has such a name is none of ours.
    let link = format!(".a.csv.{inode:016x}.undo");
    fs::write(dir.path().join("outside"), whole).unwrap();
    std::os::unix::fs::symlink("../outside", store.join(&link)).unwrap();
    open();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\nnew");
    assert!(store.join(&link).is_symlink());
}
