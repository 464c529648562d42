use heartwire_core::role::Role;
use heartwire_core::wire::json_header::JsonHeader;
use heartwire_core::wire::length_prefixed::LengthPrefixed;
use heartwire_core::wire::lines::Lines;
use heartwire_core::wire::sealed::Sealed;

use super::session::next;
use crate::connection_rig::{ConnectionRig, Subject};

/// Operations on a connection without a session, in any order: it never panics, comes to rest, passes no bound,
/// loses and reorders nothing, and ends with one last event that adds up.
///
/// The first byte chooses the machine. The rest are operations as for a session.
///
/// # Panics
///
/// If not.
pub fn connection(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    match first % 4 {
        0 => run::<JsonHeader>(*first, rest),
        1 => run::<LengthPrefixed>(*first, rest),
        2 => run::<Lines>(*first, rest),
        _ => run::<Sealed>(*first, rest),
    }
}

fn run<C: Subject>(first: u8, mut rest: &[u8]) {
    let role = if first & 4 == 0 { Role::Client } else { Role::Server };
    let mut rig = ConnectionRig::<C>::with_rates(role, first & 8 != 0, first & 32 != 0, first & 64 != 0)
        .lending(first & 16 != 0);
    while let Some(op) = next(&mut rest) {
        rig.apply(&op);
    }
    rig.finish(first & 32 != 0);
}
