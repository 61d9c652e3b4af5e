//! Two clusters of one application that see each other.
//!
//! Neither can be right alone, so both say it aloud. One whose tables are none
//! has nothing to lose: it dissolves, and its nodes join the other. Both sides
//! judge by the same facts and come to opposite verdicts.
//!
//! A verdict is advice. The cluster that yields commits its end in its own meta
//! group, which refuses while there is a table: so nothing that was created in
//! the meantime is lost, however old the facts were that the verdict stood on.

use std::cmp::Ordering;

use crate::cluster::ClusterId;

/// A cluster, as far as a verdict needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Which.
    pub cluster: ClusterId,
    /// Whether it is open.
    pub is_open: bool,
    /// Whether it has tables. One that is not open has none.
    pub has_tables: bool,
}

/// What becomes of a cluster that met another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It stays, and waits for the other's nodes.
    Stays,
    /// It dissolves, and its nodes join the other.
    Yields,
    /// Both have tables: an operator decides.
    Undecided,
}

impl Claim {
    /// What becomes of this cluster when it meets `other`.
    ///
    /// The one with tables stays; of two without, the open one; of two alike,
    /// the one with the lower id.
    #[must_use]
    pub fn verdict(self, other: Self) -> Verdict {
        if self.has_tables && other.has_tables {
            return Verdict::Undecided;
        }
        let rank = |claim: Self| (claim.has_tables, claim.is_open);
        match rank(self).cmp(&rank(other)).then(other.cluster.cmp(&self.cluster)) {
            Ordering::Less => Verdict::Yields,
            Ordering::Equal | Ordering::Greater => Verdict::Stays,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Vec<Claim> {
        let states = [(false, false), (true, false), (true, true)];
        let claim =
            |id, (is_open, has_tables)| Claim { cluster: ClusterId(id), is_open, has_tables };
        (1..=2).flat_map(|id| states.map(|state| claim(id, state))).collect()
    }

    #[test]
    fn both_sides_come_to_opposite_verdicts() {
        for one in claims() {
            for other in claims().into_iter().filter(|other| other.cluster != one.cluster) {
                let expected = match one.verdict(other) {
                    Verdict::Stays => Verdict::Yields,
                    Verdict::Yields => Verdict::Stays,
                    Verdict::Undecided => Verdict::Undecided,
                };
                assert_eq!(other.verdict(one), expected, "{one:?} and {other:?}");
            }
        }
    }

    #[test]
    fn a_cluster_with_tables_never_yields() {
        for one in claims().into_iter().filter(|one| one.has_tables) {
            for other in claims() {
                assert_ne!(one.verdict(other), Verdict::Yields, "{one:?} and {other:?}");
            }
        }
    }
}
