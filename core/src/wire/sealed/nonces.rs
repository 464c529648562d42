//! Nonces: none twice.

use zeroize::Zeroizing;

use super::NONCE_LEN;
use crate::seed::Seed;

/// The nonces of one connection, from its seed.
///
/// The last eight bytes of a nonce are a counter under a mask: no two of a connection are alike. The others, and
/// the mask, are HMAC-SHA256 of the seed: those of different connections are alike no sooner than if they were
/// drawn at random.
pub(super) struct Nonces {
    key: Zeroizing<[u8; 32]>,
    mask: u64,
    /// The next one's number; none when there are no more.
    next: Option<u64>,
}

impl Nonces {
    pub(super) fn new(seed: &Seed) -> Self {
        let [mask, ..] = words(&seed.derive(&[b"heartwire nonce mask"]));
        Self { key: seed.derive(&[b"heartwire nonces"]), mask, next: Some(0) }
    }

    /// One that was never given before; none: they are used up.
    pub(super) fn next(&mut self) -> Option<[u8; NONCE_LEN]> {
        let number = self.next?;
        self.next = number.checked_add(1);
        let expanded = Seed::new(*self.key).derive(&[&number.to_be_bytes()]);
        let [first, second, ..] = words(&expanded);
        let mut nonce = [0; NONCE_LEN];
        let parts = [first, second, number ^ self.mask];
        for (to, from) in nonce.chunks_exact_mut(8).zip(parts) {
            to.copy_from_slice(&from.to_be_bytes());
        }
        Some(nonce)
    }
}

/// 32 bytes as four numbers.
fn words(bytes: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (to, from) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *to = from.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn no_nonce_is_given_twice_and_other_seeds_give_others() {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let mut nonces = Nonces::new(&Seed::new([seed; 32]));
            assert!((0..100).all(|_| seen.insert(nonces.next().unwrap())));
        }
    }

    #[test]
    fn every_part_of_a_nonce_depends_on_the_seed_and_its_counter_never_repeats() {
        let mut nonces = Nonces::new(&Seed::new([1; 32]));
        let mut other = Nonces::new(&Seed::new([2; 32]));
        let mut counters = BTreeSet::new();
        for _ in 0..1000 {
            let (a, b) = (nonces.next().unwrap(), other.next().unwrap());
            assert!(a.chunks(8).zip(b.chunks(8)).all(|(a, b)| a != b));
            assert!(counters.insert(a.last_chunk::<8>().copied().unwrap()));
        }
    }

    #[test]
    fn when_they_are_used_up_there_are_no_more() {
        let mut nonces = Nonces::new(&Seed::new([1; 32]));
        nonces.next = Some(u64::MAX);
        assert!(nonces.next().is_some());
        assert_eq!(nonces.next(), None);
        assert_eq!(nonces.next(), None);
    }
}
