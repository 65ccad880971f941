//! What search asks Azure: regions, sizes, prices, quotas, scores, from all pages.

use std::collections::{BTreeMap, BTreeSet};

use azure_mgmt_compute::models::{ResourceSku, Usage};
use futures::StreamExt;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use skyfleet_core::places::{Place, in_scope};
use skyfleet_core::{Error, ErrorKind, Region, Result, TypeName, Zone};

use super::arm::Call;
use super::fleet::GRAPH;
use super::{Answer, Client, endpoint, is_near};
use crate::names::{plain, zone_of};
use crate::prices::{Rate, rate};

const LOCATIONS: &str = "2022-12-01";
/// The first one whose scores are told zone by zone.
const SCORES: &str = "2025-06-05";

/// Where prices are told: to everybody, without credentials.
const PRICES: &str = "https://prices.azure.com";
const PRICES_PATH: &str = "/api/retail/prices";
/// The first version whose filters tell letters apart by their case, so that an index is used.
const PRICES_VERSION: &str = "2023-01-01-preview";
/// A page of prices has a hundred rows or a thousand: the documentation has said both.
const PRICES_PAGE: usize = 100;
/// A region has eight thousand prices. More pages than this are a list that goes in circles.
const PAGES_MAX: usize = 400;

/// A region, as its subscription sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RegionInfo {
    pub(crate) name: Region,
    /// In order: the region itself, which stands for what is in none, and its numbered zones.
    pub(crate) zones: Vec<Zone>,
}

impl Place for RegionInfo {
    fn region(&self) -> &Region {
        &self.name
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn retain(&mut self, wanted: impl FnMut(&Zone) -> bool) {
        self.zones.retain(wanted);
    }
}

/// One quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) limit: Option<u32>,
    pub(crate) used: u32,
}

/// A question for spot placement scores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScoreQuestion {
    /// Eight at most.
    pub(crate) regions: Vec<Region>,
    /// Five at most.
    pub(crate) sizes: Vec<TypeName>,
    pub(crate) count: u32,
}

impl Client {
    /// The regions that the subscription has, with their zones, by name: one call.
    pub(crate) async fn region_infos(&self, operation: &'static str) -> Result<Vec<RegionInfo>> {
        let path = format!("/subscriptions/{}/locations", self.subscription()?);
        let listed = self.list(operation, path, LOCATIONS).await?;
        let mut found: Vec<RegionInfo> = listed.iter().filter_map(region_info).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The regions that the subscription has and the settings let in, in order.
    ///
    /// # Errors
    /// `InvalidConfig` when the settings name one that there is not.
    pub(crate) async fn regions(&self, operation: &'static str) -> Result<Vec<Region>> {
        let all = self.region_infos(operation).await?;
        let settings = self.settings();
        let scope = in_scope("azure", &all, &settings.regions, &settings.zones)?;
        Ok(scope.into_iter().map(|info| info.name).collect())
    }

    /// Everything that a region sells by its size.
    pub(crate) async fn skus(&self, region: &Region) -> Result<Vec<ResourceSku>> {
        let ask = self.compute().await?.resource_skus_client().list(self.subscription()?);
        let mut pages = Box::pin(ask.filter(format!("location eq '{region}'")).into_stream());
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            found.extend(self.read("azure.offers", page)?.value);
        }
        Ok(found)
    }

    /// What the subscription may have in a region and what it has, by the quotas' names in small
    /// letters: sizes and quotas do not always write a family alike.
    pub(crate) async fn limits(&self, region: &Region) -> Result<BTreeMap<String, Limit>> {
        let ask = self.compute().await?.usage_client().list(region.as_str(), self.subscription()?);
        let mut pages = Box::pin(ask.into_stream());
        let mut found = BTreeMap::new();
        while let Some(page) = pages.next().await {
            found.extend(self.read("azure.quotas", page)?.value.iter().filter_map(limit));
        }
        Ok(found)
    }

