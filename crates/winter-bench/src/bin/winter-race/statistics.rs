//! What a few rounds say: the middle, and how far apart they are.

/// The middle of some figures and how widely they spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Summary {
    /// The median; between the middle two of an even number.
    pub(crate) median: f64,
    /// From the lowest to the highest, as a share of the median.
    pub(crate) spread: f64,
}

impl Summary {
    /// Summarises the rounds' figures.
    ///
    /// # Panics
    /// If there are none.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (lowest, highest) = match figures[..] {
            [lowest, .., highest] => (lowest, highest),
            [only] => (only, only),
            [] => unreachable!("a race has at least one round"),
        };
        let middle = figures.len() / 2;
        let median = if figures.len() % 2 == 1 {
            figures[middle]
        } else {
            f64::midpoint(figures[middle - 1], figures[middle])
        };
        Self { median, spread: (highest - lowest) / median }
    }

    /// The summary of one figure over another, round by round: what disturbs a whole round
    /// cancels out.
    pub(crate) fn of_ratios(ours: &[f64], theirs: &[f64]) -> Self {
        assert_eq!(ours.len(), theirs.len(), "contenders run the same rounds");
        Self::of(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Summary::of([3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(Summary::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Summary::of([7.0]), Summary { median: 7.0, spread: 0.0 });
    }

    #[test]
    fn the_spread_is_relative_to_the_median() {
        assert_eq!(Summary::of([1.0, 2.0, 4.0]).spread, 1.5);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let summary = Summary::of_ratios(&[10.0, 40.0, 20.0], &[5.0, 20.0, 10.0]);
        assert_eq!(summary, Summary { median: 2.0, spread: 0.0 });
    }
}
