use skyfleet_core::OfferId;

/// Why an offer is not a candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Rejection {
    /// Which offer.
    pub offer: OfferId,
    /// The first rule that removed it.
    pub why: Why,
}

/// The rules that remove an offer.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Why {
    /// Too few vCPUs.
    Vcpus,
}
