//! A table's quotas.

use winter_core::command::TableOptions;
use winter_core::fault::{Fault, Kind};
use winter_core::store::partition::Cost;

/// The fault for a write of this `cost`, if the table `held` so much that it would take
/// more of a quota than `free` says of it.
pub(crate) fn refusal(
    options: &TableOptions,
    held: Cost,
    cost: Cost,
    free: impl Fn(u64) -> u64,
) -> Option<Fault> {
    let (option, held, more, most) = [
        ("MAXENTRIES", held.entries, cost.entries, options.entries_max),
        ("MAXBYTES", held.bytes, cost.bytes, options.bytes_max),
    ]
    .into_iter()
    .filter_map(|(option, held, more, most)| Some((option, held, more, most?)))
    .find(|&(_, held, more, most)| more > 0 && held + more > free(most))?;
    Some(Fault::new(
        Kind::Quota,
        format!(
            "the table's {option} is {most}; it holds {held} and this write needs {more} more; delete entries or wait until some expire"
        ),
    ))
}
