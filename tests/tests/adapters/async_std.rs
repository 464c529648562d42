//! async-std, as the suite runs on it.

use std::future::Future;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use heartwire_async_std::Socket;
use heartwire_tests::mock::Mock;
use heartwire_tests::suite::Adapter;

pub(crate) struct AsyncStd;

impl Adapter for AsyncStd {
    heartwire_tests::polled!(heartwire_async_std);

    fn run<T>(case: impl Future<Output = T>) -> T {
        let limited = async_std::future::timeout(Duration::from_secs(60), case);
        async_std::task::block_on(limited).expect("it hangs")
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        async_std::task::spawn(task)
    }

    async fn sleep(time: Duration) {
        async_std::task::sleep(time).await;
    }
}

heartwire_tests::over! {
    AsyncStd, heartwire_async_std;
    Mock, io => io;
    TcpStream, io => Socket(async_std::net::TcpStream::from(io));
}

#[cfg(unix)]
heartwire_tests::over! {
    AsyncStd, heartwire_async_std;
    UnixStream, io => Socket(async_std::os::unix::net::UnixStream::from(io));
}
