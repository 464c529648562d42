//! `channel listen` and `channel send`, as tests start them.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::peers::content::{Content, bytes, sha256};
use crate::peers::length_prefixed::{self, PIECE};
use crate::peers::raw_copy;
use crate::program::{Running, heartwire, patient};

/// The sizes at which something changes: none, what existing channels read at once, a block, many.
pub const SIZES: [usize; 6] = [0, 1, 4096, 4097, 100 * 1024, 3 * 1024 * 1024];

/// A listener on a port of its own, and where that is.
#[track_caller]
pub fn listen<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (Running, String) {
    let mut command = heartwire(["channel", "listen", "--listen", "tcp://127.0.0.1:0"]);
    let mut listener = Running::spawn(command.args(args));
    let address = listener.ready();
    (listener, address)
}

/// `channel send` to this address.
pub fn send<S: AsRef<OsStr>>(address: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = heartwire(["channel", "send", address]);
    command.args(args);
    command
}

/// A hand-written peer's connection.
#[track_caller]
pub fn connect(address: &str) -> TcpStream {
    patient(TcpStream::connect(name(address)).expect("it connects"))
}

/// What the channel at this address is called in logs.
#[must_use]
pub fn name(address: &str) -> &str {
    address.split_once("://").map_or(address, |(_, name)| name)
}

/// What is printed about a message with the first so many bytes of [`Content`].
#[must_use]
pub fn received(len: usize) -> String {
    raw_copy::receive(&mut Content::new(len as u64)).expect("it can be read").to_string()
}

/// What is printed about a message of these bytes.
#[must_use]
pub fn received_bytes(bytes: &[u8]) -> String {
    format!("received {} bytes sha256 {}", bytes.len(), sha256(bytes))
}

/// Sends the first so many bytes of [`Content`] as one message.
///
/// # Errors
///
/// Writing failed.
pub fn write(to: &mut impl Write, len: usize) -> io::Result<()> {
    length_prefixed::write_from(to, u32::try_from(len).expect("it is one"), &mut Content::new(len as u64))
}

/// Receives one message of the first so many bytes of [`Content`].
#[track_caller]
pub fn read(from: &mut impl Read, len: usize) {
    let mut expected = Content::new(len as u64);
    let mut same = vec![0; PIECE];
    let read = length_prefixed::read_pieces(from, u32::MAX, |piece| {
        let same = &mut same[..piece.len()];
        expected.read_exact(same)?;
        assert!(piece == same, "the content is another");
        Ok(())
    });
    assert_eq!(read.expect("it arrives"), Some(u32::try_from(len).expect("it is one")));
}

/// The stream ends here, in order.
#[track_caller]
pub fn ended(mut from: impl Read) {
    let mut more = [0];
    assert_eq!(from.read(&mut more).expect("it ends in order"), 0);
}

/// Files of the first bytes of [`Content`], one of each length, as long as the directory is kept.
#[must_use]
pub fn files(lens: &[usize]) -> (TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().expect("there is room");
    let paths = lens.iter().enumerate().map(|(number, len)| {
        let path = dir.path().join(format!("{number}.bin"));
        std::fs::write(&path, bytes(*len)).expect("there is room");
        path
    });
    let paths = paths.collect();
    (dir, paths)
}

/// One such file.
#[must_use]
pub fn file(len: usize) -> (TempDir, PathBuf) {
    let (dir, mut files) = files(&[len]);
    (dir, files.remove(0))
}

/// Makes it so long, whatever it was.
pub fn set_len(path: &Path, len: u64) {
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
    file.and_then(|file| file.set_len(len)).expect("it can be");
}

/// The most memory that a process took at once, in KiB.
#[must_use]
pub fn peak_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says it");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}
