//! What happens to nodes and links, and how it ends.
//!
//! A fault that takes a replica for good (a crash, an end, a cut that outlasts
//! the members' patience) comes only when every replica that it could leave
//! behind is whole: two at once may lose a majority, and what memory alone held
//! is gone then, as documented. It waits for such a moment, and what comes next
//! may come while the replica is made anew. All others come at any time, several
//! together.

use std::time::Duration;

use winter_sim::dice::Dice;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node ends without a word, and is started again.
    Crash,
    /// As [`Kind::Crash`], and nobody is told that its connections are gone.
    PowerLoss,
    /// A node is told to leave, and is started again.
    Leave,
    /// A node is cut off from its peers for so long that they replace it.
    Exile,
    /// A node is cut off from its peers.
    Isolation,
    /// All that a node sends and is sent is held back, and comes then.
    Hold,
    /// A node's peers hear nothing from it.
    Mute,
    /// A node hears nothing from its peers.
    Deaf,
    /// Two nodes are cut off from each other, and from nobody else.
    Rift,
    /// A link is slow.
    Slow,
    /// A link loses messages, and connections with them.
    Loss,
    /// A node's clock is put forward.
    Clock,
    /// DNS lies to a node.
    Dns,
}

impl Kind {
    /// All kinds, with how often each happens against the others.
    const WEIGHTS: [(Self, u32); 13] = [
        (Self::Crash, 6),
        (Self::PowerLoss, 6),
        (Self::Leave, 4),
        (Self::Exile, 2),
        (Self::Isolation, 8),
        (Self::Hold, 6),
        (Self::Mute, 4),
        (Self::Deaf, 4),
        (Self::Rift, 6),
        (Self::Slow, 6),
        (Self::Loss, 4),
        (Self::Clock, 2),
        (Self::Dns, 3),
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::WEIGHTS.into_iter().map(|(kind, _)| kind)
    }

    /// One of them.
    pub fn draw(dice: &mut Dice) -> Self {
        let weights = Self::WEIGHTS.map(|(_, weight)| weight);
        Self::WEIGHTS[dice.weighted(&weights)].0
    }

    /// Whether a replica is lost by it.
    #[must_use]
    pub const fn takes_a_replica(self) -> bool {
        matches!(self, Self::Crash | Self::PowerLoss | Self::Leave | Self::Exile)
    }

    /// How long it lasts.
    pub fn lasts(self, dice: &mut Dice) -> Duration {
        let (from, to) = match self {
            Self::Crash | Self::PowerLoss => (20, 5_000),
            Self::Leave => (20, 1_000),
            Self::Exile => (34_000, 42_000),
            Self::Isolation | Self::Hold | Self::Mute | Self::Deaf | Self::Rift => (50, 9_000),
            Self::Slow | Self::Loss => (500, 8_000),
            Self::Clock => (0, 1),
            Self::Dns => (1_000, 10_000),
        };
        Duration::from_millis(from + dice.below(to - from))
    }

    /// What it is called.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::PowerLoss => "power loss",
            Self::Leave => "leave",
            Self::Exile => "exile",
            Self::Isolation => "isolation",
            Self::Hold => "hold",
            Self::Mute => "mute",
            Self::Deaf => "deaf",
            Self::Rift => "rift",
            Self::Slow => "slow link",
            Self::Loss => "loss",
            Self::Clock => "clock",
            Self::Dns => "dns",
        }
    }
}

/// A fault that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// What it is.
    pub kind: Kind,
    /// The node that it is about.
    pub node: usize,
    /// The hosts at the other ends of the links that it is about.
    pub others: Vec<String>,
    /// When it ends.
    pub until: Duration,
}
