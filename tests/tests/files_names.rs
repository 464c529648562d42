//! `files receive` and names that lead elsewhere, can't be told apart by people, or are its own: each is refused by
//! itself, and nothing outside the folder is touched.

use std::fs;

use heartwire_tests::chat::stop;
use heartwire_tests::files::{Rooms, Sender, forest, parts, receive, tree};
use heartwire_tests::peers::json_header::dumps;

/// Sends these names, as they stand in JSON, between files that are stored. Gives the lines that come back, and what
/// was logged.
#[track_caller]
fn refused(names: &[String]) -> (Vec<String>, String) {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender.file("first.txt", b"1");
    for name in names {
        sender.named(name, b"content");
    }
    sender.file("last/last.txt", b"2");
    let lines = sender.finish();
    assert_eq!(tree(&rooms.inner), forest([("first.txt", &b"1"[..]), ("last/last.txt", b"2")]), "{lines:?}");
    rooms.untouched();
    assert_eq!(lines.len(), names.len(), "one line for each of {names:?}: {lines:#?}");
    (lines, stop(receiver).stderr)
}

/// Checks that each of these names is refused in a line of its own, there and in the log, where it is called so.
#[track_caller]
fn all_refused(names: &[(&str, &str)]) {
    let json: Vec<_> = names.iter().map(|(name, _)| dumps(name)).collect();
    let (lines, log) = refused(&json);
    for ((name, shown), line) in names.iter().zip(&lines) {
        assert!(line.starts_with(&format!("{shown}: ")), "{name:?} is not called {shown:?} in {line:?}");
        assert!(line.len() > shown.len() + 10, "it does not say why: {line:?}");
        assert!(log.lines().any(|line| line.contains(shown)), "no {shown:?} in {log}");
    }
    for (what, text) in [("what the sender is told", lines.join("\n")), ("the log", log)] {
        let odd: Vec<_> = text.chars().filter(|c| c.is_control() && *c != '\n').collect();
        assert!(odd.is_empty(), "{odd:?} in {what}: {text:?}");
        assert!(!text.chars().any(is_bidirectional), "{what} can be turned round: {text:?}");
    }
}

fn is_bidirectional(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let names = [
        "..",
        "../secret.txt",
        "../out/new.txt",
        "a/../../secret.txt",
        "a/..",
        "in/../../secret.txt",
        "/etc/heartwire",
        "//server/share",
        "/",
        "C:/x",
        "c:x",
        "C:",
    ];
    all_refused(&names.map(|name| (name, name)));
}

