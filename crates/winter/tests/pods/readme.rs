//! The README's cluster of three terminals on one machine, typed as it stands there.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use winter_testkit::{Host, Network, within};

const README: &str = include_str!("../../../../README.md");
/// How long whoever types waits for the cluster, as is said of it.
const FOUNDED_MAX: Duration = Duration::from_secs(60);

/// What the section has in its terminals: the nodes', and the one that asks them.
fn terminals() -> [Vec<&'static str>; 2] {
    let (_, section) = README.split_once("\n## A cluster on one machine\n").unwrap();
    let mut blocks = section.split("```sh\n").skip(1);
    [(); 2].map(|()| blocks.next().unwrap().split_once("```").unwrap().0.lines().collect())
}

/// The arguments of a line that runs the binary.
fn arguments(line: &str) -> Vec<&str> {
    let line = line.strip_prefix("cargo run --release -- ").unwrap();
    line.split('#').next().unwrap().split_whitespace().collect()
}

/// A machine with terminals.
struct Machine {
    host: Host,
}

impl Machine {
    fn command(&self, arguments: &[&str]) -> Command {
        let words = self.host.before_a_command("machine");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(env!("CARGO_BIN_EXE_winter")).args(arguments);
        command
    }

    /// What a line of the terminal that asks prints.
    fn ask(&self, line: &str) -> String {
        let output = self.command(&arguments(line)).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// A terminal in which a node runs.
struct Node(Child);

impl Node {
    /// Types the lines, with the address of the `number`th terminal.
    fn run(machine: &Machine, lines: &[&str], number: usize) -> Self {
        let (export, run) = (lines[0].strip_prefix("export ").unwrap(), lines[1]);
        let settings = export.split(' ').map(|setting| setting.split_once('=').unwrap());
        let addresses = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
        assert!(addresses[1..].iter().all(|other| run.contains(other)), "{run}");
        let own = arguments(run).into_iter().map(|word| match word {
            "127.0.0.1" => addresses[number],
            other => other,
        });
        let mut command = machine.command(&own.collect::<Vec<_>>());
        Self(command.envs(settings).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Types control and C.
    fn stop(&mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn three_terminals_are_a_cluster_as_the_readme_says() {
    let Some(network) = Network::lay() else { return };
    let machine = Machine { host: network.host() };
    let [lines, asks] = terminals();
    let [create, put, get, cluster] = asks[..] else { panic!("four lines: {asks:?}") };
    let members = || {
        let lines = machine.ask(cluster);
        lines.lines().filter(|line| line.starts_with("node ") && line.contains(" up ")).count()
    };
    let mut nodes: Vec<Node> = (0..3).map(|n| Node::run(&machine, &lines, n)).collect();
    within(FOUNDED_MAX, "they are a cluster", || {
        machine.ask(create).ends_with("created\n").then_some(())
    });
    assert!(machine.ask(put).starts_with("ok "));
    assert_eq!(machine.ask(get), "paid\n");
    assert_eq!(members(), 3);
    // "Stop one, and the others go on; start it again, and it joins."
    nodes[1].stop();
    assert_eq!(machine.ask(get), "paid\n");
    nodes[1] = Node::run(&machine, &lines, 1);
    within(FOUNDED_MAX, "it has joined", || (members() == 3).then_some(()));
}
