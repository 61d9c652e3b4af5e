//! Every limit of the contract, with its unit.

/// Longest table name, in bytes of UTF-8.
pub const TABLE_NAME_BYTES_MAX: usize = 128;
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 65_535;
/// Default for the longest value, in bytes (`WINTER_MAX_VALUE`).
pub const VALUE_BYTES_DEFAULT: usize = 16 << 20;
/// The longest value that any setting may allow, in bytes.
pub const VALUE_BYTES_MAX: usize = 512 << 20;
/// The longest that one may allow in a cluster: a value is one message between nodes,
/// and what shows that a leader is there waits behind it.
pub const CLUSTER_VALUE_BYTES_MAX: usize = 32 << 20;
/// Longest time to live, in milliseconds: what every client's number type can hold.
pub const TTL_MILLIS_MAX: u64 = 1 << 53;
/// Most arguments of one command, its name among them.
pub const ARGUMENTS_MAX: usize = 1_024;
/// Longest header line of a RESP frame, in bytes.
pub const RESP_HEADER_BYTES_MAX: usize = 64 << 10;
/// What a line may hold beside its key and value, in bytes: command, table name, numbers, spaces.
pub const LINE_OVERHEAD_BYTES: usize = 256;
/// What a RESP command may hold beside one key and one value, in bytes: headers, names, options.
pub const RESP_OVERHEAD_BYTES: usize = 64 << 10;
/// Most bytes of a user's own that an error echoes.
pub const ECHO_BYTES_MAX: usize = 128;
/// Most entries that one `SCAN` step looks at (`COUNT n`).
pub const SCAN_COUNT_MAX: u64 = 10_000;
/// Entries that a `SCAN` step looks at when no `COUNT` is given.
pub const SCAN_COUNT_DEFAULT: u64 = 100;
/// Most tables on a node.
pub const TABLES_MAX: usize = 65_536;
/// Partitions of a node that stands alone.
pub const PARTITIONS_STANDALONE: u16 = 256;
