//! `files receive` and `files send`, as tests start them; a sender and a receiver by hand; and what folders hold.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::peers::content::{bytes, sha256};
use crate::peers::json_header::{self, Header, head, kind_of};
use crate::program::{Finished, PATIENCE, Running, binary, heartwire, patient};

/// More than any two socket buffers and queues hold.
pub const MUCH: usize = 32 * 1024 * 1024;

/// `files receive` on a port of its own, into that folder, with these options.
pub fn receive_command<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = heartwire(["files", "receive", "--listen", "tcp://127.0.0.1:0", "--dir"]);
    command.arg(folder).args(args);
    command
}

/// The same, running; and its address.
#[track_caller]
pub fn receive_with<S: AsRef<OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> (Running, String) {
    start(&mut receive_command(folder, args))
}

/// The same without options.
#[track_caller]
pub fn receive(folder: &Path) -> (Running, String) {
    receive_with(folder, [""; 0])
}

/// Starts a receiver, and waits until it listens.
#[track_caller]
pub fn start(command: &mut Command) -> (Running, String) {
    let mut receiver = Running::spawn(command);
    let address = receiver.ready();
    (receiver, address)
}

/// `files send` to this address.
pub fn send<S: AsRef<OsStr>>(address: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = heartwire(["files", "send", address]);
    command.args(args);
    command
}

/// Checks that a program failed, and said all of this in its last words: one line, that of `main`.
#[track_caller]
pub fn failed(finished: &Finished, texts: &[&str]) {
    assert_eq!(finished.code(), 1, "{finished:?}");
    let last = last_words(finished);
    for text in texts {
        assert!(last.contains(text), "no {text:?} in {last:?}; {finished:?}");
    }
}

/// The last line of stderr, without what stands before each such line.
#[track_caller]
pub fn last_words(finished: &Finished) -> &str {
    let last = finished.stderr.lines().last().unwrap_or_default();
    last.strip_prefix("heartwire: ").unwrap_or_else(|| panic!("no sentence: {finished:?}"))
}

/// A sender by hand. What it writes and reads does not wait for ever.
pub struct Sender(pub TcpStream);

impl Sender {
    /// Connects.
    #[track_caller]
    #[must_use]
    pub fn connect(address: &str) -> Self {
        let address = address.strip_prefix("tcp://").expect("a TCP address");
        Self(patient(TcpStream::connect(address).expect("it connects")))
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.write_all(bytes).expect("they leave");
        self
    }

    /// Begins a file.
    #[track_caller]
    pub fn begin(&mut self, kind: &str, name: &str, size: usize) -> &mut Self {
        self.raw(&Header::new(kind, size as u64, name).bytes())
    }

    /// Sends a whole file of this type.
    #[track_caller]
    pub fn whole(&mut self, kind: &str, name: &str, content: &[u8]) -> &mut Self {
        self.begin(kind, name, content.len()).raw(content)
    }

    /// Sends a whole file, of the type that its name says.
    #[track_caller]
    pub fn file(&mut self, name: &str, content: &[u8]) -> &mut Self {
        self.whole(kind_of(name), name, content)
    }

    /// Sends a file whose name is this, as it stands in JSON.
    #[track_caller]
    pub fn named(&mut self, json: &str, content: &[u8]) -> &mut Self {
        let header = format!(r#"{{"type": "UNKNOWN", "size": {}, "filename": {json}}}"#, content.len());
        self.raw(&head(header.as_bytes())).raw(content)
    }

    /// Ends its stream, and gives the lines that come back until the receiver ends its own.
    #[track_caller]
    #[must_use]
    pub fn finish(mut self) -> Vec<String> {
        self.end();
        self.answer().unwrap_or_else(|error| panic!("no orderly end: {error}"))
    }

    /// Ends its stream, in order.
    #[track_caller]
    pub fn end(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// The lines that come back until the receiver ends its stream.
    ///
    /// # Errors
    ///
    /// It does not end in order.
    #[track_caller]
    pub fn answer(&mut self) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        while let Some((header, text)) = json_header::read(&mut self.0)? {
            assert_eq!((header.kind.as_str(), header.filename.as_str()), ("TEXT", ""), "it is no text");
            let text = String::from_utf8(text).expect("it is text");
            lines.extend(text.lines().map(ToOwned::to_owned));
        }
        Ok(lines)
    }

    /// Ends its stream where nothing ends, and gives the lines that come back, if any do: who cuts a file short need not
    /// be told so.
    #[track_caller]
    #[must_use]
    pub fn cut(mut self) -> Vec<String> {
        self.end();
        match self.answer() {
            Ok(lines) => lines,
            Err(error) if is_reset(&error) => Vec::new(),
            Err(error) => panic!("neither an end nor a reset: {error}"),
        }
    }

    /// Resets the connection.
    pub fn reset(self) {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO)).expect("it can be set");
    }
}

