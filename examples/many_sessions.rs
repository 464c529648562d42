//! One thread that serves many sessions, with mio: sockets are looked after when they are ready, sessions when their
//! deadline has come, and a client that does not read what it gets stops nobody but itself. A server for strangers
//! also limits how many there are: `heartwire_core::server` decides that. The clients of this demonstration are tasks
//! of tokio; they say goodbye when all of their messages came back. One of them reads nothing before the others are done.
//!
//! ```text
//! 49 clients are done, and one begins to read
//! 50 sessions served, 1236 messages sent back
//! all in order: true
//! ```

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::{Close, Cut, Refused, Why};
use heartwire_core::pump::Pump;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Ended, Event, Session};
use heartwire_core::time::Instant;
use heartwire_tokio::{Address, Options, SendError, connect};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(0);
/// When accepting is tried again after it failed: the system may have been out of something.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// One session, with its socket.
struct Client {
    socket: TcpStream,
    pump: Pump<Session>,
    /// mio says once when a socket becomes ready. It stays so until it says that it would wait.
    readable: bool,
    writable: bool,
    /// mio was asked to say when the socket takes more.
    awaits_writing: bool,
    half_closed: bool,
    /// When this client has a turn, whatever comes. Alarms for other times count no more.
    alarm: Option<Instant>,
    /// A message that found no room yet.
    held: Option<Message>,
    echoed: usize,
    last: Option<Ended>,
}

/// What is to be done about a client after a turn.
enum Next {
    /// There is more to do at once.
    Turn,
    /// It waits for its socket, or for its alarm.
    Wait,
    /// It is gone.
    Remove,
}

impl Client {
    fn new(mut socket: TcpStream, token: Token, keys: &Keys, now: Instant, poll: &Poll) -> io::Result<Self> {
        // 32 bytes of the operating system's, other ones for each machine.
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        // Small frames are not to wait for acknowledgements.
        socket.set_nodelay(true)?;
        poll.registry().register(&mut socket, token, Interest::READABLE)?;
        Ok(Self {
            socket,
            pump: Pump::new(Session::server(Config::default(), keys.clone(), &Seed::new(seed), now)),
            readable: true,
            writable: true,
            awaits_writing: false,
            half_closed: false,
            alarm: None,
            held: None,
            echoed: 0,
            last: None,
        })
    }

