//! smol, as servers and connections know it.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::time::Instant;

use heartwire_futures::{Clock, Io, Sleep};
use heartwire_std::handle::Endpoints;
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{AsyncRuntime, Runtime, tcp_endpoints};
#[cfg(unix)]
use smol::net::unix::{UnixListener, UnixStream};
use smol::net::{TcpListener, TcpStream};

/// smol's global executor.
#[derive(Clone, Copy, Debug)]
pub struct Smol;

/// smol's timers.
#[derive(Clone, Copy, Debug)]
pub struct Timers;

impl Clock for Timers {
    type Sleep = smol::Timer;

    fn sleep_until(at: Instant) -> smol::Timer {
        smol::Timer::at(at)
    }
}

impl Runtime for Smol {
    type Timer = Sleep<Timers>;
    type Tcp = Io<TcpStream>;
    type TcpListener = TcpListener;
    #[cfg(unix)]
    type Unix = Io<UnixStream>;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        smol::spawn(task).detach();
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        smol::unblock(work).await
    }

    fn tcp_listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.try_into()
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
        listener.try_into()
    }

    #[cfg(unix)]
    async fn accept_unix(listener: &UnixListener) -> io::Result<Self::Unix> {
        listener.accept().await.map(|(stream, _)| Io(stream))
    }
}

impl AsyncRuntime for Smol {
    async fn connect_tcp(host: &str, port: u16) -> io::Result<Self::Tcp> {
        TcpStream::connect((host, port)).await.map(Io)
    }

    #[cfg(unix)]
    async fn connect_unix(path: &Path) -> io::Result<Self::Unix> {
        UnixStream::connect(path).await.map(Io)
    }
}
