//! The demo, as a newcomer runs it.

use std::time::{Duration, Instant};

use heartwire_tests::program::{heartwire, run};

#[test]
fn the_demo_shows_all_of_it_and_says_so() {
    // The program may have to be built first.
    let mut demo = heartwire(["demo"]);
    let begun = Instant::now();
    let finished = run(&mut demo, b"");
    assert_eq!((finished.code(), finished.stderr.as_str()), (0, ""), "{}", finished.stdout);
    assert!(begun.elapsed() < Duration::from_secs(15));
    let mut at = 0;
    for line in [
        "listening on tcp://127.0.0.1:",
        "listening on unix://",
        "boris    session",
        "sent and got back: Привет, мир",
        "sent and got back: 你好，世界",
        "sent and got back: שלום עולם",
        "received: small message 1",
        "received the 16 MiB, after ",
        "all 16 MiB came back, byte for byte",
        "chen     round trip",
        "mallory  no session: mac-mismatch",
        "server   content-crc-mismatch",
        "dora     the peer reports content-crc-mismatch",
        "server   peer-silent",
        "emil     the peer reports peer-silent",
        "ada      closed by the peer: Server shutting down",
        "server   stopped in",
        "server   asked: is anybody there?",
        "fay      opened the answer: is anybody there?",
        "server   decryption-failed",
        "mallory  the end of the stream, without a word",
        "server   stopped in",
        "gil      reads: who is there?",
        "nc       reads: who is there?",
        "gil      reads: someone with nothing but a socket",
        "nc       reads its own line too, and the end of the stream",
        "server   stopped in",
        "hana     25 bytes come the other way",
        "server   received 64 MiB in ",
        "hana     received: while you speak, I do too",
        "server   stopped in",
        "ida      sent run/raw/1.bin, 5242880 bytes",
        "ida      the receiver has stored all 3 files",
        "server   complete: run/notes.txt, 1000 bytes",
        "server   complete: run/values.csv, 70000 bytes",
        "ida      what is there is what was sent, byte for byte",
        "server   refused: ../outside: ",
        "server   complete: inside.txt, 6 bytes",
        "mallory  is told: ../outside: ",
        "server   cut: half.bin after 300000 of 1000000 bytes: ",
        "server   in the folder are inside.txt and run, and nothing else",
        "server   stopped in",
        "All of it arrived",
    ] {
        let found = finished.stdout[at..].find(line);
        at += found.unwrap_or_else(|| panic!("{line:?} is missing, or too early:\n{}", finished.stdout));
    }
}

#[test]
fn a_demo_that_can_not_go_on_fails_and_says_why() {
    let finished = run(heartwire(["demo"]).env("TMPDIR", "/nowhere/at/all"), b"");
    assert_eq!(finished.code(), 1);
    assert!(finished.stderr.starts_with("heartwire: the demo failed: "), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1);
}