/// Whether this is what a connection says that the other side has reset.
#[must_use]
pub fn is_reset(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Where a receiver by hand listens, and its address.
#[must_use]
pub fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
    let address = format!("tcp://{}", listener.local_addr().expect("it has one"));
    (listener, address)
}

/// The next connection to it.
#[track_caller]
#[must_use]
pub fn accept(listener: &TcpListener) -> TcpStream {
    let begun = Instant::now();
    listener.set_nonblocking(true).expect("it can be set");
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(begun.elapsed() < PATIENCE, "nobody connects");
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("{error}"),
        }
    };
    stream.set_nonblocking(false).expect("it can be set");
    patient(stream)
}

/// Nobody has connected.
#[track_caller]
pub fn nobody(listener: &TcpListener) {
    listener.set_nonblocking(true).expect("it can be set");
    assert_eq!(listener.accept().expect_err("somebody connected").kind(), ErrorKind::WouldBlock);
}

/// Everything that comes until the end of the stream.
///
/// # Errors
///
/// The stream does not end in order, or within a file.
pub fn everything(from: &mut impl Read) -> io::Result<Vec<(Header, Vec<u8>)>> {
    std::iter::from_fn(|| json_header::read(from).transpose()).collect()
}

/// What a folder holds: paths below it with `/` between their parts, and what is there. Files whose names are a
/// receiver's own are among them.
#[track_caller]
#[must_use]
pub fn tree(folder: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    look(folder, "", &mut all).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    all
}

fn look(folder: &Path, above: &str, all: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), format!("{above}{}", entry.file_name().to_string_lossy()));
        let kind = entry.file_type()?;
        let what = if kind.is_dir() {
            look(&path, &format!("{name}/"), all)?;
            "a folder".into()
        } else if kind.is_symlink() {
            format!("a link to {}", fs::read_link(&path)?.display())
        } else if kind.is_file() {
            shown(&fs::read(&path)?)
        } else {
            "something else".into()
        };
        all.insert(name, what);
    }
    Ok(())
}

/// What a [`tree`] says of a file with this content.
#[must_use]
pub fn shown(content: &[u8]) -> String {
    match std::str::from_utf8(content) {
        Ok(text) if text.len() < 64 => format!("{text:?}"),
        _ => format!("{} bytes {}", content.len(), sha256(content)),
    }
}

/// A [`tree`] of these files, and of the folders that they are in.
#[must_use]
pub fn forest<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, content) in files {
        for (at, _) in name.match_indices('/') {
            all.insert(name[..at].to_owned(), "a folder".to_owned());
        }
        all.insert(name.to_owned(), shown(content));
    }
    all
}

/// What is there of files that are not complete, anywhere in a folder, and how long it is.
#[track_caller]
#[must_use]
pub fn parts(folder: &Path) -> Vec<(String, u64)> {
    let mut parts = Vec::new();
    let mut open = vec![(PathBuf::from(folder), String::new())];
    while let Some((path, above)) = open.pop() {
        for entry in fs::read_dir(&path).expect("it is a folder").flatten() {
            let name = format!("{above}{}", entry.file_name().to_string_lossy());
            // What is gone by now is no part any more.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                open.push((entry.path(), format!("{name}/")));
            } else if is_part(&entry.file_name().to_string_lossy()) {
                parts.push((name, metadata.len()));
            }
        }
    }
    parts
}

