//! What these cases are made with.

use heartwire_core::connection::EndedBy;
use heartwire_core::wire::codec::Codec;
use heartwire_core::wire::lines::{Line, Lines, Settings};
use heartwire_std::connection::Connection;
use heartwire_std::options::ConnectionOptions;

pub(in crate::suite) fn lines() -> ConnectionOptions<Lines> {
    ConnectionOptions::new(Settings::default())
}

pub(in crate::suite) fn line(text: &str) -> Line {
    Line::new(text.to_owned()).expect("it is a line")
}

/// Both sides part in order: who closes, and the other, which answers the end of the stream with its own.
pub(in crate::suite) async fn part<C: Codec>(closing: Connection<C>, mut other: Connection<C>) {
    let close = closing.close();
    let answer = async {
        while other.recv().await.is_some() {}
        other.finish();
        other.end().await
    };
    let (closed, answered) = tokio::join!(close, answer);
    assert!(closed.is_orderly() && closed.told && closed.by == EndedBy::Local, "{closed}");
    assert!(answered.is_orderly() && answered.told && answered.by == EndedBy::Peer, "{answered}");
}
