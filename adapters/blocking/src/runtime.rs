//! Threads, as servers and connections know them.

use std::future::Future;
use std::io;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::thread;

use heartwire_std::handle::Endpoints;
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{Runtime, tcp_endpoints};

use crate::driver::Io;
use crate::listener::Listener;
use crate::park::{Alarm, block_on};

/// A thread for each task.
#[derive(Clone, Copy, Debug)]
pub struct Threads;

impl Runtime for Threads {
    type Timer = Alarm;
    type Tcp = Io<TcpStream>;
    type TcpListener = Listener<std::net::TcpListener>;
    #[cfg(unix)]
    type Unix = Io<UnixStream>;
    #[cfg(unix)]
    type UnixListener = Listener<std::os::unix::net::UnixListener>;

    /// A thread that waits in an application's handler can't be ended.
    const ENDS_TASKS: bool = false;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        let thread = thread::Builder::new().name("heartwire".into());
        // Without one the task is dropped, and with it its connection.
        if let Err(error) = thread.spawn(|| block_on(task)) {
            tracing::error!("a connection was dropped: no thread could be started for it: {error}");
        }
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }

    fn tcp_listener(listener: std::net::TcpListener) -> io::Result<Self::TcpListener> {
        Listener::new(listener)
    }

    async fn accept_tcp(listener: &Self::TcpListener) -> io::Result<Self::Tcp> {
        listener.accept().await.map(Io)
    }

    fn tcp_endpoints(Io(stream): &Self::Tcp) -> Endpoints {
        // That it fails is no reason to fail.
        let _ = stream.set_nodelay(true);
        tcp_endpoints(stream.local_addr(), stream.peer_addr())
    }

    fn reset_guard(Io(stream): &Self::Tcp) -> io::Result<ResetGuard> {
        ResetGuard::new(stream)
    }

    #[cfg(unix)]
    fn unix_reset_guard(Io(stream): &Self::Unix) -> io::Result<ResetGuard> {
        ResetGuard::new(stream)
    }

    #[cfg(unix)]
    fn unix_listener(listener: std::os::unix::net::UnixListener) -> io::Result<Self::UnixListener> {
        Listener::new(listener)
    }

    #[cfg(unix)]
    async fn accept_unix(listener: &Self::UnixListener) -> io::Result<Self::Unix> {
        listener.accept().await.map(Io)
    }
}
