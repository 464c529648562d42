//! What is seen by a simulated clock only.

use heartwire_core::connection::Config;
use heartwire_core::error::Code;
use heartwire_core::wire::body::Part;
use heartwire_core::wire::length_prefixed::{Format, LengthPrefixed};
use heartwire_std::options::ConnectionOptions;
use tokio::io::AsyncWriteExt;

use super::fixtures::{line, lines};
use crate::mock::{self, Mock, Script};
use crate::peers;
use crate::suite::adapter::Over;
use crate::suite::fixtures::content;
use crate::suite::links::{Link, Memory};

/// A connection on which nothing moves ends by itself, if it is asked to.
pub async fn idle<A: Over<Mock>>() {
    let config = Config::builder()
        .idle_timeout(Some(<Memory as Link<A>>::seconds(30)))
        .build()
        .expect("a configuration");
    let (a, b) = mock::pair(4096, Script::free(), Script::free());
    let mut client = A::client(a, &lines().config(config)).await.expect("a connection");
    let mut server = A::server(b, &lines()).await.expect("a connection");
    client.send(line("hello")).await.expect("accepted");
    assert_eq!(server.recv().await, Some(line("hello")));
    assert_eq!(client.end().await.code, Code::PeerSilent);
    assert_eq!(server.recv().await, None);
}

/// A body that was cut short is noticed only when the application takes what came before; what is queued then has
/// the time that it has after any refusal, though nothing moves and nobody asks for anything.
pub async fn cut_short_behind_events<A: Over<Mock>>() {
    let config = Config::builder().queued_events(2).build().expect("a configuration");
    let options = ConnectionOptions::<LengthPrefixed>::new(Format::default()).config(config);
    let (io, mut peer) = mock::pair(1000, Script::free(), Script::free());
    // The head and a piece, which fill the queue of events, and the end in the same read.
    peer.write_all(&[&peers::length_prefixed::length(100)[..], b"cut"].concat())
        .await
        .expect("it takes them");
    peer.shutdown().await.expect("it can");
    let mut connection = A::client(io, &options).await.expect("a connection");
    connection.send(content(1 << 20, 1).into()).await.expect("it is queued");
    while connection.ask(|machine| machine.queued_events().0) < 2 || connection.stats().bytes_sent == 0 {
        tokio::task::yield_now().await;
    }
    assert!(matches!(connection.recv().await, Some(Part::Head(_))));
    assert_eq!(connection.recv().await, Some(Part::Piece("cut".into())));
    assert_eq!(connection.recv().await, None);
    let ended = connection.ended().expect("it ended");
    assert_eq!((ended.code, ended.told, ended.unsent.len()), (Code::Truncated, false, 1));
}
