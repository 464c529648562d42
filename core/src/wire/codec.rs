//! What the protocols without a session have in common: items to bytes and back.

use core::fmt::Debug;

use bytes::BytesMut;

use crate::buf::TransmitQueue;
use crate::error::{Code, Error};
use crate::role::Role;
use crate::seed::Seed;

/// One of the protocols without a session, on one connection: bytes to items and back, and nothing else.
///
/// A [`Connection`](crate::connection::Connection) makes a machine of it.
pub trait Codec: Sized + Debug + Send + 'static {
    /// What it is made with: limits, keys. Cheap to clone.
    type Settings: Clone + Send + Sync + 'static;
    /// What is received.
    type Item: Debug + PartialEq + Send + Sync + 'static;
    /// What is sent whole.
    type Message: Clone + Debug + PartialEq + Send + Sync + 'static;
    /// What is said before a message that is sent piece by piece;
    /// [`Infallible`](core::convert::Infallible) where there are none.
    type Head: Debug + Send + Sync + 'static;

    /// A codec at the beginning of a connection. `seed` is this connection's alone.
    fn new(settings: &Self::Settings, role: Role, seed: &Seed) -> Self;

    /// The next item, if enough of it is there, off the front of `rx`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, as soon as the bytes that show it are there, whatever pieces they arrive
    /// in. After an error the stream is lost.
    fn decode(&mut self, rx: &mut BytesMut) -> Result<Option<Self::Item>, Error>;

    /// What is left at the end of the stream, when [`decode`](Self::decode) gives nothing more.
    ///
    /// # Errors
    ///
    /// What is wrong with it; `truncated` if the stream ended within something.
    fn finish(&mut self, rx: &mut BytesMut) -> Result<Option<Self::Item>, Error>;

    /// How many more bytes are needed to go on with what has begun: at least, or where that is not known at most;
    /// 0: nothing has. It says how much is worth reading at once.
    ///
    /// May be anything that a peer claims, within the limits.
    fn missing(&self, rx: &BytesMut) -> usize;

    /// Whether anything is to be received now. Until it is, nothing is read.
    fn wants_input(&self) -> bool {
        true
    }

    /// Whether something that was received is the end of a message.
    fn completes(item: &Self::Item) -> bool {
        let _ = item;
        true
    }

    /// The bytes that an item holds.
    fn item_len(item: &Self::Item) -> usize;

    /// The bytes that a message holds.
    fn message_len(message: &Self::Message) -> usize;

    /// The bytes that a head itself holds, beside its fixed part.
    fn head_len_in_memory(head: &Self::Head) -> usize;

    /// How much is to follow a head.
    fn body_len(head: &Self::Head) -> u64;

    /// Whether a message can be sent.
    ///
    /// # Errors
    ///
    /// What stands against it, for good.
    fn check(&self, message: &Self::Message) -> Result<(), Code>;

    /// Whether a message that begins like this can be sent.
    ///
    /// # Errors
    ///
    /// What stands against it, for good.
    fn check_head(&self, head: &Self::Head) -> Result<(), Code>;

    /// Writes a message.
    ///
    /// # Errors
    ///
    /// Nothing can be sent any more.
    fn encode(&mut self, message: Self::Message, tx: &mut TransmitQueue) -> Result<(), Error>;

    /// Writes the beginning of a message; as many bytes as it says follow.
    fn encode_head(&mut self, head: Self::Head, tx: &mut TransmitQueue);
}
