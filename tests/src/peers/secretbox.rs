//! NaCl's secretbox by hand: XSalsa20 and Poly1305, as their specifications have them.
//!
//! Written to be compared with the specifications, for tests alone: it takes no care that its time tells nothing of
//! keys and contents, wipes nothing, and is slow.

/// The length of a key, in bytes.
pub const KEY: usize = 32;
/// The length of a nonce, in bytes.
pub const NONCE: usize = 24;
/// The length of a tag, in bytes.
pub const TAG: usize = 16;

/// A block of Salsa20's stream, in bytes.
const BLOCK: usize = 64;

/// The tag, and behind it the ciphertext.
#[must_use]
pub fn seal(key: &[u8; KEY], nonce: &[u8; NONCE], plaintext: &[u8]) -> Vec<u8> {
    let (mac_key, ciphertext) = xsalsa20(key, nonce, plaintext);
    [&poly1305(&mac_key, &ciphertext)[..], &ciphertext].concat()
}

/// What was sealed, if it was with this key and nonce and nothing was changed.
#[must_use]
pub fn open(key: &[u8; KEY], nonce: &[u8; NONCE], sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, ciphertext) = sealed.split_at_checked(TAG)?;
    let (mac_key, plaintext) = xsalsa20(key, nonce, ciphertext);
    (poly1305(&mac_key, ciphertext) == tag).then_some(plaintext)
}

/// The first 32 bytes of the stream, which are the key of the tag; and the text, under the stream from there on.
fn xsalsa20(key: &[u8; KEY], nonce: &[u8; NONCE], text: &[u8]) -> ([u8; 32], Vec<u8>) {
    let (front, back) = nonce.split_at(16);
    let key = hsalsa20(key, front.try_into().expect("16 bytes"));
    let nonce = back.try_into().expect("8 bytes");
    // As if 32 bytes of zeros stood before the text.
    let mut bytes = vec![0; 32];
    bytes.extend_from_slice(text);
    for (counter, part) in (0..).zip(bytes.chunks_mut(BLOCK)) {
        part.iter_mut().zip(salsa20(&key, nonce, counter)).for_each(|(byte, stream)| *byte ^= stream);
    }
    let text = bytes.split_off(32);
    (bytes.try_into().expect("32 bytes"), text)
}

/// One block of Salsa20's stream.
fn salsa20(key: &[u8; KEY], nonce: [u8; 8], counter: u64) -> [u8; BLOCK] {
    let mut input = [0; 16];
    input[..8].copy_from_slice(&nonce);
    input[8..].copy_from_slice(&counter.to_le_bytes());
    let start = matrix(key, &input);
    let mixed = twenty_rounds(start);
    let mut block = [0; BLOCK];
    for (at, bytes) in block.chunks_mut(4).enumerate() {
        bytes.copy_from_slice(&start[at].wrapping_add(mixed[at]).to_le_bytes());
    }
    block
}

/// The key that the last 8 bytes of a long nonce are used with.
fn hsalsa20(key: &[u8; KEY], nonce: [u8; 16]) -> [u8; KEY] {
    let mixed = twenty_rounds(matrix(key, &nonce));
    let mut out = [0; KEY];
    for (bytes, at) in out.chunks_mut(4).zip([0, 5, 10, 15, 6, 7, 8, 9]) {
        bytes.copy_from_slice(&mixed[at].to_le_bytes());
    }
    out
}

/// The words that are mixed: constants on the diagonal, the key in two halves, the input between them.
fn matrix(key: &[u8; KEY], input: &[u8; 16]) -> [u32; 16] {
    let word =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[4 * at..][..4].try_into().expect("4 bytes"));
    let [c0, c1, c2, c3] = [0, 1, 2, 3].map(|at| word(b"expand 32-byte k", at));
    let [k0, k1, k2, k3, k4, k5, k6, k7] = [0, 1, 2, 3, 4, 5, 6, 7].map(|at| word(key, at));
    let [n0, n1, n2, n3] = [0, 1, 2, 3].map(|at| word(input, at));
    [c0, k0, k1, k2, k3, c1, n0, n1, n2, n3, c2, k4, k5, k6, k7, c3]
}

