//! When the entries of a page expire, and when that is worth a sweep.

use crate::time::{Deadline, Timestamp};

/// Classes of times to live: none, and up to 4 s, 65 s, 17 min, 4.6 h, more.
pub(super) const CLASSES: usize = 6;
/// How long what has expired may wait for more of its page to expire, in
/// milliseconds: a quarter of the shortest life in the class.
const LAG_MILLIS: [u64; CLASSES] = [0, 0x100, 0x400, 0x4000, 0x4_0000, 0x40_0000];

/// When entries of a page expire: the first and the last deadline of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifespan {
    pub(super) first: Deadline,
    last: Deadline,
}

impl Lifespan {
    /// `span`, or none, with `deadline` in it.
    pub(super) fn widened(span: Option<Self>, deadline: Deadline) -> Self {
        span.map_or(Self { first: deadline, last: deadline }, |span| Self {
            first: span.first.min(deadline),
            last: span.last.max(deadline),
        })
    }

    /// When enough of a page of a class has expired that reading it is worth the
    /// while.
    pub(super) const fn sweep_at(self, class: u8) -> Timestamp {
        self.sweep_after(LAG_MILLIS[class as usize])
    }

    /// A quarter of the way from the first deadline to the last, but `lag` after
    /// the first at the latest. So reading costs a constant for each entry that is
    /// reclaimed, and an entry that lives on keeps no other in memory for long.
    const fn sweep_after(self, lag: u64) -> Timestamp {
        let (first, last) = (self.first.as_millis(), self.last.as_millis());
        let quarter = (last - first) / 4;
        Timestamp::from_millis(first + if quarter < lag { quarter } else { lag })
    }
}

/// The class of an entry's time to live.
pub(super) fn class_of(deadline: Option<Deadline>, now: Timestamp) -> usize {
    match deadline.map(|deadline| deadline.millis_left(now)) {
        None => 0,
        Some(0..0x1000) => 1,
        Some(0x1000..0x1_0000) => 2,
        Some(0x1_0000..0x10_0000) => 3,
        Some(0x10_0000..0x100_0000) => 4,
        Some(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_swept_when_a_quarter_of_its_span_has_passed() {
        let span = [100, 500, 300].map(Deadline::from_millis);
        let span = span.into_iter().fold(None, |s, d| Some(Lifespan::widened(s, d))).unwrap();
        assert_eq!(span.sweep_after(1_000), Timestamp::from_millis(200));
        assert_eq!(span.sweep_after(50), Timestamp::from_millis(150));
    }
}
