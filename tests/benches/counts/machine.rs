//! The paths through machines alone.

use std::hint::black_box;

use bytes::Bytes;
use heartwire_core::config::Config;
use heartwire_core::message::Message;
use heartwire_core::session::Event;
use heartwire_tests::ends::Ends;
use heartwire_tests::unprotected::Unprotected;

use crate::Counter;

const MESSAGE: usize = 1024 * 1024;

/// Messages of up to 64 KiB go in one frame.
fn config() -> Config {
    Config::builder().chunk_size(64 * 1024).build().expect("valid")
}

/// A content that is shared already, so that its clones do not allocate.
fn content(len: usize) -> Bytes {
    let content = Bytes::from(vec![7; len]);
    drop(content.clone());
    content
}

/// Both machines are made, shake hands, and tell their applications.
pub fn handshake(counter: &mut Counter) {
    let config = Config::default();
    while counter.goes_on() {
        let mut done = None;
        counter.count(1, &mut || {
            let mut ends = Ends::new(&config, || Unprotected);
            ends.shake_hands();
            let events = [ends.client.event(), ends.server.event()];
            done = Some((ends, events));
        });
        let (_, events) = done.expect("it is done");
        assert!(matches!(events, [Some(Event::Established(_)), Some(Event::Established(_))]));
    }
}

/// A ping there, its pong back, and the round-trip time to the application.
pub fn heartbeat(counter: &mut Counter) {
    let config = Config::default();
    let mut ends = Ends::unprotected(&config);
    while counter.goes_on() {
        ends.now = ends.now + config.heartbeat_interval();
        let mut event = None;
        counter.count(1, &mut || {
            ends.client.tick(ends.now);
            ends.to_server();
            ends.to_client();
            event = ends.client.event();
        });
        assert!(matches!(event, Some(Event::RoundTrip(_))));
    }
}

/// A message from the command to the slices, and the news that they left. Nobody copies them away.
pub fn send(counter: &mut Counter, len: usize) {
    let mut ends = Ends::unprotected(&config());
    let content = content(len);
    while counter.goes_on() {
        let mut bytes = 0;
        counter.count(1, &mut || {
            ends.client.send(ends.now, Message::binary(content.clone()));
            ends.client.write(ends.now, |slice| bytes += black_box(slice).len());
        });
        assert!(bytes > len);
    }
}

/// A message from the receive buffer to the event. It came into the buffer without being counted, as
/// that is the transport's part, and is dropped so too.
pub fn receive(counter: &mut Counter, len: usize) {
    let mut ends = Ends::unprotected(&config());
    let content = content(len);
    while counter.goes_on() {
        ends.client.send(ends.now, Message::binary(content.clone()));
        ends.client.write(ends.now, |slice| ends.server.rx.extend_from_slice(slice));
        let mut event = None;
        counter.count(1, &mut || {
            ends.server.read(ends.now);
            event = ends.server.event();
        });
        let Some(Event::Message(message)) = event else { panic!("no message") };
        assert_eq!(message.content.len(), len);
    }
}

/// A large message in chunks of the default size, as [`send`]; counted is one chunk of it.
pub fn send_chunks(counter: &mut Counter) {
    let config = Config::default();
    let mut ends = Ends::unprotected(&config);
    let content = content(MESSAGE);
    let chunks = MESSAGE.div_ceil(config.chunk_size()) as u64;
    while counter.goes_on_for(chunks) {
        let mut bytes = 0;
        counter.count(chunks, &mut || {
            ends.client.send(ends.now, Message::binary(content.clone()));
            ends.client.write(ends.now, |slice| bytes += black_box(slice).len());
        });
        assert!(bytes > MESSAGE);
    }
}

/// A large message in chunks of the default size, as [`receive`], gathered to be handed over whole;
/// counted is one chunk of it.
pub fn receive_chunks(counter: &mut Counter) {
    let config = Config::default();
    let mut ends = Ends::unprotected(&config);
    let content = content(MESSAGE);
    let chunks = MESSAGE.div_ceil(config.chunk_size()) as u64;
    while counter.goes_on_for(chunks) {
        ends.client.send(ends.now, Message::binary(content.clone()));
        ends.client.write(ends.now, |slice| ends.server.rx.extend_from_slice(slice));
        let mut event = None;
        counter.count(chunks, &mut || {
            ends.server.read(ends.now);
            event = ends.server.event();
        });
        let Some(Event::Message(message)) = event else { panic!("no message") };
        assert_eq!(message.content.len(), MESSAGE);
    }
}
