//! Commands on keys that are under way at leaders on this node: what is known of
//! each already, and which batch of the log holds the others.

use winter_core::cluster::entry::{self, Operation};
use winter_core::fault::{Fault, Kind};

use super::machines::DataMachine;
use super::wire::{Answer, Outcome};
use crate::consensus::{Batch, Gather, Group, ProposeError};

/// A command that was begun with.
pub(super) enum Begun {
    /// This came of it.
    Ended(Outcome),
    /// It stands in this slot's batch, and is a write or not.
    Pending { slot: usize, is_write: bool },
}

/// Bytes that reads have answered after which a peer's other commands are not begun
/// with: they would not fit into one frame with the longest value. It asks for them again.
pub(super) const READ_BYTES_MAX: usize = 256 << 10;

/// Commands on keys that were begun with, of one partition or of several, and
/// whoever waits for them is woken once.
pub(crate) struct Gathering {
    pub(super) gather: Gather<Answer>,
    /// What each ask's commands came to so far.
    pub(super) asks: Vec<Vec<Begun>>,
    /// How much reads may answer yet; one more may answer all that it has.
    pub(super) room: usize,
}

impl Gathering {
    /// Nothing yet, with room for so many bytes of what reads answer.
    pub(super) fn with_room(room: usize) -> Self {
        Self { gather: Gather::default(), asks: Vec::new(), room }
    }

    /// Each ask's outcomes, in the order in which they were begun with.
    pub(crate) async fn outcomes(self) -> Vec<Vec<Outcome>> {
        let gathered = if self.gather.is_empty() { Vec::new() } else { self.gather.await };
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
        self.asks.into_iter().map(|begun| begun.into_iter().map(&mut end).collect()).collect()
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
    /// Nothing yet, for commands that stand behind `from` others.
    pub(super) fn new(
        group: &'a Group<DataMachine>,
        gather: &'a mut Gather<Answer>,
        from: usize,
    ) -> Self {
        let slot = gather.len();
        Self { group, gather, batch: Batch::default(), slot, from }
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
