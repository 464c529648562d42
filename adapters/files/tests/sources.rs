//! What can be sent, and what is said of what can't.

use std::fs;
use std::path::Path;

use heartwire_core::wire::json_header::Kind;
use heartwire_files::{Sources, kind_of};

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

#[track_caller]
fn refused(path: impl AsRef<Path>) -> String {
    let mut sources = Sources::new();
    let error = sources.add(path, None).unwrap_err();
    assert_eq!((sources.files(), sources.bytes()), (0, 0), "nothing was added");
    error.to_string()
}

#[test]
fn what_is_added_counts_and_what_is_refused_does_not() {
    let folder = folder(&[("run/a.txt", "12"), ("run/sub/b.csv", "345"), ("x", "6")]);
    let mut sources = Sources::new();
    sources.add(folder.path().join("run"), None).unwrap();
    sources.add(folder.path().join("x"), Some(Kind::Image)).unwrap();
    assert_eq!((sources.files(), sources.bytes()), (3, 6));
    let error = sources.add(folder.path().join("missing"), None).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("missing: can't read it: No such file"), "{said}");
    assert_eq!(error.path(), folder.path().join("missing"));
    assert_eq!((sources.files(), sources.bytes()), (3, 6));
}

#[test]
fn two_files_of_one_name_are_refused_unless_the_second_is_appended() {
    let folder = folder(&[("a/x.txt", "1"), ("b/x.txt", "2"), ("a/y.csv", "3"), ("b/y.csv", "4")]);
    let mut sources = Sources::new();
    for path in ["a/x.txt", "a/y.csv", "b/y.csv"] {
        sources.add(folder.path().join(path), None).unwrap();
    }
    let said = sources.add(folder.path().join("b/x.txt"), None).unwrap_err().to_string();
    assert!(said.contains("b/x.txt: another file would be called x.txt, too"), "{said}");
    assert_eq!(sources.files(), 3);
    // As values it is appended to the other.
    sources.add(folder.path().join("b/x.txt"), Some(Kind::Csv)).unwrap();
    // Not the other way round: it would take the values' place.
    let said = sources.add(folder.path().join("b/y.csv"), Some(Kind::Unknown)).unwrap_err().to_string();
    assert!(said.contains("b/y.csv: another file would be called y.csv, too"), "{said}");
}

#[test]
fn an_empty_folder_has_nothing_to_send() {
    let folder = folder(&[]);
    let mut sources = Sources::new();
    sources.add(folder.path(), None).unwrap();
    assert_eq!(sources.files(), 0);
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn links_are_followed_where_they_are_named_and_left_out_in_folders() {
        let folder = folder(&[("run/a", "1"), ("else/b", "22")]);
        let run = folder.path().join("run");
        symlink(folder.path().join("else/b"), run.join("file")).unwrap();
        symlink(folder.path().join("else"), run.join("folder")).unwrap();
        symlink("nowhere", run.join("broken")).unwrap();
        let _listener = UnixListener::bind(run.join("socket")).unwrap();
        let mut sources = Sources::new();
        sources.add(&run, None).unwrap();
        assert_eq!((sources.files(), sources.bytes()), (1, 1));
        let mut left_out: Vec<_> =
            sources.left_out().iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        left_out.sort_unstable();
        assert_eq!(left_out, ["broken", "file", "folder", "socket"]);
        sources.add(run.join("file"), None).unwrap();
        sources.add(run.join("folder"), None).unwrap();
        assert_eq!((sources.files(), sources.bytes()), (3, 5));
        assert!(refused(run.join("broken")).contains("No such file"));
    }

    #[test]
    fn what_has_no_length_or_no_name_is_refused() {
        let folder = folder(&[]);
        let socket = folder.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(refused(&socket).contains("socket: it is no file and no folder"));
        // Opening it would wait for somebody to write.
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        assert!(refused(&fifo).contains("fifo: it is no file and no folder"));
        assert!(refused("/").contains("/: it has no name to be sent with"));
    }

    #[test]
    fn names_that_are_not_utf8_are_refused_with_all_that_is_in_the_folder() {
        let folder = folder(&[("run/a", "1")]);
        fs::write(folder.path().join("run").join(OsStr::from_bytes(b"\xff")), "").unwrap();
        let said = refused(folder.path().join("run"));
        assert!(said.contains("its name is not UTF-8") && said.contains("rename it"), "{said}");
    }
}

#[test]
fn folders_are_called_as_they_are_called_where_they_are() {
    let folder = folder(&[("outer/inner/a.csv", "1")]);
    for path in ["outer/inner", "outer/inner/", "outer/inner/.", "outer/inner/../inner"] {
        let mut sources = Sources::new();
        sources.add(folder.path().join(path), Some(Kind::Text)).unwrap();
        // Another of the name `inner/a.csv` is one too many.
        let said = sources.add(folder.path().join("outer/inner"), Some(Kind::Text)).unwrap_err().to_string();
        assert!(said.contains("called inner/a.csv"), "{path}: {said}");
    }
    let mut sources = Sources::new();
    sources.add(folder.path().join("outer/inner/.."), Some(Kind::Text)).unwrap();
    let said = sources.add(folder.path().join("outer"), Some(Kind::Text)).unwrap_err().to_string();
    assert!(said.contains("called outer/inner/a.csv"), "{said}");
    assert_eq!(kind_of("outer/inner/a.csv"), Kind::Csv);
}
