//! How many instructions the hot paths take, against `tests/counts.json`: they say the same on a busy machine
//! as on an idle one, so that CI can refuse what a time could only suggest.
//!
//! `cargo bench -p heartwire-tests --bench counts` compares, and fails where a path takes over 5 % more;
//! `-- --update` writes the figures anew; `-- --path NAME` does one path without valgrind, for a profiler.
//!
//! Checksums and authentication are left out: valgrind hides the instructions for SHA from a program, which
//! would then be counted at something that it does not do. `--bench envelope` is for these.

mod driver;
mod figures;
mod machine;
mod valgrind;

use std::process::ExitCode;

use figures::Figures;

/// A hot path.
struct Path {
    name: &'static str,
    run: fn(&mut Counter),
}

const PATHS: [Path; 11] = [
    Path { name: "handshake", run: machine::handshake },
    Path { name: "heartbeat", run: machine::heartbeat },
    Path { name: "send 64 B", run: |counter| machine::send(counter, 64) },
    Path { name: "send 8 KiB", run: |counter| machine::send(counter, 8 * 1024) },
    Path { name: "send 64 KiB", run: |counter| machine::send(counter, 64 * 1024) },
    Path { name: "send a chunk", run: machine::send_chunks },
    Path { name: "receive 64 B", run: |counter| machine::receive(counter, 64) },
    Path { name: "receive 8 KiB", run: |counter| machine::receive(counter, 8 * 1024) },
    Path { name: "receive 64 KiB", run: |counter| machine::receive(counter, 64 * 1024) },
    Path { name: "receive a chunk", run: machine::receive_chunks },
    Path { name: "driver 64 B", run: driver::small_message },
];

/// How often a path is gone before it is counted: queues and buffers have grown then.
const WARM_UP: u64 = 100;

/// How often it is counted.
const TIMES: u64 = 500;

/// Counts operations; valgrind counts what they take.
#[derive(Default)]
struct Counter {
    calls: u64,
    warming_up: bool,
    operations: u64,
}

impl Counter {
    /// Whether there is more to do.
    fn goes_on(&mut self) -> bool {
        self.goes_on_for(1)
    }

    /// Whether there is more to do, where so many operations are done at once.
    fn goes_on_for(&mut self, operations: u64) -> bool {
        self.calls += 1;
        self.warming_up = self.calls <= WARM_UP.div_ceil(operations);
        self.operations < TIMES
    }

    /// Does what is to be counted: so many operations.
    fn count(&mut self, operations: u64, work: &mut dyn FnMut()) {
        if self.warming_up {
            return work();
        }
        self.operations += operations;
        instructions_counted(work);
    }
}

/// Valgrind counts between entry and return of this function, which it finds by this part of its name: however
/// names are mangled, no other has it.
#[inline(never)]
fn instructions_counted(work: &mut dyn FnMut()) {
    work();
    // A call at the very end would become a jump, and this function would return before it.
    std::hint::black_box(());
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--path", name] => run_one(name),
        ["--update"] => measure(true),
        [] => measure(false),
        _ => {
            eprintln!("usage: counts [--update | --path NAME]");
            ExitCode::from(2)
        }
    }
}

fn run_one(name: &str) -> ExitCode {
    let Some(path) = PATHS.iter().find(|path| path.name == name) else {
        eprintln!("there is no path {name:?}");
        return ExitCode::from(2);
    };
    let mut counter = Counter::default();
    (path.run)(&mut counter);
    println!("{}", counter.operations);
    ExitCode::SUCCESS
}

fn measure(update: bool) -> ExitCode {
    let mut measured = Figures::of_this_machine();
    for path in &PATHS {
        match valgrind::instructions(path.name) {
            Ok(instructions) => drop(measured.instructions.insert(path.name.into(), instructions)),
            Err(error) => {
                eprintln!("{}: {error}", path.name);
                return ExitCode::FAILURE;
            }
        }
    }
    if update {
        measured.save();
        println!("{measured}");
        return ExitCode::SUCCESS;
    }
    if figures::compare(&Figures::load(), &measured) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
