//! The repository's own rules, as tests.
//!
//! A rule that a machine can check is checked here, with its reason beside it.
//! Each rule is a function from a file's text to the lines that break it, and
//! each is tried on text that breaks it: a check that cannot fail is a defect.

mod code;
mod documents;
mod files;
mod purity;
