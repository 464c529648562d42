//! The tokio adapter where the operating system has its say: out of files, resets, small socket buffers; and
//! runtimes and threads that come and go.
#![cfg(unix)]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use heartwire_core::config::Config;
use heartwire_core::error::Code;
use heartwire_core::key::{Key, Keys};
use heartwire_core::message::Message;
use heartwire_core::protocol::Why;
use heartwire_core::session::EndedBy;
use heartwire_std::session::Session;
use heartwire_tests::chat::{host_and_port, stop};
use heartwire_tests::mock::{Script, pair};
use heartwire_tests::peer::KEY;
use heartwire_tests::program::{Running, binary};
use heartwire_tests::suite::{Raw, content, keys};
use heartwire_tokio::{Io, Options, Server, accept_io, connect, connect_io, connect_tls};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Barrier, mpsc, oneshot};

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn run<T>(case: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(Duration::from_secs(60), case).await.expect("it hangs") };
    runtime().block_on(limited)
}

/// More connections than a server may have files: it says so, goes on with those it has, and takes newcomers
/// when some have left.
#[test]
fn out_of_files() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\""]).arg(binary());
    command.args(["chat", "serve", "--listen", "tcp://127.0.0.1:0"]);
    command.env_remove("RUST_LOG").env("NO_COLOR", "1").env("HEARTWIRE_KEY", str::from_utf8(KEY).unwrap());
    let mut server = Running::spawn(&mut command);
    let address = server.ready();
    let options = Options::new(Keys::new(Key::new(KEY).unwrap()));
    run(async {
        let url = address.parse().unwrap();
        let mut before = connect(&url, &options).await.unwrap();
        let mut others: Vec<_> =
            (0..60).map(|_| std::net::TcpStream::connect(host_and_port(&address)).unwrap()).collect();
        let warning = server.log_line("accepting connections fails");
        assert!(warning.contains("WARN"), "{warning:?}");
        before.send(Message::text("still here")).await.unwrap();
        assert_eq!(before.recv_message().await.unwrap().content, "still here");
        drop(others.drain(10..));
        let mut after = connect(&url, &options).await.unwrap();
        after.send(Message::text("a newcomer")).await.unwrap();
        assert_eq!(after.recv_message().await.unwrap().content, "a newcomer");
    });
    stop(server);
}

/// A connection that is reset: the server's handler hears of it and gets back what did not leave; others go on.
#[test]
fn reset() {
    run(async {
        const COUNT: usize = 32;
        // More than the kernel takes.
        let config = Config::builder().queued_output(64_000_000).build().unwrap();
        let options = Options::new(keys()).config(config);
        let addresses = ["tcp://127.0.0.1:0".parse().unwrap()];
        let server = Server::bind(&addresses, options.clone()).await.unwrap();
        let address = server.local_addresses()[0].clone();
        let (queued, mut filled) = mpsc::unbounded_channel();
        let (give, mut take) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| {
            let (queued, give) = (queued.clone(), give.clone());
            async move {
                while let Ok(message) = session.recv_message().await {
                    if message.content != "much" {
                        session.send(message).await.unwrap();
                        continue;
                    }
                    let one = content(1_000_000, 1);
                    let tickets: Vec<_> = (0..COUNT)
                        .map(|_| session.try_send(Message::binary(one.clone())).expect("there is room"))
                        .collect();
                    queued.send(()).unwrap();
                    let ended = session.recv_message().await.unwrap_err();
                    give.send((tickets, ended)).unwrap();
                    return;
                }
            }
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(handler, stopped));

        let mut other = connect(&address, &options).await.unwrap();
        let stream = TcpStream::connect(host_and_port(&address.to_string())).await.unwrap();
        // Closing it then resets the connection.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        let session = connect_io(stream, &options).await.unwrap();
        session.send(Message::text("much")).await.unwrap();
        filled.recv().await.unwrap();
        session.abort_connection();

        let (tickets, ended) = take.recv().await.unwrap();
        assert_eq!((ended.by, ended.code), (EndedBy::Transport, Code::TransportFailed), "{ended}");
        let unsent: Vec<_> = ended.unsent.iter().map(|unsent| unsent.ticket).collect();
        assert!(!unsent.is_empty());
        let left = |ticket: &_| unsent.contains(ticket);
        assert!(tickets.iter().skip_while(|ticket| !left(ticket)).all(left), "the last ones");
        let whole = |message: &Message| message.content == content(1_000_000, 1);
        assert!(ended.unsent.iter().all(|unsent| unsent.message.as_ref().is_some_and(whole)));

        other.send(Message::text("goes on")).await.unwrap();
        assert_eq!(other.recv_message().await.unwrap().content, "goes on");
        drop(stop);
        let report = serving.await.unwrap();
        assert_eq!((report.told, report.closed), (1, 1), "{report}");
    });
}

