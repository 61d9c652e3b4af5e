//! Winter's acting half: a thin tokio shell around `winter-core`.

pub mod config;
pub mod logging;
