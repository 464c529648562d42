//! What every server decides the same way, whatever runtime it is on: whom it lets in, and how it
//! stops. No I/O, no clock: a server of a runtime accepts, spawns, sleeps and closes as it is told here.
//!
//! * [`Admission`] counts sessions and handshakes in progress, and says whom to refuse or to cut.
//! * [`Shutdown`] leads a stop through its [`Phase`]s, and says whom to tell and whom to cut, and when.
//! * [`Report`] says how the stop went.
//!
//! A server keeps both behind one lock with its table of connections. What it does:
//!
//! 1. A connection was accepted: [`Admission::admit`]. A newcomer that is refused is told
//!    `too-many-sessions` in place of `session_init`; a handshake named as `cut` is closed without a word.
//! 2. A handshake is done: [`Admission::established`]. `false` ends that connection with `too-many-sessions`.
//! 3. A connection ended, whichever way: [`Admission::closed`], and while stopping [`Shutdown::closed`].
//! 4. To stop: accept no more, [`Shutdown::begin`], then do every [`Shutdown::poll_step`] there is, and call
//!    [`Shutdown::handle_timeout`] at [`Shutdown::deadline`], until [`Shutdown::report`] gives the report.
//!
//! ```
//! use core::time::Duration;
//! use heartwire_core::server::{Admission, Admitted, Ended, Limits, Shutdown, Step};
//! use heartwire_core::time::Instant;
//!
//! let mut admission = Admission::new(Limits::builder().max_sessions(1).build()?);
//! let Admitted::Accepted { id, cut: None } = admission.admit() else { panic!() };
//! assert!(admission.established(id));
//! assert!(matches!(admission.admit(), Admitted::Refused { .. }));
//!
//! let mut shutdown = Shutdown::new();
//! shutdown.begin(Instant::ZERO, Duration::from_secs(3), &admission);
//! while let Some(step) = shutdown.poll_step() {
//!     match step {
//!         Step::Tell(session) => assert_eq!(session, id),
//!         Step::Cut(connection) => shutdown.closed(Instant::ZERO, connection, Ended::cut(0)),
//!     }
//! }
//! let later = Instant::ZERO + Duration::from_millis(120);
//! shutdown.closed(later, id, Ended::in_order());
//! let report = shutdown.report().unwrap();
//! assert_eq!(report.to_string(), "stopped in 120ms: 1 session closed, 1 handshake dropped");
//! # Ok::<(), heartwire_core::server::LimitsError>(())
//! ```

mod admission;
mod report;
mod shutdown;

pub use admission::{Admission, Admitted, ConnectionId, Limits, LimitsBuilder, LimitsError};
pub use report::{Report, Unit};
pub use shutdown::{Ended, Phase, Shutdown, Step};
