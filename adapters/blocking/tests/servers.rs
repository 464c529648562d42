//! Servers: limits, stops, handlers that fail or stay away.

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use common::*;
use heartwire_blocking::*;

fn say(session: &mut Session, said: &str) {
    session.send(Message::text(said)).unwrap();
    assert_eq!(session.recv_message_timeout(LONG).unwrap().unwrap().content, said);
}

#[test]
fn a_stop_tells_every_session_and_reports_it() {
    let running = Running::start("tcp://127.0.0.1:0", options(), echo);
    let address = running.address.clone();
    let clients: Vec<_> = (0..5)
        .map(|n| {
            let mut client = connect(&address, &options()).unwrap();
            assert_eq!(client.peer_address(), Some(&address));
            say(&mut client, &n.to_string());
            thread::spawn(move || client.recv_message())
        })
        .collect();
    let report = running.end();
    assert_eq!((report.told, report.closed, report.failed, report.cut.len()), (5, 5, 0, 0), "{report}");
    for client in clients {
        let ended = client.join().unwrap().unwrap_err();
        assert!(ended.is_orderly() && ended.by == EndedBy::Peer, "{ended}");
    }
    // The port is free again.
    drop(Server::bind(&[address], options()).unwrap());
}

#[cfg(unix)]
#[test]
fn unix_sockets_are_served_and_their_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let running = Running::start(&format!("unix://{}", path.display()), options(), echo);
    let mut client = connect(&running.address, &options()).unwrap();
    say(&mut client, "hello");
    assert!(path.exists());
    let closing = thread::spawn(move || client.recv_message());
    assert_eq!(running.end().told, 1);
    assert!(!path.exists());
    assert!(closing.join().unwrap().unwrap_err().is_orderly());
}

#[test]
fn several_addresses_are_served_and_the_last_stop_that_is_dropped_stops() {
    let addresses = ["tcp://127.0.0.1:0".parse().unwrap(), "tcp://[::1]:0".parse().unwrap()];
    let server = Server::bind(&addresses, options()).unwrap();
    let registry = server.registry();
    let addresses = server.local_addresses().to_vec();
    let (stop, stopped) = stop();
    let serving = thread::spawn(move || server.serve(echo, stopped));
    for address in &addresses {
        let mut client = connect(address, &options()).unwrap();
        say(&mut client, "hello");
        assert_eq!(registry.session_count(), 1);
        client.close(None);
        until("it is counted no more", || registry.session_count() == 0);
    }
    let other = stop.clone();
    drop(stop);
    assert!(connect(&addresses[0], &options()).is_ok(), "one is left");
    drop(other);
    serving.join().unwrap();
}

#[test]
fn above_the_limit_a_newcomer_is_told_so() {
    let limits = Limits::builder().max_sessions(1).build().unwrap();
    let running = Running::start("tcp://127.0.0.1:0", options().limits(limits), echo);
    let mut first = connect(&running.address, &options()).unwrap();
    say(&mut first, "hello");
    let refused = match connect(&running.address, &options()) {
        Ok(mut second) => (*second.recv_message_timeout(LONG).unwrap().unwrap_err()).clone(),
        Err(ConnectError::Handshake(ended)) => *ended,
        Err(other) => panic!("{other}"),
    };
    assert!(refused.to_string().contains("too-many-sessions"), "{refused}");
    say(&mut first, "still there");
    let closing = thread::spawn(move || first.recv_message());
    running.end();
    let _ = closing.join();
}

#[test]
fn a_handler_that_panics_ends_its_session_alone() {
    let running = Running::start("tcp://127.0.0.1:0", options(), |mut session| {
        while let Ok(message) = session.recv_message() {
            assert_ne!(message.content, "panic");
            session.send(message).unwrap();
        }
    });
    let mut other = connect(&running.address, &options()).unwrap();
    let mut client = connect(&running.address, &options()).unwrap();
    client.send(Message::text("panic")).unwrap();
    assert!(!client.recv_message_timeout(LONG).unwrap().unwrap_err().is_orderly());
    say(&mut other, "hello");
    other.close(None);
    running.end();
}

#[test]
fn a_handler_that_does_not_return_does_not_keep_the_server() {
    let (release, released) = mpsc::channel::<()>();
    let (began, begun) = mpsc::channel();
    let released = Mutex::new(released);
    let running = Running::start("tcp://127.0.0.1:0", options().grace(ms(200)), move |_session| {
        began.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
    });
    let client = connect(&running.address, &options()).unwrap();
    begun.recv().unwrap();
    let receiving = thread::spawn(move || {
        let mut client = client;
        client.recv_message()
    });
    let report = in_time(move || running.end());
    assert_eq!(report.told, 1, "{report}");
    receiving.join().unwrap().unwrap_err();
    drop(release);
}

#[test]
fn a_session_whose_peer_reads_nothing_is_cut_when_the_grace_is_over() {
    let (full, filled) = mpsc::channel();
    let config = Config::builder().flush_timeout(LONG).progress_timeout(LONG).build().unwrap();
    let running = Running::start(
        "tcp://127.0.0.1:0",
        options().config(config).grace(ms(200)),
        move |session: Session| {
            while session.send_timeout(Message::binary(vec![7; 60_000]), ms(300)).is_ok() {}
            full.send(()).unwrap();
            session.closed();
        },
    );
    let Address::Tcp { host, port } = &running.address else { panic!() };
    let socket = small(std::net::TcpStream::connect((host.as_str(), *port)).unwrap());
    let client = connect_io(socket, &options()).unwrap();
    filled.recv_timeout(LONG).unwrap();
    let report = in_time(move || running.end());
    assert_eq!((report.told, report.cut.len()), (1, 1), "{report}");
    drop(client);
}

#[test]
fn handlers_can_be_a_trait() {
    struct Noting(Arc<Mutex<Vec<String>>>);

    impl Handler for Noting {
        fn open(&self, session: &Session) {
            session.send(Message::text("welcome")).unwrap();
        }

        fn message(&self, session: &Session, message: Message) {
            session.send(message).unwrap();
        }

        fn close(&self, _: &Session, ended: &Ended) {
            self.0.lock().unwrap().push(ended.to_string());
        }
    }

    let notes = Arc::<Mutex<Vec<String>>>::default();
    let running = Running::start("tcp://127.0.0.1:0", options(), handled(Noting(Arc::clone(&notes))));
    let mut client = connect(&running.address, &options()).unwrap();
    assert_eq!(client.recv_message_timeout(LONG).unwrap().unwrap().content, "welcome");
    say(&mut client, "hello");
    client.close(String::from("bye"));
    running.end();
    assert_eq!(*notes.lock().unwrap(), ["closed by the peer: bye"]);
}

#[test]
fn many_connect_at_once() {
    let running = Running::start("tcp://127.0.0.1:0", options(), echo);
    let clients: Vec<_> = (0..50)
        .map(|n: i32| {
            let address = running.address.clone();
            thread::spawn(move || {
                let mut client = connect(&address, &options()).unwrap();
                (0..20).for_each(|k| say(&mut client, &format!("{n} {k}")));
                assert!(client.close(None).is_orderly());
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    running.end();
}
