use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use skyfleet_core::{Error, ErrorKind, OfferId, Result, TypeName, Zone};

/// One line of a trace: from this time on a pool holds so many spot instances, at this price.
///
/// A trace is a CSV file with a header line and these columns, of which only `time_s` is
/// required. Its lines need not be in order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceStep {
    /// Seconds since the world started.
    pub time_s: f64,
    /// The zone; absent means all zones.
    #[serde(default)]
    pub zone: Option<Zone>,
    /// The type; absent means all types.
    #[serde(default)]
    pub instance_type: Option<TypeName>,
    /// How many spot instances the pool holds from now on; absent leaves it as it is.
    #[serde(default)]
    pub capacity: Option<u32>,
    /// What an hour costs from now on, in dollars; absent leaves it as it is.
    #[serde(default)]
    pub price_usd_per_hour: Option<f64>,
}

impl TraceStep {
    /// Reads a trace file.
    ///
    /// # Errors
    /// `InvalidConfig`, with the file, the line and what is wrong in it.
    pub fn read(path: &Path) -> Result<Arc<[Self]>> {
        let bad =
            |what: String| Error::new(ErrorKind::InvalidConfig, format!("trace {}: {what}", path.display()));
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_path(path)
            .map_err(|e| bad(e.to_string()))?;
        let mut steps = Vec::new();
        for row in reader.deserialize() {
            let step: Self = row.map_err(|e| bad(e.to_string()))?;
            let line = steps.len() + 1;
            if !(0.0..1e10).contains(&step.time_s) {
                return Err(bad(format!("step {line}: time_s is {}, not a number of seconds", step.time_s)));
            }
            if step.price_usd_per_hour.is_some_and(|price| !(0.0..1e6).contains(&price)) {
                return Err(bad(format!("step {line}: price_usd_per_hour is no price in dollars")));
            }
            steps.push(step);
        }
        steps.sort_by(|a, b| a.time_s.total_cmp(&b.time_s));
        Ok(steps.into())
    }

    pub(super) fn concerns(&self, offer: &OfferId) -> bool {
        self.zone.as_ref().is_none_or(|zone| *zone == offer.zone)
            && self.instance_type.as_ref().is_none_or(|name| *name == offer.instance_type)
    }
}
