//! smol, as the suite runs on it.

use std::future::Future;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::time::Duration;

use heartwire_tests::mock::Mock;
use heartwire_tests::suite::Adapter;

pub(crate) struct Smol;

impl Adapter for Smol {
    heartwire_tests::polled!(heartwire_smol);

    fn run<T>(case: impl Future<Output = T>) -> T {
        let late = async {
            smol::Timer::after(Duration::from_secs(60)).await;
            panic!("it hangs")
        };
        smol::block_on(smol::future::or(case, late))
    }

    fn spawn<T: Send + 'static>(
        task: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send {
        let (done, result) = smol::channel::bounded(1);
        smol::spawn(async move { drop(done.try_send(task.await)) }).detach();
        async move { result.recv().await.expect("it does not panic") }
    }

    async fn sleep(time: Duration) {
        smol::Timer::after(time).await;
    }
}

heartwire_tests::over! {
    Smol, heartwire_smol;
    Mock, io => io;
    TcpStream, io => smol::net::TcpStream::try_from(io).expect("it is one");
}

#[cfg(unix)]
heartwire_tests::over! {
    Smol, heartwire_smol;
    UnixStream, io => smol::net::unix::UnixStream::try_from(io).expect("it is one");
}
