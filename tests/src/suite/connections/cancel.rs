//! Calls that are dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use heartwire_core::connection::{Config, Gatherer};
use heartwire_core::wire::body::Whole;
use heartwire_core::wire::length_prefixed::{self, Format, LengthPrefixed};
use heartwire_std::options::ConnectionOptions;

use crate::cancel::{Cut, again};
use crate::mock::{self, Mock, Script};
use crate::suite::adapter::Over;
use crate::suite::fixtures::content;

/// Every call dropped at every poll and made again, over transports that wait: nothing is lost or doubled.
pub async fn dropped_futures<A: Over<Mock>>() {
    const MESSAGES: usize = 12;
    let dropped = AtomicUsize::new(0);
    for polls in 1..=4 {
        for woken in [false, true] {
            for pace in [mock::Pace::Stutter(3), mock::Pace::Seed(polls as u64, 700)] {
                let at = Cut { polls, woken };
                let config =
                    Config::builder().queued_output(3000).queued_events(2).build().expect("a configuration");
                let options = ConnectionOptions::<LengthPrefixed>::new(Format::default()).config(config);
                let script = || Script { pace, ..Script::free() };
                let (a, b) = mock::pair(1000, script(), script());
                let client = A::client(a, &options).await.expect("a connection");
                let server = A::server(b, &options).await.expect("a connection");
                let (sender, mut answers) = client.split();
                let (answering, receiver) = server.split();
                let send = async {
                    for number in 0..MESSAGES {
                        let body = content(1500, number);
                        if number.is_multiple_of(2) {
                            let message = Whole::from(body);
                            again(at, &dropped, async || sender.ready_for(&message).await).await;
                            again(at, &dropped, async || {
                                sender.send(message.clone()).await.expect("accepted")
                            })
                            .await;
                            continue;
                        }
                        let head = length_prefixed::Head { size: 1500 };
                        let outgoing =
                            again(at, &dropped, async || sender.begin(head).await.expect("accepted")).await;
                        for piece in body.chunks(400) {
                            let piece = Bytes::copy_from_slice(piece);
                            again(at, &dropped, async || {
                                outgoing.send(piece.clone()).await.expect("accepted")
                            })
                            .await;
                        }
                        outgoing.end().expect("it is whole");
                    }
                    sender.finish();
                };
                let receive = async {
                    let state = tokio::sync::Mutex::new((receiver, Gatherer::new(u64::MAX)));
                    for number in 0..MESSAGES {
                        let message = again(at, &dropped, async || {
                            let (receiver, gatherer) = &mut *state.lock().await;
                            receiver.recv_whole(gatherer).await.expect("not too large").expect("it comes")
                        })
                        .await;
                        assert!(message.body == content(1500, number), "message {number} is another");
                        let answer = Whole::from(content(10, number));
                        again(at, &dropped, async || answering.send(answer.clone()).await.expect("accepted"))
                            .await;
                    }
                    answering.finish();
                    let ended = again(at, &dropped, async || state.lock().await.0.end().await).await;
                    assert!(ended.is_orderly(), "{ended}");
                };
                let hear = async {
                    let mut gatherer = Gatherer::new(u64::MAX);
                    let mut heard = 0;
                    while let Some(answer) = answers.recv_whole(&mut gatherer).await.expect("not too large") {
                        assert!(answer.body == content(10, heard), "answer {heard} is another");
                        heard += 1;
                    }
                    assert_eq!(heard, MESSAGES);
                };
                tokio::join!(send, receive, hear);
                assert!(
                    again(at, &dropped, async || sender.closed().await).await.expect("it ended").in_order
                );
            }
        }
    }
    assert!(dropped.load(Ordering::Relaxed) > 100, "hardly any call was dropped");
}
