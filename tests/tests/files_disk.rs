//! `files receive` on disks that are full, can't be written to, or go away: nothing partial is left, what was there is
//! as it was, and both sides say what happened. Linux only: the disks are mounted where only the receiver sees them.

#![cfg(target_os = "linux")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use heartwire_tests::chat::stop;
use heartwire_tests::files::{
    Rooms, Sender, failed, forest, has_namespaces, on_disk_of, parts, receive, receive_command, seen_by,
    send, start, tree, unprivileged, until_parts,
};
use heartwire_tests::peers::content::bytes;
use heartwire_tests::program::{Running, run};

const NONE: [&str; 0] = [];
const KIB: usize = 1024;
/// The size of the disks.
const DISK: usize = 2048 * KIB;

/// A receiver on a disk of its own, with `old.bin` of 200 KiB and `old.csv` of 100 KiB on it.
struct SmallDisk {
    rooms: Rooms,
    receiver: Running,
    address: String,
    before: BTreeMap<String, String>,
}

impl SmallDisk {
    fn begin() -> Option<Self> {
        if !has_namespaces() {
            return None;
        }
        let rooms = Rooms::new();
        fs::write(rooms.outer.path().join("out/old.bin"), bytes(200 * KIB)).unwrap();
        fs::write(rooms.outer.path().join("out/old.csv"), b"0\n".repeat(50 * KIB)).unwrap();
        let copy = r#"cp "$0"/../out/old.* "$0"/"#;
        let command = on_disk_of(DISK, &rooms.inner, copy, &receive_command(&rooms.inner, NONE));
        let (receiver, address) = start(&mut { command });
        let mut disk = Self { rooms, receiver, address, before: BTreeMap::new() };
        disk.before = disk.tree();
        let values = b"0\n".repeat(50 * KIB);
        assert_eq!(disk.before, forest([("old.bin", &bytes(200 * KIB)[..]), ("old.csv", &values)]));
        Some(disk)
    }

    fn tree(&self) -> BTreeMap<String, String> {
        tree(&seen_by(self.receiver.id(), &self.rooms.inner))
    }

    /// Does this to the disk, of which `$0` is the folder.
    #[track_caller]
    fn remount(&self, options: &str) {
        let id = self.receiver.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &id, "-U", "-m", "--preserve-credentials", "mount", "-o", options]);
        let output = command.arg(&self.rooms.inner).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// The last line about a disk that failed.
const NOTHING_MORE: &str = "what was sent after that: not received";

/// It does not fit: the connection ends, both sides say so, and everything is as it was.
#[track_caller]
fn does_not_fit(disk: &mut SmallDisk, kind: &str, name: &str, size: usize) {
    let mut sender = Sender::connect(&disk.address);
    // It may be cut before all of it has left.
    let header = heartwire_tests::peers::json_header::Header::new(kind, size as u64, name);
    let _ = heartwire_tests::peers::json_header::write_from(&mut sender.0, &header, &mut &bytes(size)[..]);
    let _ = heartwire_tests::peers::json_header::write(&mut sender.0, "TEXT", "after.txt", b"after");
    let _ = sender.0.shutdown(std::net::Shutdown::Write);
    match sender.answer() {
        Ok(lines) => {
            let said = |line: &String| line.starts_with(&format!("{name}: ")) && line.contains("space");
            assert!(lines.len() == 2 && said(&lines[0]), "{lines:?}");
            assert_eq!(lines[1], NOTHING_MORE);
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error:?}"),
    }
    let line = disk.receiver.log_line("No space left");
    assert!(line.contains(name), "{line}");
    assert_eq!(disk.tree(), disk.before, "{name}");
}

