//! The states of a connection without a session.

/// ```text
/// Open ──Finish──▶ Finishing ──all left──▶ Finished ──peer's end──▶ Ended
///  │                   │                      │                       ▲
///  ├───────────────────┴──Close───────────────┤                       │
///  │                                          ▼                       │
///  └──refused, timed out──▶ Closing ──all left──▶ Draining ──peer's end, or too late
/// ```
///
/// A transport that fails leads to `Ended` from everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Both directions are open.
    Open,
    /// Nothing more is accepted; what is queued is leaving.
    Finishing,
    /// Our direction is closed; the peer's is awaited for as long as it takes.
    Finished,
    /// What is queued (`heard`), or only what is encoded, has some time to leave.
    Closing {
        /// What arrives is still understood.
        heard: bool,
    },
    /// Our direction is closed; what arrives is discarded until the peer's ends, for some time.
    Draining,
    /// The connection is over.
    Ended,
}

impl State {
    /// Whether what arrives is understood.
    pub(super) fn understands(self) -> bool {
        matches!(self, Self::Open | Self::Finishing | Self::Finished | Self::Closing { heard: true })
    }

    /// Whether what is queued is still encoded.
    pub(super) fn encodes(self) -> bool {
        matches!(self, Self::Open | Self::Finishing | Self::Closing { heard: true })
    }

    /// Whether it goes towards the end by itself.
    pub(super) fn is_closing(self) -> bool {
        matches!(self, Self::Closing { .. } | Self::Draining | Self::Ended)
    }
}
