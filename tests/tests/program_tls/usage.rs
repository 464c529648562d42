//! What can't be asked for: said before anything is opened.

use heartwire_tests::program::{heartwire, run};

use super::refusals::says;
use super::trusted;

#[test]
fn a_server_needs_a_certificate_and_its_key() {
    let (authority, ours) = trusted();
    let other = authority.certificate_with("other", &["localhost"], |_| ());
    let file = |name: &str, text: &str| {
        let path = authority.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        crate::certificates::mode_of(&path, 0o600);
        path.to_str().unwrap().to_owned()
    };
    let pem = std::fs::read_to_string(&ours.cert).unwrap();
    let cut = file("cut", &pem[..pem.len() / 2]);
    let spoiled = file("spoiled", &pem.replacen("MII", "M-I", 1));
    let no_certificate = file("none", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let no_key = file("no-key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    let begin = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = file("encrypted", begin);
    let (empty, text) = (file("empty", ""), file("text", "no PEM\n"));
    let missing = authority.dir.path().join("missing");
    let missing = missing.to_str().unwrap();
    let folder = authority.dir.path().to_str().unwrap();
    let [cert, key, other_key] = [&ours.cert, &ours.key, &other.key].map(|path| path.to_str().unwrap());

    let tls = "tls://127.0.0.1:0";
    let with = |listen: &str, args: &[&str], texts: &[&str]| {
        let mut command = heartwire(["lines", "serve", "--listen", listen]);
        says(&run(command.args(args), b""), 2, texts);
    };
    with(tls, &[], &["tls://127.0.0.1:0: TLS needs a certificate; give --tls-cert FILE and --tls-key FILE"]);
    with(tls, &["--tls-cert", cert], &[cert, "without its private key; give --tls-key FILE"]);
    with(tls, &["--tls-key", key], &[key, "without its certificate; give --tls-cert FILE"]);
    with("tcp://127.0.0.1:0", &["--tls-cert", cert, "--tls-key", key], &["give --listen tls://HOST:PORT"]);
    for (path, what) in [
        (missing, "can't read it: No such file"),
        (folder, "can't read it"),
        (&empty, "it is empty; give a PEM file"),
        (&text, "there is no certificate in it"),
        (key, "it holds a private key and no certificate"),
        (&cut, "damaged: a section does not end"),
        (&spoiled, "damaged: base64"),
        (&no_certificate, "the first certificate in it can't be used"),
    ] {
        with(tls, &["--tls-cert", path, "--tls-key", key], &["--tls-cert", path, what]);
    }
    for (path, what) in [
        (missing, "can't read it: No such file"),
        (&empty, "it is empty; give a PEM file"),
        (&text, "there is no private key in it"),
        (cert, "it holds a certificate and no private key"),
        (&encrypted, "encrypted; decrypt it with"),
        (&no_key, "it can't be used"),
        (other_key, "it is not the key of the first certificate in"),
    ] {
        with(tls, &["--tls-cert", cert, "--tls-key", path], &["--tls-key", path, what]);
    }
}

#[test]
fn a_client_needs_somebody_to_trust_and_a_name() {
    let (authority, ours) = trusted();
    let text = authority.dir.path().join("text");
    std::fs::write(&text, "no PEM\n").unwrap();
    let (text, key) = (text.to_str().unwrap(), ours.key.to_str().unwrap());
    let ca = authority.ca();
    let ca = ca.to_str().unwrap();
    for (address, file, texts) in [
        ("tls://127.0.0.1:1", "missing", ["--tls-ca missing: can't read it", "check the path"]),
        ("tls://127.0.0.1:1", text, ["there is no certificate in it", "give a PEM file"]),
        ("tls://127.0.0.1:1", key, ["it holds a private key and no certificate", "give the certificate"]),
        ("tcp://127.0.0.1:1", ca, ["tcp://127.0.0.1:1: --tls-ca is of no use there", "connect to tls://"]),
        ("tls://bücher.example:1", ca, ["no certificate can be for this name", "in ASCII"]),
        ("tls://127.0.0.1", ca, ["the port is missing", "write tls://HOST:PORT"]),
    ] {
        let finished = run(&mut heartwire(["lines", "connect", address, "--tls-ca", file]), b"");
        assert_eq!(finished.code(), 2, "{finished:?}");
        for text in texts {
            assert!(finished.stderr.contains(text), "no {text:?} in {finished:?}");
        }
    }
}
