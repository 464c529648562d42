//! What a sender takes for success, and what it leaves with the receiver when there is none.

use std::fs;
use std::time::Duration;

use heartwire_files::send::Why;
use heartwire_files::{CONFIRM, OnExist, Received, SendError, Sent, Sources, Store, receive, send};
use heartwire_tokio::{Tokio, accept_io, connect_io};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn block_on<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("it ends") })
}

/// To a receiver of ours.
async fn transfer(sources: Sources, store: Store) -> (Result<Sent, SendError>, Received) {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let connection = accept_io(far, &receive::options()).await.unwrap();
    let receiving = tokio::spawn(async move { receive::<Tokio>(connection, &store, |_| {}).await });
    let connection = connect_io(near, &send::options()).await.unwrap();
    let sent = send::<Tokio>(connection, sources, CONFIRM, |_| {}).await;
    (sent, receiving.await.unwrap())
}

/// Those of the system have a length of 0, and content.
#[cfg(target_os = "linux")]
#[test]
fn a_file_that_only_says_that_it_is_empty_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), OnExist::Replace).unwrap();
    fs::write(dir.path().join("version"), "the only copy").unwrap();
    let mut sources = Sources::new();
    sources.add("/proc/version", None).unwrap();
    let (sent, received) = block_on(transfer(sources, store));
    let error = sent.unwrap_err();
    assert!(matches!(error.why, Why::Source(_)), "{error}");
    assert_eq!(received.files, 0);
    assert_eq!(fs::read_to_string(dir.path().join("version")).unwrap(), "the only copy");
}

/// Reads everything, and ends its stream then, if it has not before.
async fn read_all(mut peer: DuplexStream) -> Vec<u8> {
    let mut read = Vec::new();
    peer.read_to_end(&mut read).await.unwrap();
    read
}

#[test]
fn who_ends_before_it_was_sent_anything_confirms_nothing() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a.txt"), "hello").unwrap();
    let mut with_file = Sources::new();
    with_file.add(dir.path().join("a.txt"), None).unwrap();
    let mut text = Sources::new();
    text.add_text("hello");
    for sources in [text, Sources::new(), with_file] {
        block_on(async {
            let (near, mut far) = tokio::io::duplex(64 * 1024);
            far.shutdown().await.unwrap();
            let peer = tokio::spawn(read_all(far));
            let connection = connect_io(near, &send::options()).await.unwrap();
            // Its end is read before anything is sent.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            let sent = send::<Tokio>(connection, sources, CONFIRM, |_| {}).await;
            peer.await.unwrap();
            let error = sent.expect_err("nobody confirmed it");
            assert!(matches!(error.why, Why::EndedEarly), "{error}");
        });
    }
}

/// What is on its way is not waited for by the time that the receiver has to store it.
#[test]
fn the_time_to_confirm_begins_when_everything_has_left() {
    let confirm = Duration::from_secs(1);
    let mut sources = Sources::new();
    sources.add_text("x".repeat(100_000));
    block_on(async {
        let (near, far) = tokio::io::duplex(1024);
        let peer = tokio::spawn(async move {
            // A way that is slow: longer than that time.
            tokio::time::sleep(2 * confirm).await;
            read_all(far).await.len()
        });
        let connection = connect_io(near, &send::options()).await.unwrap();
        let sent = send::<Tokio>(connection, sources, confirm, |_| {}).await.unwrap();
        assert_eq!(sent.texts, 1);
        assert!(peer.await.unwrap() > 100_000);
    });
}

/// Whoever receives may have something to do with what came, which may fail.
#[test]
fn who_has_more_to_do_confirms_when_it_is_done() {
    for refuses in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), OnExist::Replace).unwrap();
        let mut sources = Sources::new();
        sources.add_text("order 17");
        block_on(async {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let connection = accept_io(far, &receive::options()).await.unwrap();
            let sender = connect_io(near, &send::options()).await.unwrap();
            let sending = tokio::spawn(send::<Tokio>(sender, sources, CONFIRM, |_| {}));
            let mut unconfirmed = receive::unconfirmed::<Tokio>(connection, &store, |_| {}).await;
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert!(!sending.is_finished(), "nobody confirmed it");
            if refuses {
                unconfirmed.refuse("the order", "there is no item 17");
            }
            let received = unconfirmed.confirm().await;
            assert_eq!((received.texts, received.refused), (1, u64::from(refuses)));
            match sending.await.unwrap() {
                Ok(sent) => assert!(!refuses, "{sent:?}"),
                Err(SendError { why: Why::NotStored(said), .. }) => {
                    assert_eq!(said, "the order: there is no item 17\n");
                }
                Err(error) => panic!("{error}"),
            }
        });
    }
}
