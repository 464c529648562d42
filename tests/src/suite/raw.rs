//! Peers that do as they are told, in memory and over real sockets.

use std::io;

use bytes::{Bytes, BytesMut};
use heartwire_core::config::Config;
use heartwire_core::message::Message;
use heartwire_core::protocol::Protocol;
use heartwire_core::pump::Pump;
use heartwire_core::role::Role;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Session};
use heartwire_core::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::fixtures::keys;
use super::sockets::Socket;
use crate::mock::Mock;

/// The peer's end of a transport.
#[derive(Debug)]
pub enum Channel {
    /// In memory.
    Memory(Mock),
    /// A socket.
    Socket(Socket),
}

impl From<Mock> for Channel {
    fn from(mock: Mock) -> Self {
        Self::Memory(mock)
    }
}

impl From<Socket> for Channel {
    fn from(socket: Socket) -> Self {
        Self::Socket(socket)
    }
}

impl Channel {
    /// Appends what comes next; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// What the transport has against it.
    pub async fn read(&mut self, bytes: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Memory(mock) => {
                bytes.reserve(64 * 1024);
                mock.read_buf(bytes).await
            }
            Self::Socket(socket) => socket.read(bytes).await,
        }
    }

    /// Everything up to the end of the stream.
    ///
    /// # Errors
    ///
    /// What the transport has against it.
    pub async fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = BytesMut::new();
        while self.read(&mut bytes).await? > 0 {}
        Ok(bytes.into())
    }

    /// Writes all of it.
    ///
    /// # Errors
    ///
    /// What the transport has against it.
    pub async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Memory(mock) => {
                mock.write_all(bytes).await?;
                mock.flush().await
            }
            Self::Socket(socket) => socket.write_all(bytes).await,
        }
    }

    /// Ends the writing half.
    ///
    /// # Errors
    ///
    /// What the transport has against it.
    pub async fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Memory(mock) => mock.shutdown().await,
            Self::Socket(socket) => socket.finish(),
        }
    }

    /// Breaks the connection, where that can be done with it; else closes it.
    pub fn reset(self) {
        match self {
            Self::Memory(mock) => mock.reset(),
            Self::Socket(socket) => socket.reset(),
        }
    }
}

/// A peer that does as it is told: a machine that the case moves by hand, at a time that stands still.
#[derive(Debug)]
pub struct Raw {
    io: Channel,
    /// The machine.
    pub pump: Pump<Session>,
}

impl Raw {
    /// A peer on this side.
    #[must_use]
    pub fn new(io: impl Into<Channel>, role: Role) -> Self {
        let (config, now) = (Config::default(), Instant::ZERO);
        let machine = match role {
            Role::Client => Session::client(config, keys(), now),
            Role::Server => Session::server(config, keys(), &Seed::new([7; 32]), now),
        };
        Self { io: io.into(), pump: Pump::new(machine) }
    }

    /// A peer on the server's side.
    #[must_use]
    pub fn server(io: impl Into<Channel>) -> Self {
        Self::new(io, Role::Server)
    }

    /// A peer on the client's side.
    #[must_use]
    pub fn client(io: impl Into<Channel>) -> Self {
        Self::new(io, Role::Client)
    }

    /// What there is to write now.
    pub fn output(&mut self) -> Vec<u8> {
        if !self.pump.poll(Instant::ZERO).write {
            return Vec::new();
        }
        let mut out = [&[][..]; 16];
        let (_, machine) = self.pump.io();
        let used = machine.transmit_slices(&mut out);
        out[..used].concat()
    }

    /// Writes what there is to write.
    ///
    /// # Panics
    ///
    /// If the transport does not take it.
    pub async fn write(&mut self) {
        loop {
            let bytes = self.output();
            if bytes.is_empty() {
                return;
            }
            self.io.write_all(&bytes).await.expect("it leaves");
            self.pump.handle_transmitted(Instant::ZERO, bytes.len());
        }
    }

    /// Queues a message; [`write`](Self::write) has it leave.
    ///
    /// # Panics
    ///
    /// If it is not accepted.
    pub fn send(&mut self, content: impl Into<Bytes>) {
        let send = Command::Send(Message::binary(content));
        self.pump.handle_command(Instant::ZERO, send).expect("accepted");
    }

    /// Reads once. Gives the number of bytes.
    ///
    /// # Panics
    ///
    /// If reading fails.
    pub async fn read(&mut self) -> usize {
        let mut bytes = BytesMut::new();
        let n = self.io.read(&mut bytes).await.expect("it arrives");
        let (rx, _) = self.pump.io();
        rx.extend_from_slice(&bytes);
        self.pump.handle_read(Instant::ZERO, n);
        n
    }

    /// Goes on until the handshake is done.
    pub async fn establish(&mut self) {
        while !self.pump.machine().is_established() {
            self.write().await;
            if !self.pump.machine().is_established() {
                self.read().await;
            }
        }
        self.write().await;
    }

    /// Gives the transport back.
    #[must_use]
    pub fn into_io(self) -> Channel {
        self.io
    }
}
