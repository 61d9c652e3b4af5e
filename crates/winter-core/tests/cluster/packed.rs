//! What the fuzz target `entry` checks, given bytes. It builds this file with a
//! fuzzer; the corpus test plays its seeds through it.

use winter_core::cluster::entry::{EntryWriter, LogEntry};
use winter_core::cluster::replica::{Replica, Sink};
use winter_core::protocol::Dialect;
use winter_core::reply::Reply;
use winter_core::store::Seed;

const FIRST_VERSION: u64 = 1 << 40;

/// Answers as RESP3 writes them, each with its operation's number.
#[derive(Default)]
pub(crate) struct Answers(pub(crate) Vec<(usize, Vec<u8>)>);

impl Sink for Answers {
    fn answer(&mut self, number: usize, reply: Reply<'_>) {
        let mut bytes = Vec::new();
        Dialect::Resp3.write(&reply, &mut bytes);
        self.0.push((number, bytes));
    }
}

/// Bytes are no entry, or the one encoding of an entry that two replicas,
/// unlike in seed, answer alike.
pub(crate) fn entry(input: &[u8]) {
    let mut replica = Replica::new(Seed(1, 2), FIRST_VERSION);
    let mut answers = Answers::default();
    let Ok(entry) = LogEntry::read(input) else {
        assert!(replica.apply(input, &mut answers).is_err() && answers.0.is_empty());
        return;
    };
    let mut writer = EntryWriter::default();
    for operation in entry.operations() {
        writer.push(&operation);
    }
    assert_eq!(writer.len(), entry.len());
    assert!(writer.seal(entry.stamp()) == input, "an entry has two encodings");

    replica.apply(input, &mut answers).expect("it can be read");
    let mut other = Replica::new(Seed(3, 4), FIRST_VERSION);
    let mut again = Answers::default();
    other.apply(input, &mut again).expect("it can be read");
    assert_eq!(answers.0, again.0);
    assert!(answers.0.iter().map(|(number, _)| *number).eq(0..entry.len()));
    assert_eq!(replica.clock(), entry.stamp());
    assert!(replica.partition().is_sound());
}
