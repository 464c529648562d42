//! Another protocol, on smol: messages behind their length, without a session, as existing programs speak it. Servers
//! and clients are made as for sessions, with other options. Messages arrive in pieces, so that they may be large.
//! There is no goodbye: each side ends its own direction.
//!
//! ```text
//! server: a message of 5 bytes
//! server: a message of 1000000 bytes
//! server: the client has finished
//! client: got "2 messages, 1000005 bytes"
//! ```

use std::error::Error;

use heartwire_smol::connection::Connection;
use heartwire_smol::connection::body::Part;
use heartwire_smol::connection::length_prefixed::{Format, LengthPrefixed};
use heartwire_smol::{Bytes, ConnectionOptions, Server, connect};

async fn count(mut connection: Connection<LengthPrefixed>) {
    let (mut messages, mut bytes) = (0, 0);
    while let Some(part) = connection.recv().await {
        match part {
            Part::Head(head) => println!("server: a message of {} bytes", head.size),
            Part::Piece(piece) => bytes += piece.len(),
            Part::End => messages += 1,
        }
    }
    println!("server: the client has finished");
    // It still receives. Refused: the connection has failed.
    let answer = Bytes::from(format!("{messages} messages, {bytes} bytes"));
    let _ = connection.send(answer.into()).await;
    connection.close().await;
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        // What a stranger may send at most: 16 MiB.
        let options = ConnectionOptions::<LengthPrefixed>::new(Format::with_limit(16 << 20));
        let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let serving = smol::spawn(server.serve(count, async move {
            let _ = stopped.recv().await;
        }));

        let mut connection = connect(&address, &options).await?;
        connection.send(Bytes::from("hello").into()).await?;
        connection.send(Bytes::from(vec![b'x'; 1_000_000]).into()).await?;
        connection.finish();
        let mut answer = Vec::new();
        while let Some(part) = connection.recv().await {
            if let Part::Piece(piece) = part {
                answer.extend_from_slice(&piece);
            }
        }
        println!("client: got {:?}", String::from_utf8_lossy(&answer));
        connection.close().await;

        drop(stop);
        serving.await;
        Ok(())
    })
}
