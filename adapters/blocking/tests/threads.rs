//! No thread stays behind. Alone in its process, so that it knows all of its threads.
#![cfg(target_os = "linux")]

mod common;

use std::thread;

use common::*;
use heartwire_blocking::callbacks::Callbacks;
use heartwire_blocking::*;

/// The names of all threads that are ours.
fn threads() -> Vec<String> {
    let names = std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| {
        let name = std::fs::read_to_string(task.ok()?.path().join("comm")).ok()?;
        name.starts_with("heartwire").then(|| name.trim().into())
    });
    names.collect()
}

fn gone(after: &str) {
    until(&format!("threads after {after}: {:?}", threads()), || threads().is_empty());
}

#[test]
fn no_thread_stays_behind() {
    let (mut client, server) = pair(&options());
    let mut names = threads();
    names.sort();
    assert_eq!(names, ["heartwire read", "heartwire read", "heartwire write", "heartwire write"]);
    let closing = thread::spawn(move || server.close(None));
    client.recv_message().unwrap_err();
    closing.join().unwrap();
    drop(client);
    gone("a goodbye");

    let (client, server) = pair(&options());
    drop(client);
    drop(server);
    gone("sessions were dropped");

    let (client, server) = pair(&options());
    while client.send_timeout(Message::binary(vec![7; 60_000]), ms(50)).is_ok() {}
    drop(client);
    drop(server);
    gone("one was dropped in the midst of writing");

    let (client, server) = pair(&options());
    let channel = Callbacks::new(client).start().unwrap();
    channel.close();
    channel.join().unwrap();
    drop(server);
    gone("callbacks");

    let options_ = configured(Config::builder().handshake_timeout(ms(50)));
    let (a, b) = tcp();
    accept_io(b, &options_).unwrap_err();
    drop(a);
    gone("a handshake that failed");

    let running = Running::start("tcp://127.0.0.1:0", options(), echo);
    let clients: Vec<_> = (0..10).map(|_| connect(&running.address, &options()).unwrap()).collect();
    running.end();
    drop(clients);
    gone("a server");

    let bind = |address: &Address| Server::bind(std::slice::from_ref(address), options()).unwrap();
    let address = bind(&"tcp://127.0.0.1:0".parse().unwrap()).local_addresses()[0].clone();
    for _ in 0..200 {
        // The socket is closed when the server is gone.
        drop(bind(&address));
    }
    assert!(threads().is_empty(), "a listener's thread is waited for");
}
