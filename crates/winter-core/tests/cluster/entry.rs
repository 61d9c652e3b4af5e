//! A packed entry reads as it was written, and nothing else reads.

use proptest::prelude::*;
use winter_core::cluster::entry::{
    BYTES_SOFT_MAX, EntryFault, EntryWriter, LogEntry, OPERATIONS_MAX, Operation, TableRef,
};
use winter_core::command::{KeyOp, Write};
use winter_core::limits::KEY_BYTES_MAX;

use crate::kit::{Owned, a_ttl, at, pack, some_options, table};
use crate::packed;

fn a_table() -> impl Strategy<Value = TableRef> {
    let id = prop_oneof![0u64..300, any::<u64>()];
    (id, prop_oneof![0u32..300, Just(u32::from(u16::MAX))]).prop_map(|(id, slot)| table(id, slot))
}

fn a_number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0u32..64).prop_map(|(n, shift)| n >> shift)
}

fn an_operation() -> impl Strategy<Value = Owned> {
    let bytes = |least, most| proptest::collection::vec(any::<u8>(), least..most);
    let fields = (a_table(), bytes(1, 300), any::<u8>(), bytes(0, 300), a_ttl(), a_number());
    prop_oneof![
        8 => fields.prop_map(|(table, key, verb, data, ttl, version)| {
            Owned::Key { table, key, verb, data, ttl, version }
        }),
        1 => (a_table(), "[a-zé☃]{1,20}", some_options())
            .prop_map(|(table, name, options)| Owned::Create { table, name, options }),
        1 => a_table().prop_map(Owned::Drop),
    ]
}

proptest! {
    #[test]
    fn an_entry_reads_as_it_was_written(
        operations in proptest::collection::vec(an_operation(), 0..40),
        millis in a_number(),
    ) {
        let operations: Vec<Operation<'_>> = operations.iter().map(Owned::borrow).collect();
        let bytes = pack(millis, &operations);
        let entry = LogEntry::read(&bytes).unwrap();
        prop_assert_eq!(entry.stamp(), at(millis));
        prop_assert_eq!(entry.len(), operations.len());
        prop_assert_eq!(entry.operations().collect::<Vec<_>>(), operations);
    }

    #[test]
    fn a_cut_or_changed_entry_is_an_error_or_another_entry(
        operations in proptest::collection::vec(an_operation(), 1..6),
        cut in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let operations: Vec<Operation<'_>> = operations.iter().map(Owned::borrow).collect();
        let mut bytes = pack(7, &operations);
        let cut = cut.index(bytes.len());
        packed::entry(&bytes[..cut]);
        bytes[cut] ^= flip;
        packed::entry(&bytes);
    }

    #[test]
    fn any_bytes_are_an_error_or_an_entry(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        packed::entry(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
        }
        packed::entry(&bytes);
    }
}

/// Format 1, stamp 0, then `operations`.
fn raw(operations: &[u8]) -> Vec<u8> {
    [&[1, 0, 0, 0, 0, 0, 0, 0, 0], operations].concat()
}

#[test]
fn an_entry_has_one_encoding() {
    // GET of table 1 in slot 0, key "k", with the identity in one byte and in two.
    assert!(LogEntry::read(&raw(&[1, 1, 0, 1, b'k'])).is_ok());
    let longer = [1, 0x81, 0, 0, 1, b'k'];
    let past_64_bits = [&[1][..], &[0xff; 9], &[2], &[0, 1, b'k']].concat();
    let endless = [&[1][..], &[0xff; 40]].concat();
    for bytes in [&longer[..], &past_64_bits, &endless] {
        assert_eq!(LogEntry::read(&raw(bytes)), Err(EntryFault::Invalid("number")));
    }
}

#[test]
fn what_is_wrong_with_an_entry_is_named() {
    let fault = |bytes: &[u8]| LogEntry::read(bytes).unwrap_err();
    assert_eq!(fault(b""), EntryFault::CutShort);
    assert_eq!(fault(&[0; 9]), EntryFault::Invalid("format"));
    assert_eq!(fault(&[2; 9]), EntryFault::Newer(2));
    assert_eq!(fault(&[1; 8]), EntryFault::CutShort);
    assert_eq!(fault(&raw(&[200])), EntryFault::UnknownOperation(200));
    assert_eq!(fault(&raw(&[1, 1, 0, 0])), EntryFault::Invalid("key"));
    assert_eq!(fault(&raw(&[1, 1, 0, 9, b'k'])), EntryFault::CutShort);
    assert_eq!(fault(&raw(&[33, 1, 0x80, 0x80, 4])), EntryFault::Invalid("slot"));
    assert_eq!(fault(&raw(&[32, 1, 0, 1, b' ', 0])), EntryFault::Invalid("table name"));
    assert_eq!(fault(&raw(&[32, 1, 0, 1, b't', 32])), EntryFault::Invalid("table option"));
    assert_eq!(fault(&raw(&[32, 1, 0, 1, b't', 8, 0])), EntryFault::Invalid("time to live"));
    // A value that says that it is longer than any may be.
    let value = [6, 1, 0, 1, b'k', 0, 0xff, 0xff, 0xff, 0xff, 0x0f];
    assert_eq!(fault(&raw(&value)), EntryFault::Invalid("value"));
}

#[test]
fn an_entry_without_operations_is_a_tick() {
    let bytes = EntryWriter::default().seal(at(5));
    let entry = LogEntry::read(&bytes).unwrap();
    assert!(entry.is_empty() && entry.stamp() == at(5) && bytes.len() == 9);
}

#[test]
fn an_entry_holds_256_operations_and_no_more() {
    let get = Operation::Key { table: table(1, 0), key: b"k", op: KeyOp::Get };
    let mut writer = EntryWriter::default();
    for number in 0..OPERATIONS_MAX {
        assert!(writer.has_room_for(&get));
        assert_eq!(writer.push(&get), number);
    }
    assert!(!writer.has_room_for(&get));
    let mut bytes = writer.seal(at(1));
    assert_eq!(LogEntry::read(&bytes).unwrap().len(), OPERATIONS_MAX);
    assert!(writer.is_empty(), "what comes next is another entry");
    bytes.extend([1, 1, 0, 1, b'k']);
    assert_eq!(LogEntry::read(&bytes), Err(EntryFault::Invalid("number of operations")));
}

#[test]
fn a_long_operation_has_an_entry_of_its_own() {
    let (key, data) = (vec![b'k'; KEY_BYTES_MAX], vec![b'd'; BYTES_SOFT_MAX]);
    let put = KeyOp::Put(Write { data: &data, ttl: None });
    let long = Operation::Key { table: table(1, 0), key: &key, op: put };
    let mut writer = EntryWriter::default();
    assert!(writer.has_room_for(&long));
    writer.push(&long);
    assert!(!writer.has_room_for(&long));
    assert!(!writer.has_room_for(&Operation::Drop(table(1, 0))));
    let bytes = writer.seal(at(1));
    assert_eq!(LogEntry::read(&bytes).unwrap().operations().next(), Some(long));
}
