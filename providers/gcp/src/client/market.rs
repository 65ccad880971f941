//! What search asks Google: regions, types, prices, advice, limits and use, from all pages.

use std::collections::BTreeMap;

use google_cloud_billing_v1::model::ListSkusResponse;
use google_cloud_compute_v1::model::{
    self, AcceleratorTypeAggregatedList, CapacityAdviceRequest, CapacityAdviceResponse,
    CapacityHistoryRequest, CapacityHistoryResponse, MachineType, MachineTypeList, Quota, RegionList, region,
};
use skyfleet_core::places::Place;
use skyfleet_core::{Region, Result, Zone};

use super::Client;
use super::pages::PAGE;
use crate::prices::{Rate, rates};
use crate::whereabouts::last;

/// The most entries of one page of the price list (Cloud Billing documentation, `skus.list`).
const SKUS: i32 = 5_000;
/// Compute Engine's entry in the price list of all services (Cloud Billing documentation).
pub(super) const COMPUTE_ENGINE: &str = "services/6F81-5844-456A";

/// A region, as its project sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RegionInfo {
    pub(crate) name: Region,
    /// In order.
    pub(crate) zones: Vec<Zone>,
    pub(crate) limits: Limits,
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

/// What a project may have and has, by metric; `None` when Google cannot say now, which is not
/// nothing.
pub(crate) type Limits = Option<BTreeMap<String, Limit>>;

/// One quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) limit: Option<u32>,
    pub(crate) used: u32,
}

impl Client {
    /// The regions of the project, with their zones and quotas, by name: one call.
    pub(crate) async fn region_infos(&self) -> Result<Vec<RegionInfo>> {
        let regions = self.regions().await?;
        let request = regions.list().set_project(self.project().await?).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages = self.pages("gcp.regions", ask, |page: &RegionList| page.next_page_token.clone()).await?;
        let told = pages.into_iter().flat_map(|page| page.items);
        let mut found: Vec<RegionInfo> = told.filter_map(region_info).collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The quotas that span all regions.
    pub(crate) async fn project_limits(&self) -> Result<Limits> {
        let projects = self.projects().await?;
        let project = self.project().await?;
        let told = self.send("gcp.quotas", projects.get().set_project(project).send()).await?;
        Ok(Some(limits(&told.quotas)))
    }

    /// The machine types of a zone.
    pub(crate) async fn zone_types(&self, zone: &Zone) -> Result<Vec<MachineType>> {
        let types = self.machine_types().await?;
        let project = self.project().await?;
        let request = types.list().set_project(project).set_zone(zone.as_str()).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let pages =
            self.pages("gcp.offers", ask, |page: &MachineTypeList| page.next_page_token.clone()).await?;
        Ok(pages.into_iter().flat_map(|page| page.items).collect())
    }

    /// The accelerators of all zones, by name, each with how many a machine can have at most.
    pub(crate) async fn zone_accelerators(&self) -> Result<BTreeMap<Zone, Vec<(String, u32)>>> {
        let types = self.accelerator_types().await?;
        let request = types.aggregated_list().set_project(self.project().await?).set_max_results(PAGE);
        let ask = |token| request.clone().set_page_token(token).send();
        let next = |page: &AcceleratorTypeAggregatedList| page.next_page_token.clone();
        let pages = self.pages("gcp.offers", ask, next).await?;
        let mut found = BTreeMap::<Zone, Vec<(String, u32)>>::new();
        for (scope, told) in pages.into_iter().flat_map(|page| page.items) {
            let Some(zone) = scope.strip_prefix("zones/") else { continue };
            let names = told.accelerator_types.into_iter().filter_map(|kind| {
                let most = kind.maximum_cards_per_instance.and_then(|most| u32::try_from(most).ok());
                Some((kind.name?, most.unwrap_or(0)))
            });
            found.entry(Zone::from(zone)).or_default().extend(names);
        }
        Ok(found)
    }

    /// The price list, as far as machines are made of it.
    pub(crate) async fn price_list(&self) -> Result<Vec<Rate>> {
        let catalogue = self.catalogue().await?;
        let request =
            catalogue.list_skus().set_parent(COMPUTE_ENGINE).set_currency_code("USD").set_page_size(SKUS);
        let ask = |token| request.clone().set_page_token(token).send();
        let next = |page: &ListSkusResponse| Some(page.next_page_token.clone());
        let pages = self.pages("gcp.prices", ask, next).await?;
        let found: Vec<Rate> = pages.iter().flat_map(|page| page.skus.iter().flat_map(rates)).collect();
        tracing::debug!(rates = found.len(), "the price list is as of now");
        Ok(found)
    }

    /// How likely capacity can be had.
    pub(crate) async fn capacity(
        &self,
        region: &Region,
        question: CapacityAdviceRequest,
    ) -> Result<CapacityAdviceResponse> {
        let advice = self.advice().await?;
        let request = advice.capacity().set_project(self.project().await?).set_region(region.as_str());
        self.send("gcp.advice", request.set_body(question).send()).await
    }

    /// How often spot machines were taken back.
    pub(crate) async fn capacity_history(
        &self,
        region: &Region,
        question: CapacityHistoryRequest,
    ) -> Result<CapacityHistoryResponse> {
        let advice = self.advice().await?;
        let request =
            advice.capacity_history().set_project(self.project().await?).set_region(region.as_str());
        self.send("gcp.advice", request.set_body(question).send()).await
    }
}

/// `None` for a region that is down: it can be asked for, and has nothing.
fn region_info(told: model::Region) -> Option<RegionInfo> {
    let name = told.name.filter(|_| told.status != Some(region::Status::Down))?;
    let mut zones: Vec<Zone> = told.zones.iter().map(|url| Zone::from(last(url))).collect();
    zones.sort();
    let limits = told.quota_status_warning.is_none().then(|| limits(&told.quotas));
    Some(RegionInfo { name: Region::from(name), zones, limits })
}

fn limits(quotas: &[Quota]) -> BTreeMap<String, Limit> {
    let told = quotas.iter().filter_map(|quota| {
        let metric = quota.metric.as_ref()?.name()?.to_owned();
        let used = quota.usage.and_then(whole).unwrap_or(0);
        Some((metric, Limit { limit: quota.limit.and_then(whole), used }))
    });
    told.collect()
}

/// Limits and use are numbers with decimals in the answer, and whole by their meaning.
fn whole(value: f64) -> Option<u32> {
    (value.is_finite() && value >= 0.0).then(|| value.min(f64::from(u32::MAX)) as u32)
}

#[cfg(test)]
mod tests {
    use google_cloud_compute_v1::model::quota::Metric;

