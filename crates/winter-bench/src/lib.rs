//! winter-bench
