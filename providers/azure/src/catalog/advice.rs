//! Placement scores and eviction rates, asked for sparingly: signals, which order candidates and veto
//! none.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use skyfleet_core::advice::Questions;
use skyfleet_core::kept::Kept;
use skyfleet_core::{OfferId, Region, Result, Signal, TypeName, Zone};

use crate::client::Client;
use crate::client::market::ScoreQuestion;
use crate::names::{plain, region_of, zone_of};

/// A score holds a quarter of an hour (Azure documentation, "Spot Placement Score": cache 15 to 30
/// minutes).
const SCORE_AGE_MAX: Duration = Duration::from_secs(900);
/// Rates are those of the last 28 days.
const RATE_AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// The most regions and sizes of one question for scores (the same page).
const REGIONS_MAX: usize = 8;
const SIZES_MAX: usize = 5;
/// How many questions for scores are asked: about the first sizes, since who asks puts the best first.
const QUESTIONS_MAX: usize = 2;
/// The most machines that a score is about.
const COUNT_MAX: u32 = 1_000;
/// The most rows that Resource Graph gives at once are a thousand; that many rates are asked for.
const RATED_REGIONS_MAX: usize = 20;
const RATED_SIZES_MAX: usize = 50;

/// What was answered, for as long as it is true.
#[derive(Debug)]
pub(super) struct Advice {
    scores: Kept<ScoreQuestion, Scores>,
    rates: Kept<(Vec<Region>, Vec<TypeName>), Rates>,
    about_scores: Questions,
    about_rates: Questions,
}

/// By size in small letters and by zone: the region's own name where the score is of all of it.
type Scores = BTreeMap<(String, Zone), u8>;

/// By size in small letters and by region, in parts per million.
type Rates = BTreeMap<(String, Region), u32>;

impl Default for Advice {
    fn default() -> Self {
        Self {
            scores: Kept::new(SCORE_AGE_MAX),
            rates: Kept::new(RATE_AGE_MAX),
            about_scores: Questions::default(),
            about_rates: Questions::default(),
        }
    }
}

impl Advice {
    /// What Azure says about spot offers, the best of which come first: how likely `count` of them
    /// can be had, and how often they were taken back. A few calls; none while the caller may not
    /// ask.
    ///
    /// # Errors
    /// `RateLimited` and `Unavailable`; all other refusals mean that there is nothing to say.
    pub(super) async fn signals(
        &self,
        client: &Client,
        spot: &[&OfferId],
        count: u32,
    ) -> Result<Vec<Signal>> {
        if spot.is_empty() {
            return Ok(Vec::new());
        }
        let (scores, rates) = futures::try_join!(self.scores(client, spot, count), self.rates(client, spot))?;
        let mut told = Vec::new();
        for offer in spot {
            let (name, region) = (plain(offer.instance_type.as_str()), region_of(&offer.zone));
            let whole = zone_of(region.as_str(), None);
            let score =
                scores.get(&(name.clone(), offer.zone.clone())).or(scores.get(&(name.clone(), whole)));
            told.extend(score.map(|score| Signal::PlacementScore { offer: (*offer).clone(), score: *score }));
            let rate = rates.get(&(name, region));
            told.extend(
                rate.map(|rate| Signal::EvictionRate { offer: (*offer).clone(), per_hour_ppm: *rate }),
            );
        }
        Ok(told)
    }

    async fn scores(&self, client: &Client, spot: &[&OfferId], count: u32) -> Result<Scores> {
        let now = client.clock().now();
        let mut all = Scores::new();
        if !client.settings().placement_scores || self.about_scores.are_paused(now) {
            return Ok(all);
        }
        let regions = first(spot.iter().map(|offer| region_of(&offer.zone)), REGIONS_MAX);
        let sizes = first(spot.iter().map(|offer| offer.instance_type.clone()), SIZES_MAX * QUESTIONS_MAX);
        // A power of two, so that a fleet that misses 37 machines and then 35 asks once.
        let count = count.clamp(1, COUNT_MAX).next_power_of_two().min(COUNT_MAX);
        for sizes in sizes.chunks(SIZES_MAX) {
            let question = ScoreQuestion { regions: regions.clone(), sizes: sizes.to_vec(), count };
            let ask = async {
                let answer = self.about_scores.heard(client.scores(&question).await, now)?;
                Ok(answer.unwrap_or_default().iter().filter_map(score).collect())
            };
            all.extend(self.scores.get(&question, now, ask).await?.iter().map(|(k, v)| (k.clone(), *v)));
        }
        Ok(all)
    }

