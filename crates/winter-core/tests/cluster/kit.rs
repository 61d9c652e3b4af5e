//! Operations and entries for the tests of this binary.

use proptest::prelude::*;
use winter_core::cluster::entry::{EntryWriter, NewTable, Operation, TableRef};
use winter_core::command::{KeyOp, TableOptions, Write};
use winter_core::store::TableId;
use winter_core::time::{Timestamp, Ttl};

/// An operation that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Key { table: TableRef, key: Vec<u8>, verb: u8, data: Vec<u8>, ttl: Option<Ttl>, version: u64 },
    Create { table: TableRef, name: String, options: TableOptions },
    Drop(TableRef),
}

impl Owned {
    pub(crate) fn borrow(&self) -> Operation<'_> {
        match self {
            Self::Key { table, key, verb, data, ttl, version } => {
                let (table, write) = (*table, Write { data, ttl: *ttl });
                let op = match verb % 11 {
                    0 => KeyOp::Get,
                    1 => KeyOp::Gets,
                    2 => KeyOp::Ttl,
                    3 => KeyOp::PutNew(write),
                    4 => KeyOp::Add(write),
                    5 => KeyOp::Put(write),
                    6 => KeyOp::Cas(*version, write),
                    7 => KeyOp::Delete(None),
                    8 => KeyOp::Delete(Some(*version)),
                    9 => KeyOp::Touch(*ttl, None),
                    _ => KeyOp::Touch(*ttl, Some(*version)),
                };
                Operation::Key { table, key, op }
            }
            Self::Create { table, name, options } => {
                Operation::Create(NewTable { table: *table, name, options: *options })
            }
            Self::Drop(table) => Operation::Drop(*table),
        }
    }
}

pub(crate) fn table(id: u64, slot: u32) -> TableRef {
    TableRef { id: TableId(id), slot }
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// An entry of `operations`, stamped `millis`.
pub(crate) fn pack(millis: u64, operations: &[Operation<'_>]) -> Vec<u8> {
    let mut writer = EntryWriter::default();
    operations.iter().for_each(|operation| {
        writer.push(operation);
    });
    writer.seal(at(millis))
}

/// Any table option, at and beside its limits.
pub(crate) fn some_options() -> impl Strategy<Value = TableOptions> {
    let number = || prop_oneof![Just(None), (1u64..5_000).prop_map(Some), Just(Some(u64::MAX))];
    (number(), number(), number(), a_ttl(), any::<bool>()).prop_map(
        |(bytes_max, entries_max, value_bytes_max, ttl, once)| TableOptions {
            bytes_max,
            entries_max,
            value_bytes_max,
            ttl,
            once,
        },
    )
}

pub(crate) fn a_ttl() -> impl Strategy<Value = Option<Ttl>> {
    prop_oneof![2 => Just(0), 4 => 1u64..200, 1 => Just(1u64 << 53)].prop_map(Ttl::from_millis)
}
