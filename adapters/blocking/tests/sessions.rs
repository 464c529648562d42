//! Sessions over real sockets.

mod common;

use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::*;
use heartwire_blocking::*;

fn text(session: &mut Session) -> String {
    String::from_utf8(session.recv_message_timeout(LONG).unwrap().unwrap().content.to_vec()).unwrap()
}

#[test]
fn messages_go_both_ways_and_a_goodbye_ends_both_sides() {
    let (mut client, mut server) = pair(&options());
    assert_eq!(client.id(), server.id());
    client.send(Message::text("hello")).unwrap();
    assert_eq!(text(&mut server), "hello");
    let outgoing = server.begin(Begin::new(ContentType::TEXT)).unwrap();
    outgoing.send("piece ").unwrap();
    outgoing.send("by piece").unwrap();
    outgoing.end().unwrap();
    assert_eq!(text(&mut client), "piece by piece");
    let closing = thread::spawn(move || client.close(String::from("enough")));
    let ended = server.recv_message().unwrap_err();
    assert_eq!((ended.by, ended.detail.as_str(), ended.is_orderly()), (EndedBy::Peer, "enough", true));
    assert_eq!(server.recv_message().unwrap_err(), ended, "however often it is asked");
    assert!(closing.join().unwrap().is_orderly());
    assert!(server.closed_timeout(LONG).unwrap().unwrap().in_order);
    assert_eq!(server.recv(), None);
}

