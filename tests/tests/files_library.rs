//! `heartwire_files::{receive, send}` as a library on every runtime, against peers written by hand; and dropped in the
//! middle.

#[path = "adapters/async_std.rs"]
#[allow(dead_code)]
mod on_async_std;
#[path = "adapters/smol.rs"]
#[allow(dead_code)]
mod on_smol;
#[path = "adapters/blocking.rs"]
#[allow(dead_code)]
mod on_threads;
#[path = "adapters/tokio.rs"]
#[allow(dead_code)]
mod on_tokio;

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use heartwire_core::wire::json_header::{JsonHeader, Kind};
use heartwire_files::receive::Event as Came;
use heartwire_files::send::{Event as Went, Why};
use heartwire_files::{
    CONFIRM, OnExist, Received, Sources, Store, receive, receive::options as receiving, send,
    send::options as sending,
};
use heartwire_std::connection::Connection;
use heartwire_std::runtime::Runtime;
use heartwire_tests::cancel::{Cut, cut};
use heartwire_tests::files::{
    MUCH, Rooms, Sender, accept, everything, forest, listen, parts, shown, small_files, tree, until,
};
use heartwire_tests::peers::content::bytes;
use heartwire_tests::peers::json_header::{self, Header, message};
use heartwire_tests::program::patient;
use heartwire_tests::suite::{Adapter, blocking};
use tokio::sync::{mpsc, oneshot};

use on_async_std::AsyncStd;
use on_smol::Smol;
use on_threads::Threads;
use on_tokio::Tokio;

const NONE: [&str; 0] = [];

/// What happened, in short.
fn short(event: &Came) -> Option<String> {
    Some(match event {
        Came::Begun { name, size, .. } => format!("begun {name} {size}"),
        Came::Stored(stored) => format!("stored {} {} {:?}", stored.name, stored.size, stored.how),
        Came::Skipped { name, .. } => format!("skipped {name}"),
        Came::Refused { name, .. } => format!("refused {name}"),
        Came::Cut { name, received, size, .. } => format!("cut {name} {received} {size}"),
        Came::Text(text) => format!("text {}", String::from_utf8_lossy(text)),
        _ => return None,
    })
}

/// A server that receives into a folder, and what it tells of each connection.
struct Serving {
    address: String,
    stop: oneshot::Sender<()>,
    told: mpsc::UnboundedReceiver<(Received, Vec<String>)>,
}

impl Serving {
    async fn start<A: Adapter, R: Runtime>(store: Store) -> Self {
        let server = A::bind(&["tcp://127.0.0.1:0".parse().unwrap()], receiving()).await.unwrap();
        let address = A::addresses(&server)[0].to_string();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::unbounded_channel();
        let handler = move |connection: Connection<JsonHeader>| {
            let (store, tell) = (store.clone(), tell.clone());
            async move {
                let mut events = Vec::new();
                let received = receive::<R>(connection, &store, |event| events.extend(short(&event))).await;
                let _ = tell.send((received, events));
            }
        };
        drop(A::spawn(A::serve(server, handler, async { drop(stopped.await) })));
        Self { address, stop, told }
    }

    async fn next(&mut self) -> (Received, Vec<String>) {
        self.told.recv().await.unwrap()
    }
}