/// 32 MB each way at once between sockets that hold next to nothing.
#[test]
fn small_socket_buffers() {
    run(async {
        const COUNT: usize = 32;
        let socket = || {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_send_buffer_size(4096).unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket
        };
        let listening = socket();
        listening.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let listener = listening.listen(1).unwrap();
        let connecting = socket().connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(connecting, listener.accept());
        let (client, server) = (client.unwrap(), accepted.unwrap().0);
        for stream in [&client, &server] {
            stream.set_nodelay(true).unwrap();
            let sizes = [
                rustix::net::sockopt::socket_send_buffer_size(stream).unwrap(),
                rustix::net::sockopt::socket_recv_buffer_size(stream).unwrap(),
            ];
            assert!(sizes.iter().all(|size| *size < 20_000), "{sizes:?}");
        }
        let options = Options::new(keys());
        let (client, server) = tokio::join!(connect_io(client, &options), accept_io(server, &options));
        let one = content(1_000_000, 5);
        let both = Arc::new(Barrier::new(2));
        let [first, second] = [client.unwrap(), server.unwrap()].map(|session| {
            let (sender, mut receiver) = session.split();
            let (one, both) = (one.clone(), Arc::clone(&both));
            tokio::spawn(async move {
                let receive = async {
                    for _ in 0..COUNT {
                        assert!(receiver.recv_message().await.unwrap().content == one);
                    }
                };
                let send = async {
                    for _ in 0..COUNT {
                        sender.send(Message::binary(one.clone())).await.unwrap();
                    }
                };
                tokio::join!(receive, send);
                // Whoever is done first must not take the other's messages with it.
                both.wait().await;
            })
        });
        first.await.unwrap();
        second.await.unwrap();
    });
}

/// A runtime that is shut down takes its drivers with it: on another runtime everything that waits for a
/// session ends, and the last event says why.
#[test]
fn runtime_is_shut_down() {
    for clean in [false, true] {
        let drivers = runtime();
        let (a, b) = pair(4096, Script::free(), Script::free());
        let options = Options::new(keys());
        let given = options.clone();
        let session = drivers.spawn(async move { connect_io(a, &given).await.unwrap() });
        // It takes one message, and of what is accepted there are two at the least.
        let options = options.config(Config::builder().queued_event_bytes(1).build().unwrap());
        run(async move {
            let mut peer = accept_io(b, &options).await.unwrap();
            let (sender, mut receiver) = session.await.unwrap().split();
            // The peer does not receive; soon there is no room.
            let mut accepted = 0_usize;
            let refused = loop {
                match sender.try_send(Message::binary(content(1_000_000, accepted))) {
                    Ok(_) => accepted += 1,
                    Err(refused) => break refused.why,
                }
            };
            assert_eq!(refused, Why::Full);
            let spawn = || sender.clone();
            let (ready, closed, send) = (spawn(), spawn(), spawn());
            let waiting = [
                tokio::spawn(async move { ready.ready().await }),
                tokio::spawn(async move { assert!(!closed.closed().await.unwrap().in_order) }),
                tokio::spawn(async move {
                    while send.send(Message::binary(content(1_000_000, 0))).await.is_ok() {}
                }),
            ];
            let receiving = tokio::spawn(async move { receiver.recv_message().await.unwrap_err() });
            tokio::task::yield_now().await;
            if clean {
                tokio::task::spawn_blocking(move || drop(drivers)).await.unwrap();
            } else {
                drivers.shutdown_background();
            }
            let ended = receiving.await.unwrap();
            assert_eq!((ended.by, ended.code, ended.told), (EndedBy::Local, Code::Aborted, false), "{ended}");
            assert!(!ended.unsent.is_empty());
            for waiting in waiting {
                waiting.await.unwrap();
            }
            assert_eq!(sender.try_send(Message::text("late")).unwrap_err().why, Why::Closed);
            let ended = loop {
                if let Err(ended) = peer.recv_message().await {
                    break ended;
                }
            };
            // In the middle of a frame, or between two.
            let codes = [Code::EndedWithoutDisconnect, Code::Truncated];
            assert!(codes.contains(&ended.code), "{ended}");
        });
    }
}