#[test]
fn names_that_other_systems_read_otherwise_are_refused() {
    // How a backslash is shown is the escaping's business.
    let names = [r"..\secret.txt", r"a\b", r"\\server\share", r"C:\x", r"\"].map(dumps);
    let (lines, log) = refused(&names);
    assert_eq!(lines.iter().filter(|line| line.contains('\\')).count(), names.len(), "{lines:?}");
    assert!(log.contains("secret.txt"), "{log}");
}

#[test]
fn names_with_parts_that_are_none_are_refused() {
    all_refused(&[".", "./a", "a/./b", "a/.", "a//b", "a/", "a/b/"].map(|name| (name, name)));
}

#[test]
fn names_that_deceive_people_are_refused_and_shown_escaped() {
    let bad = ['\0', '\n', '\r', '\t', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'];
    let bidirectional =
        "\u{61c}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let mut names = Vec::new();
    for c in bad.into_iter().chain(bidirectional.chars()) {
        names.push(format!("a{c}b"));
        names.push(format!("{c}/b"));
    }
    let json: Vec<_> = names.iter().map(|name| dumps(name)).collect();
    let (lines, log) = refused(&json);
    let deceives = |c: char| c.is_control() && c != '\n' || is_bidirectional(c);
    assert!(!log.chars().any(deceives), "{log:?}");
    // Its sender called it so, and gets a line for it; to escape it is for whoever shows it.
    for (name, line) in names.iter().zip(&lines) {
        assert!(line.starts_with(&name.replace('\n', "␊")), "{line:?}");
    }
}

#[test]
fn parts_that_are_too_long_are_refused_and_the_longest_is_not() {
    let long = "x".repeat(256);
    let accents = "é".repeat(128);
    let (lines, _) =
        refused(&[&long, &accents, &format!("{long}/a"), &format!("a/{accents}/b")].map(|name| dumps(name)));
    assert!(lines.iter().all(|line| line.contains("255")), "{lines:?}");

    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let (longest, accents) = ("x".repeat(255), format!("{}x", "é".repeat(127)));
    let nested = format!("{longest}/{longest}");
    let mut sender = Sender::connect(&address);
    sender.file(&accents, b"1").file(&nested, b"2");
    // As long, and appended.
    let csv = format!("{}.csv", "c".repeat(251));
    sender.file(&csv, b"3\n").file(&csv, b"4\n");
    assert_eq!(sender.finish(), [""; 0]);
    let expected = forest([(accents.as_str(), &b"1"[..]), (&nested, b"2"), (&csv, b"3\n4\n")]);
    assert_eq!(tree(&rooms.inner), expected);
    stop(receiver);
}

#[test]
fn endless_names_are_refused_and_said_in_short() {
    let deep = "a/".repeat(20_000) + "a";
    let long = vec!["y".repeat(200); 200].join("/");
    let (lines, log) = refused(&[deep, long].map(|name| dumps(&name)));
    assert!(lines.iter().all(|line| line.len() < 2000), "{lines:?}");
    assert!(log.lines().all(|line| line.len() < 3000), "{log}");
}

#[test]
fn a_receivers_own_names_are_refused() {
    let names = [
        ".x.0123456789abcdef.part",
        ".x.y.ffffffffffffffff.part",
        "sub/.x.0123456789abcdef.part",
        ".x.0123456789abcdef.part/x",
        ".values.csv.0123456789abcdef.undo",
        "sub/.values.csv.0123456789abcdef.undo",
    ];
    all_refused(&names.map(|name| (name, name)));
}

#[test]
fn names_that_are_not_utf_8_are_refused_alone() {
    let (lines, log) = refused(&[r#""a\udc80b""#, r#""\ud800/b""#, r#""sub/\udfff""#].map(Into::into));
    assert!(lines[0].contains("dc80") && log.contains("dc80"), "{lines:?} {log}");
}

#[test]
fn files_without_a_name_are_refused() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    for kind in ["CSV", "IMAGE", "UNKNOWN", "OTHER"] {
        sender.whole(kind, "", b"content");
    }
    sender.file("after.txt", b"1");
    assert_eq!(sender.finish().len(), 4);
    assert_eq!(tree(&rooms.inner), forest([("after.txt", &b"1"[..])]));
    stop(receiver);
}

#[test]
fn names_that_only_look_odd_are_taken() {
    let names = [
        "...",
        "..a",
        "a..b/c",
        ".hidden",
        "with spaces and 'quotes' \"",
        "é/ü ✓ \u{1f600}",
        "-rf",
        "$(id)",
        "*?",
        ".x.part",
        ".x.0123456789abcde.part",
        "x.0123456789abcdef.part",
        ".undo",
    ];
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    for name in names {
        sender.whole("UNKNOWN", name, name.as_bytes());
    }
    assert_eq!(sender.finish(), [""; 0]);
    assert_eq!(tree(&rooms.inner), forest(names.map(|name| (name, name.as_bytes()))));
    stop(receiver);
}

#[cfg(unix)]
#[test]
fn nothing_goes_through_a_link() {
    use std::os::unix::fs::symlink;

    let rooms = Rooms::new();
    symlink("../out", rooms.inner.join("folder")).unwrap();
    symlink(rooms.outer.path().join("out"), rooms.inner.join("absolute")).unwrap();
    symlink("../secret.txt", rooms.inner.join("file.txt")).unwrap();
    symlink("../out/secret.csv", rooms.inner.join("file.csv")).unwrap();
    symlink("../out/new.txt", rooms.inner.join("dangling.txt")).unwrap();
    symlink("real", rooms.inner.join("inside")).unwrap();
    rooms.write("real/here.txt", "here");
    rooms.write("real/sub/x", "");
    symlink("../../../out", rooms.inner.join("real/sub/deep")).unwrap();
    let before = tree(&rooms.inner);
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    let names = [
        "folder/new.txt",
        "folder/new/new.txt",
        "folder/secret.csv",
        "absolute/new.txt",
        "file.txt",
        "file.csv",
        "dangling.txt",
        "inside/here.txt",
        "real/sub/deep/new.txt",
        "folder",
    ];
    for name in names {
        sender.file(name, b"overwritten");
    }
    sender.file("after.txt", b"1");
    let lines = sender.finish();
    assert_eq!(lines.len(), names.len(), "{lines:#?}");
    for (name, line) in names.iter().zip(&lines) {
        assert!(line.starts_with(&format!("{name}: ")) && line.contains("link"), "{line}");
    }
    let mut expected = before;
    expected.extend(forest([("after.txt", &b"1"[..])]));
    assert_eq!(tree(&rooms.inner), expected);
    rooms.untouched();
    let log = stop(receiver).stderr;
    assert!(names.iter().all(|name| log.contains(name)), "{log}");
}

/// A link that comes in the place of a folder or a file while that is being received.
#[cfg(unix)]
#[test]
fn a_link_that_comes_while_a_file_is_received_leads_nowhere() {
    use std::os::unix::fs::symlink;

    use heartwire_tests::files::until_parts;

    for csv in [false, true] {
        let rooms = Rooms::new();
        let (receiver, address) = receive(&rooms.inner);
        let (kind, final_name) = if csv { ("CSV", "secret.csv") } else { ("UNKNOWN", "secret.txt") };
        let mut one = Sender::connect(&address);
        one.begin(kind, &format!("sub/{final_name}"), 10).raw(b"12345");
        until_parts(&rooms.inner, 1, 0);
        let mut two = Sender::connect(&address);
        two.begin(kind, final_name, 10).raw(b"12345");
        until_parts(&rooms.inner, 2, 0);
        // The folder goes elsewhere, and a link to the outside takes its place.
        fs::rename(rooms.inner.join("sub"), rooms.inner.join("moved")).unwrap();
        symlink("../out", rooms.inner.join("sub")).unwrap();
        let target = if csv { "../out/secret.csv" } else { "../secret.txt" };
        symlink(target, rooms.inner.join(final_name)).unwrap();
        for mut sender in [one, two] {
            sender.raw(b"67890");
            sender.end();
            // Whatever becomes of it.
            let _ = sender.answer();
        }
        rooms.untouched();
        assert_eq!(parts(&rooms.inner), []);
        stop(receiver);
    }
}

#[test]
fn a_folder_is_not_replaced_and_a_file_is_no_folder() {
    let rooms = Rooms::new();
    rooms.write("folder/kept.txt", "kept");
    rooms.write("file.txt", "kept");
    fs::create_dir(rooms.inner.join("empty")).unwrap();
    let before = tree(&rooms.inner);
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    let names = ["folder", "empty", "file.txt/x", "file.txt/x/y.csv"];
    for name in names {
        sender.file(name, b"content").whole("CSV", name, b"1\n");
    }
    sender.file("after.txt", b"1");
    let lines = sender.finish();
    assert_eq!(lines.len(), 2 * names.len(), "{lines:#?}");
    for (name, lines) in names.iter().zip(lines.chunks(2)) {
        let said = |line: &String| line.starts_with(&format!("{name}: ")) && line.contains("folder");
        assert!(lines.iter().all(said), "{lines:?}");
    }
    let mut expected = before;
    expected.extend(forest([("after.txt", &b"1"[..])]));
    assert_eq!(tree(&rooms.inner), expected);
    stop(receiver);
}

/// What is neither a file nor a folder is not opened: a pipe would wait for a reader.
#[cfg(target_os = "linux")]
#[test]
fn pipes_and_sockets_in_a_files_place_hold_nobody_up() {
    use std::os::unix::net::UnixListener;

    let rooms = Rooms::new();
    for name in ["pipe.csv", "pipe.txt"] {
        let path = rooms.inner.join(name);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    }
    let _socket = UnixListener::bind(rooms.inner.join("socket.csv")).unwrap();
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    sender
        .file("pipe.csv", b"1\n")
        .file("socket.csv", b"1\n")
        .file("pipe.txt", b"text")
        .file("after.txt", b"1");
    let lines = sender.finish();
    assert!(lines.iter().any(|line| line.starts_with("pipe.csv: ")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("socket.csv: ")), "{lines:?}");
    assert_eq!(fs::read(rooms.inner.join("after.txt")).unwrap(), b"1");
    assert_eq!(parts(&rooms.inner), []);
    stop(receiver);
}

#[test]
fn thousands_of_bad_names_are_answered_in_bounds() {
    let rooms = Rooms::new();
    let (receiver, address) = receive(&rooms.inner);
    let mut sender = Sender::connect(&address);
    let all: Vec<u8> = (0..3000)
        .flat_map(|number| {
            heartwire_tests::peers::json_header::message("UNKNOWN", &format!("../{number}"), b"x")
        })
        .collect();
    sender.raw(&all).file("after.txt", b"1");
    let lines = sender.finish();
    assert!(lines.len() > 10 && lines.iter().map(String::len).sum::<usize>() < 64 * 1024, "{}", lines.len());
    let (shown, last) = (lines.len() - 1, lines.last().unwrap());
    assert!(last.contains(&(3000 - shown).to_string()), "{last}");
    assert_eq!(tree(&rooms.inner), forest([("after.txt", &b"1"[..])]));
    rooms.untouched();
    let log = stop(receiver).stderr;
    assert!(log.contains("../0") && log.contains("../2999"), "{}", log.len());
}
