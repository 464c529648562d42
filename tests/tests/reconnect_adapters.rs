//! A client that connects again, on every runtime: its server goes, and another one comes in its place.

#[path = "adapters/async_std.rs"]
#[allow(dead_code)]
mod on_async_std;
#[path = "adapters/smol.rs"]
#[allow(dead_code)]
mod on_smol;
#[path = "adapters/blocking.rs"]
#[allow(dead_code)]
mod on_threads;
#[path = "adapters/tokio.rs"]
#[allow(dead_code)]
mod on_tokio;

use std::time::Duration;

use heartwire_core::reconnect::{Backoff, GivenUp};
use heartwire_std::address::Address;
use heartwire_std::options::Options;
use heartwire_std::reconnect::Progress;
use heartwire_std::session::Session;
use heartwire_tests::suite::{Adapter, keys};
use tokio::sync::oneshot;

use on_async_std::AsyncStd;
use on_smol::Smol;
use on_threads::Threads;
use on_tokio::Tokio;

fn backoff() -> Backoff {
    let ms = Duration::from_millis;
    Backoff::builder().base(ms(1)).cap(ms(5)).attempts(100_000).build().unwrap()
}

/// Serves there until the other end is dropped; gives when it listens no more.
async fn serve<A: Adapter>(address: &Address) -> (oneshot::Sender<()>, impl Future<Output = ()> + Send) {
    let server = A::bind(std::slice::from_ref(address), Options::new(keys())).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let hold = |mut session: Session| async move { while session.recv_message().await.is_ok() {} };
    let serving = A::spawn(A::serve(server, hold, async { drop(stopped.await) }));
    (stop, async { drop(serving.await) })
}

/// Two servers, one after the other; the client is told of all of it, and gives up when it closes by itself.
macro_rules! comes_back {
    ($name:ident, $adapter:ty, $client:expr, $next:ident => $progress:expr, $session:ident => $recv:expr, $close:expr) => {
        #[cfg(unix)]
        #[test]
        fn $name() {
            <$adapter>::run(async {
                let directory = tempfile::tempdir().unwrap();
                let address = Address::Unix(directory.path().join("socket"));
                let mut server = Some(serve::<$adapter>(&address).await);
                let mut $next = $client(address.clone(), Options::new(keys()), backoff()).unwrap();
                let (mut connected, mut waited, mut failed) = (0, 0, 0);
                loop {
                    match $progress.expect("it has not given up") {
                        Progress::Connected(mut $session) if connected == 0 => {
                            connected = 1;
                            let (stop, gone) = server.take().unwrap();
                            drop(stop);
                            let ended = loop {
                                if let Err(ended) = $recv {
                                    break ended;
                                }
                            };
                            gone.await;
                            $next.lost(&ended);
                        }
                        Progress::Connected($session) => {
                            connected += 1;
                            let ended = $close;
                            $next.lost(&ended);
                        }
                        Progress::Waiting { .. } => waited += 1,
                        Progress::Failed(_) if server.is_none() => {
                            failed += 1;
                            if failed == 3 {
                                server = Some(serve::<$adapter>(&address).await);
                            }
                        }
                        Progress::GivenUp(why) => break assert_eq!(why, GivenUp::NotWorthIt),
                        _ => {}
                    }
                }
                assert!($progress.is_none());
                assert_eq!(connected, 2);
                assert!(failed >= 3 && waited >= 4, "{failed} {waited}");
            });
        }
    };
}

comes_back!(tokio, Tokio, heartwire_tokio::reconnecting, client => client.next().await,
    session => session.recv_message().await, session.close(None).await);
comes_back!(smol, Smol, heartwire_smol::reconnecting, client => client.next().await,
    session => session.recv_message().await, session.close(None).await);
comes_back!(async_std, AsyncStd, heartwire_async_std::reconnecting, client => client.next().await,
    session => session.recv_message().await, session.close(None).await);
comes_back!(threads, Threads, heartwire_blocking::reconnecting, client => client.next(),
    session => session.recv_message(), session.close(None));
