//! README's table of what each adapter guarantees over which transport, made of the tests that back each cell: their
//! names, as the test programs of the suite list them.
//!
//! `UPDATE=1 cargo test --workspace` writes it where it has changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The adapters: how people call them, their test program, their module in `cross`.
const ADAPTERS: [(&str, &str, &str); 4] = [
    ("tokio", "tokio_suite", "tokio"),
    ("smol", "smol_suite", "smol"),
    ("async-std", "async_std_suite", "async_std"),
    ("blocking", "blocking_suite", "blocking"),
];

/// The transports: how people call them, the module of their tests.
const TRANSPORTS: [(&str, &str); 3] = [("TCP", "tcp"), ("Unix", "unix"), ("memory", "memory")];

/// What is guaranteed: in words, and by the tests of which modules.
const GUARANTEES: [(&str, &[&str]); 12] = [
    ("sessions: messages of any size and streams, both ways at once", &["both_ways"]),
    ("backpressure from end to end, in bounded memory", &["flow"]),
    ("heartbeats go on while the application is busy", &["heartbeat"]),
    ("every ending is told, with what was not sent", &["endings"]),
    ("peers that never read, reset, stall", &["transport", "scripted_transport"]),
    ("limits: who is too many is told so", &["limits"]),
    ("a server stops gracefully, within its grace", &["shutdown"]),
    ("the other four protocols", &["connections::both_ways", "connections::transport", "connections"]),
    ("the other protocols: half-close", &["connections::half_close"]),
    ("the other protocols: limits, stop", &["connections::limits", "connections::shutdown"]),
    ("the other protocols: an end that confirms is told from every other", &["confirmed"]),
    ("a future may be dropped at any await", &["cancel", "connections::cancel"]),
];

const BEGIN: &str = "<!-- made by tests/tests/guarantees.rs: begin -->";
const END: &str = "<!-- end -->";

#[test]
fn the_table_in_the_readme_is_what_the_tests_back() {
    let table = table();
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("there is a README");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a place for the table");
    let (there, after) = rest.split_once(END).expect("the place has an end");
    if there.trim() == table.trim() {
        return;
    }
    if std::env::var_os("UPDATE").is_some() {
        let new = format!("{before}{BEGIN}\n{table}\n{END}{after}");
        return fs::write(&path, new).expect("the README can be written");
    }
    panic!("the README has another table; run again with UPDATE=1 to write this one:\n{table}");
}

fn table() -> String {
    let mut text = String::from("| |");
    for (name, _, _) in ADAPTERS {
        write!(text, " {name} |").expect("it fits");
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(ADAPTERS.len()));
    let tests: Vec<_> = ADAPTERS.iter().map(|(_, program, _)| tests(program)).collect();
    for (guarantee, modules) in GUARANTEES {
        write!(text, "\n| {guarantee} |").expect("it fits");
        for tests in &tests {
            write!(text, " {} |", cell(tests, modules)).expect("it fits");
        }
    }
    let cross = tests_of_pairs();
    text.push_str("\n| against each of the others, both ways round |");
    for (_, _, name) in ADAPTERS {
        let pairs = cross.iter().filter(|((one, other), _)| one == name || other == name);
        write!(text, " {} |", pairs.map(|(_, count)| count).sum::<usize>()).expect("it fits");
    }
    text
}

/// How many tests there are for each transport.
fn cell(tests: &[String], modules: &[&str]) -> String {
    let of = |transport: &str| {
        let in_modules = |test: &&String| {
            let test = test.strip_prefix("dropped::").unwrap_or(test);
            let inside = match test.strip_prefix("cancel::") {
                // Futures are dropped over transports in memory.
                Some(_) => (transport == "memory").then_some(test),
                None => test.strip_prefix(transport).and_then(|test| test.strip_prefix("::")),
            };
            let module = inside.and_then(|test| test.rsplit_once("::")).map(|(module, _)| module);
            module.is_some_and(|module| modules.contains(&module))
        };
        tests.iter().filter(in_modules).count()
    };
    let counts = TRANSPORTS.map(|(name, module)| (name, of(module)));
    let there: Vec<_> =
        counts.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name}\u{a0}{n}")).collect();
    if there.is_empty() { "–".into() } else { there.join(", ") }
}

/// How many tests there are of each pair of runtimes: of the client's and the server's.
fn tests_of_pairs() -> BTreeMap<(String, String), usize> {
    let mut pairs = BTreeMap::new();
    for test in tests("cross") {
        let mut modules = test.split("::");
        if let (Some(client), Some("to"), Some(server)) = (modules.next(), modules.next(), modules.next()) {
            *pairs.entry((client.to_owned(), server.to_owned())).or_default() += 1;
        }
    }
    pairs
}

/// The tests that a test program has and runs.
fn tests(program: &str) -> Vec<String> {
    let path = newest(program);
    let list = |flags: &[&str]| -> Vec<String> {
        let output = Command::new(&path).args(flags).args(["--list", "--format", "terse"]).output();
        let output = output.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(output.status.success(), "{} can't list its tests", path.display());
        let text = String::from_utf8(output.stdout).expect("test names are UTF-8");
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    };
    let ignored = list(&["--ignored"]);
    let mut tests = list(&[]);
    tests.retain(|test| !ignored.contains(test));
    assert!(!tests.is_empty(), "{} has no tests", path.display());
    tests
}

/// The test program of this name that was built last.
fn newest(program: &str) -> PathBuf {
    let this = std::env::current_exe().expect("a program knows where it is");
    let folder = this.parent().expect("it is in a folder");
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let hash = name.strip_prefix(program).and_then(|rest| rest.strip_prefix('-'));
        let hash = hash.map(|hash| hash.strip_suffix(std::env::consts::EXE_SUFFIX).unwrap_or(hash));
        hash.is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
    };
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let programs = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_it);
    let built = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    programs
        .max_by_key(built)
        .unwrap_or_else(|| panic!("{program} is not built; run `cargo test --workspace`, or with --tests"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace")
}
