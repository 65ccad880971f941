//! What was done to machines and by whom: the activity log. Derived from the world's log. Azure
//! Monitor API reference, "Activity Logs - List".

use std::time::Duration;

use serde_json::{Value, json};
use skyfleet_core::Timestamp;

use crate::azure::error::coded;
use crate::azure::id::Id;
use crate::azure::method::Method;
use crate::azure::operation::guid;
use crate::azure::request::{Answer, Request};
use crate::event::{About, EventKind};
use crate::kernel::Kernel;
use crate::machine::{EndCause, Machine};
use crate::refusal::Refusal;

/// How late an entry shows. Azure documentation, "Azure Monitor activity log": within minutes; the
/// figure is ours.
const LATE: Duration = Duration::from_secs(90);
/// How long entries are kept (the same page).
const KEPT: Duration = Duration::from_secs(90 * 86_400);
const PAGE: usize = 200;

pub(crate) const METHODS: &[Method] = &[Method {
    id: "activityLogs.LIST",
    verb: "GET",
    path: "subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values",
    answer: list,
}];

/// Which entries a caller wants.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    from: Timestamp,
    to: Timestamp,
    group: Option<String>,
    resource: Option<String>,
    /// Another provider than Compute has done nothing here.
    provider: Option<String>,
}

impl Wanted {
    /// `eventTimestamp ge 'T' and eventTimestamp le 'T' and resourceGroupName eq 'G'`: "the $filter
    /// argument is very restricted and allows only" these.
    fn read(filter: &str, now: Timestamp) -> Option<Self> {
        let mut wanted = Self { from: Timestamp::MIN, to: now, group: None, resource: None, provider: None };
        for term in filter.split(" and ") {
            let mut words = term.trim().splitn(3, ' ');
            let (name, verb, value) = (words.next()?, words.next()?, words.next()?.trim());
            let value = value.strip_prefix('\'')?.strip_suffix('\'')?.to_owned();
            let time = || value.parse::<Timestamp>().ok();
            match (name.to_ascii_lowercase().as_str(), verb) {
                ("eventtimestamp", "ge") => wanted.from = time()?,
                ("eventtimestamp", "le") => wanted.to = time()?,
                ("resourcegroupname", "eq") => wanted.group = Some(value),
                ("resourceuri", "eq") => wanted.resource = Some(value),
                ("resourceprovider", "eq") => wanted.provider = Some(value),
                _ => return None,
            }
        }
        (wanted.from > Timestamp::MIN).then_some(wanted)
    }

    fn takes(&self, id: &Id, at: Timestamp) -> bool {
        let same = |wanted: &Option<String>, own: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(own))
        };
        self.from <= at
            && at <= self.to
            && same(&self.group, &id.group)
            && same(&self.provider, "Microsoft.Compute")
            && same(&self.resource, &id.to_string())
    }
}

fn list(request: &Request<'_>) -> Result<Answer, Refusal> {
    let filter = request.option("$filter").unwrap_or_default();
    let after: usize = match request.option("$skiptoken") {
        None => 0,
        Some(token) => token.parse().map_err(|_| coded(400, "BadRequest", "The skip token is invalid."))?,
    };
    let page = request.look("global", |kernel, _| {
        let now = kernel.now();
        let wanted = Wanted::read(filter, now).ok_or_else(|| {
            coded(400, "BadRequest", format!("The filter '{filter}' is not one that activity logs know."))
        })?;
        if wanted.from < now - KEPT {
            return Err(coded(400, "BadRequest", "The start time cannot be more than 90 days in the past."));
        }
        // The newest first.
        let mut entries = entries(kernel, &wanted, request.subscription());
        entries.reverse();
        let more = entries.len() > after.saturating_add(PAGE);
        let page: Vec<Value> = entries.into_iter().skip(after).take(PAGE).collect();
        Ok((page, more))
    })?;
    let (entries, more) = page;
    let mut shown = json!({ "value": entries });
    if more {
        shown["nextLink"] = next(request, after + PAGE).into();
    }
    Answer::ok(&shown)
}

fn next(request: &Request<'_>, after: usize) -> String {
    let head = request.head;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in head.query.iter().filter(|(name, _)| *name != "$skiptoken") {
        query.append_pair(name, value);
    }
    query.append_pair("$skiptoken", &after.to_string());
    format!("{}{}?{}", head.base, head.path, query.finish())
}

