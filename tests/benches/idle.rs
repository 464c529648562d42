//! What many idle sessions cost the server that holds them: its resident memory and its processor time.
//! The server is in a process of its own, the clients in this one; they ping every 5 s.
//!
//! `cargo bench --bench idle`; `-- --sessions N` for another number than 10,000, `--seconds N` for another
//! time to watch them than 30 s. Linux only.

mod support;

use std::sync::Arc;
use std::time::Duration;

use heartwire_tests::suite::keys;
use heartwire_tokio::{
    Address, Config, Event, Limits, Message, Options, Receiver, Sender, Server, Session, connect,
};
use support::process::{Helper, answer_all, need_files, option, part, processor_time, resident_kib};
use support::report::{Report, Row, Target};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const INTERVAL: Duration = Duration::from_secs(5);
/// The first few pay for what is there once.
const FIRST: usize = 50;
/// How many connect at once.
const CONNECTING: usize = 200;

/// A client that is left alone: kept alive by its handles.
type Idle = (Sender, Receiver);

#[tokio::main(worker_threads = 2)]
async fn main() {
    let sessions = option("sessions", 10_000);
    need_files(FIRST + sessions + 100);
    if part().is_some() {
        return serve(FIRST + sessions).await;
    }
    let mut server = Helper::start("server");
    let address: Address = server.line().parse().expect("an address");

    let first = establish(&address, FIRST).await;
    let before = server.ask_number("memory");
    let clients = establish(&address, sessions).await;
    let memory = (server.ask_number("memory") - before) / sessions as f64;

    let seconds = option("seconds", 30) as u64;
    let frames = frames(&clients);
    let processor = server.ask_number("processor");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let processor = server.ask_number("processor") - processor;
    let frames = self::frames(&clients) - frames;

    // Every ping is answered: one of two frames is a ping, from whichever side. At the window's ends some are
    // not in it.
    let heartbeats = frames as f64 / 2.0;
    let expected = sessions as f64 * seconds as f64 / INTERVAL.as_secs_f64();
    assert!(heartbeats > expected * 0.9, "{heartbeats} heartbeats in {seconds} s, not about {expected}");
    assert!(first.iter().chain(&clients).all(|(client, _)| !client.is_closing()), "all are still there");

    let mut report = Report::new("idle");
    let name = format!("{sessions} sessions");
    let row = |group, unit, value| Row::of_one((group, &name, ""), unit, value);
    report.add(row("memory of an idle session", "KiB", memory).target(Target::AtMost(8.0)));
    let percent = processor / (seconds as f64 * 1e9) * 100.0;
    report.add(row("processor of idle sessions", "% of a core", percent).target(Target::AtMost(3.0)));
    report.add(row("processor of a heartbeat", "µs", processor / 1000.0 / heartbeats));
    report.add(row("heartbeats of a session", "in 5 s", heartbeats / expected));
    report.save();
}

/// Frames that these clients sent and received so far.
fn frames(clients: &[Idle]) -> u64 {
    let stats = clients.iter().map(|(client, _)| client.stats());
    stats.map(|stats| stats.frames_sent + stats.frames_received).sum()
}

fn options(sessions: usize) -> Options {
    let config = Config::builder().heartbeat_interval(INTERVAL).build().expect("it is valid");
    let limits = Limits::builder().max_sessions(sessions).build().expect("it is valid");
    Options::new(keys()).config(config).limits(limits)
}

/// Establishes that many sessions. Each has had a message sent back and a ping answered.
async fn establish(address: &Address, count: usize) -> Vec<Idle> {
    let connecting = Arc::new(Semaphore::new(CONNECTING));
    let options = options(count);
    let mut tasks = JoinSet::new();
    for number in 0..count {
        let (connecting, address, options) = (Arc::clone(&connecting), address.clone(), options.clone());
        tasks.spawn(async move {
            let permit = connecting.acquire_owned().await.expect("it stays open");
            let session = connect(&address, &options).await;
            let mut session = session.unwrap_or_else(|error| panic!("session {number} of {count}: {error}"));
            session.send(Message::text("hello")).await.expect("it is accepted");
            let message = session.recv_message().await;
            message.unwrap_or_else(|ended| panic!("session {number} of {count}: {ended}"));
            drop(permit);
            match session.recv().await {
                Some(Event::RoundTrip(_)) => session.split(),
                other => panic!("session {number} of {count}: {other:?}"),
            }
        });
    }
    // A panic in a task is one here.
    tasks.join_all().await
}

async fn serve(sessions: usize) {
    let anywhere = "tcp://127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(&[anywhere], options(sessions)).await.expect("it listens");
    println!("{}", server.local_addresses()[0]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        answer_all(|question| match question {
            "memory" => resident_kib(),
            _ => processor_time().as_nanos() as f64,
        });
        drop(stop);
    });
    server.serve(echo, stopped).await;
}

async fn echo(mut session: Session) {
    while let Ok(message) = session.recv_message().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}
