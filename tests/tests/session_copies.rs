//! Large contents go through a machine as they are: what is written points into the application's own bytes,
//! and what is received into the buffer that it was read into.

use std::ops::Range;

use bytes::Bytes;
use heartwire_core::config::{Config, Receive};
use heartwire_core::message::Message;
use heartwire_core::session::Event;
use heartwire_tests::ends::Ends;

const KIB: usize = 1024;

fn config(chunk_size: usize) -> Config {
    Config::builder().chunk_size(chunk_size).receive(Receive::Pieces).build().expect("valid")
}

fn content(len: usize) -> Bytes {
    (0..len).map(|i| (i % 251) as u8).collect::<Vec<u8>>().into()
}

fn is_within(part: &[u8], whole: &Range<*const u8>) -> bool {
    let part = part.as_ptr_range();
    part.start >= whole.start && part.end <= whole.end
}

/// Sends a content from the client to the server, and checks that only heads are not of its memory.
#[track_caller]
fn send_without_a_copy(ends: &mut Ends, content: &Bytes) {
    let (now, place) = (ends.now, content.as_ptr_range());
    ends.client.send(now, Message::binary(content.clone()));
    let (mut sent, mut frames) = (0, 0);
    let rx = &mut ends.server.rx;
    ends.client.write(now, |slice| {
        if is_within(slice, &place) {
            // In order, and all of it.
            assert_eq!(slice.as_ptr(), content[sent..].as_ptr());
            sent += slice.len();
        } else {
            frames += 1;
            assert!(slice.len() < KIB, "{} bytes that are not the application's own", slice.len());
        }
        rx.extend_from_slice(slice);
    });
    assert_eq!(sent, content.len(), "the rest was copied, in {frames} frames");
}

/// Sends a content in pieces of more than 8 KiB, and checks that the pieces stay where they were read to.
#[track_caller]
fn receive_without_a_copy(ends: &mut Ends, content: &Bytes) {
    let (now, mut received) = (ends.now, 0);
    ends.client.send(now, Message::binary(content.clone()));
    ends.client.write(now, |slice| ends.server.rx.extend_from_slice(slice));
    let place = ends.server.rx.as_ptr_range();
    // Not all at once: events wait in bounded memory.
    while !ends.server.rx.is_empty() {
        ends.server.read(now);
        while let Some(event) = ends.server.event() {
            let Event::Piece(piece) = event else { panic!("{event:?}") };
            assert_eq!(piece.content, content[received..received + piece.content.len()]);
            received += piece.content.len();
            assert!(is_within(&piece.content, &place), "{} bytes were copied", piece.content.len());
        }
    }
    assert_eq!(received, content.len());
}

#[test]
fn a_large_frame_is_copied_neither_out_nor_in() {
    let mut ends = Ends::protected(&config(64 * KIB));
    for len in [8 * KIB + 1, 64 * KIB] {
        let content = content(len);
        send_without_a_copy(&mut ends, &content);
        let place = ends.server.rx.as_ptr_range();
        ends.server.read(ends.now);
        let Some(Event::Message(message)) = ends.server.event() else { panic!("no message") };
        assert_eq!(message.content, content);
        assert!(is_within(&message.content, &place), "{len} bytes were copied");
    }
}

#[test]
fn large_chunks_are_copied_neither_out_nor_in() {
    let content = content(KIB * KIB);
    for chunk_size in [16 * KIB, 64 * KIB] {
        send_without_a_copy(&mut Ends::protected(&config(chunk_size)), &content);
        receive_without_a_copy(&mut Ends::protected(&config(chunk_size)), &content);
    }
}

#[test]
fn a_large_message_is_not_copied_out_with_the_default_configuration() {
    for len in [64 * KIB, KIB * KIB] {
        send_without_a_copy(&mut Ends::protected(&Config::default()), &content(len));
    }
}
