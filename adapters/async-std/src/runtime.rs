//! async-std, as servers and connections know it.

use std::future::Future;
use std::io;
#[cfg(unix)]
use std::path::Path;
use std::pin::Pin;
use std::time::Instant;

use async_std::net::{TcpListener, TcpStream};

use crate::socket::Socket;
#[cfg(unix)]
use async_std::os::unix::net::{UnixListener, UnixStream};
use heartwire_futures::{Clock, Io, Sleep};
use heartwire_std::handle::Endpoints;
use heartwire_std::reset::ResetGuard;
use heartwire_std::runtime::{AsyncRuntime, Runtime, tcp_endpoints};

/// async-std's executor.
#[derive(Clone, Copy, Debug)]
pub struct AsyncStd;

/// async-std's timers.
#[derive(Clone, Copy, Debug)]
pub struct Timers;

impl Clock for Timers {
    type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn sleep_until(at: Instant) -> Self::Sleep {
        // Its sleep begins when it is polled first, which may be long after this.
        Box::pin(async move { async_std::task::sleep(at.saturating_duration_since(Instant::now())).await })
    }
}

impl Runtime for AsyncStd {
    type Timer = Sleep<Timers>;
    type Tcp = Io<Socket<TcpStream>>;
    type TcpListener = TcpListener;
    #[cfg(unix)]
    type Unix = Io<Socket<UnixStream>>;
    #[cfg(unix)]
    type UnixListener = UnixListener;

    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        drop(async_std::task::spawn(task));
    }

    async fn unblock<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        async_std::task::spawn_blocking(work).await
    }

    fn tcp_listener(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        Ok(listener.into())
    }

    async fn accept_tcp(listener: &TcpListener) -> io::Result<Self::Tcp> {
        listener.accept().await.map(|(stream, _)| Io(Socket(stream)))
    }

    fn tcp_endpoints(Io(Socket(stream)): &Self::Tcp) -> Endpoints {
        // That it fails is no reason to fail.
        let _ = stream.set_nodelay(true);
        tcp_endpoints(stream.local_addr(), stream.peer_addr())
    }

    fn reset_guard(Io(Socket(stream)): &Self::Tcp) -> io::Result<ResetGuard> {
        ResetGuard::new(stream)
    }

    #[cfg(unix)]
    fn unix_reset_guard(Io(Socket(stream)): &Self::Unix) -> io::Result<ResetGuard> {
        ResetGuard::new(stream)
    }

    #[cfg(unix)]
    fn unix_listener(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        Ok(listener.into())
    }

    #[cfg(unix)]
    async fn accept_unix(listener: &UnixListener) -> io::Result<Self::Unix> {
        listener.accept().await.map(|(stream, _)| Io(Socket(stream)))
    }
}

impl AsyncRuntime for AsyncStd {
    async fn connect_tcp(host: &str, port: u16) -> io::Result<Self::Tcp> {
        TcpStream::connect((host, port)).await.map(|stream| Io(Socket(stream)))
    }

    #[cfg(unix)]
    async fn connect_unix(path: &Path) -> io::Result<Self::Unix> {
        UnixStream::connect(path).await.map(|stream| Io(Socket(stream)))
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};
    use std::time::Duration;

    use heartwire_futures::Timer;

    use super::*;

    #[test]
    fn an_alarm_goes_off_at_its_time_however_late_it_is_asked() {
        let mut alarm = Sleep::<Timers>::default();
        let at = Instant::now() + Duration::from_millis(20);
        alarm.arm(at);
        while Instant::now() < at {
            std::thread::park_timeout(Duration::from_millis(1));
        }
        assert!(alarm.poll_elapsed(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}
