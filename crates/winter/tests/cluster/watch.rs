//! What can be seen of a cluster from outside.

use std::collections::BTreeMap;

use winter_testkit::{TestCluster, Wire, metric};

/// What a node says of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The cluster's id, or `none`.
    pub cluster: String,
    /// The node that leads the meta group.
    pub meta_leader: String,
    /// The node that was asked.
    pub me: String,
    /// The states of nodes.
    pub nodes: BTreeMap<String, String>,
    /// Where nodes say that clients connect.
    pub clients: BTreeMap<String, String>,
    /// The leaders of the partitions, `none` among them.
    pub leaders: Vec<String>,
    /// The replicas of the partitions.
    pub replicas: Vec<Vec<String>>,
}

impl Standing {
    /// How many partitions `node` leads.
    pub(crate) fn led_by(&self, node: &str) -> usize {
        self.leaders.iter().filter(|leader| *leader == node).count()
    }
}

/// What node `number` says of the cluster.
#[track_caller]
pub(crate) fn standing(cluster: &TestCluster, number: usize) -> Standing {
    let lines = cluster.connect(number).ask_lines("CLUSTER");
    let mut standing = Standing {
        cluster: after(&lines[0], "cluster"),
        meta_leader: after(&lines[0], "meta_leader"),
        me: String::new(),
        nodes: BTreeMap::new(),
        clients: BTreeMap::new(),
        leaders: Vec::new(),
        replicas: Vec::new(),
    };
    for line in &lines[1..] {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["state", ..] => {}
            ["self", node, ..] => node.clone_into(&mut standing.me),
            ["node", node, "name", _, "state", state, ..] => {
                standing.nodes.insert(node.to_owned(), state.to_owned());
                standing.clients.insert(node.to_owned(), after(line, "clients"));
            }
            ["partition", ..] => {
                standing.leaders.push(after(line, "leader"));
                let replicas = after(line, "replicas");
                standing.replicas.push(replicas.split(',').map(str::to_owned).collect());
            }
            _ => panic!("no line of CLUSTER: {line}"),
        }
    }
    standing
}

/// The word after `word`, if it is there.
fn after(line: &str, word: &str) -> String {
    let mut words = line.split(' ').skip_while(|w| *w != word);
    words.nth(1).unwrap_or_default().to_owned()
}

/// The number of the node whose process calls itself `node`.
#[track_caller]
pub(crate) fn number_of(cluster: &TestCluster, node: &str) -> usize {
    let is_it = |&number: &usize| standing(cluster, number).me == node;
    cluster.running().into_iter().find(is_it).unwrap_or_else(|| panic!("no process is {node}"))
}

/// What node `number` says in its metrics.
#[track_caller]
pub(crate) fn value_of(cluster: &TestCluster, number: usize, name: &str) -> u64 {
    let page = cluster.http(number, "/metrics").unwrap();
    metric(&page, name).unwrap_or_else(|| panic!("no {name} on node {number}"))
}

/// Makes a table through a node.
#[track_caller]
pub(crate) fn create(wire: &mut Wire, table: &str) {
    wire.exchange(format!("CREATE {table}\n"), "created\n");
}

/// Writes keys `k0`, `k1` and so on, a few hundred at a time.
#[track_caller]
pub(crate) fn fill(wire: &mut Wire, table: &str, count: usize, data: &str) {
    for from in (0..count).step_by(500) {
        let range = from..count.min(from + 500);
        let expected = "ok\n".repeat(range.len());
        let lines: String = range.map(|n| format!("PUTNEW {table} k{n} {data}\n")).collect();
        wire.exchange(lines, expected);
    }
}

/// Keys enough to meet every partition: that one of 4 has none of them is less
/// likely than one in a million.
pub(crate) const KEYS_FOR_ALL: usize = 60;

/// Asks `line(n)` for each of [`KEYS_FOR_ALL`] keys at once: the replies.
#[track_caller]
pub(crate) fn ask_all(wire: &mut Wire, line: impl Fn(usize) -> String) -> Vec<String> {
    let lines: String = (0..KEYS_FOR_ALL).map(|n| line(n) + "\n").collect();
    wire.send(lines);
    (0..KEYS_FOR_ALL).map(|_| wire.read_line()).collect()
}
