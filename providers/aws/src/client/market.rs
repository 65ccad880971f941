//! What search asks AWS: types, zones, prices, scores, limits and use, from all pages.

use std::collections::BTreeMap;

use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{Instance, InstanceTypeInfo, LocationType};
use aws_sdk_pricing::types::{Filter as PriceFilter, FilterType};
use skyfleet_core::{Error, ErrorKind, Market, Region, Result, Timestamp, TypeName, UsdPerHour, Zone};

use super::Client;
use super::fleet::filter;
use super::pages::Pages;

/// The most names that `DescribeInstanceTypes` takes in one call (EC2's service model); the same
/// for the other calls, so that a request stays short.
pub(crate) const NAMES_MAX: usize = 100;
/// The most regions of one `GetSpotPlacementScores` (EC2's service model).
pub(crate) const SCORE_REGIONS_MAX: usize = 10;

/// Where the Price List answers: it has few endpoints, and each knows the prices of all regions
/// (AWS Billing user guide, "Price List Query API endpoints").
const PRICING_HOME: &str = "us-east-1";

/// A zone of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneName {
    /// As a launch names it, and shuffled per account.
    pub(crate) name: Zone,
    /// The same for every account: `use1-az4`.
    pub(crate) id: String,
}

/// A spot price, from when on it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PriceMove {
    pub(crate) zone: Zone,
    pub(crate) zone_id: Option<String>,
    pub(crate) instance_type: TypeName,
    /// As the answer writes it.
    pub(crate) price: Option<UsdPerHour>,
    pub(crate) at: Timestamp,
}

/// A placement score, 1 to 10.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ZoneScore {
    pub(crate) region: Region,
    pub(crate) zone_id: String,
    pub(crate) score: i32,
}

/// How many instances of one type somebody runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InUse {
    pub(crate) instances: u32,
    /// Of one instance, as the answer says; 0 when it does not.
    pub(crate) vcpus: u32,
}

impl Client {
    /// What the types of a region are: all, or those of these names that it has.
    pub(crate) async fn instance_types(
        &self,
        region: &Region,
        names: Option<&[TypeName]>,
    ) -> Result<Vec<InstanceTypeInfo>> {
        let ec2 = self.ec2(region).await?;
        let mut pages = Pages::new(self, "aws.offers", region);
        let mut types = Vec::new();
        for names in chunks(names) {
            // By a filter, not by `InstanceType.N`: of that, one name which this region lacks would
            // fail the whole call.
            let request = ec2.describe_instance_types().max_results(100).set_filters(
                names.map(|names| vec![filter("instance-type", names.iter().map(TypeName::as_str))]),
            );
            let ask = |token| request.clone().set_next_token(token).send();
            pages
                .all(ask, |page| {
                    types.extend(page.instance_types.unwrap_or_default());
                    page.next_token
                })
                .await?;
        }
        Ok(types)
    }

    /// Which types are sold in which zones of a region.
    pub(crate) async fn offerings(
        &self,
        region: &Region,
        names: Option<&[TypeName]>,
    ) -> Result<Vec<(TypeName, Zone)>> {
        let rows = self.locations(region, LocationType::AvailabilityZone, names).await?;
        Ok(rows.into_iter().map(|(name, zone)| (name, Zone::from(zone))).collect())
    }

    /// The names of all types that a region sells.
    pub(crate) async fn type_names(&self, region: &Region) -> Result<Vec<TypeName>> {
        let rows = self.locations(region, LocationType::Region, None).await?;
        Ok(rows.into_iter().map(|(name, _)| name).collect())
    }

    async fn locations(
        &self,
        region: &Region,
        kind: LocationType,
        names: Option<&[TypeName]>,
    ) -> Result<Vec<(TypeName, String)>> {
        let ec2 = self.ec2(region).await?;
        let mut pages = Pages::new(self, "aws.offers", region);
        let mut found = Vec::new();
        for names in chunks(names) {
            let request = ec2
                .describe_instance_type_offerings()
                .location_type(kind.clone())
                .max_results(1_000)
                .set_filters(
                    names.map(|names| vec![filter("instance-type", names.iter().map(TypeName::as_str))]),
                );
            let ask = |token| request.clone().set_next_token(token).send();
            pages
                .all(ask, |page| {
                    found.extend(page.instance_type_offerings().iter().filter_map(|offering| {
                        let name = TypeName::from(offering.instance_type()?.as_str());
                        Some((name, offering.location()?.to_owned()))
                    }));
                    page.next_token
                })
                .await?;
        }
        Ok(found)
    }

