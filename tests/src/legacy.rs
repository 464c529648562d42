//! A peer like existing programs: blocking sockets, frames written by hand, no features. It takes its first
//! read for the first frame, and checks that every later one was made so that such a program understands it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::peer::{Peer, Seen, read};
use crate::program::patient;

/// The size of an existing program's reads, in bytes.
pub const READ: usize = 1024;

/// One end of a connection.
#[derive(Debug)]
pub struct Legacy {
    /// The socket.
    pub stream: TcpStream,
    /// What makes its frames.
    pub peer: Peer,
    rx: Vec<u8>,
}

impl Legacy {
    /// Connects as a client, takes the server's first words in one read, and answers with an ack that has these
    /// further keys: none, to be a peer without features.
    #[track_caller]
    pub fn connect(host_and_port: &str, keys: &str) -> Self {
        let mut legacy = Self::open(TcpStream::connect(host_and_port).expect("the server listens"), "");
        legacy.join(keys);
        legacy
    }

    /// As a client that has not heard the server yet.
    pub fn open(stream: TcpStream, id: &str) -> Self {
        let stream = patient(stream);
        stream.set_nodelay(true).expect("a delay can be switched off");
        Self { stream, peer: Peer::new(id), rx: Vec::new() }
    }

    #[track_caller]
    fn join(&mut self, keys: &str) {
        let first = self.one_read();
        let init = read(&self.peer.key, &first).expect("the first read is the whole first frame");
        assert_eq!((init.kind(), init.len), ("session_init", first.len()));
        self.peer.id = init.header["session_id"].as_str().expect("a session id").into();
        let ack = self.peer.ack(keys);
        self.send(&[ack]);
    }

    /// Accepts as a server without features, and takes the client's ack.
    #[track_caller]
    pub fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a client comes");
        let mut legacy = Self::open(stream, "a-session-made-by-hand");
        let init = legacy.peer.init("");
        legacy.send(&[init]);
        let ack = legacy.frame();
        assert_eq!(ack.kind(), "session_ack");
        assert_eq!(ack.header["session_id"], legacy.peer.id.as_str());
        legacy
    }

    /// One read, as an existing program does it.
    #[track_caller]
    pub fn one_read(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; READ];
        let n = self.stream.read(&mut bytes).expect("bytes come in time");
        bytes.truncate(n);
        bytes
    }

    /// Sends frames joined, in one write.
    #[track_caller]
    pub fn send(&mut self, frames: &[Vec<u8>]) {
        self.stream.write_all(&frames.concat()).expect("the peer takes it");
    }

    /// Sends a frame in two writes. Whether it arrives in two reads is not ours to say, but often it does.
    #[track_caller]
    pub fn send_split(&mut self, frame: &[u8], at: usize) {
        for part in [&frame[..at], &frame[at..]] {
            self.stream.write_all(part).expect("the peer takes it");
            std::thread::yield_now();
        }
    }

    /// The next frame, of any size; none at the end of the stream.
    ///
    /// # Panics
    ///
    /// If the stream ends within a frame.
    #[track_caller]
    pub fn try_frame(&mut self) -> Option<Seen> {
        loop {
            if let Some(seen) = read(&self.peer.key, &self.rx) {
                self.rx.drain(..seen.len);
                return Some(seen);
            }
            let mut bytes = [0; 64 * 1024];
            match self.stream.read(&mut bytes).expect("bytes come in time") {
                0 if self.rx.is_empty() => return None,
                0 => panic!("the stream ends within a frame"),
                n => self.rx.extend(&bytes[..n]),
            }
        }
    }

    /// The next frame, which must be as large as an existing program's read.
    #[track_caller]
    pub fn frame(&mut self) -> Seen {
        let seen = self.try_frame().expect("a frame comes");
        assert!(seen.len >= READ, "{} bytes: {}", seen.len, seen.raw);
        seen
    }

    /// The next frame that is no heartbeat; pings are answered.
    #[track_caller]
    pub fn frame_but_heartbeats(&mut self) -> Seen {
        loop {
            let seen = self.frame();
            if seen.kind() != "heartbeat" {
                return seen;
            }
            if seen.content != b"pong" {
                let pong = self.peer.pong(seen.header["seq"].as_u64());
                self.send(&[pong]);
            }
        }
    }
}
