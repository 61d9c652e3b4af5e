//! What `CLUSTER` says, as far as a race needs it.

use anyhow::{Context, Result};

/// A node's view of its cluster.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    pub(super) nodes: Vec<Node>,
    pub(super) partitions: Vec<Partition>,
}

/// A member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) is_up: bool,
    /// Where clients reach it.
    pub(super) clients: String,
}

/// A partition and its replicas.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Partition {
    pub(super) leader: String,
    pub(super) replicas: Vec<String>,
    /// Whether replicas are being exchanged.
    pub(super) is_changing: bool,
}

impl View {
    /// Reads the lines of `CLUSTER`.
    pub(super) fn parse(lines: &[String]) -> Result<Self> {
        let mut view = Self::default();
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let after = |name: &str| {
                let place = words.iter().position(|word| *word == name);
                let word = place.and_then(|place| words.get(place + 1));
                word.map(|word| (*word).to_owned()).with_context(|| format!("no {name}: {line}"))
            };
            match words[0] {
                "node" => view.nodes.push(Node {
                    id: after("node")?,
                    is_up: words.contains(&"up"),
                    clients: after("clients").unwrap_or_default(),
                }),
                "partition" => view.partitions.push(Partition {
                    leader: after("leader")?,
                    replicas: after("replicas")?.split(',').map(str::to_owned).collect(),
                    is_changing: words.contains(&"adds") || words.contains(&"removes"),
                }),
                _ => {}
            }
        }
        Ok(view)
    }

    /// The node that clients reach at this address.
    pub(super) fn at(&self, address: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.is_up && node.clients == address)
    }

    /// How many partitions this node leads.
    pub(super) fn led_by(&self, node: &str) -> usize {
        self.partitions.iter().filter(|partition| partition.leader == node).count()
    }

    /// Whether every partition has so many replicas, all on nodes that are up, and a leader.
    pub(super) fn is_whole(&self, replicas: usize) -> bool {
        let is_up = |id: &String| self.nodes.iter().any(|node| node.is_up && node.id == *id);
        !self.partitions.is_empty()
            && self.partitions.iter().all(|partition| {
                !partition.is_changing
                    && partition.replicas.len() == replicas
                    && partition.replicas.iter().all(is_up)
                    && partition.replicas.contains(&partition.leader)
            })
    }

    /// Whether a replica of any partition is on this node.
    pub(super) fn has_replica_on(&self, node: &str) -> bool {
        self.partitions.iter().any(|partition| partition.replicas.iter().any(|id| id == node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
cluster 31 founded_at 17 partitions 2 replicas 2 meta_leader 0a
node 0a self up since 17 name vm peers 127.0.0.1:6062 clients 127.0.0.1:6060
node 0b up since 17 name vm peers 127.0.0.2:6062 clients 127.0.0.2:6060
partition 0 leader 0a replicas 0a,0b term 2 applied 3 lag 0 log_bytes 456
partition 1 leader 0a replicas 0a,0b";

    fn view(lines: &str) -> View {
        View::parse(&lines.lines().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_listing_says_who_leads_what() {
        let view = view(LINES);
        assert_eq!((view.nodes.len(), view.partitions.len()), (2, 2));
        assert_eq!((view.led_by("0a"), view.led_by("0b")), (2, 0));
        assert_eq!(view.at("127.0.0.2:6060").unwrap().id, "0b");
        assert!(view.has_replica_on("0b") && !view.has_replica_on("0c"));
    }

    #[test]
    fn a_cluster_is_whole_when_nothing_is_missing_or_moving() {
        assert!(view(LINES).is_whole(2));
        assert!(!view(LINES).is_whole(3));
        assert!(!view(&format!("{LINES} adds 0c")).is_whole(2));
        assert!(!view(&LINES.replace("node 0b up", "node 0b dead")).is_whole(2));
        assert!(!view(&LINES.replace("leader 0a", "leader none")).is_whole(2));
        assert!(!view("cluster none waits").is_whole(0));
    }
}
