//! The resident memory of an idle session, in a server process that holds many: `cargo bench --bench idle`.
//! The clients are in this process, the server in a child.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use heartwire_tests::suite::keys;
use heartwire_tokio::{Address, Message, Options, Server, connect};

const SESSIONS: usize = 2000;

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    if std::env::var_os("HEARTWIRE_IDLE_SERVER").is_some() {
        return serve().await;
    }
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env("HEARTWIRE_IDLE_SERVER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut asks = child.stdin.take().expect("it is piped");
    let mut answers = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut answer = || answers.next().expect("a line").expect("a line");
    let address: Address = answer().parse().expect("an address");
    let options = Options::new(keys());
    let mut sessions = Vec::new();
    // The first few pay for what is there once.
    for count in [50, SESSIONS] {
        for _ in 0..count {
            let mut session = connect(&address, &options).await.expect("a session");
            session.send(Message::text("hello")).await.expect("accepted");
            session.recv_message().await.expect("it arrives");
            sessions.push(session);
        }
        writeln!(asks, "resident?").expect("it listens");
        let kib: u64 = answer().parse().expect("a number");
        if count == 50 {
            sessions.shrink_to_fit();
            println!("baseline with 50 sessions: {kib} KiB");
            sessions.reserve(SESSIONS);
            writeln!(asks, "base").expect("it listens");
            answer();
        } else {
            writeln!(asks, "since base?").expect("it listens");
            let grown: u64 = answer().parse().expect("a number");
            println!(
                "idle session: {:.1} KiB resident ({SESSIONS} sessions)",
                grown as f64 / SESSIONS as f64
            );
        }
    }
    drop(asks);
    let _ = child.wait();
}

async fn serve() {
    let address = "tcp://127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(&[address], Options::new(keys())).await.expect("it listens");
    println!("{}", server.local_addresses()[0]);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let mut base = 0;
        for line in std::io::stdin().lines().map_while(Result::ok) {
            match line.as_str() {
                "base" => {
                    base = resident_kib();
                    println!("{base}");
                }
                "since base?" => println!("{}", resident_kib() - base),
                _ => println!("{}", resident_kib()),
            }
        }
        drop(stop);
    });
    let echo = |mut session: heartwire_tokio::Session| async move {
        while let Ok(message) = session.recv_message().await {
            let _ = session.send(message).await;
        }
    };
    server.serve(echo, async { drop(stopped.await) }).await;
}