    /// Every region that there is, and whether the account has enabled it; asked where all
    /// accounts can ask.
    pub(crate) async fn all_regions(&self) -> Result<Vec<(Region, bool)>> {
        let home = Region::from(super::HOME);
        let ec2 = self.ec2(&home).await?;
        let call = Box::pin(ec2.describe_regions().all_regions(true).send());
        let answer = self.send("aws.regions", &home, call).await?;
        let regions = answer.regions().iter().filter_map(|region| {
            let enabled = region.opt_in_status().is_none_or(|status| status != "not-opted-in");
            Some((Region::from(region.region_name()?), enabled))
        });
        Ok(regions.collect())
    }

    /// The zones of a region that the account may use.
    pub(crate) async fn zones(&self, region: &Region) -> Result<Vec<ZoneName>> {
        let ec2 = self.ec2(region).await?;
        let call = Box::pin(ec2.describe_availability_zones().send());
        let answer = self.send("aws.zones", region, call).await?;
        let zones = answer.availability_zones().iter().filter_map(|zone| {
            Some(ZoneName { name: Zone::from(zone.zone_name()?), id: zone.zone_id()?.to_owned() })
        });
        Ok(zones.collect())
    }

    /// The changes of the spot prices for Linux since a time, and for each pool the last one before
    /// it: EC2 answers a `StartTime` in this way.
    pub(crate) async fn spot_prices(
        &self,
        region: &Region,
        names: Option<&[TypeName]>,
        since: Timestamp,
    ) -> Result<Vec<PriceMove>> {
        let ec2 = self.ec2(region).await?;
        let mut pages = Pages::new(self, "aws.prices", region);
        let mut moves = Vec::new();
        for names in chunks(names) {
            let request = ec2
                .describe_spot_price_history()
                .product_descriptions("Linux/UNIX")
                .start_time(DateTime::from_secs(since.as_second()))
                .set_instance_types(
                    names.map(|names| names.iter().map(|name| name.as_str().into()).collect()),
                )
                .max_results(1_000);
            let ask = |token| request.clone().set_next_token(token).send();
            pages
                .all(ask, |page| {
                    moves.extend(page.spot_price_history().iter().filter_map(price_move));
                    page.next_token
                })
                .await?;
        }
        Ok(moves)
    }

    /// The products of the Price List that are Linux machines of a region, shared, on demand: each
    /// a JSON text.
    pub(crate) async fn price_list(&self, region: &Region) -> Result<Vec<String>> {
        let home = Region::from(PRICING_HOME);
        let mut request =
            self.pricing(&home).await?.get_products().service_code("AmazonEC2").max_results(100);
        for (field, value) in [
            ("regionCode", region.as_str()),
            ("productFamily", "Compute Instance"),
            ("operatingSystem", "Linux"),
            ("preInstalledSw", "NA"),
            ("tenancy", "Shared"),
            ("capacitystatus", "Used"),
            ("marketoption", "OnDemand"),
        ] {
            request = request.filters(price_filter(field, value)?);
        }
        let mut pages = Pages::new(self, "aws.prices", &home);
        let ask = |token| request.clone().set_next_token(token).send();
        let mut products = Vec::new();
        pages
            .all(ask, |page| {
                products.extend(page.price_list.unwrap_or_default());
                page.next_token
            })
            .await?;
        Ok(products)
    }

    /// Whether the Price List may be read at all.
    pub(crate) async fn price_sample(&self) -> Result<()> {
        let home = Region::from(PRICING_HOME);
        let request = self.pricing(&home).await?.get_products().service_code("AmazonEC2").max_results(1);
        self.send("aws.prices", &home, Box::pin(request.send())).await.map(drop)
    }

    async fn pricing(&self, home: &Region) -> Result<aws_sdk_pricing::Client> {
        let config =
            aws_sdk_pricing::config::Builder::from(self.sdk().await?).region(super::sdk_region(home));
        Ok(aws_sdk_pricing::Client::from_conf(config.build()))
    }

