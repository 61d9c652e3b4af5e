//! A page's bytes.

use bytes::Bytes;

/// Bytes that sharing a page takes beside it: where it lies, its size and a count
/// (three words).
const SHARE_BYTES: u32 = 24;

/// A page's bytes: its own while it is open, shared by reference once it is
/// sealed. Both lead to them in one step, so that a reader does not notice.
#[derive(Debug)]
pub(super) enum PageBytes {
    /// Entries may be added.
    Open(Vec<u8>),
    /// Nothing is ever added.
    Sealed(Bytes),
}

impl Default for PageBytes {
    fn default() -> Self {
        Self::Open(Vec::new())
    }
}

impl PageBytes {
    #[inline]
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Open(bytes) => bytes,
            Self::Sealed(bytes) => bytes,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// The bytes, to add to.
    pub(super) fn open(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Open(bytes) => bytes,
            Self::Sealed(_) => unreachable!("only open pages are written to"),
        }
    }

    pub(super) const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// Lets nothing be added any more: how many more bytes it takes so. The
    /// page's bytes stay where they are.
    pub(super) fn seal(&mut self) -> u32 {
        let Self::Open(bytes) = self else { return 0 };
        *self = Self::Sealed(Bytes::from(std::mem::take(bytes)));
        SHARE_BYTES
    }

    /// The bytes as they are now: a reference to a sealed page, a copy of an
    /// open one.
    pub(super) fn freeze(&self) -> Bytes {
        match self {
            Self::Open(bytes) => Bytes::copy_from_slice(bytes),
            Self::Sealed(bytes) => bytes.clone(),
        }
    }
}

/// Bytes allocated for an open page.
pub(super) fn size(page: &Vec<u8>) -> u32 {
    u32::try_from(page.capacity()).expect("an entry is far below 4 GiB")
}
