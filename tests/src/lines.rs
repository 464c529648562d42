//! The `heartwire lines` programs, and clients of the server that are bare sockets.

use std::ffi::OsStr;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use crate::chat::host_and_port;
use crate::peers::lines;
use crate::program::{Running, heartwire, patient};

/// A subcommand of `lines`.
pub fn command<S: AsRef<OsStr>>(subcommand: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = heartwire(["lines", subcommand]);
    command.args(args);
    command
}

/// A server on a TCP port of its own and with these options; and its address.
#[track_caller]
pub fn serve<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (Running, String) {
    let mut command = command("serve", ["--listen", "tcp://127.0.0.1:0"]);
    let mut server = Running::spawn(command.args(args));
    let address = server.ready();
    (server, address)
}

/// A client as `nc` is one.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects, and waits until the server says so: from then on it hears what is sent.
    #[track_caller]
    pub fn join(server: &mut Running, address: &str) -> Self {
        let client = Self::connect(address);
        server.log_line(&format!("({})", client.address()));
        client
    }

    /// Connects, without waiting for the server.
    #[track_caller]
    pub fn connect(address: &str) -> Self {
        Self::of(TcpStream::connect(host_and_port(address)).expect("a server listens"))
    }

    /// Either side of a connection.
    pub fn of(stream: TcpStream) -> Self {
        let stream = patient(stream);
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream: BufReader::new(stream) }
    }

    /// Its name in the server's log.
    pub fn address(&self) -> String {
        format!("tcp://{}", self.stream().local_addr().expect("it is connected"))
    }

    /// The socket. What it received may be read already.
    pub fn stream(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends these bytes.
    #[track_caller]
    pub fn write(&self, bytes: impl AsRef<[u8]>) {
        self.stream().write_all(bytes.as_ref()).expect("the peer takes it");
    }

    /// Sends a line.
    #[track_caller]
    pub fn send(&self, text: &str) {
        lines::write(&mut self.stream(), text).expect("the peer takes it");
    }

    /// The next line; none at the end of the stream.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        lines::read(&mut self.stream, usize::MAX - 1).expect("lines, or the end of the stream")
    }

    /// The next bytes, as many.
    #[track_caller]
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).expect("as many bytes");
        bytes
    }

    /// What comes to the end of the stream.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the end of the stream");
        rest
    }

    /// What comes until the connection is over, however that is.
    #[track_caller]
    pub fn rest_or_reset(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut rest) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
        }
        rest
    }

    /// Sends nothing more.
    pub fn finish(&self) {
        self.stream().shutdown(Shutdown::Write).expect("it is connected");
    }
}
