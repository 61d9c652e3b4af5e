//! winter-server
