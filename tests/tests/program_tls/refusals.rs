//! What has no connection, and why, on either side.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use heartwire_tests::chat::one_line_of_stderr;
use heartwire_tests::program::{Finished, PATIENCE, heartwire, patient, run};
use heartwire_tests::{channel, lines, sealed};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ED25519, date_time_ymd};

use super::certificates::{Authority, Certificate};
use super::{KEY, port, start, trusted};

/// It ended with this code, and said all this in one line.
#[track_caller]
pub(super) fn says(finished: &Finished, code: i32, texts: &[&str]) {
    assert_eq!((finished.code(), finished.stdout.as_str()), (code, ""), "{finished:?}");
    one_line_of_stderr(finished, texts);
}

/// A server with this certificate is refused by who trusts the authority; both say so.
#[track_caller]
fn refused(authority: &Authority, certificate: &Certificate, host: &str, texts: &[&str]) {
    let (mut server, address) = start(&mut certificate.serving(&["chat", "serve"]));
    let address = format!("tls://{host}:{}", port(&address));
    let finished = run(&mut authority.trusting(&["chat", "connect", &address]), b"hello\n");
    says(&finished, 1, texts);
    one_line_of_stderr(&finished, &[&format!("can't connect to {address}: the server's certificate ")]);
    server.log_line("the client does not accept this server's certificate");
    // to try that again is of no use
    let again = ["chat", "connect", &address, "--reconnect"];
    assert_eq!(run(&mut authority.trusting(&again), b"hello\n").code(), 1);
    server.log_line("the client does not accept this server's certificate");
}

#[test]
fn certificates_by_others_are_refused() {
    let (_authority, certificate) = trusted();
    let other = Authority::new("another authority");
    let texts = ["is not trusted: nobody trusted signed it", "--tls-ca FILE"];
    refused(&other, &certificate, "127.0.0.1", &texts);
    // called the same
    let (other, _) = trusted();
    refused(&other, &certificate, "127.0.0.1", &["is not trusted", "--tls-ca FILE"]);
    // and with a key of another kind
    let other =
        Authority::with_key("an authority of these tests", KeyPair::generate_for(&PKCS_ED25519).unwrap());
    refused(&other, &certificate, "127.0.0.1", &["is not trusted: its signature", "--tls-ca FILE"]);
}

#[test]
fn certificates_for_other_names_are_refused() {
    let authority = Authority::new("an authority");
    let certificate = authority.certificate_with("other", &["chat.example", "192.0.2.1"], |_| ());
    for host in ["127.0.0.1", "localhost"] {
        let texts = [&format!("is not for {host} but for chat.example, 192.0.2.1;"), "connect to a name"];
        refused(&authority, &certificate, host, &texts);
    }
    let certificate = authority.certificate_with("nobody", &[], |_| ());
    refused(&authority, &certificate, "localhost", &["is not for localhost but for no name at all;"]);
}

