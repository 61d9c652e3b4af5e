//! What a seed makes of a run.

use std::fmt;
use std::time::Duration;

use winter_server::consensus::ReadPolicy;
use winter_sim::dice::Dice;
use winter_sim::padding::Padding;

/// By how much clocks differ that are kept in step.
const CLOCK_ERROR_USUAL: Duration = Duration::from_millis(5);
/// By how much clocks are wrong when times to live are still to be seen: some of
/// them are over too soon, some last too long.
const CLOCK_ERROR_SMALL: Duration = Duration::from_secs(2);
/// By how much they are wrong when nothing lives as long as it should.
const CLOCK_ERROR_GREAT: Duration = Duration::from_secs(3_600);

/// The memory of a node.
const MEMORY: u64 = 256 << 20;
/// The memory of one that has little: a sixteenth is for commands between two nodes.
const MEMORY_SMALL: u64 = 24 << 20;
/// How long the values are that it is sent: the longest fill what there is for commands.
const LENGTHS: &[usize] = &[0, 0, 0, 100, 5_000, 70_000, 300_000, 1_600_000];

/// A way to break the nodes on purpose, to see that it is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Leaders read without making sure that they lead.
    Reads,
    /// Leaders acknowledge before they have committed.
    Acknowledgements,
    /// A node that comes back has its former identity, and nothing else.
    Identity,
    /// Leaders decide what has expired by their own clocks alone.
    Expiry,
}

impl Broken {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 4] = [
        ("reads-without-barrier", Self::Reads),
        ("acknowledges-early", Self::Acknowledgements),
        ("identity-twice", Self::Identity),
        ("expires-by-own-clock", Self::Expiry),
    ];
}

/// What happens to the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// What the seed says.
    #[default]
    Chance,
    /// Again and again a replica forgets, while another lags and the third is cut off.
    Amnesia,
    /// Again and again a leader whose clock is ahead of all others' is cut off.
    Clocks,
    /// What the seed says, to nodes that have little memory for the values they are sent.
    Long,
}

/// What a run is like. All of it follows from the seed but
/// `plan` and `broken`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Hosts with nodes, which found the cluster.
    pub nodes: usize,
    /// Bytes of a node's memory.
    pub memory: u64,
    /// How long values are.
    pub padding: Padding,
    /// Hosts with clients.
    pub clients: usize,
    /// Partitions of the cluster.
    pub partitions: u16,
    /// How leaders confirm that they lead.
    pub reads: ReadPolicy,
    /// The most that a message takes on a link.
    pub latency: Duration,
    /// The most between the starts of the first node and the last.
    pub start_spread: Duration,
    /// How long DNS lies at first.
    pub dns_lies: Duration,
    /// How long faults happen.
    pub faults: Duration,
    /// The most between two faults.
    pub fault_pause: Duration,
    /// The most that a client waits before it asks again.
    pub think: Duration,
    /// Whether nodes' clocks are off, run fast or slow, and are put forward.
    pub clocks_lie: bool,
    /// By how much at the most a clock is off at its node's start, and is put forward.
    pub clock_error: Duration,
    /// Whether clients make and drop tables more than they use them.
    pub tables_come_and_go: bool,
    /// What happens to the nodes.
    pub plan: Plan,
    /// How the nodes are broken, if they are.
    pub broken: Option<Broken>,
}

impl Options {
    /// What `seed` makes.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut millis = |from: u64, to: u64| Duration::from_millis(from + dice.below(to - from));
        let latency = millis(2, 30);
        let start_spread = millis(0, 8_000);
        let dns_lies = millis(0, 10_000);
        let faults = millis(60_000, 120_000);
        let fault_pause = millis(500, 5_000);
        let think = millis(20, 120);
        let mut options = Self {
            seed,
            nodes: if dice.percent(70) { 3 } else { 5 },
            memory: MEMORY,
            padding: Padding::NONE,
            clients: 4,
            partitions: 1 + u16::try_from(dice.below(4)).expect("it is small"),
            reads: if dice.percent(60) { ReadPolicy::Lease } else { ReadPolicy::Quorum },
            latency,
            start_spread,
            dns_lies,
            faults,
            fault_pause,
            think,
            clocks_lie: dice.percent(40),
            clock_error: CLOCK_ERROR_USUAL,
            tables_come_and_go: dice.percent(30),
            plan: Plan::Chance,
            broken: None,
        };
        if options.clocks_lie {
            options.clock_error =
                if dice.percent(50) { CLOCK_ERROR_SMALL } else { CLOCK_ERROR_GREAT };
        }
        options
    }

    /// What `seed` makes of [`Plan::Amnesia`]: as many nodes as it takes for the
    /// meta group to go on while two of three replicas of a partition cannot.
    #[must_use]
    pub fn amnesia(seed: u64) -> Self {
        let plan = Plan::Amnesia;
        let clock_error = CLOCK_ERROR_USUAL;
        Self { nodes: 5, partitions: 1, clocks_lie: false, clock_error, plan, ..Self::of(seed) }
    }

    /// What `seed` makes of [`Plan::Clocks`]: leaders that read without being asked to
    /// confirm each time, of entries most of which expire.
    #[must_use]
    pub fn clocks(seed: u64) -> Self {
        Self {
            nodes: 3,
            clients: 16,
            partitions: 1,
            reads: ReadPolicy::Lease,
            think: Duration::from_millis(20),
            clocks_lie: true,
            clock_error: CLOCK_ERROR_SMALL,
            tables_come_and_go: false,
            plan: Plan::Clocks,
            ..Self::of(seed)
        }
    }

    /// What `seed` makes of [`Plan::Long`].
    #[must_use]
    pub fn long(seed: u64) -> Self {
        Self {
            memory: MEMORY_SMALL,
            padding: Padding::of(LENGTHS),
            clients: 8,
            plan: Plan::Long,
            ..Self::of(seed)
        }
    }

    /// The command that runs it again.
    #[must_use]
    pub fn command(&self) -> String {
        let broken = Broken::ALL.iter().find(|(_, broken)| Some(*broken) == self.broken);
        let broken = broken.map_or(String::new(), |(name, _)| format!(" --broken {name}"));
        let plan = match self.plan {
            Plan::Chance => "",
            Plan::Amnesia => " --plan amnesia",
            Plan::Clocks => " --plan clocks",
            Plan::Long => " --plan long",
        };
        format!("cargo xtask sim --seed {}{plan}{broken}", self.seed)
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
