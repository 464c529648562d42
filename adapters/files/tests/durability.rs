//! What is on the disk before what, as the system is asked for it.
#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::*;
use heartwire_files::{OnExist, Store};

/// The calls that an ignored test makes below its folder, each with the name of what it is made on. None where programs
/// can't be watched.
fn calls(test: &str) -> Option<Vec<String>> {
    let can = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user has no strace");
        return None;
    }
    let (dir, log) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = fs::canonicalize(dir.path()).unwrap();
    let log = log.path().join("log");
    let calls = "trace=mkdirat,write,fsync,fdatasync,renameat,renameat2,linkat,unlinkat,ftruncate";
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "0", "-e", calls, "-o"]).arg(&log).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored"]).env("STORE_DIR", path.join("root")).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    let text = fs::read_to_string(log).unwrap();
    let below = format!("<{}/", path.display());
    Some(text.lines().filter_map(|line| call(line, &below)).collect())
}

/// Of `12 fsync(3</folder/root/.a.0123456789abcdef.part>) = 0`: `fsync part`.
fn call(line: &str, below: &str) -> Option<String> {
    let (_, line) = line.trim_start().split_once(' ')?;
    let (call, rest) = line.trim_start().split_once('(')?;
    let (_, path) = rest.split_once(below)?;
    let (path, _) = path.split_once('>')?;
    let name = path.rsplit('/').next()?;
    let own = ["part", "undo"].into_iter().find(|end| name.starts_with('.') && name.ends_with(end));
    let call = if call == "renameat2" { "renameat" } else { call };
    Some(format!("{call} {}", own.unwrap_or(name)))
}

#[test]
fn a_name_is_taken_when_the_content_is_on_the_disk_and_kept_before_it_is_said() {
    let Some(calls) = calls("two_files") else { return };
    let begin = calls.iter().position(|call| call.starts_with("mkdirat")).unwrap();
    let file = ["write part", "fsync part", "renameat new", "fsync new"];
    let made = ["mkdirat root", "fsync root"];
    assert_eq!(calls[begin..], [&made[..], &file, &file].concat());
}

#[test]
#[ignore = "run by the one before, and watched"]
fn two_files() {
    let store = Store::open(dir(), OnExist::Replace).unwrap();
    for content in [b"first", b"again"] {
        written(&store, "new/a.txt", content).finish().unwrap();
    }
}

#[test]
fn what_is_added_to_is_noted_before_and_on_the_disk_when_the_note_goes() {
    let Some(calls) = calls("values") else { return };
    let begin = calls.iter().position(|call| call == "write part").unwrap();
    let new = ["write part", "fsync part", "renameat root", "fsync root"];
    let added = [
        "write part",
        "fsync part",
        "write undo",
        "fsync undo",
        "fsync root",
        "write a.csv",
        "fsync a.csv",
        "ftruncate undo",
        "fsync undo",
        "unlinkat root",
        "unlinkat root",
    ];
    assert_eq!(calls[begin..], [&new[..], &added].concat());
}

#[test]
#[ignore = "run by the one before, and watched"]
fn values() {
    let store = Store::open(dir(), OnExist::Replace).unwrap();
    for content in [b"first", b"again"] {
        written(&store, "a.csv", content).finish().unwrap();
    }
}
