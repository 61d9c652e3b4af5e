//! winter-client
