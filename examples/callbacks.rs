//! Callbacks instead of calls that wait, on threads, with the adapter for blocking code: each session has a thread that
//! receives, and calls. Three things that happen: messages both ways, nobody listening, a peer that goes without a word.
//!
//! ```text
//! messages both ways
//! server: got 16777216 bytes
//! client: got 8 bytes
//! server: got 6 bytes
//! client: closed: closed here: Client disconnecting
//! server: closed: closed by the peer: Client disconnecting
//! nobody listens
//! connection refused
//! a peer that goes
//! client: error: ended-without-disconnect: the peer's stream ended between frames, without a goodbye
//! client: closed: ended-without-disconnect: the peer's stream ended between frames, without a goodbye
//! sending is refused: the session is closing or has ended
//! ```

use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use heartwire_blocking::callbacks::{Callbacks, Channel};
use heartwire_blocking::{Address, ConnectError, Key, Keys, Message, Options, Session, accept_io, connect};

/// Both sides of a new session.
fn pair(options: &Options) -> Result<(Session, Session), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = Address::from(listener.local_addr()?);
    let accepting = {
        let options = options.clone();
        thread::spawn(move || {
            let (socket, _) = listener.accept().map_err(|error| error.to_string())?;
            accept_io(socket, &options).map_err(|error| error.to_string())
        })
    };
    let client = connect(&address, options)?;
    let server = accepting.join().map_err(|_| "accepting panicked")??;
    Ok((client, server))
}

/// Has a session call back. What is called sends a line about it, to be printed in an order that is always the same.
fn start(name: &'static str, session: Session) -> io::Result<(Channel<Session>, Receiver<String>)> {
    let (lines, told) = mpsc::channel();
    let (errors, closed) = (lines.clone(), lines.clone());
    let channel = Callbacks::new(session)
        .on_message(move |_, message| {
            let _ = lines.send(format!("{name}: got {} bytes", message.content.len()));
        })
        .on_error(move |_, error| {
            let _ = errors.send(format!("{name}: error: {error}"));
        })
        .on_close(move |ended| {
            let _ = closed.send(format!("{name}: closed: {ended}"));
        })
        .start()?;
    Ok((channel, told))
}

fn both_ways(options: &Options) -> Result<(), Box<dyn Error>> {
    println!("messages both ways");
    let (client, server) = pair(options)?;
    let (client, client_told) = start("client", client)?;
    let (server, server_told) = start("server", server)?;
    // A message is queued, and on its way while the program goes on.
    client.send(Message::binary(vec![b'x'; 16 << 20]))?;
    server.send(Message::text("abcdefgh"))?;
    println!("{}", server_told.recv()?);
    println!("{}", client_told.recv()?);
    client.send(Message::text("123456"))?;
    println!("{}", server_told.recv()?);
    client.close();
    client.join()?;
    server.join()?;
    println!("{}", client_told.recv()?);
    println!("{}", server_told.recv()?);
    Ok(())
}

fn nobody_listens(options: &Options) -> Result<(), Box<dyn Error>> {
    println!("nobody listens");
    // A port that was free a moment ago.
    let address = Address::from(TcpListener::bind("127.0.0.1:0")?.local_addr()?);
    match connect(&address, options) {
        Err(ConnectError::Io { error, .. }) => println!("{}", error.kind()),
        other => return Err(format!("somebody listens: {other:?}").into()),
    }
    Ok(())
}

fn peer_goes(options: &Options) -> Result<(), Box<dyn Error>> {
    println!("a peer that goes");
    let (client, mut server) = pair(options)?;
    let (client, told) = start("client", client)?;
    client.send(Message::text("123456"))?;
    server.recv_message()?;
    // Not closed: the connection is cut.
    drop(server);
    println!("{}", told.recv()?);
    println!("{}", told.recv()?);
    if let Err(refused) = client.send(Message::text("12345678")) {
        println!("sending is refused: {refused}");
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::new(Keys::new(Key::new(b"a key that both sides have")?));
    both_ways(&options)?;
    nobody_listens(&options)?;
    peer_goes(&options)
}
