use serde::Serialize;
use skyfleet_core::{Arch, Market, OfferId, QuotaId, Scope, Timestamp, UsdPerHour};

/// Why an offer is not a candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rejection {
    /// Which offer.
    pub offer: OfferId,
    /// The first rule that removed it.
    pub why: Why,
}

/// The rules that remove an offer, in the order in which they are applied: what was asked for, then
/// money, then what can be had now. `Display` says it with the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
#[non_exhaustive]
pub enum Why {
    /// It is sold on a market that is not wanted.
    Market {
        /// How it is sold.
        has: Market,
    },
    /// Its region is not among those listed.
    Region,
    /// Its zone is not among those listed.
    Zone,
    /// Its type is not among those listed.
    Type,
    /// Another instruction set.
    Arch {
        /// What is needed.
        needs: Arch,
        /// What it has.
        has: Arch,
    },
    /// Too few vCPUs.
    Vcpus {
        /// What is needed.
        needs: u32,
        /// What it has.
        has: u32,
    },
    /// Too little memory.
    Memory {
        /// What is needed, in GiB.
        needs_gib: u32,
        /// What it has, in MiB.
        has_mib: u32,
    },
    /// Another GPU model, or none.
    GpuModel {
        /// What is needed.
        needs: String,
        /// What it has.
        has: Option<String>,
    },
    /// Too few GPUs.
    GpuCount {
        /// What is needed.
        needs: u32,
        /// What it has.
        has: u32,
    },
    /// Too little memory on each GPU.
    GpuMemory {
        /// What is needed, in GiB.
        needs_gib: u32,
        /// What it has, in MiB.
        has_mib: u32,
    },
    /// Too little local SSD.
    LocalSsd {
        /// What is needed, in GiB.
        needs_gib: u32,
        /// What it has, in GiB.
        has_gib: u32,
    },
    /// Nobody knows its price.
    UnknownPrice,
    /// It costs more than one instance may.
    PriceMax {
        /// What it costs.
        price: UsdPerHour,
        /// What it may cost.
        max: UsdPerHour,
    },
    /// It costs more than the same instance on demand.
    DearerThanOnDemand {
        /// What it costs.
        price: UsdPerHour,
        /// What it costs on demand.
        on_demand: UsdPerHour,
    },
    /// The cloud says that it cannot be had now.
    SoldOut,
    /// A launch failed there lately.
    Closed {
        /// What is closed.
        scope: Scope,
        /// Until when.
        until: Timestamp,
    },
    /// A quota of the account has no room for one instance of it.
    Quota {
        /// Which quota.
        id: QuotaId,
        /// The account's limit, in vCPUs.
        limit_vcpus: u32,
        /// What is used of it, in vCPUs.
        used_vcpus: u32,
        /// What one instance needs.
        needs_vcpus: u32,
    },
}
