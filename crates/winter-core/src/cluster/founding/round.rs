//! One round: ask the DNS, ask every address, and hear everyone out.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use super::message::{ADDRESSES_MAX, Message, Seat, Standing, Unheard};
use super::wait::Wait;
use crate::cluster::{Address, NodeId};

/// How far a round is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Progress {
    /// Between rounds.
    #[default]
    Idle,
    /// The DNS was asked.
    Resolving,
    /// The addresses were asked.
    Asking { pending: BTreeSet<Address>, heard: Heard },
}

/// What a round heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Heard {
    /// What the DNS lists, when it said something.
    pub listed: Option<BTreeSet<Address>>,
    /// What each address that was asked said.
    pub answers: BTreeMap<Address, Result<Message, Unheard>>,
    /// Time since the round before ended.
    pub elapsed: Duration,
}

impl Heard {
    /// What a node of this application answered at `address`.
    pub(super) fn answer(&self, address: &Address) -> Option<&Message> {
        self.answers.get(address)?.as_ref().ok()
    }

    /// Every answer of a node of this application.
    pub(super) fn messages(&self) -> impl Iterator<Item = (&Address, &Message)> {
        self.answers.iter().filter_map(|(at, answer)| Some((at, answer.as_ref().ok()?)))
    }

    /// Whether the DNS lists `address`; `None` when it said nothing.
    pub(super) fn lists(&self, address: &Address) -> Option<bool> {
        self.listed.as_ref().map(|listed| listed.contains(address))
    }

    /// The nodes behind the listed addresses, when all of them answered, all
    /// are fresh, `me` is one of them, and they are enough.
    ///
    /// Nodes are counted and not addresses: one may have several.
    pub(super) fn seats(
        &self,
        me: NodeId,
        size: Option<NonZeroUsize>,
        skips_silent: bool,
    ) -> Result<Vec<Seat>, Wait> {
        let listed = self.listed.as_ref().ok_or(Wait::Dns)?;
        if listed.len() > ADDRESSES_MAX {
            return Err(Wait::TooMany { listed: listed.len() });
        }
        let too_few = |found| match size {
            None if found < 2 => Some(Wait::Alone),
            Some(size) if found < size.get() => Some(Wait::TooFew { found, wanted: size.get() }),
            _ => None,
        };
        if let Some(wait) = too_few(listed.len()) {
            return Err(wait);
        }
        let mut seats = BTreeMap::new();
        for address in listed {
            match self.answers.get(address) {
                Some(Ok(Message { node, standing: Standing::Fresh { .. }, .. })) => {
                    seats.entry(*node).or_insert_with(|| address.clone());
                }
                _ if skips_silent => {}
                Some(Ok(Message { standing, .. })) => {
                    let cluster = standing.cluster().expect("a node is fresh or of a cluster");
                    return Err(Wait::Opening { cluster });
                }
                Some(Err(why)) => {
                    return Err(Wait::Address { address: address.clone(), why: why.clone() });
                }
                None => {
                    return Err(Wait::Address { address: address.clone(), why: Unheard::Silent });
                }
            }
        }
        if !seats.contains_key(&me) {
            return Err(Wait::NotListed);
        }
        match too_few(seats.len()) {
            Some(wait) => Err(wait),
            None => Ok(seats.into_iter().map(|(node, address)| Seat { node, address }).collect()),
        }
    }
}

/// A list that rounds on end have shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Steady {
    pub seats: Vec<Seat>,
    pub rounds: u32,
    pub stood: Duration,
}

impl Steady {
    /// Takes in another round's list. Counts are held at what is asked for.
    pub(super) fn note(
        before: Option<Self>,
        seats: &[Seat],
        elapsed: Duration,
        (rounds_min, settling): (u32, Duration),
    ) -> Self {
        match before {
            Some(before) if before.seats == seats => Self {
                rounds: (before.rounds + 1).min(rounds_min),
                stood: (before.stood + elapsed).min(settling),
                ..before
            },
            _ => Self { seats: seats.to_vec(), rounds: 1, stood: Duration::ZERO },
        }
    }
}