    /// How likely so many spot instances of any of these types can be had, per zone; only the best
    /// zones come back.
    pub(crate) async fn scores(
        &self,
        names: &[TypeName],
        count: u32,
        regions: &[Region],
    ) -> Result<Vec<ZoneScore>> {
        let home = self.home().await?;
        let ec2 = self.ec2(&home).await?;
        let request = ec2
            .get_spot_placement_scores()
            .set_instance_types(Some(names.iter().map(|name| name.as_str().to_owned()).collect()))
            .set_region_names(Some(regions.iter().map(|region| region.as_str().to_owned()).collect()))
            .target_capacity(i32::try_from(count).unwrap_or(i32::MAX))
            .single_availability_zone(true)
            .max_results(1_000);
        let mut pages = Pages::new(self, "aws.scores", &home);
        let ask = |token| request.clone().set_next_token(token).send();
        let mut scores = Vec::new();
        pages
            .all(ask, |page| {
                scores.extend(page.spot_placement_scores().iter().filter_map(|score| {
                    Some(ZoneScore {
                        region: Region::from(score.region()?),
                        zone_id: score.availability_zone_id()?.to_owned(),
                        score: score.score()?,
                    })
                }));
                page.next_token
            })
            .await?;
        Ok(scores)
    }

    /// The account's limit of an EC2 quota; `None` when the service does not say.
    pub(crate) async fn quota(&self, region: &Region, code: &str) -> Result<Option<f64>> {
        let config = aws_sdk_servicequotas::config::Builder::from(self.sdk().await?)
            .region(super::sdk_region(region))
            .build();
        let quotas = aws_sdk_servicequotas::Client::from_conf(config);
        let call = Box::pin(quotas.get_service_quota().service_code("ec2").quota_code(code).send());
        let answer = self.send("aws.quotas", region, call).await?;
        Ok(answer.quota().and_then(|quota| quota.value()))
    }

    /// What everybody in the account runs in a region now, by type and market.
    pub(crate) async fn in_use(
        &self,
        region: &Region,
        only: Option<Market>,
    ) -> Result<BTreeMap<(TypeName, Market), InUse>> {
        let mut filters = vec![filter("instance-state-name", ["pending", "running"])];
        if only == Some(Market::Spot) {
            filters.push(filter("instance-lifecycle", ["spot"]));
        }
        let mut used = BTreeMap::<_, InUse>::new();
        let count = |instance: Instance| {
            let Some(name) = instance.instance_type() else { return };
            let market = match instance.instance_lifecycle().map(|lifecycle| lifecycle.as_str()) {
                Some("spot") => Market::Spot,
                // Capacity blocks have been paid for, and have limits of their own.
                Some("capacity-block") => return,
                _ => Market::OnDemand,
            };
            let options = instance.cpu_options();
            let vcpus = options.map_or(0, |cpu| {
                cpu.core_count().unwrap_or(0).saturating_mul(cpu.threads_per_core().unwrap_or(0))
            });
            let entry = used.entry((TypeName::from(name.as_str()), market)).or_default();
            entry.instances += 1;
            entry.vcpus = entry.vcpus.max(u32::try_from(vcpus).unwrap_or(0));
        };
        self.instances("aws.quotas", region, filters, count).await?;
        Ok(used)
    }
}

fn price_filter(field: &str, value: &str) -> Result<PriceFilter> {
    PriceFilter::builder().r#type(FilterType::TermMatch).field(field).value(value).build().map_err(|error| {
        let message = format!("the price filter {field} cannot be made");
        Error::new(ErrorKind::Unexpected, message).because(error)
    })
}

fn price_move(row: &aws_sdk_ec2::types::SpotPrice) -> Option<PriceMove> {
    let at = row.timestamp()?;
    Some(PriceMove {
        zone: Zone::from(row.availability_zone()?),
        zone_id: row.availability_zone_id().map(str::to_owned),
        instance_type: TypeName::from(row.instance_type()?.as_str()),
        price: row.spot_price().and_then(crate::prices::dollars),
        at: Timestamp::new(at.secs(), i32::try_from(at.subsec_nanos()).unwrap_or(0)).ok()?,
    })
}

/// The names a call at a time; one call without any when all are meant.
fn chunks(names: Option<&[TypeName]>) -> Vec<Option<&[TypeName]>> {
    match names {
        None => vec![None],
        Some(names) => names.chunks(NAMES_MAX).map(Some).collect(),
    }
}
