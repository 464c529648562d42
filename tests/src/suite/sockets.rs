//! Sockets of the standard library, awaited by any runtime: what blocks has a thread of its own.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use heartwire_std::address::Address;
use tokio::sync::oneshot;

/// Does on a thread of its own what would block, and gives what it comes to. It is done whether or not that is
/// awaited.
///
/// # Panics
///
/// If the call does.
pub fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = T> + Send {
    let (done, result) = oneshot::channel();
    thread::spawn(move || drop(done.send(call())));
    async { result.await.expect("it does not panic") }
}

/// A connected socket. Dropping it closes it.
#[derive(Debug)]
pub struct Socket(Arc<Stream>);

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Arc::new(Stream::Tcp(stream)))
    }
}

#[cfg(unix)]
impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self(Arc::new(Stream::Unix(stream)))
    }
}

impl Socket {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    pub async fn connect(address: &Address) -> Self {
        let address = address.clone();
        let connected = blocking(move || match address {
            Address::Tcp { host, port } => TcpStream::connect((&*host, port)).map(Self::from),
            #[cfg(unix)]
            Address::Unix(path) => UnixStream::connect(path).map(Self::from),
            other => panic!("no sockets at {other}"),
        });
        connected.await.expect("it connects")
    }

    /// Appends what comes next, 64 KiB at most; 0 at the end of the stream. Read on only when it is done: what is
    /// read by a future that was dropped is lost.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    pub async fn read(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        let stream = Arc::clone(&self.0);
        let read = blocking(move || {
            let mut bytes = vec![0; 64 * 1024];
            let n = match &*stream {
                Stream::Tcp(stream) => (&*stream).read(&mut bytes),
                #[cfg(unix)]
                Stream::Unix(stream) => (&*stream).read(&mut bytes),
            }?;
            bytes.truncate(n);
            // Let go of before the caller knows: its drop closes.
            drop(stream);
            Ok::<_, io::Error>(bytes)
        });
        let read = read.await?;
        bytes.extend_from_slice(&read);
        Ok(read.len())
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (stream, bytes) = (Arc::clone(&self.0), bytes.to_vec());
        let written = blocking(move || {
            let written = match &*stream {
                Stream::Tcp(stream) => (&*stream).write_all(&bytes),
                #[cfg(unix)]
                Stream::Unix(stream) => (&*stream).write_all(&bytes),
            };
            drop(stream);
            written
        });
        written.await
    }

    /// Ends the writing half.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    pub fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    /// Resets a TCP connection; a Unix socket is closed.
    pub fn reset(self) {
        if let Stream::Tcp(stream) = &*self.0 {
            // Closing it then resets the connection.
            let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &*self.0 {
            Stream::Tcp(stream) => stream.shutdown(how),
            #[cfg(unix)]
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A call that nobody awaits any more would keep it open.
        if Arc::strong_count(&self.0) > 1 {
            let _ = self.shutdown(Shutdown::Both);
        }
    }
}

/// A kind of sockets.
pub trait Sockets: 'static {
    /// A socket of the standard library.
    type Stream: Into<Socket> + Send + 'static;

    /// Where a server of a case listens.
    fn place() -> Place;

    /// Two connected sockets, the first of who connected; their buffers of `buffers` bytes, or about as many as the
    /// system allows.
    ///
    /// # Errors
    ///
    /// What the operating system has against it.
    fn connected(buffers: Option<usize>) -> io::Result<(Self::Stream, Self::Stream)>;
}

/// An address to listen on.
#[derive(Debug)]
pub struct Place {
    /// The address.
    pub address: Address,
    /// Where its file stands, if it has one; it goes with it.
    pub directory: Option<tempfile::TempDir>,
}

/// TCP over loopback.
#[derive(Debug)]
pub struct Tcp;

impl Sockets for Tcp {
    type Stream = TcpStream;

    fn place() -> Place {
        Place { address: "tcp://127.0.0.1:0".parse().expect("an address"), directory: None }
    }

    fn connected(buffers: Option<usize>) -> io::Result<(TcpStream, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        // Before they are connected: it settles what the other side may send at once.
        let connecting = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        if let Some(buffers) = buffers {
            // Accepted sockets inherit it.
            limit(&socket2::SockRef::from(&listener), buffers)?;
            limit(&socket2::SockRef::from(&connecting), buffers)?;
        }
        connecting.connect(&address.into())?;
        let connected = TcpStream::from(connecting);
        let (accepted, _) = listener.accept()?;
        connected.set_nodelay(true)?;
        accepted.set_nodelay(true)?;
        Ok((connected, accepted))
    }
}

/// Unix sockets.
#[cfg(unix)]
#[derive(Debug)]
pub struct Unix;

#[cfg(unix)]
impl Sockets for Unix {
    type Stream = UnixStream;

    fn place() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        let address = Address::Unix(directory.path().join("socket"));
        Place { address, directory: Some(directory) }
    }

    fn connected(buffers: Option<usize>) -> io::Result<(UnixStream, UnixStream)> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path)?;
        let connected = UnixStream::connect(&path)?;
        let (accepted, _) = listener.accept()?;
        if let Some(buffers) = buffers {
            limit(&socket2::SockRef::from(&connected), buffers)?;
            limit(&socket2::SockRef::from(&accepted), buffers)?;
        }
        Ok((connected, accepted))
    }
}

fn limit(socket: &socket2::SockRef<'_>, bytes: usize) -> io::Result<()> {
    socket.set_send_buffer_size(bytes)?;
    socket.set_recv_buffer_size(bytes)?;
    let sizes = [socket.send_buffer_size()?, socket.recv_buffer_size()?];
    assert!(sizes.iter().all(|size| *size < 5 * bytes), "buffers of {sizes:?} bytes instead of {bytes}");
    Ok(())
}
