//! heartwire on tokio.

use bytes::Bytes;
use heartwire_tests::suite::keys;
use heartwire_tokio::{Config, Message, Options, Session, accept_io, connect_io};

use crate::wire::{End, connection};

pub async fn ends() -> (Session, Session) {
    let (a, b) = connection().await;
    // A content of 64 KiB is one frame, as it is with the others.
    let config = Config::builder().chunk_size(64 * 1024).build().expect("valid");
    let options = Options::new(keys()).config(config);
    let (client, server) = tokio::join!(connect_io(a, &options), accept_io(b, &options));
    (client.expect("a session"), server.expect("a session"))
}

impl End for Session {
    async fn feed(&mut self, content: &Bytes) {
        self.send(Message::binary(content.clone())).await.expect("accepted");
    }

    // A session sends by itself.
    async fn flush(&mut self) {}

    async fn receive(&mut self) -> usize {
        self.recv_message().await.expect("it arrives").content.len()
    }
}