/// `.NAME.RANDOM.part`, where RANDOM are 16 hexadecimal digits.
fn is_part(name: &str) -> bool {
    let random = name.strip_prefix('.').and_then(|name| name.strip_suffix(".part")?.rsplit_once('.'));
    random
        .is_some_and(|(_, random)| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until so many files are being received there, of which together so much has been written.
#[track_caller]
pub fn until_parts(folder: &Path, count: usize, written: u64) {
    until(&format!("{count} parts of {written} bytes"), || {
        let parts = parts(folder);
        parts.len() == count && parts.iter().map(|(_, len)| len).sum::<u64>() >= written
    });
}

/// Waits until nobody listens at this address any more.
#[track_caller]
pub fn until_deaf(address: &str) {
    let address = address.strip_prefix("tcp://").expect("a TCP address").to_owned();
    until("it listens no more", || TcpStream::connect(&address).is_err());
}

/// A folder with `in`, which is to be received in, and what must not be touched beside it.
pub struct Rooms {
    pub outer: TempDir,
    pub inner: PathBuf,
}

impl Rooms {
    #[must_use]
    pub fn new() -> Self {
        let outer = tempfile::tempdir().expect("there is room");
        let inner = outer.path().join("in");
        fs::create_dir(&inner).expect("there is room");
        fs::write(outer.path().join("secret.txt"), "secret").expect("there is room");
        fs::create_dir(outer.path().join("out")).expect("there is room");
        fs::write(outer.path().join("out/secret.csv"), "0,0\n").expect("there is room");
        Self { outer, inner }
    }

    /// A file in the folder that is received in.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.inner.join(name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
        fs::write(path, content).expect("there is room");
    }

    /// What is beside it is what it was.
    #[track_caller]
    pub fn untouched(&self) {
        let outside = tree(self.outer.path());
        let outside: Vec<_> = outside.iter().filter(|(name, _)| !name.starts_with("in/")).collect();
        let names: Vec<_> = outside.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["in", "out", "out/secret.csv", "secret.txt"], "{outside:?}");
        assert_eq!(outside[2].1, &shown(b"0,0\n"));
        assert_eq!(outside[3].1, &shown(b"secret"));
    }
}

impl Default for Rooms {
    fn default() -> Self {
        Self::new()
    }
}

/// Makes so many small files in nested folders, and gives what they are.
#[must_use]
pub fn small_files(folder: &Path, count: usize) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::with_capacity(count);
    for number in 0..count {
        let name = format!("{}/{}/{number}.bin", number % 7, number % 31);
        let content = bytes(number * 37 % 5000).into_iter().rev().collect::<Vec<_>>();
        let path = folder.join(&name);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("there is room");
        fs::write(path, &content).expect("there is room");
        files.push((name, content));
    }
    files
}

/// A program that can't read and write what its permissions forbid, also when root runs it.
#[must_use]
pub fn unprivileged(command: &Command) -> Command {
    wrapped(command, Command::new("unshare").arg("-U"))
}

/// A program with this folder on a file system of its own in memory, of so many bytes; on which `then` (a command of
/// the shell, with the folder as `$0`) has been done. Its folder is to be seen [through its process](seen_by).
#[must_use]
pub fn on_disk_of(bytes: usize, folder: &Path, then: &str, command: &Command) -> Command {
    let script = format!(r#"mount -t tmpfs -o size={bytes} none "$0" && {then} && exec "$@""#);
    wrapped(command, Command::new("unshare").args(["-rm", "sh", "-c", &script]).arg(folder))
}

/// A path as that process has it.
#[must_use]
pub fn seen_by(process: u32, path: &Path) -> PathBuf {
    Path::new(&format!("/proc/{process}/root")).join(path.strip_prefix("/").expect("it is absolute"))
}

/// Whether this system lets tests have file systems of their own; says so if not.
#[must_use]
pub fn has_namespaces() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let works = tried.is_ok_and(|tried| tried.status.success());
    if !works {
        eprintln!("not tested: this system lets nobody mount a file system of their own");
    }
    works
}

fn wrapped(command: &Command, with: &mut Command) -> Command {
    let mut wrapped = std::mem::replace(with, Command::new(binary()));
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    wrapped
}
