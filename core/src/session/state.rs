//! The states of a connection, and which frames have a place in each. This file alone knows.
//!
//! ```text
//! client: AwaitInit ─┐
//!                    ├─▶ Established ──▶ Finishing ──▶ Flushing ──▶ Draining ──▶ Ended
//! server: AwaitAck ──┘        └──────────────────────────▲             cut from anywhere ──▲
//! ```

use crate::wire::envelope::FrameType;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// A client waits for `session_init`.
    AwaitInit,
    /// A server waits for `session_ack`.
    AwaitAck,
    /// Messages go both ways.
    Established,
    /// We are to close: queued messages leave first.
    Finishing,
    /// The last frame is encoded. `open`: it is our `disconnect`, and until it has left the peer's
    /// frames still count.
    Flushing { open: bool },
    /// Our side is closed; the peer's end of stream is awaited, its bytes are discarded.
    Draining,
    /// Over.
    Ended,
}

impl State {
    /// Whether frames are still understood; otherwise input is discarded.
    pub(crate) fn understands(self) -> bool {
        !matches!(self, Self::Flushing { open: false } | Self::Draining | Self::Ended)
    }

    /// Whether the handshake is still to be done.
    pub(crate) fn is_handshake(self) -> bool {
        matches!(self, Self::AwaitInit | Self::AwaitAck)
    }

    /// Whether a frame of this type has a place here; `chunk`: we announced that we accept chunks.
    pub(crate) fn accepts(self, frame: FrameType, chunk: bool) -> bool {
        use FrameType::{Chunk, Disconnect, Error, Heartbeat, Message, SessionAck, SessionInit};
        match self {
            Self::AwaitInit => matches!(frame, SessionInit | Error),
            Self::AwaitAck => matches!(frame, SessionAck | Error),
            Self::Established | Self::Finishing | Self::Flushing { open: true } => match frame {
                Heartbeat | Message | Error | Disconnect => true,
                Chunk => chunk,
                SessionInit | SessionAck => false,
            },
            Self::Flushing { open: false } | Self::Draining | Self::Ended => false,
        }
    }

    /// The state's name, for errors.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AwaitInit => "awaiting session_init",
            Self::AwaitAck => "awaiting session_ack",
            Self::Established => "established",
            Self::Finishing | Self::Flushing { .. } => "closing",
            Self::Draining | Self::Ended => "closed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    #[test]
    fn the_table_of_states_and_frames() {
        let states = [
            State::AwaitInit,
            State::AwaitAck,
            State::Established,
            State::Finishing,
            State::Flushing { open: true },
            State::Flushing { open: false },
            State::Draining,
            State::Ended,
        ];
        let mut table = String::new();
        for state in states {
            table += &std::format!("{state:?}:");
            for frame in FrameType::ALL {
                if state.accepts(frame, true) {
                    table += " ";
                    table += frame.name();
                }
            }
            table += "\n";
            assert!(!state.accepts(FrameType::Chunk, false));
        }
        let expected = "\
AwaitInit: session_init error
AwaitAck: session_ack error
Established: heartbeat message chunk error disconnect
Finishing: heartbeat message chunk error disconnect
Flushing { open: true }: heartbeat message chunk error disconnect
Flushing { open: false }:
Draining:
Ended:
";
        assert_eq!(table, expected);
    }
}
