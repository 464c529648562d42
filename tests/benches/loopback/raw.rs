//! The bare socket: nothing but the bytes of the contents, whose length both ends know. Behind the buffers of
//! the runtime, so that small ones leave and arrive many at once; large ones pass them by.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use crate::wire::{End, connection};

pub struct Raw {
    stream: BufStream<TcpStream>,
    content: Vec<u8>,
}

pub async fn ends(len: usize) -> (Raw, Raw) {
    let (a, b) = connection().await;
    let end = |stream| Raw { stream: BufStream::new(stream), content: vec![0; len] };
    (end(a), end(b))
}

impl End for Raw {
    async fn feed(&mut self, content: &Bytes) {
        self.stream.write_all(content).await.expect("it leaves");
    }

    async fn flush(&mut self) {
        self.stream.flush().await.expect("it leaves");
    }

    async fn receive(&mut self) -> usize {
        self.stream.read_exact(&mut self.content).await.expect("it arrives")
    }
}
