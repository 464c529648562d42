//! Every runtime against every other, over real sockets.

#[path = "adapters/async_std.rs"]
mod on_async_std;
#[path = "adapters/smol.rs"]
mod on_smol;
#[path = "adapters/blocking.rs"]
mod on_threads;
#[path = "adapters/tokio.rs"]
mod on_tokio;

use on_async_std::AsyncStd;
use on_smol::Smol;
use on_threads::Threads;
use on_tokio::Tokio;

heartwire_tests::cross!(Tokio as tokio, Smol as smol, AsyncStd as async_std, Threads as blocking);
