//! winter-core