    /// Writes once and reads once, so that everybody has a turn soon.
    fn turn(&mut self, now: Instant, buffer: &mut [u8]) -> Next {
        self.application(now);
        let interest = self.pump.poll(now);
        match interest.close {
            Close::Now => {
                self.application(now);
                return Next::Remove;
            }
            Close::AfterFlush if !interest.write && !self.half_closed => {
                self.half_closed = true;
                // If it fails, the connection is gone, and reading will say so.
                let _ = self.socket.shutdown(Shutdown::Write);
            }
            _ => {}
        }
        let mut moved = false;
        if interest.write && self.writable {
            match self.write() {
                Ok(n) => self.pump.handle_transmitted(now, n),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.pump.handle_cut(now, Cut::WriteFailed(error.to_string())),
            }
            moved |= self.writable;
        }
        if interest.read > 0 && self.readable {
            let most = interest.read.min(buffer.len());
            match self.socket.read(&mut buffer[..most]) {
                Ok(n) => self.pump.handle_received(now, &buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => self.pump.handle_cut(now, Cut::ReadFailed(error.to_string())),
            }
            moved |= self.readable;
        }
        // After reading: what has arrived counts before the clock.
        if self.pump.is_due(now) {
            self.pump.handle_timeout(now);
            moved = true;
        }
        if moved { Next::Turn } else { Next::Wait }
    }

    fn write(&mut self) -> io::Result<usize> {
        let mut slices = [&[][..]; 16];
        let used = self.pump.transmit_slices(&mut slices);
        match self.socket.write_vectored(&slices.map(IoSlice::new)[..used])? {
            0 => Err(ErrorKind::WriteZero.into()),
            n => Ok(n),
        }
    }

    /// Sends every message back; takes no more while one finds no room.
    fn application(&mut self, now: Instant) {
        loop {
            let message = match self.held.take() {
                Some(message) => message,
                None => match self.pump.poll_event(now) {
                    Some(Event::Message(message)) => message,
                    Some(Event::Ended(ended)) => return self.last = Some(ended),
                    Some(_) => continue,
                    None => return,
                },
            };
            match self.pump.handle_command(now, Command::Send(message)) {
                Ok(_) => self.echoed += 1,
                Err(Refused { command: Command::Send(message), why: Why::Full }) => {
                    return self.held = Some(message);
                }
                Err(_) => {} // The session is closing.
            }
        }
    }

    /// Has mio say when the socket takes more, only while something waits for that.
    fn await_writing(&mut self, poll: &Poll, token: Token) -> io::Result<()> {
        let awaits = !self.writable;
        if awaits == self.awaits_writing {
            return Ok(());
        }
        self.awaits_writing = awaits;
        let interest = if awaits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
        poll.registry().reregister(&mut self.socket, token, interest)
    }
}

/// Serves until so many sessions are over. Gives how many messages were sent back, and how the sessions ended.
fn serve(mut listener: TcpListener, keys: &Keys, sessions: usize) -> io::Result<(usize, Vec<Ended>)> {
    let start = std::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut buffer = vec![0; 64 * 1024];
    let mut clients: HashMap<Token, Client> = HashMap::new();
    let mut alarms: BinaryHeap<Reverse<(Instant, Token)>> = BinaryHeap::new();
    // Who has a turn.
    let mut turns: BTreeSet<Token> = BTreeSet::new();
    let (mut accepting, mut accepted) = (true, 0);
    let (mut echoed, mut ends) = (0, Vec::new());
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;

    loop {
        while accepting {
            match listener.accept() {
                Ok((socket, _)) => {
                    accepted += 1;
                    let token = Token(accepted);
                    match Client::new(socket, token, keys, now(), &poll) {
                        Ok(client) => drop(clients.insert(token, client)),
                        Err(error) => eprintln!("a connection was dropped: {error}"),
                    }
                    turns.insert(token);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => accepting = false,
                // The fault of one connection.
                Err(error)
                    if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {}
                Err(error) => {
                    eprintln!("can't accept: {error}");
                    break;
                }
            }
        }

        for token in std::mem::take(&mut turns) {
            let Some(client) = clients.get_mut(&token) else { continue };
            let time = now();
            match client.turn(time, &mut buffer) {
                Next::Turn => drop(turns.insert(token)),
                Next::Wait => {
                    client.await_writing(&poll, token)?;
                    // At the time of the turn: what a later one brings is another turn's, which the alarm begins.
                    let interest = client.pump.poll(time);
                    // Mostly none: for a deadline that has moved later, the alarm stays.
                    if let Some(at) = client.pump.rearm(time, &interest) {
                        client.alarm = Some(at);
                        alarms.push(Reverse((at, token)));
                    }
                }
                Next::Remove => {
                    echoed += client.echoed;
                    ends.extend(client.last.take());
                    clients.remove(&token);
                }
            }
        }

        if ends.len() == sessions {
            return Ok((echoed, ends));
        }

        let alarm = alarms.peek().map(|Reverse((at, _))| at.since(now()));
        let wait = match (turns.is_empty(), accepting) {
            (false, _) => Some(Duration::ZERO),
            (true, false) => alarm,
            (true, true) => Some(alarm.map_or(ACCEPT_AGAIN, |alarm| alarm.min(ACCEPT_AGAIN))),
        };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            accepting |= event.token() == LISTENER;
            if let Some(client) = clients.get_mut(&event.token()) {
                let failed = event.is_error();
                client.readable |= event.is_readable() || event.is_read_closed() || failed;
                client.writable |= event.is_writable() || event.is_write_closed() || failed;
                turns.insert(event.token());
            }
        }
        let time = now();
        while let Some(Reverse((at, token))) = alarms.peek().copied().filter(|Reverse((at, _))| *at <= time) {
            alarms.pop();
            if clients.get(&token).is_some_and(|client| client.alarm == Some(at)) {
                turns.insert(token);
            }
        }
    }
}

const CLIENTS: usize = 49;
const MESSAGES: usize = 20;
/// More than all buffers on the way hold.
const LAZY_MESSAGES: usize = 256;
const LAZY_SIZE: usize = 64 * 1024;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

async fn client(address: Address, options: Options) -> Result<()> {
    let mut session = connect(&address, &options).await?;
    for i in 0..MESSAGES {
        session.send(Message::text(format!("message {i}"))).await?;
    }
    for i in 0..MESSAGES {
        let message = session.recv_message().await?;
        assert_eq!(message.content, format!("message {i}"));
    }
    session.close(None).await;
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let keys = Keys::new(Key::new(b"a key that both sides have")?);
    let listener = TcpListener::bind("127.0.0.1:0".parse()?)?;
    let address = Address::from(listener.local_addr()?);
    let options = Options::new(keys.clone());
    let server = std::thread::spawn(move || serve(listener, &keys, CLIENTS + 1));

    let mut lazy = connect(&address, &options).await?;
    let sender = lazy.sender().clone();
    let sending = tokio::spawn(async move {
        let message = Message::binary(vec![b'x'; LAZY_SIZE]);
        for _ in 0..LAZY_MESSAGES {
            sender.send(message.clone()).await?;
        }
        Ok::<_, SendError>(())
    });
    let clients: Vec<_> =
        (0..CLIENTS).map(|_| tokio::spawn(client(address.clone(), options.clone()))).collect();
    for client in clients {
        client.await??;
    }
    println!("{CLIENTS} clients are done, and one begins to read");
    for _ in 0..LAZY_MESSAGES {
        assert_eq!(lazy.recv_message().await?.content.len(), LAZY_SIZE);
    }
    sending.await??;
    lazy.close(None).await;

    let (echoed, ends) = server.join().map_err(|_| "the server panicked")??;
    println!("{} sessions served, {echoed} messages sent back", ends.len());
    println!("all in order: {}", ends.iter().all(Ended::is_orderly));
    Ok(())
}
