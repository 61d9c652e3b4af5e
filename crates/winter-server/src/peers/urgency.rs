//! How urgent calls are, and the room that there is for each kind of them.
//!
//! Commands wait for consensus. If it found no room beside them, they would wait for ever:
//! docs/decisions/0022-room-for-consensus.md.

use super::frame::{COPIED_BYTES_MAX, Channel};

/// How urgent calls are. Neither kind is refused for what there is of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// What others wait for, and what waits for nobody. It goes first, and what is short of
    /// it is refused for no bytes.
    Prompt,
    /// All the rest.
    Patient,
}

impl Urgency {
    /// In which order they go.
    pub(super) const ALL: [Self; 2] = [Self::Prompt, Self::Patient];

    /// How urgent a channel's calls are.
    pub(super) const fn of(channel: Channel) -> Self {
        match channel {
            Channel::CONSENSUS | Channel::MEMBERSHIP => Self::Prompt,
            _ => Self::Patient,
        }
    }
}

/// The bytes that count of what is under way of one urgency.
#[derive(Debug, Default)]
pub(super) struct Load(usize);

impl Load {
    /// Whether there is room for one more body. A single one always has it.
    pub(super) const fn has_room(&self, urgency: Urgency, body: usize, most: usize) -> bool {
        let weight = Self::weight(urgency, body);
        weight == 0 || self.0 == 0 || self.0 + weight <= most
    }

    pub(super) const fn add(&mut self, urgency: Urgency, body: usize) {
        self.0 += Self::weight(urgency, body);
    }

    pub(super) const fn take_off(&mut self, urgency: Urgency, body: usize) {
        self.0 -= Self::weight(urgency, body);
    }

    /// What is prompt and short counts nothing, so that it keeps nothing out.
    const fn weight(urgency: Urgency, body: usize) -> usize {
        match urgency {
            Urgency::Prompt if body <= COPIED_BYTES_MAX => 0,
            _ => body,
        }
    }
}
