//! How the store's own types stand in logs and snapshots, which outlive a
//! release: said here once, so that the store can change what it is made of.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::command::TableOptions;
use crate::store::TableId;
use crate::time::{Timestamp, Ttl};

/// A point in time: its milliseconds.
pub(super) mod timestamp {
    use super::{Deserialize, Deserializer, Serialize, Serializer, Timestamp};

    pub(in crate::cluster) fn serialize<S: Serializer>(
        at: &Timestamp,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        at.as_millis().serialize(serializer)
    }

    pub(in crate::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Timestamp, D::Error> {
        u64::deserialize(deserializer).map(Timestamp::from_millis)
    }
}

/// A table's identity: its number.
pub(super) mod table_id {
    use super::{Deserialize, Deserializer, Serialize, Serializer, TableId};

    pub(in crate::cluster) fn serialize<S: Serializer>(
        id: &TableId,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        id.0.serialize(serializer)
    }

    pub(in crate::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TableId, D::Error> {
        u64::deserialize(deserializer).map(TableId)
    }
}

/// A table's options.
pub(super) mod options {
    use super::{Deserialize, Deserializer, Error, Serialize, Serializer, TableOptions, Ttl};

    #[derive(Serialize, Deserialize)]
    struct Stored {
        bytes_max: Option<u64>,
        entries_max: Option<u64>,
        value_bytes_max: Option<u64>,
        ttl_millis: Option<u64>,
        once: bool,
    }

    pub(in crate::cluster) fn serialize<S: Serializer>(
        options: &TableOptions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let TableOptions { bytes_max, entries_max, value_bytes_max, ttl, once } = *options;
        let ttl_millis = ttl.map(Ttl::as_millis);
        Stored { bytes_max, entries_max, value_bytes_max, ttl_millis, once }.serialize(serializer)
    }

    pub(in crate::cluster) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<TableOptions, D::Error> {
        let Stored { bytes_max, entries_max, value_bytes_max, ttl_millis, once } =
            Stored::deserialize(deserializer)?;
        let ttl = match ttl_millis {
            Some(millis) => Some(
                Ttl::from_millis(millis).ok_or_else(|| D::Error::custom("no such time to live"))?,
            ),
            None => None,
        };
        Ok(TableOptions { bytes_max, entries_max, value_bytes_max, ttl, once })
    }
}
