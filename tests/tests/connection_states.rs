//! Every state of a connection without a session, and everything that can happen to it: what follows.

use std::fmt::Write;

use heartwire_core::connection::{Command, CommandOf, Config, Ended, EndedBy, Event};
use heartwire_core::error::Code;
use heartwire_core::protocol::{Close, Cut, Why};
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_tests::lone::Lone;

type Machine = Lone<Lines>;

fn line(text: &str) -> Line {
    Line::new(text.to_owned()).unwrap()
}

fn machine() -> Machine {
    Lone::client(Config::default(), &Settings::with_limit(100))
}

/// A machine whose end of stream tells the peer that everything was dealt with.
fn confirming() -> Machine {
    let config = Config::builder().end_confirms(true).build().unwrap();
    Lone::client(config, &Settings::with_limit(100))
}

/// A machine whose peer takes nothing of what it has to say.
fn stuck() -> Machine {
    let mut machine = machine();
    machine.side.hold_output = true;
    machine.send(line("queued"));
    machine
}

/// The same, and more than is encoded at once.
fn very_stuck() -> Machine {
    let mut machine = Lone::client(Config::default(), &Settings::with_limit(100_000));
    machine.side.hold_output = true;
    machine.send(line(&"x".repeat(100_000)));
    machine.send(line("queued"));
    machine
}

/// The states, and how they are reached. What is said on the way is not repeated.
fn states() -> Vec<(&'static str, Machine)> {
    let mut states = vec![("open", machine()), ("open, output waits", very_stuck())];
    let mut add = |name, mut machine: Machine, act: fn(&mut Machine)| {
        act(&mut machine);
        machine.events();
        states.push((name, machine));
    };
    add("open, peer finished", machine(), Machine::eof);
    add("open, behind", machine(), |m| {
        m.side.hold_events = true;
        m.feed(&b"x\n".repeat(300));
    });
    add("open, behind, peer finished", machine(), |m| {
        m.side.hold_events = true;
        m.feed(&b"x\n".repeat(300));
        m.side.pump.handle_read(m.now, 0);
    });
    add("finishing", very_stuck(), Machine::finish);
    add("finishing, peer finished", stuck(), |m| {
        m.finish();
        m.eof();
    });
    add("finished", machine(), Machine::finish);
    add("closing", very_stuck(), Machine::close);
    add("closing, peer finished", stuck(), |m| {
        m.eof();
        m.close();
    });
    add("refused, output waits", very_stuck(), |m| m.feed(b"\xff\n"));
    add("draining", machine(), Machine::close);
    add("write failed", very_stuck(), Machine::write_fails);
    add("ended", machine(), |m| m.cut(Cut::Aborted));
    add("confirming", confirming(), |_| {});
    add("confirming, peer finished without a word", confirming(), Machine::eof);
    add("confirming, something received", confirming(), |m| m.feed(b"x\n"));
    add("confirming, peer finished", confirming(), |m| {
        m.feed(b"x\n");
        m.eof();
    });
    add("confirming, something received, stopping", confirming(), |m| {
        m.feed(b"x\n");
        stop(m);
    });
    add("confirming, peer finished, stopping, output waits", confirming(), |m| {
        m.side.hold_output = true;
        m.send(line("queued"));
        m.feed(b"x\n");
        m.eof();
        stop(m);
    });
    add("confirming, finished, something received", confirming(), |m| {
        m.finish();
        m.feed(b"x\n");
    });
    states
}

/// Does something; says why, if it was refused.
type Act = fn(&mut Machine) -> Option<Why>;

/// What can happen.
const INPUTS: &[(&str, Act)] = &[
    ("send", |m| command(m, Command::Send(line("more")))),
    ("finish", |m| command(m, Command::Finish)),
    ("close", |m| command(m, Command::Close)),
    ("stop", |m| command(m, Command::Stop)),
    ("fail", |m| command(m, Command::Fail { code: Code::TooSlow, detail: "said".into() })),
    ("a line", |m| quiet(m, |m| m.feed(b"hello\n"))),
    ("half a line", |m| quiet(m, |m| m.feed(b"hello"))),
    ("what is refused", |m| quiet(m, |m| m.feed(b"\xff\n"))),
    ("half a line that is too long, and the end", |m| {
        quiet(m, |m| m.feed(&[b'x'; 100_001]));
        quiet(m, Machine::eof)
    }),
    ("end of stream", |m| quiet(m, Machine::eof)),
    ("half a line, end of stream", |m| {
        quiet(m, |m| m.feed(b"hello"));
        quiet(m, Machine::eof)
    }),
    ("read failed", |m| quiet(m, Machine::read_fails)),
    ("a line, read failed", |m| {
        m.side.inject(b"hello\n");
        quiet(m, |m| {
            m.run();
            m.read_fails();
        })
    }),
    ("write failed", |m| quiet(m, Machine::write_fails)),
    ("dropped", |m| quiet(m, |m| m.cut(Cut::Dropped))),
    ("aborted", |m| quiet(m, |m| m.cut(Cut::Aborted))),
    ("stopped", |m| quiet(m, |m| m.cut(Cut::Stopped))),
    ("output moves", |m| {
        quiet(m, |m| {
            m.side.hold_output = false;
            m.run();
        })
    }),
    ("events are taken", |m| {
        quiet(m, |m| {
            m.side.hold_events = false;
            m.run();
        })
    }),
    ("2 s pass", |m| quiet(m, |m| m.seconds(2))),
    ("4 s pass", |m| quiet(m, |m| m.seconds(4))),
];

