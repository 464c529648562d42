//! Every input that a fuzzer found worth keeping, on every run of the tests.

use std::path::Path;

fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        body(&std::fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn envelope() {
    replay("envelope", heartwire_tests::fuzz::envelope);
}

#[test]
fn session() {
    replay("session", heartwire_tests::fuzz::session);
}

#[test]
fn streams() {
    replay("streams", heartwire_tests::fuzz::streams);
}

#[test]
fn connection() {
    replay("connection", heartwire_tests::fuzz::connection);
}
