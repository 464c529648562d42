//! WebSocket: binary messages of tokio-tungstenite, between ends that agreed on it already,
//! configured as they are by default.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::wire::{End, connection};

pub async fn ends() -> (WebSocketStream<TcpStream>, WebSocketStream<TcpStream>) {
    let (a, b) = connection().await;
    (
        WebSocketStream::from_raw_socket(a, Role::Client, None).await,
        WebSocketStream::from_raw_socket(b, Role::Server, None).await,
    )
}

impl End for WebSocketStream<TcpStream> {
    async fn feed(&mut self, content: &Bytes) {
        SinkExt::feed(self, Message::Binary(content.clone())).await.expect("it leaves");
    }

    async fn flush(&mut self) {
        SinkExt::flush(self).await.expect("it leaves");
    }

    async fn receive(&mut self) -> usize {
        self.next().await.expect("it arrives").expect("it is good").into_data().len()
    }
}