    async fn rates(&self, client: &Client, spot: &[&OfferId]) -> Result<Rates> {
        let now = client.clock().now();
        if self.about_rates.are_paused(now) {
            return Ok(Rates::new());
        }
        let mut regions = first(spot.iter().map(|offer| region_of(&offer.zone)), RATED_REGIONS_MAX);
        let mut sizes = first(spot.iter().map(|offer| offer.instance_type.clone()), RATED_SIZES_MAX);
        regions.sort();
        sizes.sort();
        let query = rates_query(&regions, &sizes);
        let ask = async {
            let answer = self.about_rates.heard(client.graph("azure.rates", &query).await, now)?;
            Ok(answer.unwrap_or_default().iter().filter_map(rate).collect())
        };
        Ok((*self.rates.get(&(regions, sizes), now, ask).await?).clone())
    }
}

/// The first different ones, in their order.
fn first<T: PartialEq>(all: impl Iterator<Item = T>, most: usize) -> Vec<T> {
    let mut found = Vec::new();
    for one in all {
        if found.len() == most {
            break;
        }
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

/// `High`, `Medium` and `Low` are all that Azure says; of what it does not know there is no score.
fn score(row: &Value) -> Option<((String, Zone), u8)> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let score = match text("score")? {
        "High" => 90,
        "Medium" => 50,
        "Low" => 10,
        "RestrictedSkuNotAvailable" => 0,
        _ => return None,
    };
    Some(((plain(text("sku")?), zone_of(text("region")?, text("availabilityZone"))), score))
}

/// Azure documentation, "Use Azure Spot Virtual Machines", pricing and eviction history.
fn rates_query(regions: &[Region], sizes: &[TypeName]) -> String {
    let quoted = |words: &mut dyn Iterator<Item = &str>| {
        words.map(|word| format!("'{}'", plain(word))).collect::<Vec<_>>().join(",")
    };
    let sizes = quoted(&mut sizes.iter().map(TypeName::as_str));
    let regions = quoted(&mut regions.iter().map(Region::as_str));
    format!(
        "SpotResources | where type =~ 'microsoft.compute/skuspotevictionrate/location' \
         | where sku.name in~ ({sizes}) | where location in~ ({regions}) \
         | project skuName = tostring(sku.name), location, spotEvictionRate = tostring(properties.evictionRate)"
    )
}

fn rate(row: &Value) -> Option<((String, Region), u32)> {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let rate = per_hour_ppm(text("spotEvictionRate")?)?;
    Some(((plain(text("skuName")?), Region::from(plain(text("location")?))), rate))
}

/// The middle of a band: `0-5` per cent, `20+`. The chance is that of an hour (the same page).
fn per_hour_ppm(band: &str) -> Option<u32> {
    let number = |text: &str| text.trim().parse::<u32>().ok().filter(|percent| *percent <= 100);
    let (low, high) = match band.trim().trim_end_matches('%').split_once('-') {
        Some((low, high)) => (number(low)?, number(high)?),
        None => {
            let low = number(band.trim().trim_end_matches('%').strip_suffix('+')?)?;
            (low, (low + 5).min(100))
        }
    };
    Some((low + high) * 10_000 / 2)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_become_scores_of_a_hundred() {
        let row = |score: &str, zone: Option<&str>| {
            let row = json!({ "sku": "Standard_D2s_v5", "region": "eastus", "availabilityZone": zone, "score": score });
            super::score(&row)
        };
        let at = |zone: &str| ("standard_d2s_v5".to_owned(), Zone::from(zone));
        assert_eq!(row("High", Some("1")), Some((at("eastus-1"), 90)));
        assert_eq!(row("Low", None), Some((at("eastus"), 10)));
        assert_eq!(row("RestrictedSkuNotAvailable", None), Some((at("eastus"), 0)));
        assert_eq!(row("DataNotFoundOrStale", None), None);
    }

    #[test]
    fn bands_become_the_chance_of_an_hour() {
        for (band, ppm) in [
            ("0-5", Some(25_000)),
            ("5-10", Some(75_000)),
            ("15-20", Some(175_000)),
            ("20+", Some(225_000)),
            ("100+", Some(1_000_000)),
            ("", None),
            ("often", None),
            ("5", None),
            ("0-900", None),
        ] {
            assert_eq!(per_hour_ppm(band), ppm, "{band}");
        }
    }

    #[test]
    fn a_question_for_rates_names_what_it_is_about() {
        let query = rates_query(&["eastus".into()], &["Standard_D2s_v5".into(), "Standard_D4s_v5".into()]);
        assert!(query.contains("sku.name in~ ('standard_d2s_v5','standard_d4s_v5')"), "{query}");
        assert!(query.contains("location in~ ('eastus')"), "{query}");
        let row = json!({ "skuName": "standard_d2s_v5", "location": "eastus", "spotEvictionRate": "5-10" });
        assert_eq!(rate(&row), Some((("standard_d2s_v5".to_owned(), "eastus".into()), 75_000)));
    }
}
