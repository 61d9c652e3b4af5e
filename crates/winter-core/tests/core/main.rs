//! What core promises, from outside: bytes in, replies out; the store against a
//! model; memory as it grows and goes.

mod corpus;
mod faults;
mod fuzzed;
mod golden;
mod memory;
mod model;
mod node;
mod partition;
mod reader;
mod splits;
