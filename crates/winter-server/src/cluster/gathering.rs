//! Commands on keys that are under way at leaders on this node: what is known of
//! each already, and which batch of the log holds the others.

use tokio::time::Instant;
use winter_core::cluster::entry::{self, Operation};
use winter_core::fault::{Fault, Kind};

use super::machines::DataMachine;
use super::usage::Claim;
use super::wire::{Answer, Outcome};
use crate::consensus::{Batch, Gather, Group, ProposeError};
use crate::node::memory::{Reserved, SHORT_BYTES};

/// A command that was begun with.
pub(super) enum Begun {
    /// This came of it.
    Ended(Outcome),
    /// It stands in this slot's batch, and is a write or not.
    Pending { slot: usize, is_write: bool },
}

/// Bytes that reads may answer a peer that has reserved nothing for them. It asks again
/// for what would answer more.
pub(super) const READ_BYTES_MAX: usize = 256 << 10;

/// How much reads may answer yet.
pub(super) struct Room {
    bytes: usize,
    /// Whether the last may answer more than there is room for.
    is_soft: bool,
    /// What they have answered, counted.
    reserved: Reserved,
    /// Bytes of it that were let in whether there was room or not. They are counted last.
    short: usize,
}

impl Room {
    /// So many bytes and no more.
    pub(super) fn hard(bytes: usize, reserved: Reserved) -> Self {
        Self { bytes, is_soft: false, reserved, short: 0 }
    }

    /// Whether the last of what comes now may answer more than there is room for.
    pub(super) fn soften(&mut self, is_soft: bool) {
        self.is_soft = is_soft;
    }

    /// Bytes that fit in yet.
    pub(super) fn left(&self) -> usize {
        self.bytes
    }

    /// Makes room for an answer: whether it fits in, here and in the node's buffers.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let is_last = self.is_soft && self.bytes > 0;
        if bytes > self.bytes && !is_last {
            return false;
        }
        if self.short + bytes <= SHORT_BYTES {
            self.short += bytes;
        } else if !self.reserved.try_grow(bytes) {
            return false;
        }
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }

    /// Counts what reads have answered.
    pub(super) fn into_reserved(mut self) -> Reserved {
        self.reserved.grow(self.short);
        self.reserved
    }
}

/// Commands on keys that were begun with, of one partition or of several, and
/// whoever waits for them is woken once.
pub(crate) struct Gathering {
    pub(super) gather: Gather<Answer>,
    /// What each ask's commands came to so far.
    pub(super) asks: Vec<Vec<Begun>>,
    pub(super) room: Room,
    /// What writes add to tables with quotas.
    pub(super) claims: Vec<Claim>,
}

impl Gathering {
    /// Nothing yet, with room for what reads answer.
    pub(super) fn with(room: Room) -> Self {
        Self { gather: Gather::default(), asks: Vec::new(), room, claims: Vec::new() }
    }

    /// Each ask's outcomes, in the order in which they were begun with, as far as they
    /// are known at the deadline, and the room that is left.
    pub(crate) async fn outcomes(self, deadline: Instant) -> (Vec<Vec<Outcome>>, Room) {
        let gathered =
            if self.gather.is_empty() { Vec::new() } else { self.gather.until(deadline).await };
        let mut slots: Vec<_> =
            gathered.into_iter().map(|outcome| outcome.map(Vec::into_iter)).collect();
        // An operation's reply is its batch's next.
        let mut reply = |slot: usize| match slots.get_mut(slot) {
            Some(Ok(replies)) => replies.next().ok_or(ProposeError::Unknown),
            Some(Err(error)) => Err(*error),
            None => Err(ProposeError::Unknown),
        };
        let mut end = |begun| match begun {
            Begun::Ended(outcome) => outcome,
            Begun::Pending { slot, is_write } => outcome(reply(slot), is_write),
        };
        let asks = self.asks.into_iter();
        let outcomes = asks.map(|begun| begun.into_iter().map(&mut end).collect()).collect();
        (outcomes, self.room)
    }
}

/// Operations of a partition that go into the log together, until they are
/// submitted.
pub(super) struct Packing<'a> {
    group: &'a Group<DataMachine>,
    gather: &'a mut Gather<Answer>,
    batch: Batch,
    /// The slot that the batch will have.
    slot: usize,
    /// Where the batch's first command stands among those that were begun with.
    from: usize,
}

impl<'a> Packing<'a> {
    /// Nothing yet.
    pub(super) fn new(group: &'a Group<DataMachine>, gather: &'a mut Gather<Answer>) -> Self {
        let slot = gather.len();
        Self { group, gather, batch: Batch::default(), slot, from: 0 }
    }

    /// Adds an operation: the slot in which its batch's outcome will be.
    pub(super) fn add(&mut self, operation: &Operation<'_>, begun: &mut [Begun]) -> usize {
        let (operations_max, bytes_max) = self.group.batch_max();
        let before = self.batch.bytes.len();
        entry::encode_to(&mut self.batch.bytes, operation);
        let is_full = self.batch.count == operations_max || self.batch.bytes.len() > bytes_max;
        if is_full && before > 0 {
            let next = self.batch.bytes.split_off(before);
            self.submit(begun);
            self.from = begun.len();
            self.batch.bytes = next;
        }
        self.batch.count += 1;
        self.slot
    }

    /// Submits what is packed; if that is refused, its commands have ended.
    pub(super) fn submit(&mut self, begun: &mut [Begun]) {
        let batch = std::mem::take(&mut self.batch);
        if batch.count == 0 {
            return;
        }
        let submitted = self.group.submit_batch(batch, self.gather);
        self.slot = self.gather.len();
        if let Err(error) = submitted {
            for begun in &mut begun[self.from..] {
                if let Begun::Pending { is_write, .. } = *begun {
                    *begun = Begun::Ended(outcome(Err(error), is_write));
                }
            }
        }
    }
}

fn outcome(result: Result<Answer, ProposeError>, is_write: bool) -> Outcome {
    match result {
        Ok(answer) => Outcome::Done(answer),
        Err(ProposeError::Busy) => Outcome::Done(busy().into()),
        // A read that may have been done has done nothing.
        Err(ProposeError::Unknown) if is_write => Outcome::Unknown,
        Err(_) => Outcome::NotDone,
    }
}

fn busy() -> Fault {
    Fault::new(Kind::Busy, "the partition has too much to do; nothing was done, send it later")
}
