//! A chat server, its handler a closure: what somebody says goes to everybody else. Each session runs the handler in a
//! task of its own. Three people try it out; who reads too slowly misses messages, and nobody waits for them.
//!
//! ```text
//! ann hears: bob: hello
//! cid hears: bob: hello
//! bob hears: ann: hello yourself
//! cid hears: ann: hello yourself
//! ```

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use heartwire_tokio::{Key, Keys, Message, Options, Sender, Server, Session, connect};

/// Everybody who is there.
type Room = Arc<Mutex<Vec<Sender>>>;

async fn chat(room: Room, mut session: Session) {
    let here = || room.lock().unwrap_or_else(PoisonError::into_inner);
    let me = session.sender().clone();
    here().push(me.clone());
    // So that newcomers know from when on they hear everything.
    let _ = me.send(Message::text("welcome")).await;
    while let Ok(message) = session.recv_message().await {
        for sender in here().iter().filter(|sender| !sender.is_same(&me)) {
            // Refused: this one is leaving, or has not read for so long that its queue is full.
            let _ = sender.try_send(message.clone());
        }
    }
    here().retain(|sender| !sender.is_same(&me));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
    let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
    let address = server.local_addresses()[0].clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let room = Room::default();
    let handler = move |session| chat(Arc::clone(&room), session);
    let serving = tokio::spawn(server.serve(handler, stopped));

    let (mut ann, mut bob, mut cid) = tokio::try_join!(
        connect(&address, &options),
        connect(&address, &options),
        connect(&address, &options)
    )?;
    for session in [&mut ann, &mut bob, &mut cid] {
        session.recv_message().await?; // welcome
    }
    bob.send(Message::text("bob: hello")).await?;
    hear("ann", &mut ann).await?;
    hear("cid", &mut cid).await?;
    ann.send(Message::text("ann: hello yourself")).await?;
    hear("bob", &mut bob).await?;
    hear("cid", &mut cid).await?;

    // A server that stops says goodbye to everybody.
    drop(stop);
    let report = serving.await?;
    assert_eq!((report.told, report.unsent), (3, 0));
    Ok(())
}

async fn hear(name: &str, session: &mut Session) -> Result<(), Box<dyn Error>> {
    let message = session.recv_message().await?;
    println!("{name} hears: {}", String::from_utf8_lossy(&message.content));
    Ok(())
}
