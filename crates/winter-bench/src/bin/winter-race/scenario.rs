//! What is raced: the cross product of the sizes that the command line selects.

use std::fmt;

use crate::arguments::{OperationName, ThroughputOptions};

/// What the servers hold. All scenarios of a dataset run on the same processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dataset {
    pub(crate) value_len: usize,
    pub(crate) tables: usize,
    pub(crate) keys: u64,
}

/// One kind of load on a dataset.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) data: Dataset,
    pub(crate) operation: OperationName,
    pub(crate) connections: usize,
    pub(crate) depth: usize,
}

/// The datasets that the options select.
pub(crate) fn datasets(options: &ThroughputOptions) -> Vec<Dataset> {
    let mut datasets = Vec::new();
    for value_len in options.values() {
        for tables in options.tables() {
            for &keys in &options.keys {
                datasets.push(Dataset { value_len, tables, keys });
            }
        }
    }
    datasets
}

impl Dataset {
    /// The scenarios on this dataset, reads first: writes empty the servers.
    pub(crate) fn scenarios(self, options: &ThroughputOptions) -> Vec<Scenario> {
        let mut scenarios = Vec::new();
        for operation in [OperationName::Get, OperationName::Putnew] {
            for connections in options.connections() {
                for &depth in &options.depths {
                    scenarios.push(Scenario { data: self, operation, connections, depth });
                }
            }
        }
        scenarios.retain(|scenario| options.operations.contains(&scenario.operation));
        scenarios
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.operation {
            OperationName::Get => "GET",
            OperationName::Putnew => "PUTNEW",
        };
        let Dataset { value_len, tables, keys } = self.data;
        let keys = Count(keys);
        let (connections, depth) = (self.connections, self.depth);
        write!(formatter, "{name:6} {value_len:4} B  {keys} keys  {connections:3} conns  ")?;
        write!(formatter, "depth {depth:2}  {tables} table{}", if tables == 1 { "" } else { "s" })
    }
}

/// A count, shortened where that loses nothing: `200k`, `2M`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl fmt::Display for Count {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.0 {
            count if count >= 1_000_000 && count % 1_000_000 == 0 => {
                format!("{}M", count / 1_000_000)
            }
            count if count >= 1000 && count % 1000 == 0 => format!("{}k", count / 1000),
            count => count.to_string(),
        };
        formatter.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shortened_where_that_loses_nothing() {
        let shown: Vec<_> =
            [999, 200_000, 2_000_000, 1_234_567].map(|count| Count(count).to_string()).into();
        assert_eq!(shown, ["999", "200k", "2M", "1234567"]);
    }
}
