//! tokio, as servers and connections know it.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::Path;

use heartwire_std::handle::Endpoints;
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{AsyncRuntime, Runtime, tcp_endpoints};
use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

use crate::io::{Io, Sleep};

/// The runtime that is entered where it is used.
#[derive(Clone, Copy, Debug)]
pub struct Tokio;

impl Runtime for Tokio {
    type Timer = Sleep;
    type Tcp = Io<TcpStream>;
    type TcpListener = TcpListener;
    #[cfg(unix)]
    type Unix = Io<UnixStream>;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(tokio::spawn(task));
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime is being shut down, and this task with it.
            Err(_) => std::future::pending().await,
        }
    }

    fn tcp_listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    async fn accept_tcp(listener: &TcpListener) -> io::Result<Self::Tcp> {
        listener.accept().await.map(|(stream, _)| Io(stream))
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
    fn unix_listener(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }

    #[cfg(unix)]
    async fn accept_unix(listener: &UnixListener) -> io::Result<Self::Unix> {
        listener.accept().await.map(|(stream, _)| Io(stream))
    }
}

impl AsyncRuntime for Tokio {
    async fn connect_tcp(host: &str, port: u16) -> io::Result<Self::Tcp> {
        TcpStream::connect((host, port)).await.map(Io)
    }

    #[cfg(unix)]
    async fn connect_unix(path: &Path) -> io::Result<Self::Unix> {
        UnixStream::connect(path).await.map(Io)
    }
}
