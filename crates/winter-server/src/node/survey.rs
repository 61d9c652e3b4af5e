//! What all tables hold, for whoever watches the node.

use std::sync::Arc;

use parking_lot::MutexGuard;
use winter_core::store::TableId;
use winter_core::store::partition::Holdings;
use winter_core::store::slice::Reclaimed;

use super::table::Tally;
use super::{Node, Table};

/// Slots that are looked at under one lock: a quarter of a millisecond's work.
const SLOTS_AT_ONCE: u32 = 1_024;

/// All tables at about one time: partitions are asked one after the other.
#[derive(Debug)]
pub struct Survey {
    /// Every table by name, and what it holds.
    pub tables: Vec<(Arc<Table>, Holdings)>,
    /// What tables that are gone had counted.
    pub gone: Tally,
    /// What reclaiming has done.
    pub reclaimed: Reclaimed,
}

impl Node {
    /// Asks every partition what it holds: under one lock, or under several short
    /// ones where there are so many tables that commands would wait for it.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let (tables, gone) = self.catalog.all_and_gone();
        let mut tables: Vec<_> =
            tables.into_iter().map(|table| (table, Holdings::default())).collect();
        let places = places(&tables);
        let mut reclaimed = Reclaimed::default();
        for shard in self.shards.iter() {
            let mut first = 0;
            loop {
                let partition = shard.lock();
                if first == 0 {
                    reclaimed += partition.reclaimed();
                }
                for ((slot, id), held) in partition.holdings_from(first, SLOTS_AT_ONCE) {
                    if let Some(&Some((known, place))) = places.get(slot as usize)
                        && known == id
                    {
                        tables[place].1 += held;
                    }
                }
                // Whoever waits is next, so that it waits for no more than this.
                MutexGuard::unlock_fair(partition);
                first += SLOTS_AT_ONCE;
                if first as usize >= places.len() {
                    break;
                }
            }
        }
        Survey { tables, gone, reclaimed }
    }
}

/// Which table has which slot, and its place in `tables`.
fn places(tables: &[(Arc<Table>, Holdings)]) -> Vec<Option<(TableId, usize)>> {
    let slots = tables.iter().map(|(table, _)| table.core.slot as usize + 1).max().unwrap_or(0);
    let mut places = vec![None; slots];
    for (place, (table, _)) in tables.iter().enumerate() {
        places[table.core.slot as usize] = Some((table.core.id, place));
    }
    places
}

#[cfg(test)]
mod tests {
    use winter_core::command::{KeyCommand, KeyOp, TableCommand, TableOptions, Write};
    use winter_core::protocol::Dialect;
    use winter_core::store::{HashedKey, Seed};

    use super::*;
    use crate::config::Config;
    use crate::node::shards::Shards;
    use crate::node::{KeyRun, LongReplies, TableCache};

    fn put(node: &Node, table: &str, key: &str) {
        let op = KeyOp::Put(Write { data: b"data", ttl: None });
        let commands = [KeyCommand { table, key: key.as_bytes(), op }];
        let (now, dialect) = (node.clock.now(), Dialect::Line);
        let run = KeyRun { node, worker: 0, now, dialect, long_replies: LongReplies::Written };
        run.run(&mut TableCache::default(), &commands, &mut Vec::new(), |_| {});
    }

    #[test]
    fn tables_are_found_wherever_their_slots_are() {
        let node = Node::new(Config::default(), Seed(1, 2));
        let tables = 2 * SLOTS_AT_ONCE + 1;
        for table in 0..tables {
            let name = table.to_string();
            node.catalog.create(&name, TableOptions::default()).expect("there is room");
            put(&node, &name, "a");
            put(&node, &name, "b");
        }
        let survey = node.survey();
        assert_eq!(survey.tables.len(), tables as usize);
        assert!(survey.tables.iter().all(|(_, held)| held.entries == 2));
    }

    #[test]
    fn a_slot_that_is_used_again_is_not_mixed_up() {
        let node = Arc::new(Node::new(Config::default(), Seed(1, 2)));
        for name in ["a", "b"] {
            let options = TableOptions::default();
            let _ = node.run_table(&TableCommand::Create(name, options));
            (0..100).for_each(|key| put(&node, name, &key.to_string()));
        }
        let late = node.catalog.find("a").expect("it was made");
        let _ = node.run_table(&TableCommand::Drop("a"));
        let _ = node.run_table(&TableCommand::Create("c", TableOptions::default()));
        let new = node.catalog.find("c").expect("it was made");
        assert_eq!(late.core.slot, new.core.slot);
        put(&node, "c", "k");
        // Late writes of the dropped table, as of a thread that is behind.
        let kept = Shards::number_of(new.core.hash, b"k");
        for number in (0..100).filter(|&number| number != kept) {
            let key = HashedKey::new(node.seed, b"late");
            let op = KeyOp::Put(Write { data: b"data", ttl: None });
            let mut partition = node.shards.shard(number).lock();
            let _ = partition.apply(node.clock.now(), &late.core, key, &op);
        }
        let survey = node.survey();
        let entries: Vec<_> = survey
            .tables
            .iter()
            .map(|(table, held)| (&*table.core.name, held.entries, table.operations()))
            .collect();
        assert_eq!(entries, [("b", 100, 100), ("c", 1, 1)]);
        assert_eq!(survey.gone.operations, 100);
    }
}
