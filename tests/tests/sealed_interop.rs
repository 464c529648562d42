//! Sealed packets with a peer made with PyNaCl, in both roles. It comes with the Debian package `python3-nacl`, so
//! these run when they are asked for: `cargo test --test sealed_interop -- --ignored`.

use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::sealed::{self, Key, nonce};
use heartwire_tests::program::{PATIENCE, Running, patient};
use heartwire_tests::sealed::{KEY, OTHER_KEY, Programs, exact};
use heartwire_tokio::connection::Connection;
use heartwire_tokio::connection::sealed::{Sealed, SecretKey, Settings};
use heartwire_tokio::{Address, ConnectionOptions, Server, connect};

/// The interpreter that Debian's packages are for.
const PYTHON: &str = "/usr/bin/python3";
/// The most that a packet holds.
const LONGEST: usize = sealed::LIMIT as usize - 16;
const SIZES: [usize; 7] = [0, 1, 63, 64, 65, 64 * 1024, 1024 * 1024];

/// The peer made with PyNaCl.
fn peer(command: &str, key: &Key) -> Command {
    let mut peer = Command::new(PYTHON);
    peer.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/sealed_peer.py")).arg(command);
    peer.arg("--key").arg(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    peer
}

/// It serves, on this port.
fn serving_on(key: &Key) -> (Running, String) {
    let mut server = Running::spawn(&mut peer("serve", key));
    let port = server.ready();
    (server, port)
}

/// It serves; and a connection to it.
fn serving(key: &Key) -> (Running, TcpStream) {
    let (server, port) = serving_on(key);
    (server, patient(TcpStream::connect(format!("127.0.0.1:{port}")).unwrap()))
}

/// It sends this to that port, and ends with this code, output and errors.
fn sends(key: &Key, port: u16, plaintext: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    let mut client = peer("send", key);
    client.args(["127.0.0.1", &port.to_string()]);
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    client.stdin.take().unwrap().write_all(plaintext).unwrap();
    let output = client.wait_with_output().unwrap();
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

/// A server by hand for one connection after another, so many, each of which answers with its plaintext; and its
/// port.
fn answering(key: Key, connections: usize) -> (JoinHandle<Vec<io::Result<()>>>, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let each = move || sealed::serve(&mut patient(listener.accept().unwrap().0), &key, |plaintext| plaintext);
    (thread::spawn(move || (0..connections).map(|_| each()).collect()), port)
}

#[test]
#[ignore = "needs PyNaCl"]
fn its_server_opens_what_is_sealed_by_hand_and_answers() {
    let (server, mut stream) = serving(&KEY);
    for (number, size) in (0..).zip(SIZES) {
        let plaintext = bytes(size);
        let answer = sealed::ask(&mut stream, &KEY, &nonce(number), &plaintext).unwrap().unwrap();
        assert!(answer.plaintext == plaintext, "{size} bytes");
        assert_ne!(answer.nonce, nonce(number), "it draws its own");
    }
    drop(stream);
    let finished = server.finish();
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
}

#[test]
#[ignore = "needs PyNaCl"]
fn its_client_is_answered_by_hand() {
    let (serving, port) = answering(KEY, SIZES.len());
    for size in SIZES {
        let plaintext = bytes(size);
        let (code, answer, stderr) = sends(&KEY, port, &plaintext);
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{size} bytes");
        assert!(answer == plaintext, "{size} bytes");
    }
    serving.join().unwrap().into_iter().for_each(Result::unwrap);
}

#[test]
#[ignore = "needs PyNaCl"]
fn its_server_refuses_another_key() {
    let (mut server, mut stream) = serving(&KEY);
    assert_eq!(sealed::ask(&mut stream, &OTHER_KEY, &nonce(0), b"a secret").unwrap(), None);
    server.log_line("decryption-failed");
    assert_eq!(server.finish().code(), 0);
}

#[test]
#[ignore = "needs PyNaCl"]
fn its_client_with_another_key_is_refused() {
    let (serving, port) = answering(KEY, 1);
    let (code, answer, stderr) = sends(&OTHER_KEY, port, b"a secret");
    assert_eq!((code, &answer[..]), (Some(1), &b""[..]));
    assert!(stderr.contains("ended-without-answer"), "{stderr:?}");
    let refused = serving.join().unwrap().remove(0).unwrap_err();
    assert_eq!(refused.to_string(), "decryption-failed");
}

#[test]
#[ignore = "needs PyNaCl"]
fn its_client_refuses_an_answer_under_another_key() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let mut stream = patient(listener.accept().unwrap().0);
        let opened = sealed::read(&mut stream, &KEY, sealed::LIMIT).unwrap().unwrap();
        sealed::write(&mut stream, &OTHER_KEY, &nonce(0), &opened.plaintext).unwrap();
    });
    let (code, answer, stderr) = sends(&KEY, port, b"a secret");
    assert_eq!((code, &answer[..]), (Some(1), &b""[..]));
    assert!(stderr.contains("decryption-failed"), "{stderr:?}");
    serving.join().unwrap();
}