/// Ten times all columns and all rows.
fn twenty_rounds(mut x: [u32; 16]) -> [u32; 16] {
    for _ in 0..10 {
        quarter_round(&mut x, [0, 4, 8, 12]);
        quarter_round(&mut x, [5, 9, 13, 1]);
        quarter_round(&mut x, [10, 14, 2, 6]);
        quarter_round(&mut x, [15, 3, 7, 11]);
        quarter_round(&mut x, [0, 1, 2, 3]);
        quarter_round(&mut x, [5, 6, 7, 4]);
        quarter_round(&mut x, [10, 11, 8, 9]);
        quarter_round(&mut x, [15, 12, 13, 14]);
    }
    x
}

fn quarter_round(x: &mut [u32; 16], [a, b, c, d]: [usize; 4]) {
    x[b] ^= x[a].wrapping_add(x[d]).rotate_left(7);
    x[c] ^= x[b].wrapping_add(x[a]).rotate_left(9);
    x[d] ^= x[c].wrapping_add(x[b]).rotate_left(13);
    x[a] ^= x[d].wrapping_add(x[c]).rotate_left(18);
}

/// The tag of a text under a key of one use: a polynomial modulo 2^130 - 5, its point the first half of the key, and
/// the second half added at the end.
fn poly1305(key: &[u8; 32], text: &[u8]) -> [u8; TAG] {
    let (r, s) = key.split_at(16);
    let number = |bytes: &[u8]| u128::from_le_bytes(bytes.try_into().expect("16 bytes"));
    let r = limbs(number(r) & 0x0fff_fffc_0fff_fffc_0fff_fffc_0fff_ffff, 0);
    let mut sum = [0; 5];
    for part in text.chunks(16) {
        // Each part has a 1 behind it, which of a whole part is the bit 128.
        let mut bytes = [0; 16];
        bytes[..part.len()].copy_from_slice(part);
        let behind = match bytes.get_mut(part.len()) {
            Some(byte) => {
                *byte = 1;
                0
            }
            None => 1,
        };
        let part = limbs(number(&bytes), behind);
        sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        sum = times(sum, r);
    }
    reduced(sum).wrapping_add(number(s)).to_le_bytes()
}

const LIMB: u32 = 26;
const LIMB_MASK: u64 = (1 << LIMB) - 1;

/// A number of 130 bits, `high` the two above the others, in five limbs, the lowest first.
fn limbs(low: u128, high: u64) -> [u64; 5] {
    let limb = |at: u32| (low >> (LIMB * at)) as u64 & LIMB_MASK;
    [limb(0), limb(1), limb(2), limb(3), limb(4) | high << 24]
}

/// The product modulo 2^130 - 5, its limbs hardly larger than they should be.
fn times(a: [u64; 5], b: [u64; 5]) -> [u64; 5] {
    let mut product = [0; 5];
    for (i, a) in a.into_iter().enumerate() {
        for (j, b) in b.into_iter().enumerate() {
            // What is above 2^130 counts five times as much at the bottom.
            let times = if i + j < 5 { 1 } else { 5 };
            product[(i + j) % 5] += a * b * times;
        }
    }
    carried(carried(product))
}

/// The same number modulo 2^130 - 5, each limb's excess in the next.
fn carried(mut x: [u64; 5]) -> [u64; 5] {
    let mut carry = 0;
    for limb in &mut x {
        *limb += carry;
        carry = *limb >> LIMB;
        *limb &= LIMB_MASK;
    }
    x[0] += 5 * carry;
    x
}

/// The number modulo 2^130 - 5, and of that the lower 128 bits.
fn reduced(x: [u64; 5]) -> u128 {
    let mut x = carried(carried(carried(x)));
    // As large as the modulus or larger: then 5 more reach 2^130.
    let mut more = x;
    more[0] += 5;
    for at in 0..4 {
        more[at + 1] += more[at] >> LIMB;
        more[at] &= LIMB_MASK;
    }
    if more[4] >> LIMB > 0 {
        more[4] &= LIMB_MASK;
        x = more;
    }
    (0..).zip(x).fold(0, |sum, (at, limb)| sum | u128::from(limb) << (LIMB * at))
}

