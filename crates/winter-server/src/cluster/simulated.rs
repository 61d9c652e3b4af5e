//! What a simulator asks of a node beside what its peers do.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use winter_core::cluster::entry::TableRef;
use winter_core::cluster::meta::MemberState;
use winter_core::cluster::replica::{Read, Replica};
use winter_core::cluster::{ClusterId, NodeId};
use winter_core::command::{Command, KeyOp};
use winter_core::protocol::{Dialect, Limits, Step};
use winter_core::reply::Reply;
use winter_core::store::index::Tag;
use winter_core::store::{HashedKey, Seed};
use xxhash_rust::xxh3::Xxh3;

use super::{Cluster, Whole};

/// Keys of one step of a scan.
const SCAN_COUNT: u64 = 1_000;

/// What a node knows and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Its identity.
    pub node: Option<NodeId>,
    /// The cluster that it is a member of, once that is open.
    pub cluster: Option<ClusterId>,
    /// The members, and whether each is up.
    pub members: BTreeMap<NodeId, bool>,
    /// The meta group's voters.
    pub meta: Vec<NodeId>,
    /// Requests of peers that panicked here.
    pub panics: u64,
    /// Its replicas, by partition.
    pub replicas: BTreeMap<u16, Held>,
    /// Each partition's voters, as the meta group has them.
    pub voters: Vec<Vec<NodeId>>,
}

/// A replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whether it leads, as far as it knows.
    pub leads: bool,
    /// Entries of the log that are applied to it.
    pub applied: u64,
    /// A hash of what it holds.
    pub digest: u64,
}

impl Cluster {
    /// Does what a line of the line dialect asks, and writes the reply's line.
    pub async fn answer_line(&self, line: &[u8]) -> Vec<u8> {
        let limits = Limits { value_bytes_max: self.0.node.config.value_bytes_max, scanned: 0 };
        let mut output = Vec::new();
        let Step::Command(parsed) = Dialect::Line.next(line, limits) else { return output };
        match parsed.command {
            Ok(Command::Key(command)) => {
                for answer in self.run_keys(self.keys(&[command])).await.answers {
                    Dialect::Line.write(&answer.reply(), &mut output);
                }
            }
            Ok(Command::Table(command)) => {
                let reply = self.run_whole(Whole::from(&command)).await;
                Dialect::Line.write(&reply, &mut output);
            }
            Ok(_) => {}
            Err(fault) => Dialect::Line.write(&Reply::Fault(fault), &mut output),
        }
        output
    }

    /// Whether it leads a partition, as far as it knows.
    #[must_use]
    pub fn leads_any(&self) -> bool {
        self.0.hosted.all_data().iter().any(|(_, group)| group.is_leader())
    }

    /// What this node knows and holds.
    #[must_use]
    pub fn view(&self) -> View {
        let map = self.0.map();
        let replica = |group: &crate::consensus::Group<super::DataMachine>| {
            let seed = map.seed.unwrap_or(self.0.seed);
            let (applied, digest) = group.machine_at(|applied, machine| {
                (applied, machine.with(|replica| digest(replica, seed)))
            });
            Held { leads: group.is_leader(), applied, digest }
        };
        let held = self.0.hosted.all_data();
        View {
            node: Some(self.0.me),
            cluster: map.cluster,
            members: map
                .members
                .iter()
                .map(|(&node, (_, state))| (node, *state == MemberState::Up))
                .collect(),
            meta: map.meta.clone(),
            panics: self.0.peers().counters().handler_panics.read(),
            replicas: held.iter().map(|(partition, group)| (partition.0, replica(group))).collect(),
            voters: map.partitions.clone(),
        }
    }
}

/// A hash of what the replica's clients can see, whatever lies where.
fn digest(replica: &mut Replica, seed: Seed) -> u64 {
    let tables: Vec<(TableRef, String)> = replica
        .tables()
        .map(|table| (TableRef { id: table.id, slot: table.slot }, table.name.to_string()))
        .collect();
    let mut hash = Xxh3::new();
    for (table, name) in tables {
        let mut keys = Vec::new();
        let mut from = Tag::from_bits(0);
        while let Some(tag) = from {
            from = replica.scan(table, tag, b"", SCAN_COUNT, &mut keys).and_then(|step| step.0);
        }
        keys.sort_unstable();
        hash.update(name.as_bytes());
        hash.write_u64(table.id.0);
        for key in keys {
            hash.update(&key);
            let now = replica.clock();
            for op in [KeyOp::Gets, KeyOp::Ttl] {
                let read = replica.read(now, table, HashedKey::new(seed, &key), &op);
                let Read::Answer(reply) = read else { continue };
                let mut line = Vec::new();
                Dialect::Line.write(&reply, &mut line);
                hash.update(&line);
            }
        }
    }
    hash.digest()
}
