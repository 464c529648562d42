//! How connections over TLS end.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use heartwire_tests::chat::stop;
use heartwire_tests::program::Running;

use super::{port, refusals, start, trusted, well};

#[test]
fn a_server_that_stops_says_so_over_tls() {
    let (authority, certificate) = trusted();
    for (serve, connect, said, told) in [
        (
            ["chat", "serve"],
            ["chat", "connect"],
            "the server closed it: Server shutting down",
            "1 session closed",
        ),
        (
            ["lines", "serve"],
            ["lines", "connect"],
            "the server closed it: the end of its stream",
            "1 connection closed",
        ),
    ] {
        let (server, address) = start(&mut certificate.serving(&serve));
        let mut client = Running::spawn(&mut authority.trusting(&[connect[0], connect[1], &address]));
        let mut stdin = client.stdin().unwrap();
        writeln!(stdin, "hello").unwrap();
        assert_eq!(client.line(), "hello");
        server.signal("TERM");
        refusals::says(&client.finish(), 1, &[said]);
        let finished = server.finish();
        assert_eq!(finished.code(), 0, "{finished:?}");
        assert!(finished.stderr.contains("stopped in ") && finished.stderr.contains(told), "{finished:?}");
        drop(stdin);
    }
}

#[test]
fn a_client_that_is_stopped_leaves_in_order() {
    let (authority, certificate) = trusted();
    for [protocol, goodbye] in [["chat", "Client disconnecting"], ["lines", "the end of its stream"]] {
        let (mut server, address) = start(&mut certificate.serving(&[protocol, "serve"]));
        let mut client = Running::spawn(&mut authority.trusting(&[protocol, "connect", &address]));
        let mut stdin = client.stdin().unwrap();
        writeln!(stdin, "hello").unwrap();
        assert_eq!(client.line(), "hello");
        client.signal("TERM");
        well(&client.finish(), "");
        let closed = server.log_line("closed: ");
        assert!(closed.contains(&format!("closed by the peer: {goodbye}")), "{closed}");
        stop(server);
    }
}

/// The end of the TCP stream alone is none: anybody on the way could have made it.
#[test]
fn a_stream_that_breaks_off_is_not_taken_for_its_end() {
    let (authority, certificate) = trusted();
    let broke_off = "transport-failed: the stream broke off without TLS saying that it ends";
    for protocol in ["chat", "lines"] {
        let (mut server, address) = start(&mut certificate.serving(&[protocol, "serve"]));
        let mut client = Running::spawn(&mut authority.trusting(&[protocol, "connect", &address]));
        let mut stdin = client.stdin().unwrap();
        writeln!(stdin, "hello").unwrap();
        assert_eq!(client.line(), "hello");
        server.kill();
        refusals::says(&client.finish(), 1, &[broke_off]);
        drop(stdin);
    }
    // a client that has sent everything would take the end of the stream for a good one
    let (_server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    let (address, cut) = cutter(port(&address).parse().unwrap());
    let address = format!("tls://{address}");
    let mut client = Running::spawn(&mut authority.trusting(&["lines", "connect", &address]));
    let mut stdin = client.stdin().unwrap();
    writeln!(stdin, "hello").unwrap();
    assert_eq!(client.line(), "hello");
    cut.store(true, Ordering::Release);
    drop(stdin);
    refusals::says(&client.finish(), 1, &[broke_off]);
    // and the other way
    let (mut server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    let mut client = Running::spawn(&mut authority.trusting(&["lines", "connect", &address]));
    let mut stdin = client.stdin().unwrap();
    writeln!(stdin, "hello").unwrap();
    assert_eq!(client.line(), "hello");
    client.kill();
    assert!(server.log_line("closed: ").contains(broke_off));
}

/// Passes one connection on to this port of this machine. Once it is told to cut, the client gets nothing more of what
/// the server says, and the end of the stream when it ends its own.
fn cutter(port: u16) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, cut) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
    let told = Arc::clone(&cut);
    thread::spawn(move || {
        let client = listener.accept().unwrap().0;
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match from.read(&mut bytes) {
                    Ok(n @ 1..) if !told.load(Ordering::Acquire) => to.write_all(&bytes[..n]).unwrap(),
                    Ok(1..) => {}
                    _ => break,
                }
            }
        });
        io::copy(&mut &client, &mut &server).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    });
    (address, cut)
}
