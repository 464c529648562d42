//! A file of 1 GiB from `heartwire files send` to `heartwire files receive`, against a copy through a socket alone in
//! pieces of 64 KiB that ends on the disk in the same way: written beside its destination, synced, renamed, and the
//! folder synced; and the most memory that both programs take. Then thousands of small files, against a loop by hand
//! that does the same for each. Each end is a process of its own; the rounds alternate. Loopback TCP. What is written
//! is on the disk that cargo's target folder is on, which must not be one in memory to mean anything.
//!
//! `cargo bench --bench files`; `-- --bytes N` and `--files N` for other sizes (0 leaves one out), `--rounds N` for more
//! than 5, `--ours-only 1` for a profiler. Linux only.

mod support;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use heartwire_tests::peers::content::Content;
use heartwire_tests::peers::json_header::{self, PIECE};
use heartwire_tests::peers::{pieces, raw_copy};
use heartwire_tests::program::{Running, heartwire};
use support::process::{option, part, peak_resident_kib_of, this_program, watch_memory};
use support::report::{Report, Row, Target};

const BYTES: usize = 1024 * 1024 * 1024;
const FILES: usize = 3000;
/// How long small files are.
const SMALL: usize = 4096;
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    match part().as_deref() {
        None => compare(),
        Some("receive one") => receive(receive_one),
        Some("receive many") => receive(receive_many),
        Some("send one") => send(send_one),
        Some("send many") => send(send_many),
        Some(other) => panic!("there is no part {other}"),
    }
}

fn compare() {
    let (bytes, files, rounds) = (option("bytes", BYTES), option("files", FILES), option("rounds", 5));
    let ours_only = option("ours-only", 0) != 0;
    let folder = Folder::make();
    let mut report = Report::new("files");
    if bytes > 0 {
        let name = format!("{:.0} MiB", bytes as f64 / MIB);
        let sample = folder.large(bytes as u64);
        let found = rounds_of(rounds, ours_only, &folder, &sample, "one");
        found.tell(&mut report, &name, bytes as f64 / MIB, "MiB/s", Some(Target::AtLeast(0.6)));
    }
    if files > 0 {
        let name = format!("{files} files of {} KiB", SMALL / 1024);
        let sample = folder.small(files);
        let found = rounds_of(rounds, ours_only, &folder, &sample, "many");
        found.tell(&mut report, &name, files as f64, "files/s", None);
    }
    // A part of it is printed, but not kept: the report of the last whole run stays.
    if bytes > 0 && files > 0 && !ours_only {
        report.save();
    }
}

/// What was found in some rounds.
#[derive(Default)]
struct Found {
    /// In seconds.
    ours: Vec<f64>,
    by_hand: Vec<f64>,
    /// In MiB.
    sender: Vec<f64>,
    receiver: Vec<f64>,
}

impl Found {
    fn tell(self, report: &mut Report, name: &str, much: f64, unit: &'static str, target: Option<Target>) {
        let row = |group, against, unit, samples| Row::of_samples((group, name, against), unit, samples);
        let memory = Target::AtMost(32.0);
        report.add(row("peak memory of files send", "", "MiB", self.sender).target(memory));
        report.add(row("peak memory of files receive", "", "MiB", self.receiver).target(memory));
        if !self.by_hand.is_empty() {
            let ratios = self.by_hand.iter().zip(&self.ours).map(|(by_hand, ours)| by_hand / ours).collect();
            let ratio = row(
                "files to a folder",
                "by hand",
                if unit == "MiB/s" { "x its MiB/s" } else { "x its files/s" },
                ratios,
            );
            report.add(match target {
                Some(target) => ratio.target(target),
                None => ratio,
            });
            let by_hand = self.by_hand.iter().map(|seconds| much / seconds).collect();
            report.add(row("files by hand", "", unit, by_hand));
        }
        report.add(row(
            "files to a folder",
            "",
            unit,
            self.ours.iter().map(|seconds| much / seconds).collect(),
        ));
    }
}

/// Has both do it in turn.
fn rounds_of(rounds: usize, ours_only: bool, folder: &Folder, sample: &Sample, what: &str) -> Found {
    let mut found = Found::default();
    for round in 0..rounds {
        // Neither is always the one that runs first.
        for by_hand in [round % 2 == 0, round % 2 != 0] {
            let target = folder.0.join("target");
            fs::create_dir(&target).expect("it was removed");
            if by_hand {
                if !ours_only {
                    let mut receive = this_program(&format!("receive {what}"));
                    receive.arg(&target);
                    let took = transfer(receive, this_program(&format!("send {what}")), &sample.path);
                    found.by_hand.push(took.seconds);
                }
            } else {
                let mut receive = heartwire(["files", "receive", "--listen", "tcp://127.0.0.1:0", "--dir"]);
                receive.arg(&target).env("RUST_LOG", "warn");
                let mut send = heartwire(["files", "send"]);
                send.env("RUST_LOG", "warn");
                let took = transfer(receive, send, &sample.path);
                found.ours.push(took.seconds);
                found.sender.push(took.sender);
                found.receiver.push(took.receiver);
            }
            if !by_hand || !ours_only {
                sample.is_in(&target, round == 0);
            }
            fs::remove_dir_all(&target).expect("it can be removed");
            // What that leaves to be written is not to be written while something else is measured.
            let parent = File::open(&folder.0).and_then(|folder| folder.sync_all());
            parent.expect("it can be synced");
        }
    }
    found
}