/// A task that is never run again, and can be counted.
struct Asleep;

impl Wake for Asleep {
    fn wake(self: Arc<Self>) {}
}

/// What waited once, and was dropped, leaves nothing behind.
#[test]
fn dropped_futures_leave_no_wakers() {
    run(async {
        let (a, b) = pair(4096, Script::free(), Script::free());
        let options = Options::new(keys()).config(Config::builder().queued_output(1000).build().unwrap());
        let (client, server) = tokio::join!(connect_io(a, &options), accept_io(b, &options));
        let (client, _server) = (client.unwrap(), server.unwrap());
        let (sender, mut receiver) = client.split();
        let mut tasks: Vec<Weak<Asleep>> = Vec::new();
        let mut poll_once = |future: &mut dyn FnMut(&mut Context<'_>) -> bool| {
            let task = Arc::new(Asleep);
            tasks.push(Arc::downgrade(&task));
            assert!(future(&mut Context::from_waker(&Waker::from(task))), "it waits");
        };
        let still = tokio::spawn({
            let sender = sender.clone();
            async move { sender.closed().await }
        });
        for _ in 0..10_000 {
            poll_once(&mut |cx| Box::pin(sender.closed()).as_mut().poll(cx).is_pending());
            poll_once(&mut |cx| Box::pin(receiver.recv()).as_mut().poll(cx).is_pending());
        }
        let kept = tasks.iter().filter(|task| task.strong_count() > 0).count();
        assert!(kept < 200, "{kept} tasks are remembered that wait no more");
        sender.start_close(None);
        assert!(still.await.unwrap().unwrap().in_order, "who waits is woken all the same");
    });
}

/// A driver with much to write, and nothing in its way, lets others have the lock: what another thread sends does
/// not wait until everything is gone.
#[test]
fn much_to_write_is_no_reason_to_wait() {
    const MUCH: u64 = 64_000_000;
    // One thread, so that the driver does not begin before there is much to write.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (a, b) = pair(2 * MUCH as usize, Script::free(), Script::free());
        let config = Config::builder().queued_output(100_000_000).build().unwrap();
        let options = Options::new(keys()).config(config);
        let mut raw = Raw::server(b);
        let (session, ()) = tokio::join!(connect_io(a, &options), raw.establish());
        let session = session.unwrap();
        for _ in 0..64 {
            session.try_send(Message::binary(content(1_000_000, 1))).unwrap();
        }
        let sender = session.sender().clone();
        let before = sender.stats().bytes_sent;
        let other = tokio::task::spawn_blocking(move || {
            // Each look takes the lock.
            while sender.stats().bytes_sent == before {
                std::thread::yield_now();
            }
            sender.try_send(Message::text("in between")).unwrap();
            sender.stats().bytes_sent
        });
        let sent = tokio::time::timeout(Duration::from_secs(60), other).await.expect("it hangs").unwrap();
        assert!(sent < MUCH / 2, "{sent} bytes had left");
    });
}

/// What makes TLS is the application's: where it panics, that is the end of its connection and not of the server.
#[test]
fn a_function_that_makes_tls_and_panics_ends_its_connection_alone() {
    run(async {
        let calls = AtomicUsize::new(0);
        let secure = move |io: Io<TcpStream>| {
            let call = calls.fetch_add(1, Ordering::Relaxed);
            assert!(call != 0, "it was to panic at once");
            async move {
                assert!(call != 1, "it was to panic later");
                Ok(io)
            }
        };
        let options = Options::new(keys());
        let addresses = ["tls://127.0.0.1:0".parse().unwrap()];
        let server = Server::bind_tls(&addresses, options.clone(), secure).await.unwrap();
        let address = server.local_addresses()[0].clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let handler = |session: Session| async move {
            session.send(Message::text("welcome")).await.unwrap();
            session.closed().await;
        };
        let serving = tokio::spawn(server.serve(handler, async { drop(stopped.await) }));
        let connect = || connect_tls(&address, &options, |io: Io<TcpStream>| async { Ok(io) });
        for _ in 0..2 {
            connect().await.unwrap_err();
        }
        let mut session = connect().await.unwrap();
        assert_eq!(session.recv_message().await.unwrap().content, "welcome");
        drop(stop);
        assert!(session.recv_message().await.unwrap_err().is_orderly());
        assert_eq!(serving.await.unwrap().told, 1);
    });
}
