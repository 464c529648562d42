//! A chat server, its handler a value with the trait `Handler`: it is told when a session opens, brings a message, and
//! closes. What belongs to one session (here, a name) is kept with the session, by its type.
//!
//! ```text
//! ann hears: bob joined
//! ann hears: bob: hello
//! bob hears: ann: welcome
//! ann hears: bob left (closed by the peer: good night)
//! ```

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};

use heartwire_tokio::{
    Ended, Handler, Key, Keys, Message, Options, Sender, Server, Session, connect, handled,
};

#[derive(Default)]
struct Chat {
    here: Mutex<Vec<Sender>>,
}

/// What is kept with a session.
struct Name(String);

impl Chat {
    fn here(&self) -> MutexGuard<'_, Vec<Sender>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_others(&self, me: &Sender, text: &str) {
        for sender in self.here().iter().filter(|sender| !sender.is_same(me)) {
            // Refused: this one is leaving, or has not read for so long that its queue is full.
            let _ = sender.try_send(Message::text(text));
        }
    }
}

impl Handler for Chat {
    async fn open(&self, session: &Session) {
        self.here().push(session.sender().clone());
        // Refused: the session is closing already.
        let _ = session.send(Message::text("what is your name?")).await;
    }

    async fn message(&self, session: &Session, message: Message) {
        let text = String::from_utf8_lossy(&message.content).into_owned();
        match session.value::<Name>() {
            Some(name) => self.tell_others(session, &format!("{}: {text}", name.0)),
            None => {
                self.tell_others(session, &format!("{text} joined"));
                session.set_value(Name(text));
            }
        }
    }

    async fn close(&self, session: &Session, ended: &Ended) {
        self.here().retain(|sender| !sender.is_same(session));
        if let Some(name) = session.value::<Name>() {
            self.tell_others(session, &format!("{} left ({ended})", name.0));
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
    let server = Server::bind(&["tcp://127.0.0.1:0".parse()?], options.clone()).await?;
    let address = server.local_addresses()[0].clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(handled(Chat::default()), stopped));

    let mut ann = connect(&address, &options).await?;
    ann.recv_message().await?; // what is your name?
    ann.send(Message::text("ann")).await?;
    let mut bob = connect(&address, &options).await?;
    bob.recv_message().await?;
    bob.send(Message::text("bob")).await?;
    hear("ann", &mut ann).await?;
    bob.send(Message::text("hello")).await?;
    hear("ann", &mut ann).await?;
    ann.send(Message::text("welcome")).await?;
    hear("bob", &mut bob).await?;
    bob.close(Some("good night".into())).await;
    hear("ann", &mut ann).await?;

    drop(stop);
    serving.await?;
    Ok(())
}

async fn hear(name: &str, session: &mut Session) -> Result<(), Box<dyn Error>> {
    let message = session.recv_message().await?;
    println!("{name} hears: {}", String::from_utf8_lossy(&message.content));
    Ok(())
}
