//! What an event costs a machine when there are many: instructions of processing 150,000 messages of 64 B and 50,000
//! heartbeats, spread over 100 to 100,000 sessions. Everything is in one thread and in memory: no sockets, a
//! simulated clock, a binary heap of deadlines as an embedder may have it, no checksums and no authentication.
//!
//! `cargo bench --bench simulation`. Instructions are counted by valgrind's callgrind, in a child; without valgrind
//! there is the time only.

mod support;

use std::process::Command;

use heartwire_core::message::Message;
use support::process::{Helper, answer_all, part, processor_time, resident_kib};
use support::report::{Report, Row, Target};
use support::simulation::Simulation;

const SESSIONS: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// Enough for every pair to have its turns and a heartbeat.
const MESSAGES: usize = 150_000;
/// In one heartbeat interval each session's client sends so many.
const MESSAGES_A_HEARTBEAT: usize = 3;

fn main() {
    if let Some(sessions) = part() {
        return simulate(sessions.parse().expect("a number of sessions"));
    }
    let mut report = Report::new("simulation");
    let counts = Command::new("valgrind").arg("--version").output().is_ok();
    if !counts {
        println!("valgrind is not here: no instructions are counted");
    }
    let mut first = [None; 2];
    for (at, sessions) in SESSIONS.into_iter().enumerate() {
        let name = format!("{sessions} sessions");
        let last = at + 1 == SESSIONS.len();
        let mut child = Helper::start(&sessions.to_string());
        let events = child.ask_number("run");
        let nanos = child.ask_number("nanos") / events;
        let memory = child.ask_number("memory") / sessions as f64;
        drop(child);
        report.add(Row::of_one(("time of an event", &name, ""), "ns", nanos));
        if last {
            // Where there are few, it is what the process has besides.
            report.add(Row::of_one(("memory of a simulated session", &name, ""), "KiB", memory));
        }
        let growth = nanos / *first[0].get_or_insert(nanos);
        report.add(Row::of_one(("growth of the time of an event", &name, "100 sessions"), "x", growth));
        if !counts {
            continue;
        }
        let instructions = instructions(sessions) / events;
        report.add(Row::of_one(("instructions of an event", &name, ""), "instructions", instructions));
        let growth = instructions / *first[1].get_or_insert(instructions);
        let names = ("growth of the instructions of an event", name.as_str(), "100 sessions");
        let row = Row::of_one(names, "x", growth);
        report.add(if last { row.target(Target::AtMost(1.3)) } else { row });
    }
    report.save();
}

/// Runs the simulation under callgrind, which counts what `measured` executes.
fn instructions(sessions: usize) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let counts = folder.path().join("counts");
    let mut command = Command::new("valgrind");
    command
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"])
        .arg(format!("--callgrind-out-file={}", counts.display()))
        .arg(std::env::current_exe().expect("this program has a path"));
    let mut child = Helper::start_as(command, &sessions.to_string());
    child.ask("run");
    // The counts are written when it ends.
    child.finish();
    let text = std::fs::read_to_string(counts).expect("callgrind wrote what it counted");
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: f64 = total.and_then(|total| total.trim().parse().ok()).expect("it counted");
    assert!(total > 0.0, "the measured function was not found");
    total
}

/// In a child: everything is set up before it is asked, and nothing of that is measured.
fn simulate(sessions: usize) {
    let before = resident_kib();
    let mut simulation = Simulation::new(sessions / 2, MESSAGES_A_HEARTBEAT, Message::binary(vec![7; 64]));
    let memory = resident_kib() - before;
    let mut nanos = 0;
    answer_all(|question| match question {
        "run" => {
            let (messages, heartbeats) = (simulation.messages(), simulation.heartbeats());
            // Of the processor, not of the wall's clock: nothing here waits.
            let before = processor_time();
            measured(&mut simulation);
            nanos = (processor_time() - before).as_nanos();
            assert_eq!(simulation.messages() - messages, MESSAGES as u64, "all messages arrive");
            let heartbeats = simulation.heartbeats() - heartbeats;
            let expected = (MESSAGES / MESSAGES_A_HEARTBEAT) as f64;
            assert!((heartbeats as f64 / expected - 1.0).abs() < 0.01, "{heartbeats} heartbeats");
            (MESSAGES as u64 + heartbeats) as f64
        }
        "nanos" => nanos as f64,
        _ => memory,
    });
}

/// What callgrind counts: it knows it by its name, so that nothing else may have it.
#[inline(never)]
fn measured(simulation: &mut Simulation) {
    simulation.send(MESSAGES);
}
