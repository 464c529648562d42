//! A server and a client on smol, with a message that is larger than memory is to be: it is sent and received piece by
//! piece, and other messages overtake it. The names are those of the adapter for tokio.
//!
//! ```text
//! server: application/octet-stream begins
//! server: a note, "done soon"
//! server: that was all of it, 10485760 bytes
//! client: got "thank you"
//! ```

use std::error::Error;

use heartwire_smol::{
    Begin, Bytes, Config, ContentType, Event, Key, Keys, Message, Options, PieceEnd, Receive, Server,
    Session, connect,
};

const PIECE: usize = 64 * 1024;
const PIECES: usize = 160;

async fn receive(mut session: Session) {
    let mut size = 0;
    while let Some(event) = session.recv().await {
        match event {
            Event::Message(note) => {
                println!("server: a note, {:?}", String::from_utf8_lossy(&note.content));
            }
            // Pieces of different messages may alternate: `message_id` tells them apart.
            Event::Piece(piece) => {
                if let Some(start) = piece.start {
                    println!("server: {} begins", start.content_type);
                }
                size += piece.content.len();
                if piece.end == PieceEnd::Last {
                    println!("server: that was all of it, {size} bytes");
                    // Refused: the session is closing, and the last event will say why.
                    let _ = session.send(Message::text("thank you")).await;
                }
            }
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let config = Config::builder().receive(Receive::Pieces).build()?;
        let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?)).config(config);
        let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = smol::channel::bounded::<()>(1);
        let serving = smol::spawn(server.serve(receive, async move {
            let _ = stopped.recv().await;
        }));

        let mut session = connect(&address, &options).await?;
        let size = (PIECE * PIECES) as u64;
        let large = session.begin(Begin::new(ContentType::BINARY).total_size(size)).await?;
        for i in 0..PIECES {
            if i == PIECES / 2 {
                session.send(Message::text("done soon")).await?;
            }
            // Waits while the queue is full: a piece or two more than that is all there is in memory.
            large.send(Bytes::from(vec![0; PIECE])).await?;
        }
        large.end().map_err(|why| why.to_string())?;
        println!("client: got {:?}", String::from_utf8_lossy(&session.recv_message().await?.content));
        session.close(None).await;

        drop(stop);
        serving.await;
        Ok(())
    })
}
