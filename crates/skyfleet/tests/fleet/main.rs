//! The facade against the simulated cloud. Every test ends by asking the ledger what still costs
//! money.

mod bed;
mod crash;
mod launch;
mod seeds;
mod slots;
mod supervise;
