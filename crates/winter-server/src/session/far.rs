//! Commands that other nodes may have to do: a node of a cluster hands them to
//! its cluster, and the session waits.

use std::sync::Arc;
use std::time::Instant;

use winter_core::command::{Command, KeyCommand, ServerCommand, Verb};
use winter_core::protocol::{Dialect, Parsed};
use winter_core::reply::Reply;

use super::Session;
use super::observe::Observed;
use super::output::are_held;
use crate::cluster::{Answer, Cluster, Keys, Told, Whole};
use crate::server::Shared;
use crate::stats::Outcome;

/// Commands that a session has under way in the cluster at the most.
const FAR_MAX: usize = 512;

/// What a session waits for the cluster to do.
#[derive(Debug)]
pub enum Asked {
    /// Commands on keys, and what they were.
    Keys(Keys, Vec<Verb>),
    /// A command on a table, or on all.
    Whole(Whole, Option<Verb>),
}

impl Asked {
    /// A command that is for the cluster and not for this node.
    pub(super) fn of(shared: &Shared, parsed: &Parsed<'_>) -> Option<Self> {
        shared.cluster()?;
        let whole = match &parsed.command {
            Ok(Command::Table(command)) => Whole::from(command),
            Ok(Command::Server(ServerCommand::Tables)) => Whole::Names,
            _ => return None,
        };
        Some(Self::Whole(whole, parsed.verb))
    }
}

/// Commands on keys that go to the cluster together.
#[derive(Default)]
pub(super) struct Far<'a> {
    commands: Vec<KeyCommand<'a>>,
    verbs: Vec<Verb>,
}

impl<'a> Far<'a> {
    /// Takes commands in: whether there is room for another.
    pub(super) fn take(&mut self, commands: &[KeyCommand<'a>], verbs: &[Verb]) -> bool {
        self.commands.extend_from_slice(commands);
        self.verbs.extend_from_slice(verbs);
        self.commands.len() < FAR_MAX
    }

    /// What the cluster is to do, if anything.
    pub(super) fn ask(&mut self, cluster: &Cluster) -> Option<Asked> {
        let keys = cluster.keys(&self.commands);
        self.commands.clear();
        let verbs = std::mem::take(&mut self.verbs);
        (!verbs.is_empty()).then_some(Asked::Keys(keys, verbs))
    }
}

impl Session {
    /// Lets the cluster do what a turn has asked for, and keeps the replies: what is left
    /// to be asked when the client has taken them.
    pub(super) async fn ask(&mut self, asked: Asked) -> Option<Asked> {
        let cluster = self.shared.cluster()?.clone();
        let dialect = self.state.dialect.unwrap_or(Dialect::Line);
        let shared = Arc::clone(&self.shared);
        let began = Instant::now();
        let (verbs, rest) = match asked {
            Asked::Keys(keys, mut verbs) => {
                let Told { answers, reserved, rest } = cluster.run_keys(keys).await;
                self.output.reserve_exact(answers.iter().map(Answer::reply_bytes).sum());
                for (verb, answer) in verbs.iter().zip(&answers) {
                    self.keep_reply(&answer.reply(), Some(*verb), dialect);
                }
                self.reserved = Some(reserved);
                let later = verbs.split_off(answers.len());
                (verbs, rest.map(|rest| Asked::Keys(rest, later)))
            }
            Asked::Whole(whole, verb) => {
                let reply = cluster.run_whole(whole).await;
                self.keep_reply(&reply, verb, dialect);
                (verb.into_iter().collect(), None)
            }
        };
        self.holds = are_held(verbs.len(), &self.output);
        let (worker, client) = (self.worker, &*self.state.client);
        let finished = Instant::now();
        let observed = Observed { worker, client, dialect, verbs: &verbs };
        observed.took(&shared.node, finished.duration_since(began), finished);
        rest
    }

    fn keep_reply(&mut self, reply: &Reply<'_>, verb: Option<Verb>, dialect: Dialect) {
        let length_before = self.output.len();
        self.shared.node.stats.worker(self.worker).count(verb, Outcome::of(reply));
        dialect.write(reply, &mut self.output);
        self.state.mute(&mut self.output, length_before);
    }
}
