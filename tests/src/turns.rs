//! Turns of one machine under a simulated clock, until it comes to rest.

use heartwire_core::protocol::{Close, Protocol};
use heartwire_core::testing::{Chunker, Side};
use heartwire_core::time::Instant;

/// More turns than any test needs.
const TURNS: usize = 1_000_000;

/// Lets the machine do what there is to do; `wrote` is told of each write. Time stands still.
///
/// # Panics
///
/// If it does not come to rest.
pub fn run<P: Protocol>(
    side: &mut Side<P>,
    now: Instant,
    chunker: &mut Chunker,
    mut wrote: impl FnMut(usize),
) {
    for _ in 0..TURNS {
        let (written, busy) = side.turn(now, chunker);
        if !written.is_empty() {
            wrote(written.len());
        }
        if !busy && !fire(side, now) {
            return;
        }
    }
    panic!("the machine does not come to rest");
}

fn fire<P: Protocol>(side: &mut Side<P>, now: Instant) -> bool {
    let pump = &mut side.pump;
    if side.closed || pump.poll(now).deadline.is_none_or(|deadline| deadline > now) {
        return false;
    }
    pump.handle_timeout(now);
    let again = pump.poll(now);
    assert!(
        again.close == Close::Now || again.deadline.is_none_or(|deadline| deadline > now),
        "a timer fired and is still due: {again:?}"
    );
    true
}
