//! Why a frame, a command or a session was refused: stable codes, and whose fault each is.

use alloc::borrow::Cow;
use core::fmt;

/// Whose fault an ending or a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nobody's: the session ended as it should.
    Nobody,
    /// The peer broke the protocol, or holds another key.
    Peer,
    /// The application asked for something that can't be done.
    Caller,
    /// This side: its limits, its shutdown, its transport.
    Local,
    /// Time ran out.
    Time,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $fault:ident;)+) => {
        /// A stable code: the same in events, in `error` frames, in the program and in the documents.
        ///
        /// ```
        /// use heartwire_core::error::Code;
        /// assert_eq!(Code::MacMismatch.as_str(), "mac-mismatch");
        /// assert_eq!(Code::parse("mac-mismatch"), Some(Code::MacMismatch));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)+ }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as it stands on the wire and in logs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The code that is written `text`, if there is one.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)+ _ => None }
            }

            /// Whose fault it is when this code is met.
            #[must_use]
            pub const fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)+ }
            }
        }
    };
}

codes! {
    /// The first bytes are not those of this protocol.
    BadMagic = "bad-magic", Peer;
    /// A version of the protocol that is not spoken here.
    UnsupportedVersion = "unsupported-version", Peer;
    /// The header's length is over the limit.
    HeaderTooLarge = "header-too-large", Peer;
    /// The content's length is over the limit.
    ContentTooLarge = "content-too-large", Peer;
    /// The header's checksum does not fit the header.
    HeaderCrcMismatch = "header-crc-mismatch", Peer;
    /// The content's checksum does not fit the content.
    ContentCrcMismatch = "content-crc-mismatch", Peer;
    /// The authentication code fits none of the keys: another key, or a forgery.
    MacMismatch = "mac-mismatch", Peer;
    /// The header is not the JSON object it should be.
    InvalidHeader = "invalid-header", Peer;
    /// A type of frame that does not exist.
    UnknownType = "unknown-type", Peer;
    /// The type in the prefix is not the one in the header.
    TypeMismatch = "type-mismatch", Peer;
    /// A frame without content, of a type that must have some.
    EmptyContent = "empty-content", Peer;
    /// The stream ended within a frame.
    Truncated = "truncated", Peer;
    /// The nonce's length is not the one there is.
    BadNonceLength = "bad-nonce-length", Peer;
    /// The ciphertext has no room for its tag.
    CiphertextTooShort = "ciphertext-too-short", Peer;
    /// The ciphertext's length is over the limit.
    CiphertextTooLarge = "ciphertext-too-large", Peer;
    /// A packet does not open: another key, or a forgery.
    DecryptionFailed = "decryption-failed", Peer;
    /// A line over the limit.
    LineTooLong = "line-too-long", Peer;
    /// A line that is not UTF-8.
    InvalidUtf8 = "invalid-utf8", Peer;
    /// A frame of another session.
    WrongSession = "wrong-session", Peer;
    /// A frame of a type that has no place in the state the session is in.
    UnexpectedType = "unexpected-type", Peer;
    /// A chunk's index (or a new message's number) is ahead of the expected one.
    ChunkGap = "chunk-gap", Peer;
    /// A chunk, or a whole message, that was already there.
    ChunkRepeat = "chunk-repeat", Peer;
    /// A chunk of a message that never began.
    ChunkWithoutStart = "chunk-without-start", Peer;
    /// The chunks or pieces of a message hold more, or in the end another sum, than was announced.
    ChunkOverrun = "chunk-overrun", Peer;
    /// A message over the limit of the side that receives it.
    MessageTooLarge = "message-too-large", Peer;
    /// More messages begun and not ended than the receiving side allows.
    TooManyUnfinished = "too-many-unfinished", Peer;
    /// Nothing was received for the whole silence timeout.
    PeerSilent = "peer-silent", Time;
    /// A frame began and did not go on fast enough.
    FrameStalled = "frame-stalled", Time;
    /// The handshake was not done in time.
    HandshakeTimeout = "handshake-timeout", Time;
    /// The stream ended between frames, without a goodbye.
    EndedWithoutDisconnect = "ended-without-disconnect", Peer;
    /// The server holds as many sessions as it may.
    TooManySessions = "too-many-sessions", Local;
    /// A reader so slow that what it has not read passed a limit.
    TooSlow = "too-slow", Peer;
    /// Closed in order: by one side's `disconnect`; where there is none, by the end of its stream.
    Disconnected = "disconnected", Nobody;
    /// The transport failed: reset, broken, refused by the operating system.
    TransportFailed = "transport-failed", Local;
    /// This side gave the connection up without a goodbye.
    Aborted = "aborted", Local;
    /// The peer sent an `error` frame with a code unknown here, or with none.
    PeerError = "peer-error", Peer;
    /// The peer did not announce the feature that a command needs.
    FeatureMissing = "feature-missing", Caller;
    /// A command named a message that is not open: finished, given up, or never accepted.
    UnknownTicket = "unknown-ticket", Caller;
}

impl Code {
    /// Whether a client that met this may fare better on another connection: a server that is away, full or stopping
    /// comes back, and bytes that were lost or changed on the way need not be the next time. Another key, another
    /// protocol or version, a frame that breaks the rules or is too large will be the same again; and what this side
    /// gave up, it wanted to.
    ///
    /// [`Disconnected`](Self::Disconnected) is a goodbye of the peer here: see
    /// [`Ended::is_worth_retrying`](crate::ended::Ended::is_worth_retrying), which knows who said it.
    #[must_use]
    pub const fn is_worth_retrying(self) -> bool {
        matches!(
            self,
            Self::HeaderCrcMismatch
                | Self::ContentCrcMismatch
                | Self::Truncated
                | Self::PeerSilent
                | Self::FrameStalled
                | Self::HandshakeTimeout
                | Self::EndedWithoutDisconnect
                | Self::TooManySessions
                | Self::TooSlow
                | Self::Disconnected
                | Self::TransportFailed
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: its code, and one sentence that says what was met and what was allowed.
///
/// The sentence may quote what a peer sent; pass it through [`crate::escape::escape`] before it
/// reaches a terminal or a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    code: Code,
    detail: Cow<'static, str>,
}

impl Error {
    /// An error of this code, with its sentence (lower case, without a full stop).
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into() }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// What was met and what was allowed.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_parsed_from_its_own_text_and_no_two_are_written_alike() {
        for (i, code) in Code::ALL.iter().enumerate() {
            assert_eq!(Code::parse(code.as_str()), Some(*code));
            assert!(Code::ALL.iter().skip(i + 1).all(|other| other.as_str() != code.as_str()));
        }
        assert_eq!(Code::parse("Mac-Mismatch"), None);
    }
}
