//! `heartwire keygen`, run as others run it.

use std::fs;
use std::path::Path;

use heartwire_tests::chat::one_line_of_stderr;
use heartwire_tests::program::{Finished, Running, heartwire, run};

fn keygen(path: &Path) -> Finished {
    run(heartwire(["keygen"]).arg(path), b"")
}

#[track_caller]
fn refused(finished: &Finished, texts: &[&str]) {
    assert_eq!((finished.code(), finished.stdout.as_str()), (1, ""), "{finished:?}");
    one_line_of_stderr(finished, texts);
}

#[test]
fn a_new_key_is_64_digits_and_a_newline_and_different_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys = Vec::new();
    for name in ["one", "two", "three"] {
        let path = dir.path().join(name);
        let finished = keygen(&path);
        assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
        assert_eq!(finished.stdout, format!("wrote a new key to {}\n", path.display()));
        let held = fs::read_to_string(&path).unwrap();
        let key = held.strip_suffix('\n').unwrap();
        assert_eq!(key.len(), 64);
        assert!(key.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')), "{key}");
        assert!(!keys.contains(&held));
        keys.push(held);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3, "nothing else is left");
}

#[test]
fn a_new_key_is_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    assert_eq!(keygen(&path).code(), 0);
    let mut command = heartwire(["chat", "serve", "--listen", "tcp://127.0.0.1:0", "--key-file"]);
    let mut server = Running::spawn(command.arg(&path));
    let address = server.ready();
    let mut command = heartwire(["chat", "connect", &address, "--key-file"]);
    let finished = run(command.arg(&path), b"");
    assert_eq!(finished.code(), 0, "{finished:?}");
    server.log_line("closed by the peer: Client disconnecting");
}

#[test]
fn what_exists_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("file"), "precious").unwrap();
    fs::create_dir(path("folder")).unwrap();
    let mut names = vec!["file", "folder"];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(path("file"), path("link")).unwrap();
        std::os::unix::fs::symlink(path("nowhere"), path("dangling")).unwrap();
        names.extend(["link", "dangling"]);
    }
    for name in &names {
        let said = format!(
            "{}: exists already; choose another name, a key is never overwritten",
            path(name).display()
        );
        refused(&keygen(&path(name)), &[&said]);
    }
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "precious");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), names.len(), "nothing was created or removed");
}

#[test]
fn where_there_can_be_no_file_is_a_failure_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    for (path, todo) in [
        (dir.path().join("none/key"), "make the folder first, or check the name"),
        (file.join("key"), "choose another name"),
        (dir.path().join("k".repeat(5000)), "choose another name"),
    ] {
        refused(&keygen(&path), &["can't create it: ", todo]);
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    for args in [&["keygen"][..], &["keygen", ""], &["keygen", "one", "two"]] {
        let finished = run(&mut heartwire(args), b"");
        assert_eq!((finished.code(), finished.stdout.as_str()), (2, ""));
    }
}

/// A folder in which nobody may create a file, whoever runs the test.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_may_not_be_written_to_is_a_failure() {
    let finished = keygen(Path::new("/sys/kernel/heartwire-key"));
    refused(&finished, &["can't create it: ", "choose a folder that you may write to"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use heartwire_tests::program::binary;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    /// Runs it in a shell that did this before.
    fn keygen_after(setup: &str, path: &Path) -> Finished {
        let script = format!("{setup}; exec \"$0\" keygen \"$1\"");
        run(Command::new("sh").args(["-c", &script]).arg(binary()).arg(path), b"")
    }

    #[test]
    fn only_its_owner_may_read_it_whatever_the_umask() {
        let dir = tempfile::tempdir().unwrap();
        for umask in ["000", "022", "077", "277", "777"] {
            let path = dir.path().join(umask);
            let finished = keygen_after(&format!("umask {umask}"), &path);
            assert_eq!(finished.code(), 0, "{finished:?}");
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "umask {umask}");
        }
    }

    #[test]
    fn a_key_that_can_not_be_written_whole_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        // no file may grow, and writing is told so instead of killed
        let finished = keygen_after("trap '' XFSZ; ulimit -f 0", &path);
        refused(&finished, &["key: can't write the key: ", "choose a folder on another disk"]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_can_not_steer_the_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a\u{1b}[2J\nb");
        let finished = keygen(&path);
        assert_eq!(finished.code(), 0);
        assert!(finished.stdout.ends_with("/a\\u{1b}[2J\\nb\n"), "{finished:?}");
        refused(&keygen(&path), &["/a\\u{1b}[2J\\nb: exists already"]);
    }
}