/// The port of an address.
fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "needs PyNaCl"]
fn the_program_is_answered_by_its_server() {
    let programs = Programs::new();
    let (server, port) = serving_on(&KEY);
    for size in SIZES.into_iter().chain([LONGEST]) {
        let plaintext = bytes(size);
        let mut forward = programs.forward(&KEY, &format!("tcp://127.0.0.1:{port}"));
        let output = exact(&mut forward, &plaintext);
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{size} bytes");
        assert!(output.stdout == plaintext, "{size} bytes");
    }
    let finished = server.finish();
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "no connection broke");
}

#[test]
#[ignore = "needs PyNaCl"]
fn the_program_answers_its_client() {
    let programs = Programs::new();
    for exec in [&[][..], &["--exec", "cat"]] {
        let (mut server, address) = programs.serve(exec);
        for size in SIZES.into_iter().chain([LONGEST]) {
            let plaintext = bytes(size);
            let (code, answer, stderr) = sends(&KEY, port(&address), &plaintext);
            assert_eq!((code, stderr.as_str()), (Some(0), ""), "{size} bytes");
            assert!(answer == plaintext, "{size} bytes");
            server.log_line("closed: closed by the peer: the end of its stream");
        }
    }
}

#[test]
#[ignore = "needs PyNaCl"]
fn the_program_and_it_refuse_each_others_other_keys() {
    let programs = Programs::new();
    let (mut server, port_of_its) = serving_on(&KEY);
    let mut forward = programs.forward(&OTHER_KEY, &format!("tcp://127.0.0.1:{port_of_its}"));
    let output = exact(&mut forward, b"a secret");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(1), &b""[..]));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("closed the connection without an answer; it may have another key"), "{stderr}");
    server.log_line("decryption-failed");

    let (mut server, address) = programs.serve([""; 0]);
    let (code, answer, stderr) = sends(&OTHER_KEY, port(&address), b"a secret");
    assert_eq!((code, &answer[..]), (Some(1), &b""[..]));
    assert!(stderr.contains("ended-without-answer"), "{stderr:?}");
    server.log_line("closed: decryption-failed");
}

fn options() -> ConnectionOptions<Sealed> {
    ConnectionOptions::new(Settings::new(SecretKey::new(KEY)))
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await.expect("it ends in time") })
}

#[test]
#[ignore = "needs PyNaCl"]
fn the_library_is_answered_by_its_server() {
    let (server, port) = serving_on(&KEY);
    let address: Address = format!("tcp://127.0.0.1:{port}").parse().unwrap();
    block_on(async {
        let mut connection = connect(&address, &options()).await.unwrap();
        for size in SIZES.into_iter().chain([LONGEST]) {
            let plaintext = bytes(size);
            connection.send(plaintext.clone().into()).await.unwrap();
            assert!(connection.recv().await.unwrap() == plaintext, "{size} bytes");
        }
        let ended = connection.close().await;
        assert!(ended.is_orderly(), "{ended}");
    });
    let finished = server.finish();
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""));
}

#[test]
#[ignore = "needs PyNaCl"]
fn the_library_answers_its_client() {
    block_on(async {
        let address = "tcp://127.0.0.1:0".parse().unwrap();
        let server = Server::bind(&[address], options()).await.unwrap();
        let port = port(&server.local_addresses()[0].to_string());
        let clients = tokio::task::spawn_blocking(move || {
            for size in SIZES.into_iter().chain([LONGEST]) {
                let plaintext = bytes(size);
                let (code, answer, stderr) = sends(&KEY, port, &plaintext);
                assert_eq!((code, stderr.as_str()), (Some(0), ""), "{size} bytes");
                assert!(answer == plaintext, "{size} bytes");
            }
        });
        let answer = |mut connection: Connection<Sealed>| async move {
            while let Some(request) = connection.recv().await {
                connection.send(request).await.unwrap();
            }
            let ended = connection.close().await;
            assert!(ended.is_orderly(), "{ended}");
        };
        let report = server.serve(answer, async { clients.await.unwrap() }).await;
        assert!(report.cut.is_empty() && report.failed == 0, "{report}");
    });
}
