//! A machine that keeps all that was ever applied, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use winter_core::time::Timestamp;
use winter_server::consensus::{Batch, Machine, Replies, Source, Target, Unreadable};

/// The operation that makes the machine panic.
pub(crate) const PANIC: &[u8] = b"panic";

/// What was applied: the entry's stamp and an operation of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) lines: Vec<(u64, Bytes)>,
    /// How many entries they came in.
    pub(crate) entries: usize,
    /// How often the ledger was frozen: it is no part of what is agreed on.
    pub(crate) freezes: Freezes,
    /// How many of the next states that are frozen here are garbage; nor is this.
    pub(crate) spoils: Freezes,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Freezes(Arc<AtomicUsize>);

impl PartialEq for Freezes {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Freezes {}

impl Freezes {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self, count: usize) {
        self.0.store(count, Ordering::Relaxed);
    }
}

/// What no ledger begins with.
const GARBAGE: u64 = u64::MAX;

/// A line's number in the ledger, and what stands there.
pub(crate) type Line = (usize, Bytes);

impl Machine for Ledger {
    type Reply = Line;
    type Source = Frozen;
    type Target = Arriving;

    fn pack(batches: &[Batch], stamp: Timestamp) -> Bytes {
        let mut entry = BytesMut::new();
        entry.put_u64(stamp.as_millis());
        for batch in batches {
            put(&mut entry, &batch.bytes);
        }
        entry.freeze()
    }

    fn apply(&mut self, _: u64, entry: &[u8], replies: &mut Replies<Line>) {
        let (stamp, mut rest) = entry.split_first_chunk().unwrap();
        let stamp = u64::from_be_bytes(*stamp);
        self.entries += 1;
        while let Some(operation) = take(&mut rest) {
            assert_ne!(operation, PANIC, "as the test wants it");
            let operation = Bytes::copy_from_slice(operation);
            replies.push((self.lines.len(), operation.clone()));
            self.lines.push((stamp, operation));
        }
    }

    fn freeze(&self) -> Frozen {
        self.freezes.0.fetch_add(1, Ordering::Relaxed);
        let mut bytes = BytesMut::new();
        let spoils = self.spoils.count();
        self.spoils.set(spoils.saturating_sub(1));
        bytes.put_u64(if spoils > 0 { GARBAGE } else { self.entries as u64 });
        for (stamp, operation) in &self.lines {
            bytes.put_u64(*stamp);
            put(&mut bytes, operation);
        }
        Frozen(bytes.freeze())
    }

    fn receive(&self) -> Arriving {
        Arriving(BytesMut::new())
    }

    fn install(&mut self, target: Arriving) -> Result<(), Unreadable> {
        let (entries, mut rest) = target.0.split_first_chunk().ok_or(Unreadable("short"))?;
        self.entries = usize::try_from(u64::from_be_bytes(*entries)).unwrap();
        self.lines.clear();
        while let Some((stamp, after)) = rest.split_first_chunk() {
            rest = after;
            let operation = take(&mut rest).ok_or(Unreadable("cut off"))?;
            self.lines.push((u64::from_be_bytes(*stamp), Bytes::copy_from_slice(operation)));
        }
        Ok(())
    }
}

fn put(to: &mut BytesMut, operation: &[u8]) {
    to.put_u32(u32::try_from(operation.len()).unwrap());
    to.put_slice(operation);
}

fn take<'b>(from: &mut &'b [u8]) -> Option<&'b [u8]> {
    let (bytes, rest) = from.split_first_chunk()?;
    let bytes = usize::try_from(u32::from_be_bytes(*bytes)).unwrap();
    let (operation, rest) = rest.split_at_checked(bytes)?;
    *from = rest;
    Some(operation)
}

pub(crate) struct Frozen(Bytes);

impl Source for Frozen {
    fn next(&mut self, bytes_max: usize) -> Option<Bytes> {
        let chunk = self.0.split_to(self.0.len().min(bytes_max));
        (!chunk.is_empty()).then_some(chunk)
    }
}

pub(crate) struct Arriving(BytesMut);

impl Target for Arriving {
    fn push(&mut self, chunk: &[u8]) -> Result<(), Unreadable> {
        self.0.extend_from_slice(chunk);
        if self.0.starts_with(&GARBAGE.to_be_bytes()) {
            return Err(Unreadable("as the test wants it"));
        }
        Ok(())
    }
}
