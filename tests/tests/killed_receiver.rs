//! A receiver whose process is killed when it has read everything, and has said nothing of it yet: what its peer sees.

#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use heartwire_core::connection::Config;
use heartwire_core::wire::lines::{Lines, Settings};
use heartwire_std::address::Address;
use heartwire_std::connection::Connection;
use heartwire_std::options::ConnectionOptions;

/// Names the adapter of the receiver, and has it confirm by its end of stream or not; a test itself has none.
const PART: &str = "HEARTWIRE_TEST_RECEIVER";

/// Reads everything, says so, and waits to be killed.
async fn receive(mut connection: Connection<Lines>) {
    while connection.recv().await.is_some() {}
    say("received");
    std::future::pending::<()>().await;
}

/// Past the harness, which takes what tests print.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("somebody reads");
}

/// Plays the receiver, where this process is one.
#[test]
fn receiver() {
    let Ok(part) = std::env::var(PART) else { return };
    // It ends with the test, however that ends.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .expect("Linux does");
    let (adapter, confirms) = part.split_once(' ').expect("two words");
    let config = Config::builder().end_confirms(confirms == "confirms").build().expect("a configuration");
    let options = ConnectionOptions::<Lines>::new(Settings::default()).config(config);
    let anywhere: [Address; 1] = ["tcp://127.0.0.1:0".parse().expect("an address")];
    let never = std::future::pending::<()>();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match adapter {
        "tokio" => runtime.block_on(async {
            let server = heartwire_tokio::Server::bind(&anywhere, options).await.expect("it listens");
            say(&format!("{}", server.local_addresses()[0]));
            server.serve(receive, never).await;
        }),
        // What makes the connection secure leaves it as it is: the guard is of the TCP connection below.
        "tls" => runtime.block_on(async {
            let anywhere = ["tls://127.0.0.1:0".parse().expect("an address")];
            let secure = |io: heartwire_tokio::Io<_>| async { Ok(io) };
            let server = heartwire_tokio::Server::bind_tls(&anywhere, options, secure).await;
            let server = server.expect("it listens");
            say(&format!("{}", server.local_addresses()[0]));
            server.serve(receive, never).await;
        }),
        _ => {
            let server = heartwire_blocking::Server::bind(&anywhere, options).expect("it listens");
            say(&format!("{}", server.local_addresses()[0]));
            server.serve(|connection| heartwire_blocking::block_on(receive(connection.into_async())), never);
        }
    }
}

struct Receiver {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Receiver {
    fn start(part: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("a test has a path"));
        command.args(["--exact", "receiver", "--nocapture"]).env(PART, part).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let said = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, said }
    }

    /// The next line with this in it, from there on.
    fn line_with(&mut self, part: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.said.read_line(&mut line).expect("it says text") > 0, "it is gone");
            if let Some(at) = line.find(part) {
                return line[at..].trim_end().into();
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the peer reads when the receiver was killed.
fn after_the_kill(part: &str) -> std::io::Result<usize> {
    let mut receiver = Receiver::start(part);
    let address = receiver.line_with("://").replace("://", "");
    let mut peer = TcpStream::connect(address).expect("it listens");
    peer.write_all(b"one\ntwo\n").expect("it is written");
    peer.shutdown(std::net::Shutdown::Write).expect("it is open");
    receiver.line_with("received");
    receiver.process.kill().expect("it runs");
    peer.read(&mut [0; 100])
}

#[test]
fn a_receiver_that_is_killed_confirms_nothing() {
    for adapter in ["tokio", "tls", "blocking"] {
        let error = after_the_kill(&format!("{adapter} confirms")).expect_err(adapter);
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{adapter}: {error}");
    }
}

/// The kernel ends the stream as if that were in order.
#[test]
fn without_the_option_it_looks_like_an_end_in_order() {
    for adapter in ["tokio", "blocking"] {
        assert_eq!(after_the_kill(&format!("{adapter} plain")).expect(adapter), 0);
    }
}
