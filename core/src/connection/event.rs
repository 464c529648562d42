//! What a connection tells the application.

use crate::buf::Weigh;
use crate::ended::Ended;
use crate::wire::codec::Codec;

/// An event of a [`Connection`](super::Connection).
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<C: Codec> {
    /// Something was received.
    Received(C::Item),
    /// The peer sends nothing more, and still receives. The connection stays until this side
    /// [finishes](super::Command::Finish) or [closes](super::Command::Close) it.
    Finished,
    /// The connection is over. Always the last event.
    Ended(Ended<C::Message>),
}

impl<C: Codec> PartialEq for Event<C> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Received(a), Self::Received(b)) => a == b,
            (Self::Ended(a), Self::Ended(b)) => a == b,
            (a, b) => matches!((a, b), (Self::Finished, Self::Finished)),
        }
    }
}

impl<C: Codec> Weigh for Event<C> {
    fn content_len(&self) -> usize {
        match self {
            Self::Received(item) => C::item_len(item),
            Self::Finished | Self::Ended(_) => 0,
        }
    }
}
