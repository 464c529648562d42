//! TLS in the program: every protocol over it, and what is said where it can't be had.

mod certificates;
#[cfg(unix)]
mod endings;
mod refusals;
mod usage;

use std::io::Write;
use std::process::{Command, Stdio};

use certificates::{Authority, Certificate};
use heartwire_tests::channel::{self, received};
use heartwire_tests::program::{Finished, Running, run};
use heartwire_tests::sealed::{self, Programs};

/// The key of the sessions.
const KEY: &str = "a key of these tests";

/// An authority, and a certificate by it for this machine.
fn trusted() -> (Authority, Certificate) {
    let authority = Authority::new("an authority of these tests");
    let certificate = authority.certificate();
    (authority, certificate)
}

/// It runs; and its address.
#[track_caller]
fn start(command: &mut Command) -> (Running, String) {
    let mut server = Running::spawn(command);
    let address = server.ready();
    assert!(address.starts_with("tls://127.0.0.1:"), "{address}");
    (server, address)
}

/// The port of an address.
fn port(address: &str) -> &str {
    address.rsplit_once(':').unwrap().1
}

/// It ended well, without a word on stderr that is not `said`.
#[track_caller]
fn well(finished: &Finished, stdout: &str) {
    assert!(finished.code() == 0 && finished.stdout == stdout, "{finished:?}");
}

#[test]
fn sessions_go_over_tls_beside_tcp_and_unix_sockets() {
    let (authority, certificate) = trusted();
    let unix = format!("unix://{}", authority.dir.path().join("chat.sock").display());
    let file = authority.dir.path().join("lines");
    let lines: String = (0..3000).map(|n| format!("{n} {}\n", "é".repeat(n % 70))).collect();
    std::fs::write(&file, &lines).unwrap();

    let (mut server, tls) = start(certificate.serving(&["chat", "serve"]).args([
        "--listen",
        "tcp://127.0.0.1:0",
        "--listen",
        &unix,
    ]));
    let tcp = server.ready();
    assert!(tcp.starts_with("tcp://") && server.ready() == unix, "{tcp}");
    let file = file.to_str().unwrap();
    // a name and an address: the certificate is for both
    for address in [&tls, &format!("tls://localhost:{}", port(&tls))] {
        well(&run(&mut authority.trusting(&["chat", "connect", address, "--file", file]), b""), &lines);
        assert!(server.log_line(": connected").contains("connected: tls://127.0.0.1:"));
    }
    for address in [&tcp, &unix] {
        let client = &mut heartwire_tests::chat::chat("connect", [address, "--file", file]);
        well(&run(client.env("HEARTWIRE_KEY", KEY), b""), &lines);
    }
    let again = ["chat", "connect", &tls, "--reconnect", "--file", file];
    let finished = run(&mut authority.trusting(&again), b"");
    assert!(finished.code() == 0 && finished.stdout == lines, "{}", finished.stderr);
    heartwire_tests::chat::stop(server);
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_file_the_system_says_whom_to_trust() {
    let (authority, certificate) = trusted();
    let (_server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    let client = || heartwire_tests::lines::command("connect", [&address]);
    well(&run(client().env("SSL_CERT_FILE", authority.ca()), b"over\n"), "over\n");
    let empty = authority.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let finished = run(client().env("SSL_CERT_DIR", &empty).env_remove("SSL_CERT_FILE"), b"");
    refusals::says(&finished, 2, &["no certificates of authorities to trust", "give --tls-ca FILE"]);
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_noticed() {
    let (_authority, certificate) = trusted();
    certificate.key_for(0o644);
    let (mut server, _) = start(&mut certificate.serving(&["lines", "serve"]));
    server.log_line("server.key: other users may read this key; take that from them with `chmod 600`");
}

#[test]
fn lines_come_back_over_tls_after_the_end_of_what_is_sent() {
    let (authority, certificate) = trusted();
    let (_server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    let connect = &["lines", "connect", &address];
    let mut other = Running::spawn(&mut authority.trusting(connect));
    let mut typed = other.stdin().unwrap();
    writeln!(typed, "first").unwrap();
    assert_eq!(other.line(), "first");
    // far more than is under way at once: most of it comes back when the end of the stream was sent
    let lines: String = (0..20_000).map(|n| format!("{n} {}\n", "x".repeat(n % 90))).collect();
    well(&run(&mut authority.trusting(connect), lines.as_bytes()), &lines);
    for line in lines.lines() {
        assert_eq!(other.line(), line);
    }
    drop(typed);
    well(&other.finish(), "");
}

#[test]
fn sealed_packets_go_over_tls() {
    let (authority, certificate) = trusted();
    let keys = Programs::new();
    let key = keys.key_file(&sealed::KEY);
    let key = key.to_str().unwrap();
    let (_server, address) = start(&mut certificate.serving(&["sealed", "serve", "--key-file", key]));
    let request: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for request in [&b""[..], b"a request", &request] {
        let mut client = authority.trusting(&["sealed", "forward", &address, "--key-file", key]);
        let answer = sealed::exact(&mut client, request);
        assert!(answer.status.success() && answer.stdout == request, "{} bytes", answer.stdout.len());
    }
}

#[test]
fn channels_go_over_tls_in_both_directions() {
    const LENS: [usize; 4] = [20_000_000, 0, 1, 3_000_000];
    const BACK: usize = 20_000_001;
    let (authority, certificate) = trusted();
    let (_dir, files) = channel::files(&LENS);
    let (_back_dir, back) = channel::file(BACK);
    let (mut listener, address) = start(certificate.serving(&["channel", "listen"]).arg("--send").arg(&back));
    let finished = run(authority.trusting(&["channel", "send", &address]).args(&files), b"");
    well(&finished, &format!("{}\n", received(BACK)));
    for len in LENS {
        assert_eq!(listener.line(), received(len));
    }
    let log = heartwire_tests::chat::stop(listener).stderr;
    assert!(log.contains("closed tls://127.0.0.1:") && log.contains("the end of its stream"), "{log}");
}

/// Another implementation: both versions of TLS, and its own end of a stream.
#[test]
fn openssl_is_a_client() {
    if Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_err() {
        println!("openssl is not here: not tested against it");
        return;
    }
    let (authority, certificate) = trusted();
    let (mut server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    for version in ["-tls1_3", "-tls1_2"] {
        let mut command = Command::new("openssl");
        command.args(["s_client", version, "-quiet", "-no_ign_eof", "-verify_return_error", "-CAfile"]);
        let at = format!("127.0.0.1:{}", port(&address));
        let mut client = Running::spawn(command.arg(authority.ca()).args(["-connect", &at]));
        let mut stdin = client.stdin().unwrap();
        stdin.write_all("naïve\n".as_bytes()).unwrap();
        assert_eq!(client.line(), "naïve");
        drop(stdin);
        assert_eq!(client.finish().code(), 0);
        let closed = server.log_line(": closed: ");
        assert!(closed.contains("the end of its stream"), "{version}: {closed}");
    }
}