/// What a transfer took.
struct Took {
    /// From the start of the sender to its end, which is after everything has its name.
    seconds: f64,
    /// The most memory of each, in MiB.
    sender: f64,
    receiver: f64,
}

/// Has one program send this to the other.
fn transfer(mut receive: Command, mut send: Command, path: &Path) -> Took {
    let mut receiver = Running::spawn(&mut receive);
    send.arg(receiver.ready()).arg(path);
    let began = Instant::now();
    let sender = Running::spawn(&mut send);
    let peak = watch_memory(sender.id());
    let peak = peak.join().expect("it does not panic");
    let seconds = began.elapsed().as_secs_f64();
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let receiver = peak_resident_kib_of(receiver.id()).expect("it goes on until it is told") / 1024.0;
    Took { seconds, sender: peak / 1024.0, receiver }
}

/// In another process: says where it listens, receives once into the folder of its argument, and waits to be told to end.
fn receive(all: fn(&mut TcpStream, &Path) -> io::Result<()>) {
    let folder = PathBuf::from(std::env::args_os().nth(1).expect("a folder"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
    println!("listening on tcp://{}", listener.local_addr().expect("it has one"));
    let (mut stream, _) = listener.accept().expect("it connects");
    all(&mut stream, &folder).expect("it arrives");
    drop(stream);
    io::stdin().read_to_end(&mut Vec::new()).expect("stdin is a pipe");
}

/// In another process: sends what is at the path of its arguments to the address before it, and waits until the
/// receiver ends its stream.
fn send(all: fn(&mut TcpStream, &Path) -> io::Result<()>) {
    let mut args = std::env::args().skip(1);
    let (address, path) = args.next().zip(args.next()).expect("an address and a path");
    let address = address.strip_prefix("tcp://").expect("a TCP address");
    let mut stream = TcpStream::connect(address).expect("it connects");
    all(&mut stream, Path::new(&path)).expect("it leaves");
    stream.shutdown(Shutdown::Write).expect("it is connected");
    assert_eq!(stream.read(&mut [0]).expect("it ends in order"), 0);
}

fn send_one(to: &mut TcpStream, path: &Path) -> io::Result<()> {
    raw_copy::send(to, &mut File::open(path)?).map(|_| ())
}

fn receive_one(from: &mut TcpStream, folder: &Path) -> io::Result<()> {
    store(&folder.join("large.bin"), |file| raw_copy::send(file, from).map(|_| ()))
}

fn send_many(to: &mut TcpStream, path: &Path) -> io::Result<()> {
    let mut to = BufWriter::with_capacity(PIECE, to);
    let name = path.file_name().and_then(|name| name.to_str()).expect("it has one");
    let mut names: Vec<_> = fs::read_dir(path)?.collect::<io::Result<_>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    for entry in names {
        let file = entry.file_name();
        json_header::send_file(
            &mut to,
            &entry.path(),
            &format!("{name}/{}", file.to_str().expect("it is text")),
        )?;
    }
    to.flush()
}

fn receive_many(from: &mut TcpStream, folder: &Path) -> io::Result<()> {
    let mut from = BufReader::with_capacity(PIECE, from);
    while let Some(header) = json_header::read_head(&mut from)? {
        let path = folder.join(&header.filename);
        fs::create_dir_all(path.parent().expect("it is in a folder"))?;
        store(&path, |file| pieces(&mut from, header.size, PIECE, |piece| file.write_all(piece)))?;
    }
    Ok(())
}

/// Stores a file so that it has its name only when it is complete, and keeps it.
fn store(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create_new(&part)?;
    write(&mut file)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(path.parent().expect("it is in a folder"))?.sync_all()
}

/// What is sent.
struct Sample {
    path: PathBuf,
    files: Vec<(PathBuf, u64)>,
}

impl Sample {
    /// Checks that it arrived.
    fn is_in(&self, target: &Path, to_the_byte: bool) {
        for (name, len) in &self.files {
            let path = target.join(name);
            let metadata = fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(metadata.len(), *len, "{}", path.display());
            if to_the_byte {
                let came = raw_copy::receive(&mut File::open(&path).expect("it is there"));
                let sent = raw_copy::receive(&mut Content::new(*len));
                assert_eq!(
                    came.expect("it can be read"),
                    sent.expect("it can always be read"),
                    "{}",
                    path.display()
                );
            }
        }
    }
}

/// A folder in cargo's for what tests write, as long as it is used.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("files-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    fn large(&self, len: u64) -> Sample {
        let path = self.0.join("large.bin");
        write(&path, len);
        Sample { path, files: vec![("large.bin".into(), len)] }
    }

    fn small(&self, count: usize) -> Sample {
        let path = self.0.join("small");
        fs::create_dir(&path).expect("there is room");
        let files = (0..count).map(|number| {
            let name = format!("{number:06}.bin");
            write(&path.join(&name), SMALL as u64);
            (Path::new("small").join(name), SMALL as u64)
        });
        let files = files.collect();
        Sample { path, files }
    }
}

fn write(path: &Path, len: u64) {
    let mut file = File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    raw_copy::send(&mut file, &mut Content::new(len)).expect("there is room for it");
    // So that it is not still being written to the disk while something is measured.
    file.sync_all().expect("there is room for it");
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