/// Files of a sender by hand are stored, and everything is told in order.
fn receives<A: Adapter, R: Runtime>() {
    A::run(async {
        let rooms = Rooms::new();
        rooms.write("there.txt", "there");
        let store = Store::open(&rooms.inner, OnExist::Skip).unwrap();
        let mut serving = Serving::start::<A, R>(store).await;
        let address = serving.address.clone();
        let lines = blocking(move || {
            let mut sender = Sender::connect(&address);
            sender.file("a/large.bin", &bytes(1_000_000)).file("there.txt", b"new").file("../x", b"x");
            sender
                .whole("TEXT", "", b"a text")
                .file("v.csv", b"1\n")
                .file("v.csv", b"2\n")
                .file("empty", b"");
            sender.finish()
        });
        let lines = lines.await;
        assert!(lines.len() == 1 && lines[0].starts_with("../x: "), "{lines:?}");
        let (received, events) = serving.next().await;
        assert!(received.ended.is_orderly(), "{received:?}");
        let counts = (received.files, received.bytes, received.texts, received.skipped, received.refused);
        assert_eq!((counts, received.cut), ((4, 1_000_004, 1, 1, 1), false));
        let expected = [
            "begun a/large.bin 1000000",
            "stored a/large.bin 1000000 New",
            "skipped there.txt",
            "refused ../x",
            "text a text",
            "begun v.csv 2",
            "stored v.csv 2 New",
            "begun v.csv 2",
            "stored v.csv 2 Appended",
            "begun empty 0",
            "stored empty 0 New",
        ];
        assert_eq!(events, expected);
        let files = [
            ("a/large.bin", &bytes(1_000_000)[..]),
            ("there.txt", b"there"),
            ("v.csv", b"1\n2\n"),
            ("empty", b""),
        ];
        assert_eq!(tree(&rooms.inner), forest(files));

        // One that is cut, while another waits in the middle of its file and goes on.
        let address = serving.address.clone();
        let inner = rooms.inner.clone();
        let lines = blocking(move || {
            let mut stalled = Sender::connect(&address);
            stalled.begin("UNKNOWN", "stalled.bin", 10).raw(b"12345");
            until("it is begun", || parts(&inner).len() == 1);
            let mut sender = Sender::connect(&address);
            sender.begin("UNKNOWN", "cut.bin", 10).raw(b"123");
            let lines = sender.cut();
            stalled.raw(b"67890");
            (lines, stalled.finish())
        });
        let (cut, whole) = lines.await;
        assert!(cut.iter().all(|line| line.starts_with("cut.bin: ")) && whole == NONE, "{cut:?} {whole:?}");
        // A peer may know of the end a moment before the server does.
        let mut both = [serving.next().await, serving.next().await];
        both.sort_by_key(|(received, _)| !received.cut);
        let [(cut, cut_events), (whole, whole_events)] = both;
        assert!(cut.cut && !cut.ended.is_orderly(), "{cut:?}");
        assert_eq!(cut_events, ["begun cut.bin 10", "cut cut.bin 3 10"]);
        assert!(!whole.cut && whole.ended.is_orderly(), "{whole:?}");
        assert_eq!(whole_events, ["begun stalled.bin 10", "stored stalled.bin 10 New"]);
        let files = files.into_iter().chain([("stalled.bin", &b"1234567890"[..])]);
        assert_eq!(tree(&rooms.inner), forest(files));
        drop(serving.stop);
    });
}

/// Files are sent to a receiver by hand, who confirms, refuses, or does not.
fn sends<A: Adapter, R: Runtime>() {
    A::run(async {
        let source = tempfile::tempdir().unwrap();
        let run = source.path().join("run");
        let _ = small_files(&run, 50);
        fs::write(run.join("large.bin"), bytes(1_000_000)).unwrap();
        let mut expected = forest([]);
        for (name, what) in tree(&run) {
            expected.insert(format!("run/{name}"), what);
        }
        expected.retain(|_, what| what != "a folder");
        let sources = |text: &'static str| {
            let mut sources = Sources::new();
            sources.add(&run, Some(Kind::Image)).unwrap();
            sources.add_text(text);
            sources
        };
        let (listener, address) = listen();
        let address = address.parse().unwrap();
        let serving = blocking(move || {
            // Confirms, refuses, ends early, never answers.
            let mut stream = accept(&listener);
            let all = everything(&mut stream).unwrap();
            drop(stream);
            let mut stream = accept(&listener);
            everything(&mut stream).unwrap();
            json_header::send_text(&mut stream, "run/large.bin: no\n").unwrap();
            drop(stream);
            let mut stream = accept(&listener);
            json_header::read(&mut stream).unwrap();
            json_header::read_head(&mut stream).unwrap();
            stream.shutdown(std::net::Shutdown::Both).unwrap();
            drop(stream);
            let mut stream = accept(&listener);
            everything(&mut stream).unwrap();
            let _ = everything(&mut stream);
            (all, stream)
        });
        let cases = async {
            let mut told = Vec::new();
            let connection = A::connect(&address, &sending()).await.unwrap();
            let sent = send::<R>(connection, sources("done"), CONFIRM, |event| match event {
                Went::Sent { name, size } => told.push((name, size)),
                Went::SentText { size } => told.push((String::new(), size)),
                _ => {}
            });
            let sent = sent.await.unwrap();
            assert_eq!((sent.files, sent.texts, told.len()), (51, 1, 52));
            assert_eq!(told.last().unwrap(), &(String::new(), 4));
            assert_eq!(sent.bytes, told.iter().map(|(_, size)| size).sum::<u64>() - 4);

            let connection = A::connect(&address, &sending()).await.unwrap();
            let error = send::<R>(connection, sources("x"), CONFIRM, |_| {}).await.unwrap_err();
            assert!(matches!(&error.why, Why::NotStored(said) if said == "run/large.bin: no\n"), "{error:?}");
            assert_eq!(error.sent.files, 51);

            let connection = A::connect(&address, &sending()).await.unwrap();
            let mut large = Sources::new();
            let path = source.path().join("much.bin");
            heartwire_tests::channel::set_len(&path, MUCH as u64);
            fs::write(source.path().join("small"), "small").unwrap();
            large.add(source.path().join("small"), None).unwrap();
            large.add(&path, None).unwrap();
            let error = send::<R>(connection, large, CONFIRM, |_| {}).await.unwrap_err();
            assert!(matches!(&error.why, Why::EndedEarly | Why::Ended(_)), "{error:?}");
            assert_eq!(error.cut.unwrap().name, "much.bin");

            let connection = A::connect(&address, &sending()).await.unwrap();
            let wait = Duration::from_millis(50);
            let error = send::<R>(connection, sources("x"), wait, |_| {}).await.unwrap_err();
            assert!(matches!(error.why, Why::Unconfirmed(time) if time == wait), "{error:?}");
        };
        let (all, ()) = tokio::join!(serving, cases);
        let mut came = forest([]);
        for (header, content) in &all.0 {
            if header.filename.is_empty() {
                assert_eq!((header.kind.as_str(), &content[..]), ("TEXT", &b"done"[..]));
            } else {
                assert_eq!(header.kind, "IMAGE");
                came.insert(header.filename.clone(), shown(content));
            }
        }
        assert_eq!(came, expected);
    });
}

