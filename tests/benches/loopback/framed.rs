//! Codecs as tokio-util frames them, fed and flushed as any sink; its length-delimited one over TCP and over TLS.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::codec::{Decoder, Encoder, Framed, LengthDelimitedCodec};

use crate::tls;
use crate::wire::{End, connection};

type Plain<S> = Framed<S, LengthDelimitedCodec>;

pub async fn tcp_ends() -> (Plain<TcpStream>, Plain<TcpStream>) {
    let (a, b) = connection().await;
    (Framed::new(a, LengthDelimitedCodec::new()), Framed::new(b, LengthDelimitedCodec::new()))
}

pub async fn tls_ends() -> (Plain<TlsStream<TcpStream>>, Plain<TlsStream<TcpStream>>) {
    let (a, b) = tls::streams().await;
    (Framed::new(a, LengthDelimitedCodec::new()), Framed::new(b, LengthDelimitedCodec::new()))
}

impl<S, C> End for Framed<S, C>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Encoder<Bytes, Error = io::Error>
        + Decoder<Item = BytesMut, Error = io::Error>
        + Unpin
        + Send
        + 'static,
{
    async fn feed(&mut self, content: &Bytes) {
        SinkExt::feed(self, content.clone()).await.expect("it leaves");
    }

    async fn flush(&mut self) {
        SinkExt::<Bytes>::flush(self).await.expect("it leaves");
    }

    async fn receive(&mut self) -> usize {
        self.next().await.expect("it arrives").expect("it is good").len()
    }
}
