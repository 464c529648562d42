//! Two runtimes, each in a thread of its own, over sockets made by hand.

use std::thread;

use heartwire_std::session::Session;
use tokio::sync::oneshot;

use super::adapter::Over;
use super::both_ways::much;
use super::fixtures::options;
use super::sockets::Sockets;

/// 32 MB each way at once between sockets that hold 4 KiB, or the least that the system allows: each side goes on
/// reading while it can't write.
pub async fn small_buffers<A, B, L>()
where
    A: Over<L::Stream>,
    B: Over<L::Stream>,
    L: Sockets,
{
    let (ours, theirs) = L::connected(Some(4096)).expect("they connect");
    let ((done, theirs_done), (we_are_done, both)) = (oneshot::channel(), oneshot::channel::<()>());
    thread::spawn(move || {
        B::run(async move {
            let session: Session = B::server(theirs, &options()).await.expect("a session");
            let kept = much(session).await;
            let _ = done.send(());
            // Whoever is done first must not take the other's messages with it.
            let _ = both.await;
            drop(kept);
        });
    });
    let session: Session = A::client(ours, &options()).await.expect("a session");
    let kept = much(session).await;
    theirs_done.await.expect("the other side does not panic");
    drop((we_are_done, kept));
}