    /// What these sizes cost in a region, or all.
    pub(crate) async fn price_list(&self, region: &Region, names: Option<&[TypeName]>) -> Result<Vec<Rate>> {
        let mut filter = format!(
            "serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and priceType eq 'Consumption'"
        );
        if let Some(names) = names {
            let names: Vec<String> = names.iter().map(|name| format!("armSkuName eq '{name}'")).collect();
            filter = format!("{filter} and ({})", names.join(" or "));
        }
        let mut rates = Vec::new();
        let (mut rows, mut next) = (0, None);
        for _ in 0..PAGES_MAX {
            let page = self.price_page(&filter, rows, next.as_deref()).await?;
            let items = page.get("Items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            rates.extend(items.iter().filter_map(rate));
            rows += items.len();
            next = page.get("NextPageLink").and_then(Value::as_str).map(str::to_owned);
            // A full page without a link is not the last one: it has happened (March 2023).
            let full = !items.is_empty() && items.len() % PRICES_PAGE == 0;
            if items.is_empty() || next.is_none() && !full {
                break;
            }
        }
        tracing::debug!(%region, rows, rates = rates.len(), "the price list is as of now");
        Ok(rates)
    }

    /// The first price of virtual machines that there is: whether the list can be read at all.
    pub(crate) async fn price_sample(&self) -> Result<()> {
        self.price_page("serviceName eq 'Virtual Machines' and armRegionName eq 'eastus'", 0, None)
            .await
            .map(drop)
    }

    /// One page of prices: the one behind a link, or the one after so many rows.
    async fn price_page(&self, filter: &str, skip: usize, link: Option<&str>) -> Result<Value> {
        let at = |error: Error| error.at("azure.prices");
        let root = if is_near(self.settings()) { endpoint(self.settings()) } else { PRICES.to_owned() };
        let wrong = |error: &dyn std::fmt::Display| {
            at(Error::new(ErrorKind::Unexpected, format!("{root:?} tells no prices: {error}")))
        };
        let home = Url::parse(&format!("{root}{PRICES_PATH}")).map_err(|error| wrong(&error))?;
        let linked =
            link.and_then(|link| Url::parse(link).ok()).filter(|link| link.origin() == home.origin());
        let url = linked.unwrap_or_else(|| {
            let mut url = home.clone();
            url.query_pairs_mut().append_pair("api-version", PRICES_VERSION).append_pair("$filter", filter);
            if skip > 0 {
                url.query_pairs_mut().append_pair("$skip", &skip.to_string());
            }
            url
        });
        let answer = self.transport().await?.send(Method::GET, url, [], Vec::new()).await.map_err(at)?;
        if let Some(refusal) = answer.refusal() {
            return Err(at(refusal.error()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            at(Error::new(ErrorKind::Unavailable, "the price list cannot be read: it is no JSON")
                .because(error))
        })
    }

    /// How likely spot machines can be had: a row for each size and zone.
    pub(crate) async fn scores(&self, question: &ScoreQuestion) -> Result<Vec<Value>> {
        let ScoreQuestion { regions, sizes, count } = question;
        let Some(first) = regions.first() else { return Ok(Vec::new()) };
        let sizes: Vec<Value> = sizes.iter().map(|size| json!({ "sku": size })).collect();
        let body = json!({
            "desiredLocations": regions,
            "desiredSizes": sizes,
            "desiredCount": count,
            "availabilityZones": true,
        });
        let what = format!("Microsoft.Compute/locations/{first}/placementScores/spot/generate");
        let call = Call::with(Method::POST, "azure.scores", self.everywhere(&what)?, SCORES, &body);
        let told = self.value(&call).await?;
        Ok(told.get("placementScores").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// The rows that Resource Graph has for a query: all pages.
    pub(crate) async fn graph(&self, operation: &'static str, query: &str) -> Result<Vec<Value>> {
        let path = "/providers/Microsoft.ResourceGraph/resources";
        let mut rows = Vec::new();
        let mut body = json!({
            "subscriptions": [self.subscription()?],
            "query": query,
            "options": { "resultFormat": "objectArray" },
        });
        loop {
            let call = Call::with(Method::POST, operation, path.to_owned(), GRAPH, &body);
            let mut page = self.value(&call).await?;
            if let Some(Value::Array(more)) = page.get_mut("data").map(Value::take) {
                rows.extend(more);
            }
            match page.get("$skipToken").and_then(Value::as_str).filter(|token| !token.is_empty()) {
                Some(token) => body["options"]["$skipToken"] = token.into(),
                None => return Ok(rows),
            }
        }
    }
}

/// `None` for a continent, which services have that are in no region.
fn region_info(told: &Value) -> Option<RegionInfo> {
    let kind = told.pointer("/metadata/regionType").and_then(Value::as_str);
    let name = told.get("name")?.as_str().filter(|_| kind.is_none_or(|kind| kind == "Physical"))?;
    let name = plain(name);
    let numbers = told.get("availabilityZoneMappings").and_then(Value::as_array).into_iter().flatten();
    let numbers = numbers.filter_map(|zone| zone.get("logicalZone")?.as_str());
    let zones: BTreeSet<Zone> =
        numbers.map(Some).chain([None]).map(|number| zone_of(&name, number)).collect();
    Some(RegionInfo { name: Region::from(name), zones: zones.into_iter().collect() })
}

fn limit(told: &Usage) -> Option<(String, Limit)> {
    let name = told.name.value.as_deref()?.to_ascii_lowercase();
    // A negative limit is none.
    let limit = u32::try_from(told.limit.min(i64::from(u32::MAX))).ok();
    Some((name, Limit { limit, used: u32::try_from(told.current_value).unwrap_or(0) }))
}

/// The moment at which an answer says that it was written.
pub(crate) fn written(answer: &Answer) -> Option<skyfleet_core::Timestamp> {
    jiff::fmt::rfc2822::parse(answer.header("date")?).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_told_with_its_zones_and_a_continent_is_none() {
        let told = json!({
            "name": "eastus",
            "metadata": { "regionType": "Physical" },
            "availabilityZoneMappings": [{ "logicalZone": "2" }, { "logicalZone": "1" }],
        });
        let info = region_info(&told).unwrap();
        assert_eq!(info.zones, ["eastus", "eastus-1", "eastus-2"].map(Zone::from));
        let plain = region_info(&json!({ "name": "westus" })).unwrap();
        assert_eq!(plain.zones, [Zone::from("westus")]);
        assert_eq!(region_info(&json!({ "name": "us", "metadata": { "regionType": "Logical" } })), None);
    }

    #[test]
    fn a_limit_that_is_no_number_of_machines_is_unknown() {
        let usage = |limit: i64| {
            let told = json!({ "unit": "Count", "currentValue": 3, "limit": limit, "name": { "value": "lowPriorityCores" } });
            super::limit(&serde_json::from_value(told).unwrap()).unwrap()
        };
        assert_eq!(usage(100), ("lowprioritycores".to_owned(), Limit { limit: Some(100), used: 3 }));
        assert_eq!(usage(-1).1.limit, None);
        assert_eq!(usage(i64::MAX).1.limit, Some(u32::MAX));
    }
}
