//! The key space: the n-th key is a pure function of n.
//!
//! A load of millions of keys is preloaded, read back and told apart from the next one without
//! holding a single key in memory. Keys look random to a hash table and never repeat, because the
//! mixing step is a bijection on 64 bits.

/// Bytes in every key.
pub const KEY_LEN: usize = 16;

/// A byte's two hexadecimal digits, for all bytes: an encoder without branches.
static DIGITS: [[u8; 2]; 256] = hex_digits();

const fn hex_digits() -> [[u8; 2]; 256] {
    let hex = b"0123456789abcdef";
    let mut digits = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        digits[byte] = [hex[byte >> 4], hex[byte & 15]];
        byte += 1;
    }
    digits
}

/// The key with this number: 16 hexadecimal digits, different for every number.
#[must_use]
pub fn key(number: u64) -> [u8; KEY_LEN] {
    let mut key = [0; KEY_LEN];
    for (pair, byte) in key.chunks_exact_mut(2).zip(mix(number).to_be_bytes()) {
        pair.copy_from_slice(&DIGITS[usize::from(byte)]);
    }
    key
}

/// The finalizer of SplitMix64: a bijection whose output bits all depend on all input bits.
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_are_hexadecimal_digits_of_the_mixed_number() {
        assert_eq!(&key(0), b"e220a8397b1dcdaf");
    }

    #[test]
    fn keys_do_not_repeat() {
        let keys: HashSet<_> = (0..100_000).map(key).collect();
        assert_eq!(keys.len(), 100_000);
    }
}