#[test]
fn what_does_not_fit_leaves_nothing_and_changes_nothing() {
    let Some(mut disk) = SmallDisk::begin() else { return };
    does_not_fit(&mut disk, "UNKNOWN", "new.bin", 3 * DISK);
    does_not_fit(&mut disk, "UNKNOWN", "old.bin", 3 * DISK);
    does_not_fit(&mut disk, "UNKNOWN", "new/folder/new.bin", 3 * DISK);
    does_not_fit(&mut disk, "CSV", "new.csv", 3 * DISK);
    does_not_fit(&mut disk, "CSV", "old.csv", 3 * DISK);
    // There is room beside what is there for one of them, not for both.
    does_not_fit(&mut disk, "CSV", "old.csv", 1200 * KIB);
    // And it goes on: there is room again.
    let mut sender = Sender::connect(&disk.address);
    sender.file("fits.bin", &bytes(1200 * KIB)).file("old.csv", b"1\n");
    assert_eq!(sender.finish(), NONE);
    let values = [b"0\n".repeat(50 * KIB), b"1\n".to_vec()].concat();
    let (old, fits) = (bytes(200 * KIB), bytes(1200 * KIB));
    assert_eq!(disk.tree(), forest([("old.bin", &old[..]), ("old.csv", &values), ("fits.bin", &fits)]));
    stop(disk.receiver);
}

#[test]
fn a_full_disk_cuts_none_that_has_what_it_needs() {
    let Some(mut disk) = SmallDisk::begin() else { return };
    let inner = seen_by(disk.receiver.id(), &disk.rooms.inner);
    let mut stalled = Sender::connect(&disk.address);
    stalled.begin("UNKNOWN", "stalled.bin", 600 * KIB).raw(&bytes(600 * KIB)[..600 * KIB - 1]);
    until_parts(&inner, 1, 512 * KIB as u64);
    let before = std::mem::take(&mut disk.before);
    let mut sender = Sender::connect(&disk.address);
    let _ = heartwire_tests::peers::json_header::write(&mut sender.0, "IMAGE", "x.png", &bytes(3 * DISK));
    disk.receiver.log_line("No space left");
    drop(sender);
    heartwire_tests::files::until("it is removed", || parts(&inner).len() == 1);
    stalled.raw(&bytes(600 * KIB)[600 * KIB - 1..]);
    assert_eq!(stalled.finish(), NONE);
    let mut expected = before;
    expected.extend(forest([("stalled.bin", &bytes(600 * KIB)[..])]));
    assert_eq!(disk.tree(), expected);
    stop(disk.receiver);
}

#[test]
fn a_sender_learns_that_the_disk_is_full() {
    let Some(disk) = SmallDisk::begin() else { return };
    let large = disk.rooms.outer.path().join("out/large.bin");
    fs::write(&large, bytes(32 * DISK)).unwrap();
    let finished = run(&mut send(&disk.address, [&large]), b"");
    failed(&finished, &["large.bin", "again"]);
    assert_eq!(disk.tree(), disk.before);
    // One that has sent everything before the disk said so, too.
    fs::write(&large, bytes(DISK)).unwrap();
    let finished = run(&mut send(&disk.address, [&large]), b"");
    failed(&finished, &["large.bin", "No space left"]);
    assert_eq!(disk.tree(), disk.before);
    stop(disk.receiver);
}

