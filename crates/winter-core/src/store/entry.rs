//! One entry's bytes.
//!
//! ```text
//! control 1 | key length 1-2 | data length 1-4 | version 0-8 | deadline 0 or 7 | key | data
//! ```
//!
//! Numbers are little-endian and as short as they can be; the control byte says
//! how short. A typical entry's header is 5 bytes.

use crate::time::Deadline;

const HAS_DEADLINE: u8 = 0x80;
const DATA_LENGTH_SHIFT: u8 = 5;
const KEY_LENGTH_WIDE: u8 = 0x10;
const VERSION_MASK: u8 = 0x0f;
const DEADLINE_BYTES: usize = 7;
/// Control, two lengths, a version and a deadline.
const HEADER_BYTES_MAX: usize = 1 + 2 + 4 + 8 + DEADLINE_BYTES;

const _: () = assert!(Deadline::MILLIS_MAX == (1 << (DEADLINE_BYTES * 8)) - 1);

/// An entry, borrowed from the page that it lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'p> {
    /// Its version, as an offset from the partition's first.
    pub version: u64,
    /// When it is gone, if ever.
    pub deadline: Option<Deadline>,
    /// The key.
    pub key: &'p [u8],
    /// The data.
    pub data: &'p [u8],
}

impl<'p> Entry<'p> {
    /// How many bytes the entry takes in a page.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        1 + key_length_bytes(self.key.len())
            + data_length_bytes(self.data.len())
            + version_bytes(self.version)
            + if self.deadline.is_some() { DEADLINE_BYTES } else { 0 }
            + self.key.len()
            + self.data.len()
    }

    /// Appends the entry to `page`.
    pub fn encode(&self, page: &mut Vec<u8>) {
        let key_bytes = key_length_bytes(self.key.len());
        let data_bytes = data_length_bytes(self.data.len());
        let version_bytes = version_bytes(self.version);
        let mut control = small(version_bytes) | small(data_bytes - 1) << DATA_LENGTH_SHIFT;
        if key_bytes == 2 {
            control |= KEY_LENGTH_WIDE;
        }
        if self.deadline.is_some() {
            control |= HAS_DEADLINE;
        }
        // Each number is written whole, and the next one over what it does not need.
        let mut header = [0; HEADER_BYTES_MAX + size_of::<u64>()];
        let mut at = 1;
        let mut number = |n: u64, bytes: usize| {
            header[at..at + size_of::<u64>()].copy_from_slice(&n.to_le_bytes());
            at += bytes;
        };
        number(self.key.len() as u64, key_bytes);
        number(self.data.len() as u64, data_bytes);
        number(self.version, version_bytes);
        if let Some(deadline) = self.deadline {
            number(deadline.as_millis(), DEADLINE_BYTES);
        }
        header[0] = control;
        page.extend_from_slice(&header[..at]);
        page.extend_from_slice(self.key);
        page.extend_from_slice(self.data);
    }

    /// Reads the entry at `offset` of `page`: the entry and its length. `None`
    /// when no whole entry stands there.
    #[must_use]
    pub fn decode(page: &'p [u8], offset: usize) -> Option<(Self, usize)> {
        let bytes = page.get(offset..)?;
        let control = *bytes.first()?;
        let key_bytes = if control & KEY_LENGTH_WIDE == 0 { 1 } else { 2 };
        let data_bytes = usize::from(control >> DATA_LENGTH_SHIFT & 3) + 1;
        let version_bytes = usize::from(control & VERSION_MASK).min(8);
        let mut at = 1;
        let key_len = length(read(bytes, &mut at, key_bytes)?);
        let data_len = length(read(bytes, &mut at, data_bytes)?);
        let version = read(bytes, &mut at, version_bytes)?;
        let deadline = if control & HAS_DEADLINE == 0 {
            None
        } else {
            Some(Deadline::from_millis(read(bytes, &mut at, DEADLINE_BYTES)?))
        };
        let (key, rest) = bytes.get(at..)?.split_at_checked(key_len)?;
        let data = rest.get(..data_len)?;
        Some((Self { version, deadline, key, data }, at + key_len + data_len))
    }
}

/// Reads `count` little-endian bytes, at most 8, and moves on.
#[inline]
fn read(bytes: &[u8], at: &mut usize, count: usize) -> Option<u64> {
    let start = *at;
    *at += count;
    if let Some(word) = bytes.get(start..start + 8) {
        let word = u64::from_le_bytes(word.try_into().expect("8 bytes"));
        return Some(if count == 8 { word } else { word & ((1 << (count * 8)) - 1) });
    }
    let mut word = [0; 8];
    word[..count].copy_from_slice(bytes.get(start..start + count)?);
    Some(u64::from_le_bytes(word))
}

/// A length of at most 4 bytes as a `usize`.
#[expect(clippy::cast_possible_truncation, reason = "lengths are stored in 4 bytes at most")]
fn length(n: u64) -> usize {
    n as usize
}

fn small(n: usize) -> u8 {
    u8::try_from(n).expect("a count of bytes in a number")
}

fn key_length_bytes(length: usize) -> usize {
    if length < 1 << 8 { 1 } else { 2 }
}

fn data_length_bytes(length: usize) -> usize {
    match length {
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x100_0000 => 3,
        _ => 4,
    }
}

fn version_bytes(version: u64) -> usize {
    (64 - version.leading_zeros() as usize).div_ceil(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            version in any::<u64>(),
            deadline in proptest::option::of(0u64..1 << 55),
            key in proptest::collection::vec(any::<u8>(), 1..600),
            data in proptest::collection::vec(any::<u8>(), 0..600),
            before in 0usize..9,
        ) {
            let deadline = deadline.map(Deadline::from_millis);
            let entry = Entry { version, deadline, key: &key, data: &data };
            let mut page = vec![0xaa; before];
            entry.encode(&mut page);
            prop_assert_eq!(page.len(), before + entry.encoded_len());
            prop_assert_eq!(Entry::decode(&page, before), Some((entry, entry.encoded_len())));
        }

        #[test]
        fn no_bytes_make_it_panic(page in proptest::collection::vec(any::<u8>(), 0..64)) {
            for offset in 0..=page.len() {
                let _ = Entry::decode(&page, offset);
            }
        }
    }

    #[test]
    fn a_typical_header_is_short() {
        let entry = Entry { version: 7_800, deadline: None, key: &[0; 16], data: &[0; 32] };
        assert_eq!(entry.encoded_len(), 48 + 5);
    }
}
