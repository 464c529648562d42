//! How often the heap is asked for memory in steady state: by a machine alone, and by sessions on tokio.
//! Everything is counted after a warm-up, in which buffers and queues have grown to what is needed.

use std::time::Duration;

use allocation_counter::measure;
use heartwire_core::config::Config;
use heartwire_core::session::Event;
use heartwire_tests::ends::Ends;
use heartwire_tests::solo::keys;
use heartwire_tokio::{Message, Options, Session, accept_io, connect_io};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

/// How often everything is done: once to warm up, and once counted.
const TIMES: u64 = 1000;

/// Its content is shared already: clones do not allocate.
fn message() -> Message {
    let message = Message::binary(vec![7; 64]);
    drop(message.clone());
    message
}

/// Does the same often, and gives the allocations of each part of it.
fn steady<const N: usize>(mut once: impl FnMut(&mut [u64; N])) -> [u64; N] {
    let mut counts = [0; N];
    for _ in 0..TIMES {
        once(&mut counts);
    }
    counts = [0; N];
    for _ in 0..TIMES {
        once(&mut counts);
    }
    counts
}

fn count(counter: &mut u64, work: impl FnOnce()) {
    *counter += measure(work).count_total;
}

#[test]
fn the_counter_counts() {
    let mut counter = 0;
    count(&mut counter, || drop(std::hint::black_box(vec![1; 100])));
    assert_eq!(counter, 1);
    count(&mut counter, || {
        runtime(false).block_on(async { drop(std::hint::black_box(vec![1; 100])) });
    });
    assert!(counter > 2);
}

#[test]
fn a_machine_sends_with_at_most_one_allocation_and_receives_with_one() {
    let mut ends = Ends::protected(&Config::default());
    let message = message();
    // The test's own, and large enough: it does not count.
    let mut wire = Vec::with_capacity(1024);
    let [sent, received] = steady(|[sent, received]| {
        let message = message.clone();
        wire.clear();
        count(sent, || {
            ends.client.send(ends.now, message);
            ends.client.write(ends.now, |slice| wire.extend_from_slice(slice));
        });
        count(received, || {
            ends.server.rx.extend_from_slice(&wire);
            ends.server.read(ends.now);
            let Some(Event::Message(message)) = ends.server.event() else { panic!("no message") };
            assert_eq!(message.content.len(), 64);
        });
    });
    assert!(sent <= TIMES, "{sent} allocations to send {TIMES} messages");
    assert!(received <= TIMES, "{received} allocations to receive {TIMES} messages");
}

#[test]
fn a_machines_heartbeats_do_not_allocate() {
    let config = Config::default();
    let mut ends = Ends::protected(&config);
    let mut pongs = 0;
    let [ping, pong, back] = steady(|[ping, pong, back]| {
        ends.now = ends.now + config.heartbeat_interval();
        count(ping, || {
            ends.client.tick(ends.now);
            ends.to_server();
        });
        count(pong, || ends.to_client());
        count(back, || {
            while let Some(event) = ends.client.event() {
                pongs += u64::from(matches!(event, Event::RoundTrip(_)));
            }
        });
    });
    assert_eq!(pongs, 2 * TIMES);
    assert_eq!(
        [ping, pong, back],
        [0; 3],
        "to send and receive a ping, the same for the pong, to hear of it"
    );
}

fn runtime(paused: bool) -> Runtime {
    // One thread, since the counter counts the thread that it is on.
    Builder::new_current_thread().enable_all().start_paused(paused).build().expect("a runtime")
}

async fn sessions<T>(client: T, server: T) -> (Session, Session)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let options = Options::new(keys());
    let (client, server) = tokio::join!(connect_io(client, &options), accept_io(server, &options));
    (client.expect("a session"), server.expect("a session"))
}

async fn loopback() -> (Session, Session) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_addr().expect("it has one");
    let (client, server) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (client, (server, _)) = (client.expect("it connects"), server.expect("it comes"));
    client.set_nodelay(true).expect("a delay can be switched off");
    server.set_nodelay(true).expect("a delay can be switched off");
    sessions(client, server).await
}

#[test]
fn ping_pong_on_tokio_takes_two_allocations_a_message() {
    let runtime = runtime(false);
    let (mut client, mut server) = runtime.block_on(loopback());
    let message = message();
    let mut play = || {
        runtime.block_on(async {
            for _ in 0..TIMES {
                client.send(message.clone()).await.expect("accepted");
                server.recv_message().await.expect("it arrives");
                server.send(message.clone()).await.expect("accepted");
                client.recv_message().await.expect("it arrives");
            }
        });
    };
    play();
    let (messages, allocations) = (2 * TIMES, measure(play).count_total);
    // One to send it and one to receive it.
    assert!(allocations <= 2 * messages, "{allocations} allocations for {messages} messages");
}

#[test]
fn one_way_on_tokio_takes_two_allocations_a_message() {
    let runtime = runtime(false);
    let (client, mut server) = runtime.block_on(loopback());
    let message = message();
    let mut play = || {
        runtime.block_on(async {
            let send = async {
                for _ in 0..TIMES {
                    client.send(message.clone()).await.expect("accepted");
                }
            };
            let receive = async {
                for _ in 0..TIMES {
                    server.recv_message().await.expect("it arrives");
                }
            };
            tokio::join!(send, receive);
        });
    };
    play();
    let allocations = measure(play).count_total;
    assert!(allocations <= 2 * TIMES, "{allocations} allocations for {TIMES} messages");
}

#[test]
fn idle_sessions_on_tokio_do_not_allocate() {
    let runtime = runtime(true);
    let (client, server) = {
        let (client, server) = tokio::io::duplex(64 * 1024);
        runtime.block_on(sessions(client, server))
    };
    let (sender, peers_sender) = (client.sender().clone(), server.sender().clone());
    // The applications wait for messages, as they mostly do.
    for mut session in [client, server] {
        runtime.spawn(async move { session.recv_message().await.map(drop) });
    }
    let interval = Config::default().heartbeat_interval();
    let many = interval * u32::try_from(TIMES).expect("it is small");
    // The runtime moves its clock from timer to timer: every heartbeat of that time is sent.
    let idle = || runtime.block_on(async { tokio::time::sleep(many).await });
    idle();
    let before = sender.stats().frames_sent;
    let allocations = measure(idle).count_total;
    let heartbeats = sender.stats().frames_sent - before;
    assert!(heartbeats >= TIMES, "{heartbeats} heartbeats in the time of {TIMES}");
    assert!(sender.round_trip().is_some_and(|time| time < Duration::from_secs(1)));
    assert!(!peers_sender.is_closing());
    assert_eq!(allocations, 0, "{heartbeats} heartbeats each way");
}