fn stop(machine: &mut Machine) {
    assert_eq!(command(machine, Command::Stop), None);
}

fn command(machine: &mut Machine, command: CommandOf<Lines>) -> Option<Why> {
    machine.command(command).err().map(|refused| refused.why)
}

fn quiet(machine: &mut Machine, act: impl FnOnce(&mut Machine)) -> Option<Why> {
    act(machine);
    None
}

fn ended(ended: &Ended<Line>) -> String {
    let by = match ended.by {
        EndedBy::Local => "us",
        EndedBy::Peer => "the peer",
        _ => "the transport",
    };
    let told = if ended.told { "" } else { ", not told" };
    let begun = ended.unsent.iter().filter(|unsent| unsent.begun).count();
    let unsent = match ended.unsent.len() {
        0 => String::new(),
        n if begun > 0 => format!(", {n} unsent, {begun} of them begun"),
        n => format!(", {n} unsent"),
    };
    format!("ended by {by}: {}{told}{unsent}", ended.code)
}

fn describe(machine: &mut Machine, why: Option<Why>) -> String {
    let mut parts = Vec::new();
    if let Some(why) = why {
        parts.push(format!("refused ({why:?})"));
    }
    let mut lines = 0;
    for event in machine.events() {
        match event {
            Event::Received(_) => lines += 1,
            event => {
                if lines > 0 {
                    parts.push(format!("{lines} received"));
                }
                lines = 0;
                parts.push(match event {
                    Event::Ended(end) => ended(&end),
                    _ => "peer finished".into(),
                });
            }
        }
    }
    if lines > 0 {
        parts.push(format!("{lines} received"));
    }
    let written = machine.written().len();
    if written > 0 {
        parts.push(format!("{written} bytes written"));
    }
    let interest = machine.interest();
    let mut wants = vec![match interest.close {
        Close::Open => "stays",
        Close::AfterFlush => "half-closed",
        Close::Now => "closed",
    }];
    wants.extend(
        [(interest.read > 0, "reads"), (interest.write, "writes"), (interest.commands, "accepts")]
            .iter()
            .filter_map(|(on, name)| on.then_some(*name)),
    );
    if interest.closed && interest.close == Close::Open {
        wants.push("accepts no more");
    }
    if interest.events {
        wants.push("has events");
    }
    let deadline = interest.deadline.map(|at| format!(", {:?} left", at.since(machine.now)));
    format!("{} -> {}{}", parts.join("; "), wants.join(", "), deadline.unwrap_or_default())
        .trim_start()
        .into()
}

fn table() -> String {
    let mut table = String::new();
    for (at, (state, mut machine)) in states().into_iter().enumerate() {
        machine.written();
        let now = describe(&mut machine, None);
        writeln!(table, "{state} {now}").unwrap();
        for (input, act) in INPUTS {
            let (_, mut machine) = states().swap_remove(at);
            machine.written();
            let why = act(&mut machine);
            writeln!(table, "    {input}: {}", describe(&mut machine, why)).unwrap();
        }
    }
    table
}

/// The table is read, not only compared: what changes in it must be meant.
#[test]
fn what_follows_in_every_state_from_everything_is_as_written_down() {
    let table = table();
    let expected = include_str!("connection_states.txt");
    for (met, expected) in table.lines().zip(expected.lines()) {
        assert_eq!(met, expected, "\n\n{table}");
    }
    assert_eq!(table.lines().count(), expected.lines().count(), "\n\n{table}");
}

/// Whatever state it is in: an end comes after every other end, and then nothing.
#[test]
fn every_state_ends_once() {
    for (at, (state, _)) in states().into_iter().enumerate() {
        for (input, act) in INPUTS {
            let (_, mut machine) = states().swap_remove(at);
            act(&mut machine);
            machine.side.hold_events = false;
            machine.run();
            machine.cut(Cut::Stopped);
            let mut events = machine.events();
            let ends = events.iter().filter(|event| matches!(event, Event::Ended(_))).count();
            assert!(ends <= 1, "{state}, {input}: {events:?}");
            if ends == 1 {
                assert!(matches!(events.pop(), Some(Event::Ended(_))), "{state}, {input}");
            }
            machine.seconds(100);
            assert!(machine.events().is_empty() && machine.side.closed, "{state}, {input}");
            assert!(machine.interest().deadline.is_none(), "{state}, {input}");
        }
    }
}