#[test]
fn certificates_are_refused_outside_their_time() {
    let authority = Authority::new("an authority");
    let names = ["localhost", "127.0.0.1"];
    let expired = authority.certificate_with("old", &names, |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    refused(&authority, &expired, "127.0.0.1", &["has expired; the server needs a new one"]);
    let early = authority.certificate_with("early", &names, |params| {
        params.not_before = date_time_ymd(2999, 1, 1);
    });
    refused(&authority, &early, "127.0.0.1", &["is not valid yet; wait"]);
}

/// As `openssl req -x509` makes them.
#[test]
fn certificates_of_authorities_are_refused_and_self_signed_ones_are_not() {
    let authority = Authority::new("an authority");
    let own = |name: &str, is_ca: IsCa| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".into(), "127.0.0.1".into()]).unwrap();
        params.is_ca = is_ca;
        let cert = params.self_signed(&key).unwrap();
        // trusted as it is
        std::fs::write(authority.ca(), cert.pem()).unwrap();
        authority.write(name, &cert.pem(), &key.serialize_pem())
    };
    let certificate = own("ca", IsCa::Ca(BasicConstraints::Unconstrained));
    refused(
        &authority,
        &certificate,
        "127.0.0.1",
        &["is an authority's", "basicConstraints=critical,CA:FALSE"],
    );
    let certificate = own("own", IsCa::ExplicitNoCa);
    let (_server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    super::well(&run(&mut authority.trusting(&["lines", "connect", &address]), b"ours\n"), "ours\n");
}

#[test]
fn a_client_without_tls_is_told_that_the_server_has_it() {
    let (_authority, certificate) = trusted();
    let keys = sealed::Programs::new();
    let key = keys.key_file(&sealed::KEY);
    let (_dir, file) = channel::file(5000);
    let (key, file) = (key.to_str().unwrap(), file.to_str().unwrap());
    for (server, client, args) in [
        (&["lines", "serve"][..], &["lines", "connect"][..], &[][..]),
        (&["sealed", "serve", "--key-file", key], &["sealed", "forward"], &["--key-file", key]),
        (&["channel", "listen"], &["channel", "send"], &[file]),
    ] {
        let (mut server, address) = start(&mut certificate.serving(server));
        let address = address.replace("tls://", "tcp://");
        let mut client = heartwire(client);
        client.arg(&address).args(args).env("HEARTWIRE_KEY", KEY).env("RUST_LOG", "off");
        let finished = run(&mut client, b"a request\n");
        says(&finished, 1, &["what listens there speaks TLS; connect to tls://HOST:PORT"]);
        server.log_line("the client does not speak TLS: it should connect to tls://");
    }
    // here both wait for the other to begin
    let (server, address) =
        start(certificate.serving(&["chat", "serve"]).args(["--handshake-timeout", "300ms"]));
    let address = address.replace("tls://", "tcp://");
    let finished = run(heartwire(["chat", "connect", &address]).env("HEARTWIRE_KEY", KEY), b"");
    says(&finished, 1, &["what listens there may be no heartwire server, or speak TLS (tls://HOST:PORT)"]);
    heartwire_tests::chat::stop(server);
}

#[test]
fn a_client_with_tls_is_told_that_the_server_has_none() {
    let (authority, _) = trusted();
    let tls = |address: &str| address.replace("tcp://", "tls://");
    let (_server, address) = heartwire_tests::chat::serve([""; 0]);
    let finished = run(&mut authority.trusting(&["chat", "connect", &tls(&address)]), b"hello\n");
    says(&finished, 1, &["what listens there does not speak TLS; connect to tcp://HOST:PORT"]);
    // it says nothing about what it does not understand
    let (_server, address) = lines::serve([""; 0]);
    let finished = run(&mut authority.trusting(&["lines", "connect", &tls(&address)]), b"hello\n");
    says(&finished, 1, &["the connection ended in the TLS handshake", "check that TLS is spoken"]);
    // and who says nothing at all is given up
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tls://{}", silent.local_addr().unwrap());
    let (_dir, file) = channel::file(10);
    let args = ["channel", "send", &address, file.to_str().unwrap(), "--timeout", "200ms"];
    says(&run(&mut authority.trusting(&args), b""), 1, &["within 200ms", "that TLS is spoken there"]);
}

#[test]
fn a_handshake_that_stalls_is_given_up() {
    let (authority, certificate) = trusted();
    let mut serving = certificate.serving(&["chat", "serve", "--handshake-timeout", "300ms"]);
    let (mut server, address) = start(&mut serving);
    let begun = Instant::now();
    let stalled: Vec<TcpStream> = (0..20)
        .map(|n| {
            let mut stream =
                patient(TcpStream::connect(("127.0.0.1", port(&address).parse().unwrap())).unwrap());
            // nothing, or the beginning of a record that goes on
            stream.write_all(&[0x16, 3, 1, 2, 0, 1][..n % 7]).unwrap();
            stream
        })
        .collect();
    // meanwhile others are served
    let file = authority.dir.path().join("lines");
    std::fs::write(&file, "hello\n").unwrap();
    let args = ["chat", "connect", &address, "--file", file.to_str().unwrap()];
    super::well(&run(&mut authority.trusting(&args), b""), "hello\n");
    for mut stream in stalled {
        let mut byte = [0];
        // the end of the stream, or a reset
        assert_eq!(stream.read(&mut byte).unwrap_or(0), 0);
    }
    assert!(begun.elapsed() < PATIENCE);
    server.log_line("was not made secure within 300ms");
}

/// Everything that is no TLS, after a good beginning too: the server goes on.
#[test]
fn garbage_harms_nobody() {
    let (authority, certificate) = trusted();
    let (_server, address) = start(&mut certificate.serving(&["lines", "serve"]));
    let at: u16 = port(&address).parse().unwrap();
    let clients =
        [&b""[..], &[0; 4096], &[0xFF; 70_000], &[0x16, 3, 1, 0xFF, 0xFF], b"GET / HTTP/1.1\r\n\r\n"];
    let clients = clients.map(|bytes| {
        thread::spawn(move || {
            let mut stream = patient(TcpStream::connect(("127.0.0.1", at)).unwrap());
            // it may end without reading all of it
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        })
    });
    for client in clients {
        client.join().unwrap();
    }
    super::well(&run(&mut authority.trusting(&["lines", "connect", &address]), b"on\n"), "on\n");
}

/// That the key of the sessions is another is another matter than certificates.
#[test]
fn another_key_is_said_as_without_tls() {
    let (authority, certificate) = trusted();
    let (_server, address) = start(&mut certificate.serving(&["chat", "serve"]));
    let mut client = authority.trusting(&["chat", "connect", &address]);
    let finished = run(client.env("HEARTWIRE_KEY", "another key of these tests"), b"");
    says(&finished, 1, &["mac-mismatch", "the server has another key"]);
}
