//! Endings a client did not ask for: what happened, and what to do.

use std::fmt::Display;
use std::io;

use heartwire_tokio::{Address, Code, ConnectError, Ended, EndedBy};

use crate::exit::Failure;
use crate::log::shortened;

/// The most characters of what a server chose to say.
const SHOWN: usize = 300;

/// What is expected at the other end.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// What is made with it: "session", "connection".
    pub link: &'static str,
    /// The command that serves it.
    pub server: &'static str,
}

/// There is no session, or no other connection.
pub fn no_link(expected: Expected, address: &Address, error: &ConnectError) -> Failure {
    let Expected { link, server } = expected;
    match error {
        // some errors say already what to do
        ConnectError::Io { error, .. } if error.to_string().contains(';') => {
            Failure::failed(format_args!("can't connect to {address}: {error}"))
        }
        ConnectError::Io { error, .. } => {
            let todo = match error.kind() {
                io::ErrorKind::TimedOut if matches!(address, Address::Tls { .. }) => {
                    "check the address and the network, and that TLS is spoken there"
                }
                io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
                    &format!("is a server running there? start one with `{server}`, or check the address")
                }
                io::ErrorKind::PermissionDenied => "check who may use the address",
                _ => "check the address and the network",
            };
            Failure::failed(format_args!("can't connect to {address}: {error}; {todo}"))
        }
        ConnectError::Handshake(ended) => {
            let is_tcp = matches!(address, Address::Tcp { .. });
            let said = match ended.code {
                // TLS waits for the client to begin, and a session for the server
                Code::HandshakeTimeout | Code::EndedWithoutDisconnect if is_tcp => format!(
                    "{}; what listens there may be no heartwire server, or speak TLS (tls://HOST:PORT): check the address",
                    short(ended)
                ),
                _ => said(ended),
            };
            Failure::failed(format_args!("no {link} with {address}: {said}"))
        }
        error => Failure::failed(error),
    }
}

/// It ended before its time; `left`: what is missing because of that.
pub fn link_over<M>(expected: Expected, address: &Address, ended: &Ended<M>, left: impl Display) -> Failure {
    Failure::failed(format_args!("the {} with {address} is over{left}: {}", expected.link, said(ended)))
}

/// What happened, and what to do.
fn said<M>(ended: &Ended<M>) -> String {
    match says_what_to_do(ended) {
        true => short(ended),
        false => format!("{}; {}", short(ended), todo(ended)),
    }
}

/// Some errors of TLS do. What a peer says is not meant.
pub fn says_what_to_do<M>(ended: &Ended<M>) -> bool {
    ended.code == Code::TransportFailed && ended.detail.contains(';')
}

/// That there is no session, or no other connection, without what to do: for who tries again. Not escaped.
pub fn not_connected(expected: Expected, address: &Address, error: &ConnectError) -> String {
    match error {
        ConnectError::Handshake(ended) => format!("no {} with {address}: {}", expected.link, short(ended)),
        error => error.to_string(),
    }
}

/// That it ended before its time, for who tries again. Not escaped.
pub fn lost<M>(ended: &Ended<M>) -> String {
    format!("connection lost: {}", short(ended))
}

/// What happened. Not escaped: every failure is when it is shown, and nothing should be twice.
fn short<M>(ended: &Ended<M>) -> String {
    let (code, text) = (ended.code, shortened(&ended.detail, SHOWN));
    match ended.by {
        EndedBy::PeerError => format!("the server reports {code}: {text}"),
        EndedBy::Peer if ended.is_orderly() => format!("the server closed it: {text}"),
        _ => format!("{code}: {text}"),
    }
}

fn todo<M>(ended: &Ended<M>) -> &'static str {
    match ended.code {
        Code::MacMismatch => "the server has another key: give the server's with --key-file or HEARTWIRE_KEY",
        Code::BadMagic | Code::UnsupportedVersion => {
            "what listens there is no heartwire server of this version: check the address"
        }
        Code::DecryptionFailed => "the server has another key: give the server's with --key-file",
        Code::BadNonceLength
        | Code::CiphertextTooShort
        | Code::CiphertextTooLarge
        | Code::InvalidHeader
        | Code::HeaderTooLarge
        | Code::InvalidUtf8 => "what listens there may speak another protocol: check the address",
        Code::LineTooLong => "give a larger --limit, or check the address",
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
