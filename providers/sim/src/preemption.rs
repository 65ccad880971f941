use std::collections::BTreeSet;

use async_trait::async_trait;
use skyfleet_core::{
    Cursor, Error, ErrorKind, PreemptionHandling, PreemptionKind, PreemptionPage, Result, Selector,
};
use skyfleet_simcloud::Call;

use crate::SimProvider;
use crate::client::Place;
use crate::convert;
use crate::launch::whose;

#[async_trait]
impl PreemptionHandling for SimProvider {
    async fn preemptions(&self, selector: &Selector, after: &Cursor) -> Result<PreemptionPage> {
        let rules = self.client.rules();
        let mut operation = self.client.operation("sim.preemptions");
        let mut last = 0;
        for place in self.client.places() {
            let call = Call::read(rules.actions.preemptions, place.as_str());
            last = operation.call(call, |kernel| Ok(kernel.events_count())).await?;
        }
        let after = parse(after, last).map_err(|error| error.at("sim.preemptions"))?;
        let whose = whose(selector, &Place::Everywhere);
        let (events, end) = self.client.world().look(|kernel| kernel.reclaims_after(after, &whose));
        let ids: BTreeSet<&str> = selector.ids.iter().map(|id| id.as_str()).collect();
        let preemptions = events
            .into_iter()
            .filter_map(convert::preemption)
            .filter(|step| ids.is_empty() || ids.contains(step.instance.as_str()))
            // Where nobody outside the machine is told beforehand, the end is the first sign.
            .filter(|step| rules.notice.remote || step.kind == PreemptionKind::Reclaimed);
        Ok(PreemptionPage { preemptions: preemptions.collect(), next: cursor(end) })
    }
}

const PREFIX: &str = "sim-";

fn cursor(number: u64) -> Cursor {
    Cursor::new(format!("{PREFIX}{number}"))
}

/// The number of the last event that the reader knows; `last` is the world's last.
fn parse(cursor: &Cursor, last: u64) -> Result<u64> {
    if *cursor == Cursor::start() {
        return Ok(0);
    }
    let number = cursor.as_str().strip_prefix(PREFIX).and_then(|number| number.parse().ok());
    number.filter(|number| *number <= last).ok_or_else(|| {
        Error::new(ErrorKind::InvalidRequest, "the cursor is not of this world").with("cursor", cursor)
    })
}
