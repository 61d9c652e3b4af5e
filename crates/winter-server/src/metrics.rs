//! Prometheus.
use crate::server::Shared;
/// Text.
#[must_use]
pub fn render(_shared: &Shared) -> String {
    String::new()
}
