//! The limits of a server.

use heartwire_core::server::Limits;

use super::fixtures::{line, lines};
use crate::suite::adapter::Adapter;
use crate::suite::links::{Hosted, listen};
use crate::suite::raw::Channel;
use crate::suite::sockets::Socket;

/// Above the limit a newcomer is closed without a word; when there is room again, the next is served.
pub async fn too_many<A: Adapter, L: Hosted<A>>() {
    let limits = Limits::builder().max_sessions(1).build().expect("limits");
    let options = lines().limits(limits);
    let mut server = listen::<A, L, _>(&options).await;
    let (mut first, mut served) = server.raw().await;
    let mut second = Channel::from(Socket::connect(&server.address).await);
    assert!(second.read_to_end().await.expect("it ends in order").is_empty());
    first.write_all(b"still here\n").await.expect("it is written");
    assert_eq!(served.recv().await, Some(line("still here")));
    drop(served);
    assert!(first.read_to_end().await.expect("it ends in order").is_empty());
    // The first may not be gone yet when the next comes.
    loop {
        let mut next = Channel::from(Socket::connect(&server.address).await);
        let _ = next.write_all(b"me now\n").await;
        tokio::select! {
            biased;
            Some(mut served) = server.accepted.recv() => {
                assert_eq!(served.recv().await, Some(line("me now")));
                break;
            }
            // Closing what was written to may reset it.
            _ = next.read_to_end() => {}
        }
    }
}