/// Somebody holds a lock that the disk's work waits for: everything else goes on.
#[cfg(unix)]
fn others_go_on<A: Adapter, R: Runtime>() {
    use rustix::fs::{FlockOperation, flock};

    A::run(async {
        let rooms = Rooms::new();
        rooms.write("values.csv", "0\n");
        let lock = fs::File::options().read(true).open(rooms.inner.join("values.csv")).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        let store = Store::open(&rooms.inner, OnExist::Replace).unwrap();
        let serving = Serving::start::<A, R>(store).await;
        let (address, inner) = (serving.address.clone(), rooms.inner.clone());
        let done = blocking(move || {
            let mut waiting = Sender::connect(&address);
            waiting.file("values.csv", b"1\n");
            until("it is received", || parts(&inner).iter().any(|(_, len)| *len == 2));
            for number in 0..20 {
                let mut other = Sender::connect(&address);
                other.file(&format!("{number}.bin"), &bytes(100_000));
                assert_eq!(other.finish(), NONE);
            }
            assert_eq!(fs::read(inner.join("values.csv")).unwrap(), b"0\n");
            drop(lock);
            waiting.finish()
        });
        assert_eq!(done.await, NONE);
        assert_eq!(fs::read(rooms.inner.join("values.csv")).unwrap(), b"0\n1\n");
        drop(serving.stop);
    });
}

macro_rules! on_every_runtime {
    ($($module:ident: $adapter:ty, $runtime:ty;)+) => {
        $(mod $module {
            use super::*;

            #[test]
            fn receives() {
                super::receives::<$adapter, $runtime>();
            }

            #[test]
            fn sends() {
                super::sends::<$adapter, $runtime>();
            }

            #[cfg(unix)]
            #[test]
            fn others_go_on() {
                super::others_go_on::<$adapter, $runtime>();
            }
        })+
    };
}

on_every_runtime! {
    tokio_: Tokio, heartwire_tokio::Tokio;
    smol_: Smol, heartwire_smol::Smol;
    async_std_: AsyncStd, heartwire_async_std::AsyncStd;
    threads: Threads, heartwire_blocking::Threads;
}

/// As a program without an async runtime has it: its own connections, threads, and one future to wait for.
#[test]
fn connections_of_threads_are_taken_as_they_are() {
    use heartwire_blocking::{Threads, accept_io, block_on, connect};

    let rooms = Rooms::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let store = Store::open(&rooms.inner, OnExist::Fail).unwrap();
    let receiver = std::thread::spawn(move || {
        let connection = accept_io(patient(listener.accept().unwrap().0), &receiving()).unwrap();
        block_on(receive::<Threads>(connection.into_async(), &store, |_| {}))
    });
    let connection = connect(&address, &sending()).unwrap();
    let mut sources = Sources::new();
    sources.add(rooms.outer.path().join("out"), None).unwrap();
    sources.add(rooms.outer.path().join("secret.txt"), None).unwrap();
    let sent = block_on(send::<Threads>(connection.into_async(), sources, CONFIRM, |_| {})).unwrap();
    assert_eq!((sent.files, sent.bytes), (2, 10));
    let received = receiver.join().unwrap();
    assert!(received.files == 2 && received.ended.is_orderly(), "{received:?}");
    assert_eq!(tree(&rooms.inner), forest([("out/secret.csv", &b"0,0\n"[..]), ("secret.txt", b"secret")]));
}