/// What the world's log says of machines, in its order.
fn entries(kernel: &Kernel, wanted: &Wanted, subscription: &str) -> Vec<Value> {
    let shown = kernel.now() - LATE;
    let mut entries = Vec::new();
    for (number, event) in (0..).zip(&kernel.events) {
        let About::Machine(m) = event.about else { continue };
        let machine = &kernel.machines[m as usize];
        let Some(id) = Id::parse(&machine.id) else { continue };
        let (operation, caller) = match event.kind {
            EventKind::Launch => ("write", "skyfleet"),
            EventKind::Reclaim => ("evictSpotVM/action", "Azure Compute"),
            EventKind::Terminate if machine.cause != Some(EndCause::Reclaimed) => ("delete", "skyfleet"),
            EventKind::Stop => (halt(machine, event.at), "skyfleet"),
            EventKind::Start => ("start/action", "skyfleet"),
            _ => continue,
        };
        let own = id.subscription.eq_ignore_ascii_case(subscription);
        if own && event.at <= shown && wanted.takes(&id, event.at) {
            entries.push(entry(kernel, &id, number, event.at, operation, caller));
        }
    }
    entries
}

/// What a machine that stopped then was told: to give its place up, or to keep it.
fn halt(machine: &Machine, at: Timestamp) -> &'static str {
    let halt = machine.halts.iter().rev().find(|halt| halt.from == at);
    if halt.is_some_and(|halt| halt.keeps_place) { "powerOff/action" } else { "deallocate/action" }
}

fn entry(kernel: &Kernel, id: &Id, number: u64, at: Timestamp, operation: &str, caller: &str) -> Value {
    let operation = format!("{}/{operation}", id.kind);
    let event = guid(kernel.seed ^ 0x6c6f_6773, number);
    json!({
        "id": format!("{id}/events/{event}/ticks/{}", at.as_second()),
        "eventDataId": event,
        "eventTimestamp": at.to_string(),
        "submissionTimestamp": (at + LATE).to_string(),
        "operationName": { "value": operation, "localizedValue": operation },
        "status": { "value": "Succeeded", "localizedValue": "Succeeded" },
        "category": { "value": "Administrative", "localizedValue": "Administrative" },
        "resourceProviderName": { "value": "Microsoft.Compute", "localizedValue": "Microsoft.Compute" },
        "resourceType": { "value": id.kind, "localizedValue": id.kind },
        "resourceGroupName": id.group,
        "resourceId": id.to_string(),
        "subscriptionId": id.subscription,
        "caller": caller,
        "level": "Informational",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::trial::Trial;

    #[test]
    fn a_time_or_a_page_beyond_the_last_one_has_no_entries() {
        let trial = Trial::new();
        let path = "/providers/Microsoft.Insights/eventtypes/management/values";
        let ask = |since: &str, token: &str| {
            let filter = format!("eventTimestamp ge '{since}'");
            trial.get(&format!("{path}?$filter={filter}&$skiptoken={token}"))["value"].clone()
        };
        assert_eq!(ask("9999-12-30T00:00:00Z", "0"), json!([]));
        assert_eq!(ask("2027-01-15T00:00:00Z", &usize::MAX.to_string()), json!([]));
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn read(filter: &str) -> Option<Wanted> {
        Wanted::read(filter, at(200))
    }

    #[test]
    fn only_the_filters_of_the_log_are_known() {
        let wanted = read("eventTimestamp ge '1970-01-01T00:01:40Z' and resourceGroupName eq 'G'").unwrap();
        assert_eq!((wanted.from, wanted.to, wanted.group.as_deref()), (at(100), at(200), Some("G")));
        for filter in [
            "",
            "eventTimestamp ge 100",
            "resourceGroupName eq 'G'",
            "caller eq 'ada'",
            "eventTimestamp ge 'x'",
        ] {
            assert_eq!(read(filter), None, "{filter}");
        }
    }

    #[test]
    fn an_entry_is_in_its_time_its_group_and_of_compute() {
        let id = Id::new("s", "G", "Microsoft.Compute/virtualMachines", &["m"]);
        let since = "eventTimestamp ge '1970-01-01T00:01:40Z'";
        for (filter, second, takes) in [
            (since.to_owned(), 150, true),
            (since.to_owned(), 99, false),
            (format!("{since} and eventTimestamp le '1970-01-01T00:02:00Z'"), 150, false),
            (format!("{since} and resourceGroupName eq 'g'"), 150, true),
            (format!("{since} and resourceGroupName eq 'other'"), 150, false),
            (format!("{since} and resourceProvider eq 'Microsoft.Compute'"), 150, true),
            (format!("{since} and resourceProvider eq 'Microsoft.Network'"), 150, false),
            (format!("{since} and resourceUri eq '{id}'"), 150, true),
        ] {
            assert_eq!(read(&filter).unwrap().takes(&id, at(second)), takes, "{filter}");
        }
    }
}
