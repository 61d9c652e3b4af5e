//! What a group agrees on: a machine that applies entries in their order.

use bytes::Bytes;
use winter_core::time::Timestamp;

use super::batcher::Batch;

/// A replicated state machine.
///
/// Every replica is given the same entries in the same order, and must come to
/// the same state. The machine is locked while one of its methods runs, so each
/// must be short: a packed entry, a chunk, a freeze.
pub trait Machine: Send + 'static {
    /// What an operation is answered with.
    type Reply: Send + Sync + 'static;
    /// A frozen state, to be sent.
    type Source: Source;
    /// A state that is being received.
    type Target: Target;

    /// Makes one entry of operations, in their order, and of the leader's clock.
    fn pack(batches: &[Batch], stamp: Timestamp) -> Bytes;

    /// Applies an entry, and gives each of its operations' replies in order.
    ///
    /// What cannot be read must do the same on every replica: nothing.
    fn apply(&mut self, index: u64, entry: &[u8], replies: &mut Replies<Self::Reply>);

    /// The state now, to be read later, while this one moves on. Called only
    /// when a peer waits for it, and cheap.
    fn freeze(&self) -> Self::Source;

    /// Begins to receive another state.
    fn receive(&self) -> Self::Target;

    /// Takes a state that was received whole.
    ///
    /// # Errors
    /// [`Unreadable`] when it is not one after all. The group stops here then.
    fn install(&mut self, target: Self::Target) -> Result<(), Unreadable>;
}

/// A frozen state, read in chunks.
pub trait Source: Send + 'static {
    /// The next chunk, of 1 to `bytes_max` bytes, or `None` after the last.
    fn next(&mut self, bytes_max: usize) -> Option<Bytes>;
}

/// A state that arrives in chunks: in order, each once, each as it was sent.
pub trait Target: Send + 'static {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// [`Unreadable`] when it cannot be a part of a state. The rest is not sent.
    fn push(&mut self, chunk: &[u8]) -> Result<(), Unreadable>;
}

/// A snapshot that this build does not understand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct Unreadable(pub &'static str);

/// Where an entry's replies go. On a replica where nobody waits for them they
/// go nowhere.
#[derive(Debug)]
pub struct Replies<R> {
    taken: Vec<R>,
    are_wanted: bool,
}

impl<R> Replies<R> {
    /// Replies that are kept, or not.
    #[must_use]
    pub const fn new(are_wanted: bool) -> Self {
        Self { taken: Vec::new(), are_wanted }
    }

    /// Whether somebody waits, so that a reply is worth its making.
    #[must_use]
    pub const fn are_wanted(&self) -> bool {
        self.are_wanted
    }

    /// Gives the next operation's reply.
    pub fn push(&mut self, reply: R) {
        if self.are_wanted {
            self.taken.push(reply);
        }
    }

    /// The replies, in the order of the operations.
    #[must_use]
    pub fn into_vec(self) -> Vec<R> {
        self.taken
    }
}