#[cfg(test)]
mod tests {
    use super::{open, poly1305, reduced, seal};
    use crate::vectors::Hex;

    fn unhex<const N: usize>(text: &str) -> [u8; N] {
        Hex::try_from(text.to_owned()).unwrap().0.try_into().unwrap()
    }

    /// The example of RFC 8439, 2.5.2.
    #[test]
    fn a_tag_is_the_known_one() {
        let key = unhex("85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
        let tag: [u8; 16] = unhex("a8061dc1305136c6c22b8baf0c0127a9");
        assert_eq!(poly1305(&key, b"Cryptographic Forum Research Group"), tag);
    }

    /// Those of RFC 8439, A.3, in which the sum comes near the modulus or the additions overflow.
    #[test]
    fn tags_at_the_edges_are_the_known_ones() {
        let r_2 = unhex("0200000000000000000000000000000000000000000000000000000000000000");
        let r_2_s_all = unhex("02000000000000000000000000000000ffffffffffffffffffffffffffffffff");
        let r_1 = unhex("0100000000000000000000000000000000000000000000000000000000000000");
        let tag = |first: u8| std::array::from_fn(|at| if at == 0 { first } else { 0 });
        assert_eq!(poly1305(&r_2, &[0xff; 16]), tag(3));
        assert_eq!(poly1305(&r_2_s_all, &tag(2)), tag(3));
        let text = [
            [0xff; 16],
            unhex("f0ffffffffffffffffffffffffffffff"),
            unhex("11000000000000000000000000000000"),
        ];
        assert_eq!(poly1305(&r_1, &text.concat()), tag(5));
        let text = [[0xff; 16], unhex("fbfefefefefefefefefefefefefefefe"), [1; 16]];
        assert_eq!(poly1305(&r_1, &text.concat()), tag(0));
        let text: [u8; 16] = unhex("fdffffffffffffffffffffffffffffff");
        assert_eq!(poly1305(&r_2, &text), unhex("faffffffffffffffffffffffffffffff"));
    }

    #[test]
    fn numbers_about_the_modulus_are_reduced() {
        let all = (1 << 26) - 1;
        assert_eq!(reduced([all - 5, all, all, all, all]), u128::MAX - 5);
        assert_eq!(reduced([all - 4, all, all, all, all]), 0);
        assert_eq!(reduced([all, all, all, all, all]), 4);
        assert_eq!(reduced([0, 0, 0, 0, all + 1]), 5);
    }

    /// The example of NaCl's own tests (secretbox.c).
    #[test]
    fn a_box_is_the_known_one() {
        let key = unhex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389");
        let nonce = unhex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37");
        let plaintext: [u8; 131] = unhex(
            "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01\
             233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd\
             4924ca1c60902e52f0a089bc76897040e082f937763848645e0705",
        );
        let sealed = seal(&key, &nonce, &plaintext);
        assert_eq!(sealed[..16], unhex::<16>("f3ffc7703f9400e52a7dfb4b3d3305d9"));
        assert_eq!(sealed[16..32], unhex::<16>("8e993b9f48681273c29650ba32fc76ce"));
        assert_eq!(open(&key, &nonce, &sealed).unwrap(), plaintext);
    }

    #[test]
    fn nothing_changed_is_opened() {
        let (key, nonce) = ([1; 32], [2; 24]);
        let sealed = seal(&key, &nonce, b"nothing of this may change");
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&key, &nonce, &changed), None, "bit {bit}");
        }
        for len in 0..sealed.len() {
            assert_eq!(open(&key, &nonce, &sealed[..len]), None, "cut after {len}");
        }
        assert_eq!(open(&[3; 32], &nonce, &sealed), None);
        assert_eq!(open(&key, &[3; 24], &sealed), None);
    }
}
