//! Sessions: how a server stops.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::message::Message;
use heartwire_core::session::EndedBy;
use heartwire_std::session::{ConnectError, Session};
use tokio::sync::mpsc;

use super::adapter::Adapter;
use super::fixtures::{content, echo, options, with};
use super::links::Hosted;
use super::sockets::Sockets;

/// A stop tells everybody, and who takes it in time is closed in order.
pub async fn all_are_told<A: Adapter, L: Hosted<A>>() {
    let options = options();
    let (address, serving) = L::serve(&options, echo).await.expect("it listens");
    let mut sessions = Vec::new();
    for _ in 0..20 {
        let mut session = A::connect(&address, &options).await.expect("a session");
        session.send(Message::text("one")).await.expect("accepted");
        session.recv_message().await.expect("it arrives");
        sessions.push(session);
    }
    let report = serving.stop();
    for mut session in sessions {
        let ended = session.recv_message().await.expect_err("it ended");
        assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "Server shutting down"));
    }
    let report = report.await.expect("it stops");
    assert_eq!((report.told, report.closed, report.failed), (20, 20, 0), "{report}");
    assert!(report.cut.is_empty() && report.unsent == 0);
    // Nobody listens any more.
    assert!(matches!(A::connect(&address, &options).await, Err(ConnectError::Io { .. })));
}

/// A peer that does not read is cut at the deadline, and what it did not get is counted.
pub async fn cut_at_the_deadline<A: Adapter, L: Hosted<A>>() {
    let grace = Duration::from_millis(300);
    // More than the kernel and the peer's queue take.
    let config = Config::builder().queued_output(64_000_000).build().expect("valid");
    let options = with(config).grace(grace);
    let (full, mut filled) = mpsc::unbounded_channel();
    let handler = move |session: Session| {
        let full = full.clone();
        async move {
            let one = content(1_000_000, 0);
            for _ in 0..32 {
                session.try_send(Message::binary(one.clone())).expect("there is room");
            }
            let _ = full.send(());
            session.closed().await;
        }
    };
    let (address, serving) = L::serve(&options, handler).await.expect("it listens");
    let stuck = A::connect(&address, &options).await.expect("a session");
    filled.recv().await;
    let began = Instant::now();
    let report = serving.stopped().await;
    assert_eq!((report.told, report.closed, report.cut.len()), (1, 0, 1), "{report}");
    assert!(report.unsent > 0, "{report}");
    assert!(report.took >= grace && began.elapsed() < grace * 20, "{report}");
    drop(stuck);
}

/// A handler that panics ends its own session only.
pub async fn handler_that_panics<A: Adapter, L: Hosted<A>>() {
    let options = options();
    let handler = |mut session: Session| async move {
        let message = session.recv_message().await.expect("it arrives");
        assert!(message.content != "panic", "as planned");
        session.send(message).await.expect("accepted");
        echo(session).await;
    };
    let (address, serving) = L::serve(&options, handler).await.expect("it listens");
    let mut other = A::connect(&address, &options).await.expect("a session");
    let mut panics = A::connect(&address, &options).await.expect("a session");
    panics.send(Message::text("panic")).await.expect("accepted");
    let ended = panics.recv_message().await.expect_err("it ended");
    assert_eq!(ended.code, Code::EndedWithoutDisconnect, "{ended}");
    other.send(Message::text("goes on")).await.expect("accepted");
    assert_eq!(other.recv_message().await.expect("it arrives").content, "goes on");
    let report = serving.stop();
    assert!(other.recv_message().await.expect_err("it ended").is_orderly());
    let report = report.await.expect("it stops");
    // The other one may still be on the books: its peer saw the end before they did.
    assert_eq!(report.closed, 1, "{report}");
}

/// Counts handlers that came to an end, however.
struct Count(Arc<AtomicU64>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A handler that does not come back does not keep the server, and does not make a session that was closed in
/// order one that was cut.
pub async fn handler_that_hangs<A: Adapter, L: Hosted<A>>() {
    let options = options().grace(Duration::from_millis(300));
    let dropped = Arc::new(AtomicU64::new(0));
    let handler = {
        let dropped = Arc::clone(&dropped);
        move |mut session: Session| {
            let count = Count(Arc::clone(&dropped));
            async move {
                let _count = count;
                let message = session.recv_message().await.expect("it arrives");
                session.send(message).await.expect("accepted");
                // It keeps the session, and never looks at it again.
                std::future::pending::<()>().await;
            }
        }
    };
    let (address, serving) = L::serve(&options, handler).await.expect("it listens");
    let mut hangs = A::connect(&address, &options).await.expect("a session");
    hangs.send(Message::text("hang")).await.expect("accepted");
    hangs.recv_message().await.expect("it arrives");
    let began = Instant::now();
    let report = serving.stop();
    let ended = hangs.recv_message().await.expect_err("it ended");
    assert_eq!((ended.by, ended.detail.as_str()), (EndedBy::Peer, "Server shutting down"));
    drop(hangs);
    let report = report.await.expect("it stops");
    assert!(began.elapsed() < Duration::from_secs(20), "{report}");
    assert_eq!((report.told, report.closed, report.cut.len()), (1, 1, 0), "{report}");
    assert_eq!(dropped.load(Ordering::SeqCst), 1, "no handler outlives the server");
}

/// Dropping the server's future stops at once: listening ends and every session is cut, wherever it is.
pub async fn dropped_server<A: Adapter, L: Sockets>() {
    let options = options();
    let place = L::place();
    let server = A::bind(&[place.address], options.clone()).await.expect("it listens");
    let address = A::addresses(&server).remove(0);
    let kept = Arc::new(Mutex::new(Vec::new()));
    let handler = {
        let kept = Arc::clone(&kept);
        move |session: Session| {
            kept.lock().expect("it is whole").push(session);
            async {}
        }
    };
    let mut client = {
        let serving = std::pin::pin!(A::serve(server, handler, std::future::pending()));
        tokio::select! {
            _ = serving => panic!("it stopped by itself"),
            session = A::connect(&address, &options) => session.expect("a session"),
        }
    };
    let ended = client.recv_message().await.expect_err("it ended");
    // Where the ack was not read yet, closing resets the connection.
    let cut = [Code::EndedWithoutDisconnect, Code::TransportFailed];
    assert!(cut.contains(&ended.code), "{ended}");
    assert!(A::connect(&address, &options).await.is_err());
    drop(kept);
}
