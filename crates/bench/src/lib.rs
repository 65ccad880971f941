//! What the benchmarks measure, and how. `BENCHMARKS.md` has the commands and the figures.
//!
//! | to find | look in |
//! |---|---|
//! | catalogues of a given size | [`offers`] |
//! | a fleet of a given size, and what a look at it shows | [`fleet`] |
//! | the life of many instances in a simulated world | [`world`] |
//! | the CPU time and the memory of this process | [`usage`] |

pub mod fleet;
pub mod offers;
pub mod usage;
pub mod world;