    use super::*;

    #[test]
    fn a_limit_that_is_no_number_is_unknown() {
        for (value, expected) in
            [(5.0, Some(5)), (0.0, Some(0)), (1e12, Some(u32::MAX)), (f64::NAN, None), (-1.0, None)]
        {
            assert_eq!(whole(value), expected, "{value}");
        }
    }

    #[test]
    fn quotas_are_told_by_the_names_that_google_gives_them() {
        let quota = |metric: &str, limit, usage| {
            Quota::new().set_metric(Metric::from(metric)).set_limit(limit).set_usage(usage)
        };
        let told = limits(&[quota("CPUS", 24.0, 3.0), quota("C4_CPUS", 8.0, 0.0)]);
        assert_eq!(told["CPUS"], Limit { limit: Some(24), used: 3 });
        assert_eq!(told["C4_CPUS"], Limit { limit: Some(8), used: 0 }, "newer than the SDK");
    }

    #[test]
    fn a_region_is_told_with_its_zones_and_what_cannot_be_said_is_unknown() {
        let told = serde_json::json!({
            "name": "us-east1", "status": "UP",
            "zones": ["https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-c", "zones/us-east1-b"],
            "quotas": [{ "metric": "CPUS", "limit": 24.0, "usage": 0.0 }],
        });
        let read = |told: &serde_json::Value| region_info(serde_json::from_value(told.clone()).unwrap());
        let info = read(&told).unwrap();
        assert_eq!(info.zones, [Zone::from("us-east1-b"), "us-east1-c".into()]);
        assert_eq!(info.limits.unwrap().len(), 1);
        let mut silent = told.clone();
        silent["quotaStatusWarning"] = serde_json::json!({ "code": "MISSING_TYPE_DEPENDENCY" });
        assert_eq!(read(&silent).unwrap().limits, None);
        let mut down = told;
        down["status"] = "DOWN".into();
        assert_eq!(read(&down), None);
    }
}
