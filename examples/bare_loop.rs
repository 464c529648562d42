//! A session on a blocking socket of the standard library, one thread a side, without any adapter: the loop that every
//! embedding has in some form. It reads and writes without either waiting for the other, keeps the machine's deadlines
//! by the socket's read timeout, stops reading when the application is behind, and closes one direction at a time.
//! The client sends more than all buffers hold before it waits for anything; the server sends everything back. A second
//! client says nothing at all, and is not waited for.
//!
//! ```text
//! client: established
//! client: 100 messages of 65536 bytes came back
//! client: closed here: enough for today
//! server: closed by the peer: enough for today
//! server: handshake-timeout: the handshake was not done in 50ms
//! ```

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::{Close, Cut, Refused, Why};
use heartwire_core::pump::Pump;
use heartwire_core::seed::Seed;
use heartwire_core::session::{Command, Ended, Event, Session};
use heartwire_core::time::Instant;

/// How soon a socket that was full is tried again: the standard library can't wait for reading and writing at once.
const AGAIN: Duration = Duration::from_millis(1);
/// How long to wait where the machine has no deadline.
const LONG: Duration = Duration::from_secs(3600);

/// Runs a session over a socket until it is over. `application` is called in each turn: it takes events and gives
/// commands. What it can't take yet it leaves: then the machine stops reading, and the peer has to wait.
fn run(
    mut socket: TcpStream,
    machine: impl FnOnce(Instant) -> Session,
    mut application: impl FnMut(&mut Pump<Session>, Instant),
) -> io::Result<()> {
    // Any clock will do that never goes back.
    let start = std::time::Instant::now();
    let now = || Instant::ZERO + start.elapsed();
    let mut pump = Pump::new(machine(now()));
    let mut received = vec![0; 64 * 1024];
    let mut half_closed = false;
    // Small frames are not to wait for acknowledgements.
    socket.set_nodelay(true)?;
    socket.set_nonblocking(true)?;
    loop {
        // The same time for both: what a later one lets pass (a rate) would come too late for the application.
        let time = now();
        application(&mut pump, time);
        let interest = pump.poll(time);
        match interest.close {
            Close::Now => break,
            Close::AfterFlush if !interest.write && !half_closed => {
                half_closed = true;
                // If it fails, the connection is gone, and reading will say so.
                let _ = socket.shutdown(Shutdown::Write);
            }
            _ => {}
        }

        // Write what the socket takes now. The rest stays with the machine, and is offered again.
        let mut wrote = false;
        if interest.write {
            match write(&mut socket, &pump) {
                Ok(n) => {
                    wrote = true;
                    pump.handle_transmitted(now(), n);
                }
                Err(error) if is_not_now(&error) => {}
                // Not the end: what the peer said before it went can still be read.
                Err(error) => pump.handle_cut(now(), Cut::WriteFailed(error.to_string())),
            }
        }

        // Read once, and wait for it only if there is nothing else to do.
        let mut wait = interest.deadline.map_or(LONG, |deadline| deadline.since(now()));
        if interest.write {
            wait = if wrote { Duration::ZERO } else { wait.min(AGAIN) };
        }
        if interest.read > 0 {
            let most = interest.read.min(received.len());
            match read(&mut socket, &mut received[..most], wait) {
                // None: the end of the stream.
                Ok(n) => pump.handle_received(now(), &received[..n]),
                Err(error) if is_not_now(&error) => {}
                Err(error) => pump.handle_cut(now(), Cut::ReadFailed(error.to_string())),
            }
        } else {
            thread::sleep(wait);
        }

        // After reading: what has arrived counts before the clock.
        if pump.is_due(now()) {
            pump.handle_timeout(now());
        }
    }
    // What the application had left, up to the last event.
    application(&mut pump, now());
    Ok(())
}

fn write(socket: &mut TcpStream, pump: &Pump<Session>) -> io::Result<usize> {
    let mut slices = [&[][..]; 16];
    let used = pump.transmit_slices(&mut slices);
    match socket.write_vectored(&slices.map(IoSlice::new)[..used])? {
        0 => Err(ErrorKind::WriteZero.into()),
        n => Ok(n),
    }
}

fn read(socket: &mut TcpStream, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
    if wait.is_zero() {
        return socket.read(buffer);
    }
    socket.set_read_timeout(Some(wait))?;
    socket.set_nonblocking(false)?;
    let read = socket.read(buffer);
    socket.set_nonblocking(true)?;
    read
}

fn is_not_now(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Sends every message back. While one finds no room, no other is taken: so the queue is bounded.
fn serve(socket: TcpStream, config: Config, keys: Keys) -> io::Result<Option<Ended>> {
    // 32 bytes of the operating system's, other ones for each machine.
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let machine = |now| Session::server(config, keys, &Seed::new(seed), now);
    let (mut held, mut last) = (None, None);
    run(socket, machine, |pump, now| {
        loop {
            let message = match held.take() {
                Some(message) => message,
                None => match pump.poll_event(now) {
                    Some(Event::Message(message)) => message,
                    Some(Event::Ended(ended)) => return last = Some(ended),
                    Some(_) => continue,
                    None => return,
                },
            };
            let command = Command::Send(message);
            // Refused for another reason: the session is closing, and the last event will say why.
            if let Err(Refused { command: Command::Send(message), why: Why::Full }) =
                pump.handle_command(now, command)
            {
                return held = Some(message);
            }
        }
    })?;
    Ok(last)
}

fn main() -> Result<(), Box<dyn Error>> {
    const MESSAGES: usize = 100;
    let keys = Keys::new(Key::new(b"a key that both sides have")?);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    // Small queues, so that limits are met.
    let tight = Config::builder().queued_output(64 * 1024).queued_events(4).build()?;
    let impatient = Config::builder().handshake_timeout(Duration::from_millis(50)).build()?;
    let server = thread::spawn({
        let keys = keys.clone();
        move || {
            let first = serve(listener.accept()?.0, tight, keys.clone())?;
            let second = serve(listener.accept()?.0, impatient, keys)?;
            Ok::<_, io::Error>([first, second])
        }
    });

    let message = Message::binary(vec![b'x'; 64 * 1024]);
    let (mut sent, mut back, mut last) = (0, 0, None);
    let machine = |now| Session::client(Config::default(), keys, now);
    run(TcpStream::connect(address)?, machine, |pump, now| {
        while let Some(event) = pump.poll_event(now) {
            match event {
                Event::Established(_) => println!("client: established"),
                Event::Message(echo) if echo == message => back += 1,
                Event::Ended(ended) => last = Some(ended),
                _ => {}
            }
        }
        // Refused before the session is established, and while the queue is full: the next turn tries again.
        while sent < MESSAGES && pump.handle_command(now, Command::Send(message.clone())).is_ok() {
            sent += 1;
        }
        if back == MESSAGES {
            let goodbye = Command::Close { reason: Some("enough for today".into()) };
            // Refused if that was said already.
            let _ = pump.handle_command(now, goodbye);
        }
    })?;
    println!("client: {back} messages of {} bytes came back", message.content.len());
    println!("client: {}", last.ok_or("the client's session has no last event")?);

    // Waits for what is never said; the end of the stream comes first.
    TcpStream::connect(address)?.read_to_end(&mut Vec::new())?;
    for last in server.join().map_err(|_| "the server panicked")?? {
        println!("server: {}", last.ok_or("the server's session has no last event")?);
    }
    Ok(())
}
