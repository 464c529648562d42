//! Every example is run, and has to print what the block at its head says.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long an example may take: they need a fraction of a second, and the machine may be busy.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_example_prints_what_its_head_says() {
    let failures: Vec<String> = files().iter().filter_map(|name| check(name).err()).collect();
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_file_is_declared_and_every_declared_one_is_there() {
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let paths = manifest.lines().filter_map(|line| line.strip_prefix("path = "));
    let declared: BTreeSet<String> =
        paths.map(|path| path.trim_matches('"').trim_end_matches(".rs").to_string()).collect();
    assert_eq!(declared, files(), "on the left: examples in Cargo.toml; on the right: files");
}

/// Runs an example. The error says what it did instead of what it should.
fn check(name: &str) -> Result<(), String> {
    let source = fs::read_to_string(folder().join(name).with_extension("rs")).unwrap();
    let expected = block(&source).ok_or(format!("{name}.rs has no block ```text at its head"))?;
    let Run { printed, errors, end } = run(name)?;
    if end.is_none() && printed == expected {
        return Ok(());
    }
    let end = end.unwrap_or("it printed something else".into());
    Err(format!(
        "== {name} ({end})\n-- expected:\n{expected}-- printed:\n{printed}-- to standard error:\n{errors}"
    ))
}

/// The lines of the block in the comment that a file begins with.
fn block(source: &str) -> Option<String> {
    let head = source.lines().map_while(|line| line.strip_prefix("//!"));
    let mut lines = head.map(|line| line.strip_prefix(' ').unwrap_or(line));
    lines.find(|line| *line == "```text")?;
    let mut block = String::new();
    for line in lines {
        if line == "```" {
            return Some(block).filter(|block| !block.is_empty());
        }
        block += line;
        block.push('\n');
    }
    None
}

/// What an example did.
struct Run {
    printed: String,
    /// What it said on standard error.
    errors: String,
    /// How it ended, if not in success.
    end: Option<String>,
}

fn run(name: &str) -> Result<Run, String> {
    let program = program(name);
    let mut command = Command::new(&program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        format!("{}: {error}; `cargo test -p heartwire-examples` builds it", program.display())
    })?;
    let stdout = read(child.stdout.take().unwrap());
    let stderr = read(child.stderr.take().unwrap());
    // Both end when the program does.
    let printed = stdout.recv_timeout(LIMIT);
    let in_time = printed.is_ok();
    if !in_time {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    let end = match (in_time, status.success()) {
        (true, true) => None,
        (true, false) => Some(status.to_string()),
        (false, _) => Some(format!("killed after {LIMIT:?}")),
    };
    let printed = printed.or_else(|_| stdout.recv()).unwrap();
    Ok(Run { printed, errors: stderr.recv().unwrap(), end })
}

/// Reads in a thread of its own, so that neither output waits for the other.
fn read(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).unwrap();
        sender.send(String::from_utf8_lossy(&bytes).into_owned())
    });
    receiver
}

/// Cargo puts examples beside the folder of the tests.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    profile.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names of the files, without their ending.
fn files() -> BTreeSet<String> {
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let sources = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.map(|path| path.file_stem().unwrap().to_str().unwrap().to_string()).collect()
}