#[test]
fn halves_are_used_from_different_threads() {
    fn send(sender: &Sender, count: usize) {
        for _ in 0..count {
            sender.send(Message::text("x")).unwrap();
        }
    }

    let (client, server) = pair(&options());
    let (sender, mut receiver) = client.split();
    let (back, mut incoming) = server.split();
    let other = sender.clone();
    let threads = [
        thread::spawn(move || send(&sender, 500)),
        thread::spawn(move || send(&other, 500)),
        thread::spawn(move || send(&back, 1000)),
    ];
    for _ in 0..1000 {
        incoming.recv_message_timeout(LONG).unwrap().unwrap();
        receiver.recv_message_timeout(LONG).unwrap().unwrap();
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

fn much_both_ways(sockets: (impl Socket, impl Socket)) {
    const COUNT: u8 = 32;
    let (client, server) = over(sockets, &options(), &options());
    let work = |(sender, mut receiver): (Sender, Receiver)| {
        let sending = thread::spawn(move || {
            for n in 0..COUNT {
                sender.send(Message::binary(vec![n; 1 << 20])).unwrap();
            }
            sender
        });
        thread::spawn(move || {
            for n in 0..COUNT {
                let content = receiver.recv_message_timeout(LONG).unwrap().unwrap().content;
                assert!(content.len() == 1 << 20 && content.iter().all(|byte| *byte == n));
            }
            (sending.join().unwrap(), receiver)
        })
    };
    let (client, server) = (work(client.split()), work(server.split()));
    let _both = (client.join().unwrap(), server.join().unwrap());
}

#[test]
fn much_goes_both_ways_at_once_through_small_buffers() {
    let (a, b) = tcp();
    // With small buffers to receive, too, TCP itself takes minutes.
    for socket in [&a, &b] {
        socket2::SockRef::from(socket).set_send_buffer_size(4096).unwrap();
    }
    much_both_ways((a, b));
}

#[cfg(unix)]
#[test]
fn much_goes_both_ways_at_once_through_small_buffers_of_unix_sockets() {
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    much_both_ways((small(a), small(b)));
}

/// Every message fills the queues, so that all four threads and both applications park and wake one another for each:
/// one that is not woken would wait for the next heartbeat, much longer than the test may take.
#[test]
fn nobody_is_forgotten_where_everybody_waits_for_everybody() {
    let far = Duration::from_secs(600);
    let config =
        Config::builder().queued_events(1).queued_output(1).heartbeat_interval(far).silence_timeout(2 * far);
    let (client, server) = pair(&configured(config));
    in_time(move || {
        let work = |(sender, mut receiver): (Sender, Receiver)| {
            let sending = thread::spawn(move || {
                for _ in 0..3000 {
                    sender.send(Message::text("x")).unwrap();
                }
                sender
            });
            thread::spawn(move || {
                for _ in 0..3000 {
                    receiver.recv_message().unwrap();
                }
                (sending.join().unwrap(), receiver)
            })
        };
        let (client, server) = (work(client.split()), work(server.split()));
        let _both = (client.join().unwrap(), server.join().unwrap());
    });
}

#[test]
fn waiting_to_receive_can_be_limited_and_loses_nothing() {
    let (mut client, server) = pair(&options());
    for _ in 0..3 {
        let began = Instant::now();
        assert!(matches!(client.recv_message_timeout(ms(10)), Err(TimedOut)));
        assert_eq!(client.recv_timeout(Duration::ZERO), Err(TimedOut));
        assert!(began.elapsed() >= ms(10));
        assert_eq!(client.try_recv(), None);
    }
    server.send(Message::text("late")).unwrap();
    assert_eq!(text(&mut client), "late");
    drop(server);
    let ended = client.recv_message_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(ended.code, Code::EndedWithoutDisconnect, "dropped without closing: cut");
}

/// Fills everything between here and a peer that does not receive. Gives the message that there was no room for.
fn fill(session: &Session) {
    let refused = loop {
        if let Err(refused) = session.send_timeout(Message::binary(vec![7; 60_000]), ms(50)) {
            break refused;
        }
    };
    assert_eq!(refused.why, Why::Full);
    assert_eq!(refused.command.content.len(), 60_000, "handed back whole");
}

#[test]
fn a_peer_that_does_not_read_can_be_left_in_time() {
    let (a, b) = tcp();
    let config = Config::builder().flush_timeout(ms(200)).progress_timeout(ms(200));
    let (client, server) = over((small(a), small(b)), &configured(config), &options());
    fill(&client);
    let sender = client.sender().clone();
    let blocked = thread::spawn(move || sender.send(Message::binary(vec![7; 60_000])));
    let ended = in_time(move || client.close(None));
    assert!(!ended.told && !ended.unsent.is_empty(), "{ended}");
    assert_eq!(blocked.join().unwrap().unwrap_err().why, Why::Closed);
    drop(server);
}

#[cfg(unix)]
#[test]
fn a_connection_whose_peer_does_not_read_can_be_cut_at_once() {
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let (client, server) = over((small(a), small(b)), &options(), &options());
    fill(&client);
    let began = Instant::now();
    client.abort_connection();
    client.closed_timeout(LONG).unwrap();
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    drop(server);
}

#[test]
fn heartbeats_go_on_while_the_application_does_something_else() {
    let config = Config::builder().heartbeat_interval(ms(20)).silence_timeout(ms(500));
    let (mut client, server) = pair(&configured(config));
    // Nobody asks the server's side for anything, far longer than it could be silent.
    let began = Instant::now();
    while began.elapsed() < ms(1500) {
        match client.recv_timeout(LONG).unwrap() {
            Some(Event::RoundTrip(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(server.round_trip().is_some() && !server.is_closing());
    // And both sides idle, in both directions.
    assert!(client.stats().since < client.stats().last_heard);
}

#[test]
fn heartbeats_go_on_while_much_is_sent() {
    let config = Config::builder().heartbeat_interval(ms(20)).silence_timeout(ms(500));
    let (mut client, server) = pair(&configured(config));
    let sending = thread::spawn(move || while server.send(Message::binary(vec![1; 100_000])).is_ok() {});
    let mut heard = 0;
    while heard < 10 {
        match client.recv_timeout(LONG).unwrap() {
            Some(Event::RoundTrip(_)) => heard += 1,
            Some(Event::Message(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    client.close(None);
    sending.join().unwrap();
}

/// A socket that can be made to misbehave.
struct Bad {
    socket: TcpStream,
    mute: Arc<AtomicBool>,
    panics: Arc<AtomicBool>,
    unusable: bool,
    /// How long it takes to prepare it.
    takes: Duration,
    prepared: AtomicBool,
}

impl Bad {
    fn new(socket: TcpStream) -> Self {
        let (mute, panics, prepared) = Default::default();
        Self { socket, mute, panics, unusable: false, takes: Duration::ZERO, prepared }
    }
}

impl Socket for Bad {
    fn prepare(&self) -> io::Result<()> {
        let prepared = Instant::now() + self.takes;
        while Instant::now() < prepared {
            thread::park_timeout(ms(1));
        }
        self.prepared.store(true, Ordering::SeqCst);
        if self.unusable { Err(io::Error::other("it is not usable")) } else { Ok(()) }
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let read = Socket::read(&self.socket, into);
        assert!(!self.panics.load(Ordering::SeqCst), "reading went wrong");
        read
    }

    fn write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.mute.load(Ordering::SeqCst) {
            return Ok(slices.iter().map(|slice| slice.len()).sum());
        }
        Socket::write_vectored(&self.socket, slices)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        assert!(self.prepared.load(Ordering::SeqCst), "it was to be prepared before");
        self.socket.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

#[test]
fn a_peer_that_falls_silent_is_noticed() {
    let (a, b) = tcp();
    let bad = Bad::new(a);
    let mute = Arc::clone(&bad.mute);
    let config = Config::builder().heartbeat_interval(ms(50)).silence_timeout(ms(200));
    let (client, mut server) = over((bad, b), &options(), &configured(config));
    mute.store(true, Ordering::SeqCst);
    let ended = server.recv_message_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(ended.code, Code::PeerSilent, "{ended}");
    drop(client);
}

#[test]
fn a_thread_that_panics_ends_its_session_and_says_so() {
    let (a, b) = tcp();
    let bad = Bad::new(a);
    let panics = Arc::clone(&bad.panics);
    let (mut client, mut server) = over((bad, b), &options(), &options());
    panics.store(true, Ordering::SeqCst);
    server.send(Message::text("it reads")).unwrap();
    let ended = client.recv_message_timeout(LONG).unwrap().unwrap_err();
    assert_eq!(ended.code, Code::TransportFailed);
    assert!(ended.detail.contains("thread panicked: reading went wrong"), "{ended}");
    client.closed_timeout(LONG).unwrap();
    assert!(!server.recv_message_timeout(LONG).unwrap().unwrap_err().is_orderly());
}

#[test]
fn a_socket_that_cannot_be_used_is_an_error_that_says_so() {
    let (a, _b) = tcp();
    let failed = connect_io(Bad { unusable: true, ..Bad::new(a) }, &options()).unwrap_err();
    assert!(failed.to_string().contains("it is not usable"), "{failed}");
}

#[test]
fn a_socket_is_prepared_before_anything_else() {
    let (a, b) = tcp();
    let (mut client, server) = over((Bad { takes: ms(100), ..Bad::new(a) }, b), &options(), &options());
    server.send(Message::text("x")).unwrap();
    assert_eq!(text(&mut client), "x");
}

#[test]
fn a_socket_that_does_not_wait_is_made_to() {
    let (a, b) = tcp();
    a.set_nonblocking(true).unwrap();
    let (mut client, server) = over((a, b), &options(), &options());
    server.send(Message::text("x")).unwrap();
    assert_eq!(text(&mut client), "x");
    let before = client.stats();
    assert_eq!(client.recv_timeout(ms(20)), Err(TimedOut));
    assert_eq!(client.stats().last_heard, before.last_heard);
}

#[test]
fn a_peer_that_says_nothing_or_half_of_something_is_noticed_in_the_handshake() {
    for said in [&b""[..], b"HW"] {
        let (a, b) = tcp();
        (&a).write_all(said).unwrap();
        let options = configured(Config::builder().handshake_timeout(ms(100)));
        let failed = in_time(move || accept_io(b, &options).unwrap_err());
        let ConnectError::Handshake(ended) = failed else { panic!("{failed}") };
        assert!(!ended.is_orderly(), "{ended}");
        drop(a);
    }
}

#[test]
fn a_peer_that_resets_the_connection_is_noticed() {
    let (a, b) = tcp();
    let raw = a.try_clone().unwrap();
    let (client, mut server) = over((a, b), &options(), &options());
    socket2::SockRef::from(&raw).set_linger(Some(Duration::ZERO)).unwrap();
    drop(raw);
    drop(client);
    let ended = server.recv_message_timeout(LONG).unwrap().unwrap_err();
    assert!(!ended.is_orderly(), "{ended}");
    assert_eq!(server.send(Message::text("x")).unwrap_err().why, Why::Closed);
}

#[test]
fn who_sends_to_a_peer_that_is_gone_hears_of_it() {
    let (client, server) = pair(&options());
    let sending = thread::spawn(move || {
        let mut sent = 0_u32;
        while client.send(Message::binary(vec![0; 10_000])).is_ok() {
            sent += 1;
        }
        (client.closed(), sent)
    });
    until("something arrives", || server.stats().last_heard > server.stats().since);
    drop(server);
    let (outcome, _) = sending.join().unwrap();
    assert!(!outcome.unwrap().in_order);
}

#[test]
fn nobody_there_is_an_error_that_names_the_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(listener.local_addr().unwrap());
    drop(listener);
    let failed = connect(&address, &options()).unwrap_err();
    assert!(failed.to_string().starts_with(&format!("can't connect to {address}: ")), "{failed}");
    let ConnectError::Io { error, .. } = failed else { panic!("{failed}") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn tls_is_refused_with_what_to_use() {
    let address = Address::Tls { host: "localhost".into(), port: 1 };
    assert!(connect(&address, &options()).unwrap_err().to_string().contains("heartwire-tokio"));
    assert!(Server::bind(&[address], options()).unwrap_err().to_string().contains("heartwire-tokio"));
}

#[cfg(unix)]
#[test]
fn a_unix_socket_whose_queue_is_full_is_not_waited_for_longer_than_allowed() {
    use socket2::{Domain, SockAddr, Type};

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("full");
    let listener = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let options = configured(Config::builder().handshake_timeout(ms(100)));
    let path = path.as_path();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&SockAddr::unix(path).unwrap());
            socket
        })
        .collect();
    let address = Address::from(path);
    let failed = in_time(move || connect(&address, &options).unwrap_err());
    let ConnectError::Io { error, .. } = failed else { panic!("{failed}") };
    assert_eq!(error.to_string(), "nobody answered within 100ms");
    drop(waiting);
}
