use heartwire_core::config::Receive;
use heartwire_core::session::Role;

use crate::rig::{Op, Rig};

/// Operations on a session, in any order: it never panics, comes to rest, passes no bound, and ends with
/// one last event that adds up.
///
/// The first byte chooses the machine. Then each operation is a byte and two numbers of two bytes; the
/// code 255 takes as many bytes of input as the next byte says.
///
/// # Panics
///
/// If not.
pub fn session(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Client } else { Role::Server };
    let mut rig =
        Rig::with_rates(role, if first & 2 == 0 { Receive::Whole } else { Receive::Pieces }, first & 16 != 0)
            .lending(first & 8 != 0);
    while let Some(op) = next(&mut rest) {
        rig.apply(&op);
    }
    rig.finish(first & 4 != 0);
}

pub(super) fn next(rest: &mut &[u8]) -> Option<Op> {
    if let [255, len, more @ ..] = *rest {
        let (bytes, after) = more.split_at(usize::from(*len).min(more.len()));
        *rest = after;
        return Some(Op::Raw(bytes.to_vec()));
    }
    let ([code, a, b, c, d], after) = rest.split_first_chunk()?;
    *rest = after;
    Some(Op::Do(*code, u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])))
}
