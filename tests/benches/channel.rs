//! A file of 1.1 GiB as one message from `heartwire channel send` to `heartwire channel listen`, against the same file
//! through a socket alone in pieces of 64 KiB, with the same hash computed where it arrives; and the most memory that
//! both programs take. Each end is a process of its own; the rounds alternate. Loopback TCP.
//!
//! `cargo bench --bench channel`; `-- --bytes N` for another size, `--rounds N` for more than 5, `--sockets-only 1` for
//! what it is held against. Linux only.

mod support;

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use heartwire_tests::peers::content::Content;
use heartwire_tests::peers::raw_copy;
use heartwire_tests::program::{Running, heartwire};
use support::process::{option, part, peak_resident_kib_of, this_program, watch_memory};
use support::report::{Report, Row, Target};

/// 1.1 GiB, and no whole number of pieces.
const BYTES: usize = 1_181_116_006;
const MIB: f64 = 1024.0 * 1024.0;

fn main() {
    match part().as_deref() {
        None => compare(option("bytes", BYTES) as u64, option("rounds", 5), option("sockets-only", 0) != 0),
        Some("listen") => listen(),
        Some("send") => send(),
        Some(other) => panic!("there is no part {other}"),
    }
}

fn compare(bytes: u64, rounds: usize, sockets_only: bool) {
    let file = Sample::write(bytes);
    let mib = bytes as f64 / MIB;
    let (mut speeds, mut floors) = (Vec::new(), Vec::new());
    let (mut sending, mut receiving) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        // Neither is always the one that runs first.
        for sockets in [round % 2 == 0, round % 2 != 0] {
            if sockets {
                floors.push(mib / transfer(this_program("listen"), this_program("send"), &file).seconds);
            } else if !sockets_only {
                let listen = heartwire(["channel", "listen", "--listen", "tcp://127.0.0.1:0"]);
                let took = transfer(listen, heartwire(["channel", "send"]), &file);
                speeds.push(mib / took.seconds);
                sending.push(took.sender);
                receiving.push(took.listener);
            }
        }
    }
    let mut report = Report::new("channel");
    let name = format!("{mib:.0} MiB");
    let row = |group, against, unit, samples| Row::of_samples((group, &name, against), unit, samples);
    if sockets_only {
        // Printed, but not kept: the report of the last whole run stays.
        report.add(row("sockets alone", "", "MiB/s", floors));
        return;
    }
    let ratios = speeds.iter().zip(&floors).map(|(ours, floor)| ours / floor).collect();
    let memory = Target::AtMost(32.0);
    report.add(row("peak memory of channel send", "", "MiB", sending).target(memory));
    report.add(row("peak memory of channel listen", "", "MiB", receiving).target(memory));
    let fast = Target::AtLeast(0.8);
    report.add(row("a message through a channel", "sockets alone", "x its MiB/s", ratios).target(fast));
    report.add(row("a message through a channel", "", "MiB/s", speeds));
    report.add(row("sockets alone", "", "MiB/s", floors));
    report.save();
}

/// What a transfer took.
struct Took {
    /// From the start of the sender to the listener's last word.
    seconds: f64,
    /// The most memory of the sender, in MiB.
    sender: f64,
    /// The most memory of the listener, in MiB.
    listener: f64,
}

/// Has one program send the file to the other, and checks that it arrived.
fn transfer(mut listen: Command, mut send: Command, file: &Sample) -> Took {
    let mut listener = Running::spawn(&mut listen);
    send.arg(listener.ready()).arg(&file.path);
    let began = Instant::now();
    let sender = Running::spawn(&mut send);
    let peak = watch_memory(sender.id());
    let said = listener.line();
    let seconds = began.elapsed().as_secs_f64();
    assert_eq!(said, file.received.to_string());
    let finished = sender.finish();
    assert_eq!(finished.code(), 0, "{finished:?}");
    let listener = peak_resident_kib_of(listener.id()).expect("it goes on until it is told") / 1024.0;
    Took { seconds, sender: peak.join().expect("it does not panic") / 1024.0, listener }
}

/// In another process: says where it listens, receives once, says what it received, and waits to be told to end.
fn listen() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("it listens");
    println!("listening on tcp://{}", listener.local_addr().expect("it has one"));
    let (mut stream, _) = listener.accept().expect("it connects");
    println!("{}", raw_copy::receive(&mut stream).expect("it arrives"));
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin is a pipe");
}

/// In another process: sends the file of its arguments to the address before it.
fn send() {
    let mut args = std::env::args().skip(1);
    let (address, path) = args.next().zip(args.next()).expect("an address and a file");
    let address = address.strip_prefix("tcp://").expect("a TCP address");
    let mut stream = TcpStream::connect(address).expect("it connects");
    let mut file = File::open(path).expect("it can be read");
    raw_copy::send(&mut stream, &mut file).expect("it leaves");
}

/// A file in cargo's folder for what tests write, as long as it is used.
struct Sample {
    path: PathBuf,
    /// What is said of it where it arrives.
    received: raw_copy::Received,
}

impl Sample {
    fn write(bytes: u64) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("channel.bin");
        let mut file = File::create(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let received = raw_copy::receive(&mut Content::new(bytes)).expect("it can always be read");
        let sample = Self { path, received };
        raw_copy::send(&mut file, &mut Content::new(bytes)).expect("there is room for it");
        // So that it is not still being written to the disk while something is measured.
        file.sync_all().expect("there is room for it");
        sample
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
