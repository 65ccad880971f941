use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Market, OfferId, QuotaId, Region, TypeName, Zone};

/// A result whose error is one word wide.
pub type Result<T> = std::result::Result<T, Error>;

/// What the planner must do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The config is wrong: stop and show the key.
    InvalidConfig,
    /// The request can never work: stop and show what is wrong with it.
    InvalidRequest,
    /// No credentials, or bad ones: stop.
    Unauthenticated,
    /// The account may not do this: stop and name the missing permission.
    PermissionDenied,
    /// It is not there. For an instance: it is gone.
    NotFound,
    /// A token was used with another request, or a name is taken by something else.
    Conflict,
    /// The cloud has no room in the scope: remember it for a while, go elsewhere.
    NoCapacity,
    /// The account's limit is reached in the scope: waiting does not help.
    QuotaExceeded,
    /// Too many calls: wait.
    RateLimited,
    /// The cloud failed, or its answer was lost: it may have acted. Wait, then repeat the same call.
    Unavailable,
    /// This provider cannot do this.
    Unsupported,
    /// It would cost more than is allowed: nothing was bought.
    BudgetExceeded,
    /// Nobody expected this: report it.
    Unexpected,
}

impl ErrorKind {
    /// The name as it is printed: `NoCapacity`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidConfig => "InvalidConfig",
            Self::InvalidRequest => "InvalidRequest",
            Self::Unauthenticated => "Unauthenticated",
            Self::PermissionDenied => "PermissionDenied",
            Self::NotFound => "NotFound",
            Self::Conflict => "Conflict",
            Self::NoCapacity => "NoCapacity",
            Self::QuotaExceeded => "QuotaExceeded",
            Self::RateLimited => "RateLimited",
            Self::Unavailable => "Unavailable",
            Self::Unsupported => "Unsupported",
            Self::BudgetExceeded => "BudgetExceeded",
            Self::Unexpected => "Unexpected",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether sending the same call again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// No.
    Never,
    /// Yes, after a while; the cloud may have said how long.
    After(Option<Duration>),
    /// It was tried again until patience ended: nobody further out tries again.
    Exhausted,
}

/// What an error closes: the narrowest thing that the cloud's code names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// One type in one zone on one market. Unknown codes end here.
    Offer(OfferId),
    /// One type in one zone, on every market.
    TypeInZone(TypeName, Zone),
    /// A whole zone.
    Zone(Zone),
    /// Everything that draws on one quota.
    Quota(QuotaId),
    /// A whole market of a region.
    MarketInRegion(Market, Region),
    /// A whole region.
    Region(Region),
    /// The account.
    Account,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offer(offer) => write!(f, "offer {offer}"),
            Self::TypeInZone(name, zone) => write!(f, "type {name} in zone {zone}"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Quota(quota) => write!(f, "quota {quota}"),
            Self::MarketInRegion(market, region) => write!(f, "{market} in region {region}"),
            Self::Region(region) => write!(f, "region {region}"),
            Self::Account => f.write_str("account"),
        }
    }
}

/// What went wrong, and what can be done about it.
///
/// `Display` is one line. `Debug` is a block with everything. Neither ever holds a secret.
///
/// ```
/// use skyfleet_core::{Error, ErrorKind, Retry};
/// let error = Error::new(ErrorKind::NoCapacity, "the pool is empty")
///     .with("zone", "us-east-1a")
///     .with("code", "InsufficientInstanceCapacity")
///     .at("sim.launch");
/// assert_eq!(
///     error.to_string(),
///     "NoCapacity at sim.launch: the pool is empty (zone: us-east-1a, code: InsufficientInstanceCapacity)",
/// );
/// assert_eq!(error.retry(), Retry::Never);
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    retry: Retry,
    scope: Option<Scope>,
    operation: Option<&'static str>,
    message: String,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A new error; the kind gives the retry class.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Retry::After(None),
            _ => Retry::Never,
        };
        Self(Box::new(Inner {
            kind,
            retry,
            scope: None,
            operation: None,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds a fact: region, zone, `code` (the cloud's own), `request_id`. Never a secret.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((key, value.to_string()));
        self
    }

    /// Says what it closes.
    #[must_use]
    pub fn closing(mut self, scope: Scope) -> Self {
        self.0.scope = Some(scope);
        self
    }

    /// Says whether to try again.
    #[must_use]
    pub fn retrying(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says where it happened, unless somebody further in already did: a provider names its own
    /// call (`aws.create_fleet`), the layers name the contract's operation (`launch`).
    #[must_use]
    pub fn at(mut self, operation: &'static str) -> Self {
        self.0.operation.get_or_insert(operation);
        self
    }

    /// Keeps the error that caused it.
    #[must_use]
    pub fn because(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What the planner must do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether to send the same call again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// What it closes, for `NoCapacity` and `QuotaExceeded`.
    pub fn scope(&self) -> Option<&Scope> {
        self.0.scope.as_ref()
    }

    /// Where it happened.
    pub fn operation(&self) -> Option<&'static str> {
        self.0.operation
    }

    /// The sentence, without kind, place and context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The facts, in the order in which they were added.
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// One fact: `error.fact("code")`.
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.0.context.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.kind)?;
        if let Some(operation) = self.0.operation {
            write!(f, " at {operation}")?;
        }
        write!(f, ": {}", self.0.message)?;
        for (i, (key, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{key}: {value}", if i == 0 { " (" } else { ", " })?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{self}")?;
        writeln!(f, "  retry: {:?}", self.0.retry)?;
        if let Some(scope) = &self.0.scope {
            writeln!(f, "  closes: {scope}")?;
        }
        let mut source = self.source();
        while let Some(error) = source {
            writeln!(f, "  because: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as &(dyn StdError + 'static))
    }
}

/// Equal when they lead to the same decision and say the same; the cause is not compared.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        (a.kind, a.retry, &a.scope, a.operation, &a.message, &a.context)
            == (b.kind, b.retry, &b.scope, b.operation, &b.message, &b.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_one_word_wide() {
        assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    }

    #[test]
    fn only_throttles_and_outages_are_tried_again_by_default() {
        use ErrorKind::*;
        for kind in [RateLimited, Unavailable] {
            assert_eq!(Error::new(kind, "").retry(), Retry::After(None));
        }
        for kind in [InvalidConfig, Conflict, NoCapacity, QuotaExceeded, Unexpected] {
            assert_eq!(Error::new(kind, "").retry(), Retry::Never);
        }
    }

    #[test]
    fn the_first_place_named_stays() {
        assert_eq!(
            Error::new(ErrorKind::NotFound, "x").at("aws.list").at("fleet.ps").operation(),
            Some("aws.list")
        );
    }

    #[test]
    fn the_block_shows_what_it_closes_and_why() {
        let error = Error::new(ErrorKind::QuotaExceeded, "full")
            .closing(Scope::Quota("r/q".into()))
            .because(std::io::Error::other("cause"));
        let block = format!("{error:?}");
        assert!(block.contains("closes: quota r/q") && block.contains("because: cause"), "{block}");
    }
}