#[test]
fn a_disk_that_is_read_only_at_the_start_is_said() {
    if !has_namespaces() {
        return;
    }
    let rooms = Rooms::new();
    let command = receive_command(&rooms.inner, NONE);
    let mut command = on_disk_of(DISK, &rooms.inner, r#"mount -o remount,ro "$0""#, &command);
    let finished = run(&mut command, b"");
    assert_eq!(finished.stdout, "", "{finished:?}");
    failed(&finished, &[rooms.inner.to_str().unwrap(), "Read-only file system", "; "]);
}

#[test]
fn a_folder_that_can_not_be_written_in_at_the_start_is_said() {
    let rooms = Rooms::new();
    for folder in [rooms.inner.clone(), rooms.inner.join("new")] {
        fs::set_permissions(&rooms.inner, fs::Permissions::from_mode(0o555)).unwrap();
        let finished = run(&mut unprivileged(&receive_command(&folder, NONE)), b"");
        fs::set_permissions(&rooms.inner, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(finished.stdout, "", "{finished:?}");
        failed(&finished, &[folder.to_str().unwrap(), "Permission denied", "; "]);
    }
}

#[test]
fn a_disk_that_becomes_read_only_ends_the_connection() {
    let Some(mut disk) = SmallDisk::begin() else { return };
    let mut sender = Sender::connect(&disk.address);
    sender.file("first.txt", b"1");
    heartwire_tests::files::until("it is there", || disk.tree().contains_key("first.txt"));
    disk.remount("remount,ro");
    disk.before = disk.tree();
    sender.file("second.txt", b"2").file("third.txt", b"3");
    let line = disk.receiver.log_line("Read-only file system");
    assert!(line.contains("second.txt"), "{line}");
    let _ = sender.0.shutdown(std::net::Shutdown::Write);
    if let Ok(lines) = sender.answer() {
        assert!(lines.len() == 2 && lines[0].starts_with("second.txt: "), "{lines:?}");
        assert_eq!(lines[1], NOTHING_MORE);
    }
    let file = disk.rooms.outer.path().join("secret.txt");
    failed(&run(&mut send(&disk.address, [&file]), b""), &["secret.txt", "Read-only file system"]);
    for name in ["old.csv", "old.bin", "new/folder/x"] {
        let mut sender = Sender::connect(&disk.address);
        sender.whole("CSV", name, b"1\n");
        sender.end();
        assert!(!sender.answer().is_ok_and(|lines| lines.is_empty()), "{name}");
    }
    assert_eq!(disk.tree(), disk.before);
    disk.remount("remount,rw");
    let mut sender = Sender::connect(&disk.address);
    sender.file("fourth.txt", b"4");
    assert_eq!(sender.finish(), NONE);
    stop(disk.receiver);
}

/// Permissions stand against one file, not against the disk.
#[test]
fn what_permissions_forbid_is_refused_alone() {
    let rooms = Rooms::new();
    rooms.write("closed/a.txt", "a");
    rooms.write("readable/values.csv", "0\n");
    let set = |name: &str, mode| {
        fs::set_permissions(rooms.inner.join(name), fs::Permissions::from_mode(mode)).unwrap()
    };
    set("closed", 0o555);
    set("readable/values.csv", 0o444);
    let before = tree(&rooms.inner);
    let (mut receiver, address) = start(&mut unprivileged(&receive_command(&rooms.inner, NONE)));
    let mut sender = Sender::connect(&address);
    let names = ["closed/new.txt", "closed/a.txt", "closed/new/b.txt", "readable/values.csv"];
    for name in names {
        sender.file(name, b"content");
    }
    sender.file("after.txt", b"1");
    let lines = sender.finish();
    assert_eq!(lines.len(), names.len(), "{lines:#?}");
    for (name, line) in names.iter().zip(&lines) {
        assert!(
            line.starts_with(&format!("{name}: ")) && line.to_lowercase().contains("permission"),
            "{line}"
        );
        receiver.log_line(name);
    }
    let mut expected = before;
    expected.extend(forest([("after.txt", &b"1"[..])]));
    assert_eq!(tree(&rooms.inner), expected);
    stop(receiver);
    set("closed", 0o755);
}

/// Somebody tidies up while a file is being received: it is not said to be there.
#[test]
fn a_part_that_somebody_removed_is_not_confirmed() {
    for (kind, name) in [("UNKNOWN", "sub/a.bin"), ("CSV", "sub/a.csv")] {
        let rooms = Rooms::new();
        let (mut receiver, address) = receive(&rooms.inner);
        let mut sender = Sender::connect(&address);
        sender.begin(kind, name, 10).raw(b"12345");
        until_parts(&rooms.inner, 1, 0);
        fs::remove_dir_all(rooms.inner.join("sub")).unwrap();
        sender.raw(b"67890");
        sender.end();
        let answer = sender.answer();
        let there = fs::read(rooms.inner.join(name)).is_ok_and(|content| content == b"1234567890");
        assert!(there || !matches!(&answer, Ok(lines) if lines.is_empty()), "{name}: {answer:?}");
        receiver.log_line(name);
        assert_eq!(parts(&rooms.inner), []);
        stop(receiver);
    }
}

/// The folder itself is gone: nothing is confirmed that is not there, and nothing breaks.
#[test]
fn a_folder_that_is_gone_is_said() {
    let rooms = Rooms::new();
    let (mut receiver, address) = receive(&rooms.inner);
    fs::remove_dir(&rooms.inner).unwrap();
    let file = rooms.outer.path().join("secret.txt");
    let finished = run(&mut send(&address, [&file]), b"");
    if fs::read(rooms.inner.join("secret.txt")).is_err() {
        failed(&finished, &["secret.txt"]);
        receiver.log_line("secret.txt");
    }
    stop(receiver);
}
