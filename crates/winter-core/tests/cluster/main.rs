//! What a cluster's pure half promises: packed entries, the replicas that
//! apply them, their snapshots, the meta group's state, and placement.

mod corpus;
mod entry;
mod formats;
mod kit;
mod meta;
mod packed;
mod placement;
mod recovery;
mod replica;
mod sent;
mod snapshot;
