//! A session without a socket: both sides in one program, over a pipe in memory. `connect_io` and `accept_io` take
//! anything of tokio's that reads and writes: a pipe, a serial line, the streams of a child process.
//!
//! ```text
//! server: got "hello"
//! client: got "HELLO"
//! client: closed here: that was all
//! server: closed by the peer: that was all
//! ```

use std::error::Error;

use heartwire_tokio::{Key, Keys, Message, Options, accept_io, connect_io};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
    // Far less than a message may have: what does not fit waits.
    let (near, far) = tokio::io::duplex(1024);
    // Both at once: each is done when the handshake is, and that takes two.
    let (mut client, mut server) = tokio::try_join!(connect_io(near, &options), accept_io(far, &options))?;

    client.send(Message::text("hello")).await?;
    let message = server.recv_message().await?;
    let text = String::from_utf8_lossy(&message.content);
    println!("server: got {text:?}");
    server.send(Message::text(text.to_uppercase())).await?;
    let message = client.recv_message().await?;
    println!("client: got {:?}", String::from_utf8_lossy(&message.content));

    // A goodbye is read by the other side: again, both at once.
    let closing = client.close(Some("that was all".into()));
    let (client_ended, server_ended) = tokio::join!(closing, server.recv_message());
    println!("client: {client_ended}");
    if let Err(ended) = server_ended {
        println!("server: {ended}");
    }
    Ok(())
}
