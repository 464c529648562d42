use super::*;
use std::string::String;

const TERMS: Terms = Terms { chunk: true, chunk_size: 10, unfinished: 2, message: 1000 };

fn message(len: usize) -> Message {
    Message::binary(std::vec![b'x'; len])
}

/// What comes out, until nothing does: `m3` a message of 3 bytes, `2.0+10` chunk 0 of message 2 with
/// 10 bytes, `!` last, `x` aborted.
fn drain(outbox: &mut Outbox) -> String {
    let mut out = String::new();
    while let Some(next) = outbox.next(&TERMS) {
        out += &match next {
            Next::Message(message) => std::format!("m{} ", message.content.len()),
            Next::Chunk { chunk: c, content, .. } => std::format!(
                "{}.{}+{}{}{} ",
                c.message_id,
                c.index,
                content.len(),
                if c.last { "!" } else { "" },
                if c.aborted { "x" } else { "" }
            ),
        };
    }
    out
}

#[test]
fn small_messages_overtake_a_large_one_and_large_ones_take_turns() {
    let mut outbox = Outbox::default();
    outbox.push(message(35));
    outbox.push(message(1));
    outbox.push(message(25));
    outbox.push(message(2));
    assert_eq!(drain(&mut outbox), "1.0+10 1.1+10 m1 1.2+10 2.0+10 1.3+5! m2 2.1+10 2.2+5! ");
    assert!(outbox.is_empty());
    assert_eq!(outbox.queued(), 0);
}

#[test]
fn no_more_begin_than_the_peer_takes_and_the_order_of_beginning_holds() {
    let mut outbox = Outbox::default();
    for len in [25, 25, 15, 1] {
        outbox.push(message(len));
    }
    let out = drain(&mut outbox);
    assert!(out.find("3.0").unwrap() > out.find('!').unwrap(), "{out}");
    assert!(out.find("m1").unwrap() > out.find("3.0").unwrap(), "{out}");
}

#[test]
fn the_peers_budget_holds_over_all_that_are_unfinished() {
    let mut outbox = Outbox::default();
    outbox.push(message(600));
    outbox.push(message(600));
    let out = drain(&mut outbox);
    assert!(out.find("2.0").unwrap() > out.find('!').unwrap(), "{out}");
}

#[test]
fn a_streamed_message_begins_with_its_first_piece() {
    let mut outbox = Outbox::default();
    let stream = outbox.begin(Begin::new(ContentType::BINARY), &TERMS);
    outbox.push(message(3));
    outbox.piece(stream, Bytes::from_static(b"0123456789abc"), &TERMS).unwrap();
    assert_eq!(drain(&mut outbox), "m3 1.0+10 1.1+3 ");
    outbox.end(stream).unwrap();
    assert_eq!(drain(&mut outbox), "1.2+0! ");
    assert_eq!(outbox.end(stream), Err(Code::UnknownTicket));
    assert_eq!(outbox.queued(), 0);
}

#[test]
fn a_streamed_message_keeps_its_word_on_its_size() {
    let mut outbox = Outbox::default();
    let stream = outbox.begin(Begin::new(ContentType::BINARY).total_size(4), &TERMS);
    assert_eq!(
        outbox.piece(stream, Bytes::from_static(b"12345"), &TERMS).unwrap_err().0,
        Why::Never(Code::ChunkOverrun)
    );
    outbox.piece(stream, Bytes::from_static(b"123"), &TERMS).unwrap();
    assert_eq!(outbox.end(stream), Err(Code::ChunkOverrun));
    outbox.piece(stream, Bytes::from_static(b"4"), &TERMS).unwrap();
    outbox.end(stream).unwrap();
    assert_eq!(drain(&mut outbox), "1.0+3 1.1+1! ");
}

#[test]
fn giving_up_before_and_after_the_beginning() {
    let mut outbox = Outbox::default();
    let first = outbox.push(message(30));
    let second = outbox.push(message(30));
    assert!(outbox.next(&TERMS).is_some());
    outbox.abort(second).unwrap();
    outbox.abort(first).unwrap();
    assert_eq!(drain(&mut outbox), "1.1+0!x ");
    assert_eq!(outbox.abort(first), Err(Code::UnknownTicket));
    assert_eq!(outbox.queued(), 0);
    assert!(outbox.take_unsent().is_empty());
}

#[test]
fn what_was_not_encoded_is_handed_back_in_order() {
    let mut outbox = Outbox::default();
    let stream = outbox.begin(Begin::new(ContentType::BINARY), &TERMS);
    outbox.push(message(30));
    outbox.push(message(3));
    outbox.next(&TERMS);
    let unsent = outbox.take_unsent();
    let seen: Vec<_> = unsent.iter().map(|u| (u.ticket.get(), u.begun, u.message.is_some())).collect();
    assert_eq!(seen, [(stream.get(), false, false), (2, true, true), (3, false, true)]);
    assert_eq!(outbox.queued(), 0);
}

#[test]
fn an_empty_message_is_one_last_chunk() {
    let mut outbox = Outbox::default();
    outbox.push(message(0));
    assert_eq!(drain(&mut outbox), "1.0+0! ");
}