/// What is sent while receiving is dropped at every poll; and what is there of it at the most.
fn stream() -> (Vec<u8>, Vec<(&'static str, Vec<u8>)>) {
    let files = vec![
        ("a.bin", bytes(600_000)),
        ("new/b.txt", b"b".to_vec()),
        ("c.csv", bytes(300_000)),
        ("d", vec![]),
    ];
    let mut stream = Vec::new();
    for (name, content) in &files {
        stream.extend(message(json_header::kind_of(name), name, content));
    }
    (stream, files)
}

#[test]
fn receiving_that_is_dropped_leaves_nothing_that_is_not_complete() {
    let (stream, files) = stream();
    let (mut dropped, mut some) = (0, 0);
    for woken in [false, true] {
        let mut polls = 0;
        loop {
            let rooms = Rooms::new();
            let store = Store::open(&rooms.inner, OnExist::Replace).unwrap();
            let (confirmed, done) = Tokio::run(async {
                let server = Tokio::bind(&["tcp://127.0.0.1:0".parse().unwrap()], receiving()).await.unwrap();
                let address = Tokio::addresses(&server)[0].to_string();
                let (tell, mut told) = mpsc::unbounded_channel();
                let handler = move |connection| {
                    let (store, tell) = (store.clone(), tell.clone());
                    async move {
                        let call = receive::<heartwire_tokio::Tokio>(connection, &store, |_| {});
                        let _ = tell.send(cut(Cut { polls, woken }, call).await);
                    }
                };
                drop(Tokio::spawn(Tokio::serve(server, handler, std::future::pending())));
                let sent = stream.clone();
                let confirmed = blocking(move || {
                    use std::io::Write;
                    let mut sender = Sender::connect(&address);
                    let left = sent.chunks(50_000).try_for_each(|piece| sender.0.write_all(piece));
                    let _ = sender.0.shutdown(std::net::Shutdown::Write);
                    left.is_ok() && sender.answer().is_ok_and(|lines| lines.is_empty())
                });
                (confirmed.await, told.recv().await.unwrap())
            });
            // Its sender is not told that all is well; unless it is, and only the last poll was missed.
            until("nothing is left", || parts(&rooms.inner).is_empty());
            let there = tree(&rooms.inner);
            let complete = |count: usize| {
                let files = &files[..count];
                forest(files.iter().map(|(name, content)| (*name, &content[..])))
            };
            let count = (0..=files.len()).find(|count| complete(*count) == there);
            let count = count.unwrap_or_else(|| panic!("{polls} polls: {there:?}"));
            assert!(!confirmed || count == files.len(), "{polls} polls: confirmed, and {count} are there");
            if done.is_some() {
                assert!(confirmed);
                break;
            }
            dropped += 1;
            some += usize::from(count > 0 && count < files.len());
            polls += 1;
        }
    }
    assert!(dropped > 10 && some > 0, "{dropped} {some}");
}

#[test]
fn sending_that_is_dropped_leaves_no_file_that_looks_whole() {
    let source = tempfile::tempdir().unwrap();
    let run = source.path().join("run");
    fs::create_dir(&run).unwrap();
    fs::write(run.join("a.bin"), bytes(600_000)).unwrap();
    fs::write(run.join("b.txt"), "b").unwrap();
    let expected = vec![
        (Header::new("UNKNOWN", 600_000, "run/a.bin"), bytes(600_000)),
        (Header::new("TEXT", 1, "run/b.txt"), b"b".to_vec()),
        (Header::new("TEXT", 3, ""), b"all".to_vec()),
    ];
    let (mut dropped, mut broken) = (0, 0);
    for woken in [false, true] {
        let mut polls = 0;
        loop {
            let (listener, address) = listen();
            let receiver = std::thread::spawn(move || everything(&mut accept(&listener)));
            let done = Tokio::run(async {
                let connection = Tokio::connect(&address.parse().unwrap(), &sending()).await.unwrap();
                let mut sources = Sources::new();
                sources.add(&run, None).unwrap();
                sources.add_text("all");
                cut(
                    Cut { polls, woken },
                    send::<heartwire_tokio::Tokio>(connection, sources, CONFIRM, |_| {}),
                )
                .await
            });
            let came = receiver.join().unwrap();
            if let Some(done) = done {
                assert_eq!((done.unwrap().files, came.unwrap()), (2, expected.clone()));
                break;
            }
            // The end of its stream says nothing of what did not come; but what came is whole.
            match came {
                Ok(came) => assert_eq!(came[..], expected[..came.len()], "{polls} polls"),
                Err(_) => broken += 1,
            }
            dropped += 1;
            polls += 1;
        }
    }
    assert!(dropped > 10 && broken > 0, "{dropped} {broken}");
}
