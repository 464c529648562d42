//! What killed receivers leave is removed; nothing else is.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::process::{Child, Stdio};

use common::*;
use heartwire_files::{OnExist, Store};

#[test]
fn what_killed_receivers_leave_is_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = receiving(dir.path());
    let before = temporary(dir.path());
    assert_eq!(before.len(), 3, "{before:?}");
    // As long as it runs, it keeps what is its own.
    assert_eq!(Store::open(dir.path(), OnExist::Replace).unwrap().leftovers(), 0);
    assert_eq!(temporary(dir.path()), before);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(temporary(dir.path()), before);
    assert_eq!(Store::open(dir.path(), OnExist::Replace).unwrap().leftovers(), 3);
    let left = tree(dir.path()).into_keys().collect::<Vec<_>>();
    assert_eq!(left, ["a", "a/b", "whole"]);
    assert_eq!(Store::open(dir.path(), OnExist::Replace).unwrap().leftovers(), 0);
}

/// Another receiver, which receives three files.
fn receiving(dir: &std::path::Path) -> Child {
    let mut child = this_test("receives", dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("has begun")));
    child
}

#[test]
#[ignore = "run by the one before, and killed"]
fn receives() {
    let store = Store::open(dir(), OnExist::Replace).unwrap();
    receive(&store, "whole", "content").unwrap();
    let _incoming =
        [begin(&store, "a/b/c", 3), written(&store, "whole", b"d"), written(&store, "a.csv", b"e")];
    println!("has begun");
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

#[test]
fn what_only_looks_like_a_leftover_stays() {
    let dir = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    for name in [
        ".x.0123456789abcde.part",
        ".x.0123456789ABCDEF.part",
        ".x.0123456789abcdef.part.gz",
        "x.0123456789abcdef.part",
        ".0123456789abcdef.part",
        ".x.part",
        "movie.part",
        ".x.0123456789abcdef",
    ] {
        fs::write(dir.path().join(name), "mine").unwrap();
    }
    let own = ".x.0123456789abcdef.part";
    fs::create_dir_all(dir.path().join("folder").join(own).join("sub")).unwrap();
    fs::write(dir.path().join("folder").join(own).join("sub/file"), "mine").unwrap();
    fs::write(outside.path().join(own), "outside").unwrap();
    symlink(outside.path().join(own), dir.path().join(own)).unwrap();
    symlink(outside.path(), dir.path().join("link")).unwrap();
    let before = tree(dir.path());
    // ours, beside all that
    fs::write(dir.path().join("folder/.y.00000000000000ff.part"), "").unwrap();
    fs::write(dir.path().join("folder").join(own).join(".z.00000000000000ff.part"), "").unwrap();
    assert_eq!(Store::open(dir.path(), OnExist::Replace).unwrap().leftovers(), 2);
    assert_eq!(tree(dir.path()), before);
    assert_eq!(tree(outside.path()), files([(own, "outside")]));
}

#[test]
fn what_a_killed_receiver_leaves_of_a_file_without_rights_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    as_user("without_rights", dir.path());
}

#[test]
#[ignore = "run by the one before, as another user"]
fn without_rights() {
    let dir = dir();
    let path = dir.join(".x.0123456789abcdef.part");
    fs::write(&path, "x").unwrap();
    set_mode(&path, 0o444);
    fs::create_dir(dir.join("closed")).unwrap();
    set_mode(&dir.join("closed"), 0);
    let removed = Store::open(&dir, OnExist::Replace).unwrap().leftovers();
    set_mode(&dir.join("closed"), 0o755);
    assert_eq!((removed, tree(&dir)), (1, files([("closed", "/")])));
}

#[test]
fn folders_are_gone_through_as_far_down_as_names_lead() {
    let dir = tempfile::tempdir().unwrap();
    let folders = "d/".repeat(64);
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    receive(&store, &format!("{folders}file"), "x").unwrap();
    fs::write(dir.path().join(&folders).join(".x.0123456789abcdef.part"), "").unwrap();
    fs::create_dir_all(dir.path().join("e/".repeat(300))).unwrap();
    assert_eq!(Store::open(dir.path(), OnExist::Replace).unwrap().leftovers(), 1);
}
