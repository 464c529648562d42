//! Whatever is done to a connection without a session, in whatever order, some things hold.

use heartwire_core::role::Role;
use heartwire_core::wire::json_header::JsonHeader;
use heartwire_core::wire::length_prefixed::LengthPrefixed;
use heartwire_core::wire::lines::Lines;
use heartwire_core::wire::sealed::Sealed;
use heartwire_tests::connection_rig::{ConnectionRig, Op, Subject};
use proptest::collection::vec;
use proptest::prelude::*;

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        1 => vec(any::<u8>(), 0..20).prop_map(Op::Raw),
        25 => (0..20_u8, any::<u16>(), any::<u16>()).prop_map(|(code, a, b)| Op::Do(code, a, b)),
    ]
}

/// The role, whether it has timeouts, rates, whether its end confirms, whether it is driven as drivers do, whether it is
/// cut in the end; what is done.
fn run() -> impl Strategy<Value = ([bool; 6], Vec<Op>)> {
    (any::<[bool; 6]>(), vec(op(), 0..150))
}

fn check<C: Subject>(([server, timed, rates, confirms, lends, cut], ops): ([bool; 6], Vec<Op>)) {
    let role = if server { Role::Server } else { Role::Client };
    let mut rig = ConnectionRig::<C>::with_rates(role, timed, rates, confirms).lending(lends);
    ops.iter().for_each(|op| rig.apply(op));
    rig.finish(cut);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn json_headers(run in run()) {
        check::<JsonHeader>(run);
    }

    #[test]
    fn lengths(run in run()) {
        check::<LengthPrefixed>(run);
    }

    #[test]
    fn lines(run in run()) {
        check::<Lines>(run);
    }

    #[test]
    fn packets(run in run()) {
        check::<Sealed>(run);
    }
}
