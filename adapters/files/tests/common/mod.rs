//! What tests of the store share.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use heartwire_core::wire::json_header::{Head, Kind};
use heartwire_files::{Failed, Incoming, OnExist, Store, Stored, kind_of};

pub const ALL: [OnExist; 4] = [OnExist::Replace, OnExist::Skip, OnExist::Rename, OnExist::Fail];

pub fn head(name: &str, size: usize) -> Head {
    let kind = kind_of(name);
    Head { kind, size: size as u64, filename: name.to_owned() }
}

pub fn begin(store: &Store, name: &str, size: usize) -> Incoming {
    store.begin(&head(name, size)).unwrap()
}

/// A file with all of its bytes, which has no name yet.
pub fn written(store: &Store, name: &str, content: &[u8]) -> Incoming {
    let mut incoming = begin(store, name, content.len());
    incoming.write(content).unwrap();
    incoming
}

pub fn receive(store: &Store, name: &str, content: &str) -> Result<Stored, Failed> {
    let mut incoming = store.begin(&head(name, content.len()))?;
    for piece in content.as_bytes().chunks(7) {
        incoming.write(piece)?;
    }
    incoming.finish()
}

pub fn csv(name: &str, size: usize) -> Head {
    Head { kind: Kind::Csv, ..head(name, size) }
}

/// A folder where syncing costs nothing, so that what many do at once meets often.
pub fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Everything below a folder: files with their content, folders with `/`, links with where they lead. What others
/// remove meanwhile is not there.
pub fn tree(path: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![PathBuf::new()];
    while let Some(below) = open.pop() {
        let Ok(entries) = fs::read_dir(path.join(&below)) else { continue };
        for entry in entries {
            let name = below.join(entry.unwrap().file_name());
            let full = path.join(&name);
            let Ok(metadata) = fs::symlink_metadata(&full) else { continue };
            let kind = metadata.file_type();
            let what = if kind.is_symlink() {
                format!("-> {}", fs::read_link(&full).unwrap().display())
            } else if kind.is_dir() {
                open.push(name.clone());
                "/".to_owned()
            } else if kind.is_file() {
                let Ok(content) = fs::read(&full) else { continue };
                String::from_utf8_lossy(&content).into_owned()
            } else {
                "special".to_owned()
            };
            found.insert(name.to_str().unwrap().to_owned(), what);
        }
    }
    found
}

/// The same, written down.
pub fn files<const N: usize>(files: [(&str, &str); N]) -> BTreeMap<String, String> {
    files.into_iter().map(|(name, content)| (name.to_owned(), content.to_owned())).collect()
}

/// The temporary files below a folder, by their names' ends.
pub fn temporary(path: &Path) -> Vec<String> {
    tree(path).into_keys().filter(|name| name.ends_with(".part") || name.ends_with(".undo")).collect()
}

pub fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// This program, to run one of its tests that are ignored otherwise, with a folder to do it in.
pub fn this_test(test: &str, dir: &Path) -> Command {
    test_of(&std::env::current_exe().unwrap(), test, dir)
}

fn test_of(program: &Path, test: &str, dir: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("STORE_DIR", dir);
    command
}

/// The folder that an ignored test is to do it in.
pub fn dir() -> PathBuf {
    std::env::var_os("STORE_DIR").expect("this test is run by another").into()
}

/// Runs one ignored test, which passes.
pub fn passes(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let ran = output.status.success() && stdout.contains("1 passed");
    assert!(ran, "{stdout}{}", String::from_utf8_lossy(&output.stderr));
}

/// Runs an ignored test as a user who may not do everything.
pub fn as_user(test: &str, dir: &Path) {
    if fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own)).unwrap_or(1) != 0 {
        return passes(&mut this_test(test, dir));
    }
    // Another user may not be allowed to go to where this program is.
    let place = tempfile::tempdir().unwrap();
    set_mode(place.path(), 0o755);
    let program = place.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::os::unix::fs::chown(dir, Some(65534), Some(65534)).unwrap();
    passes(test_of(&program, test, dir).uid(65534).gid(65534));
}

/// Runs an ignored test on a file system in memory, of its own. Not where namespaces are not to be had.
pub fn on_tmpfs(test: &str, options: &str) {
    let can = Command::new("unshare").args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this user can't mount file systems in a namespace (unshare -rm)");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script =
        r#"mount -t tmpfs -o "$1" none "$STORE_DIR" && exec "$2" --exact "$3" --ignored --nocapture"#;
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh", options]).arg(std::env::current_exe().unwrap()).arg(test);
    passes(command.env("STORE_DIR", dir.path()));
}
