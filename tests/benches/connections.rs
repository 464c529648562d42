//! Handshakes with orderly closings over loopback TCP, against connecting a socket alone, a byte each way, and shutting
//! both ways down. Both ends in this process, on two threads. Each sample times both, one after the other, and the
//! ratio is taken within the sample.
//!
//! `cargo bench --bench connections`

mod support;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use heartwire_tokio::{Address, Options, Server, Session, connect};
use support::report::{Report, Row};
use support::sessions::{listener, quiet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const SAMPLES: usize = 20;

/// What both took for one sample, and how many connections that were.
struct Sample {
    ours: Duration,
    sockets: Duration,
    count: u64,
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let options = quiet();
    let (server, sockets) = runtime.block_on(async { (serve(options.clone()).await, serve_sockets().await) });
    let mut criterion = Criterion::default()
        .sample_size(SAMPLES)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10))
        .configure_from_args();
    let mut group = criterion.benchmark_group("connections");
    group.sampling_mode(SamplingMode::Flat);
    let mut report = Report::new("connections");
    for (name, at_once) in [("one after another", 1), ("16 at once", 16)] {
        let samples = RefCell::new(Vec::new());
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                let (server, options) = (server.clone(), options.clone());
                let sessions = move || session(server.clone(), options.clone());
                let ours = runtime.block_on(repeat(at_once, times, sessions));
                let sockets = runtime.block_on(repeat(at_once, times, move || socket(sockets)));
                samples.borrow_mut().push(Sample { ours, sockets, count: times * at_once });
                ours
            });
        });
        let mut samples = samples.into_inner();
        // Warming up goes before. Where it was left out, or only tried, the report of the last run stays.
        let Some(warming) = samples.len().checked_sub(SAMPLES) else { return };
        samples.drain(..warming);
        let of_all = |value: fn(&Sample) -> f64| samples.iter().map(value).collect();
        let ratios = of_all(|sample| sample.ours.as_secs_f64() / sample.sockets.as_secs_f64());
        let rates = of_all(|sample| sample.count as f64 / sample.ours.as_secs_f64());
        let floors = of_all(|sample| sample.count as f64 / sample.sockets.as_secs_f64());
        report.add(Row::of_samples(("connections", name, "sockets alone"), "x its time", ratios));
        report.add(Row::of_samples(("sessions begun and closed", name, ""), "a second", rates));
        report.add(Row::of_samples(("sockets opened and closed", name, ""), "a second", floors));
    }
    group.finish();
    criterion.final_summary();
    report.save();
}

/// So many tasks at once, each of which does something so many times, one after another.
async fn repeat<F: Future<Output = ()> + Send>(
    at_once: u64,
    times: u64,
    make: impl Fn() -> F + Clone + Send + 'static,
) -> Duration {
    let mut tasks = JoinSet::new();
    let began = Instant::now();
    for _ in 0..at_once {
        let make = make.clone();
        tasks.spawn(async move {
            for _ in 0..times {
                make().await;
            }
        });
    }
    tasks.join_all().await;
    began.elapsed()
}

async fn serve(options: Options) -> Address {
    let anywhere = "tcp://127.0.0.1:0".parse().expect("an address");
    let server = Server::bind(&[anywhere], options).await.expect("it listens");
    let address = server.local_addresses()[0].clone();
    // Until the last message: there is none, so until the client says goodbye.
    let handler = |mut session: Session| async move { while session.recv_message().await.is_ok() {} };
    tokio::spawn(server.serve(handler, std::future::pending::<()>()));
    address
}

async fn session(server: Address, options: Options) {
    let session = connect(&server, &options).await.expect("a session");
    let ended = session.close(None).await;
    assert!(ended.is_orderly(), "{ended}");
}

async fn serve_sockets() -> SocketAddr {
    let listener = listener().await;
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("it connects");
            // The server speaks first, as ours does.
            tokio::spawn(exchange(stream, true));
        }
    });
    address
}

async fn socket(server: SocketAddr) {
    exchange(TcpStream::connect(server).await.expect("it connects"), false).await;
}

/// A byte each way, and the end each way.
async fn exchange(mut stream: TcpStream, first: bool) {
    stream.set_nodelay(true).expect("it can");
    if first {
        stream.write_u8(7).await.expect("it leaves");
    }
    assert_eq!(stream.read_u8().await.expect("it arrives"), 7);
    if !first {
        stream.write_u8(7).await.expect("it leaves");
        stream.shutdown().await.expect("it ends");
    }
    assert_eq!(stream.read(&mut [0]).await.expect("it ends"), 0);
    if first {
        stream.shutdown().await.expect("it ends");
    }
}
