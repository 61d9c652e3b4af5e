//! Sockets between nodes: the system's, or the simulator's where the crate is
//! built with `sim`, which no server is.

#[cfg(feature = "sim")]
mod simulated;
#[cfg(not(feature = "sim"))]
mod system;

#[cfg(feature = "sim")]
pub use simulated::*;
#[cfg(not(feature = "sim"))]
pub use system::*;
