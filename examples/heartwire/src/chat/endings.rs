//! Endings a client did not ask for: what happened, and what to do.

use std::fmt::Display;
use std::io;

use heartwire_tokio::{Address, Code, ConnectError, Ended, EndedBy};

use crate::exit::Failure;

/// The most characters of what a server chose to say.
const SHOWN: usize = 300;

/// There is no session.
pub fn no_session(address: &Address, error: &ConnectError) -> Failure {
    match error {
        ConnectError::Io { error, .. } => {
            let todo = match error.kind() {
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    "is a server running there? start one with `heartwire chat serve`, or check the address"
                }
                io::ErrorKind::PermissionDenied => "check who may use the address",
                _ => "check the address and the network",
            };
            Failure::failed(format_args!("can't connect to {address}: {error}; {todo}"))
        }
        ConnectError::Handshake(ended) => {
            let todo = todo(ended);
            Failure::failed(format_args!("no session with {address}: {}; {todo}", short(ended)))
        }
        error => Failure::failed(error),
    }
}

/// The session ended before its time; `left`: what is missing because of that.
pub fn session_over(address: &Address, ended: &Ended, left: impl Display) -> Failure {
    Failure::failed(format_args!(
        "the session with {address} is over{left}: {}; {}",
        short(ended),
        todo(ended)
    ))
}

/// What happened. Not escaped: every failure is when it is shown, and nothing should be twice.
fn short(ended: &Ended) -> String {
    let (code, text) = (ended.code, &ended.detail);
    let (cut, more) = match text.char_indices().nth(SHOWN) {
        Some((at, _)) => (&text[..at], "…"),
        None => (text.as_str(), ""),
    };
    match ended.by {
        EndedBy::PeerError => format!("the server reports {code}: {cut}{more}"),
        EndedBy::Peer if ended.is_orderly() => format!("the server closed it: {cut}{more}"),
        _ => format!("{code}: {cut}{more}"),
    }
}

fn todo(ended: &Ended) -> &'static str {
    match ended.code {
        Code::MacMismatch => "the server has another key: give the server's with --key-file or HEARTWIRE_KEY",
        Code::BadMagic | Code::UnsupportedVersion => {
            "what listens there is no heartwire server of this version: check the address"
        }
        Code::HandshakeTimeout => "what listens there may be no heartwire server: check the address",
        Code::TooManySessions => "try again later",
        Code::TooSlow => "connect again, and read faster",
        Code::MessageTooLarge | Code::EmptyContent | Code::ContentTooLarge => {
            "send what the server takes, in smaller messages"
        }
        Code::Disconnected => "connect again when the server is back",
        Code::PeerSilent
        | Code::FrameStalled
        | Code::EndedWithoutDisconnect
        | Code::Truncated
        | Code::TransportFailed => "the server, or the way to it, is gone: connect again when it is back",
        _ if ended.by == EndedBy::PeerError => "the server's log may say more",
        _ => "connect again; if it stays so, the server is faulty",
    }
}
