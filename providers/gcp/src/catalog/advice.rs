//! Capacity advice and history, asked for sparingly: signals, which order candidates and veto none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use google_cloud_compute_v1::model::capacity_advice_request_distribution_policy::TargetShape;
use google_cloud_compute_v1::model::capacity_advice_request_instance_properties_scheduling::ProvisioningModel;
use google_cloud_compute_v1::model::capacity_history_request::Types;
use google_cloud_compute_v1::model::capacity_history_request_instance_properties_scheduling::ProvisioningModel as HistoryModel;
use google_cloud_compute_v1::model::{
    CapacityAdviceRequest, CapacityAdviceRequestDistributionPolicy,
    CapacityAdviceRequestDistributionPolicyZoneConfiguration, CapacityAdviceRequestInstanceFlexibilityPolicy,
    CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection, CapacityAdviceRequestInstanceProperties,
    CapacityAdviceRequestInstancePropertiesScheduling, CapacityAdviceResponse, CapacityHistoryRequest,
    CapacityHistoryRequestInstanceProperties, CapacityHistoryRequestInstancePropertiesScheduling,
    CapacityHistoryRequestLocationPolicy, CapacityHistoryResponse,
};
use skyfleet_core::advice::Questions;
use skyfleet_core::kept::Kept;
use skyfleet_core::{Error, OfferId, Result, Signal, TypeName, Zone};

use crate::client::Client;
use crate::whereabouts::region_of;

/// A score is an answer about now.
const SCORE_AGE_MAX: Duration = Duration::from_secs(600);
/// History is told day by day.
const HISTORY_AGE_MAX: Duration = Duration::from_secs(12 * 3_600);
/// How many zones, and how many types in zones, are asked about: the first ones, since who asks puts
/// the best first.
const ZONES_MAX: usize = 12;
const POOLS_MAX: usize = 12;
/// How many types one question names.
const TYPES_MAX: usize = 20;
/// How many questions are under way at once.
const AT_ONCE: usize = 8;

/// What was answered, for as long as it is true.
#[derive(Debug)]
pub(super) struct Advice {
    scores: Kept<Question, Option<u8>>,
    histories: Kept<(Zone, TypeName), Option<u32>>,
    questions: Questions,
}

/// A zone, the types, and how many of them together: a power of two, so that a fleet that misses 37
/// instances and then 35 asks once.
type Question = (Zone, Vec<TypeName>, u32);

impl Default for Advice {
    fn default() -> Self {
        Self {
            scores: Kept::new(SCORE_AGE_MAX),
            histories: Kept::new(HISTORY_AGE_MAX),
            questions: Questions::default(),
        }
    }
}

impl Advice {
    /// What Google says about spot offers, the best of which come first: how likely `count` of them
    /// can be had in each zone, and how often they were taken back. A few calls; none while the
    /// project may not ask, or the settings do not want it.
    ///
    /// # Errors
    /// `RateLimited` and `Unavailable`; all other refusals mean that there is nothing to say.
    pub(super) async fn signals(
        &self,
        client: &Client,
        spot: &[&OfferId],
        count: u32,
    ) -> Result<Vec<Signal>> {
        // Neither is told of machines with GPUs attached ("Advice about capacity", limitations).
        let spot: Vec<&OfferId> =
            spot.iter().copied().filter(|offer| !offer.instance_type.as_str().contains('+')).collect();
        if spot.is_empty()
            || !client.settings().capacity_advice
            || self.questions.are_paused(client.clock().now())
        {
            return Ok(Vec::new());
        }
        let class = count.max(1).checked_next_power_of_two().unwrap_or(u32::MAX);
        let scores = self.scores(client, &spot, class);
        let histories = self.histories(client, &spot);
        let (scores, histories) = futures::try_join!(scores, histories)?;
        Ok(scores.into_iter().chain(histories).collect())
    }

    async fn scores(&self, client: &Client, spot: &[&OfferId], class: u32) -> Result<Vec<Signal>> {
        let mut names = Vec::new();
        for offer in spot {
            if names.len() < TYPES_MAX && !names.contains(&offer.instance_type) {
                names.push(offer.instance_type.clone());
            }
        }
        let mut zones = Vec::<(Zone, BTreeSet<TypeName>)>::new();
        for offer in spot.iter().filter(|offer| names.contains(&offer.instance_type)) {
            match zones.iter().position(|(zone, _)| *zone == offer.zone) {
                Some(place) => _ = zones[place].1.insert(offer.instance_type.clone()),
                None if zones.len() == ZONES_MAX => {}
                None => zones.push((offer.zone.clone(), BTreeSet::from([offer.instance_type.clone()]))),
            }
        }
        let asked = zones.into_iter().map(|(zone, types)| async move {
            let question = (zone, types.into_iter().collect::<Vec<_>>(), class);
            let score = self.score(client, &question).await?;
            Ok::<_, Error>((question.0, (question.1, score)))
        });
        let answers: BTreeMap<Zone, (Vec<TypeName>, Option<u8>)> =
            stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
        let told = spot.iter().filter_map(|offer| {
            let (types, score) = answers.get(&offer.zone)?;
            let score = (*score).filter(|_| types.contains(&offer.instance_type))?;
            Some(Signal::PlacementScore { offer: (*offer).clone(), score })
        });
        Ok(told.collect())
    }

    async fn score(&self, client: &Client, question: &Question) -> Result<Option<u8>> {
        let now = client.clock().now();
        let ask = async {
            let region = region_of(question.0.as_str());
            let answer = client.capacity(&region, score_question(question)).await;
            Ok(self.questions.heard(answer, now)?.and_then(|answer| obtainability(&answer)))
        };
        Ok(*self.scores.get(question, now, ask).await?)
    }

    async fn histories(&self, client: &Client, spot: &[&OfferId]) -> Result<Vec<Signal>> {
        let first: Vec<OfferId> = spot.iter().take(POOLS_MAX).copied().cloned().collect();
        let asked = first.into_iter().map(|offer| async move {
            let rate = self.history(client, &offer).await?;
            Ok::<_, Error>(rate.map(|per_hour_ppm| Signal::EvictionRate { offer, per_hour_ppm }))
        });
        let told: Vec<Option<Signal>> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        Ok(told.into_iter().flatten().collect())
    }

    async fn history(&self, client: &Client, offer: &OfferId) -> Result<Option<u32>> {
        let now = client.clock().now();
        let ask = async {
            let region = region_of(offer.zone.as_str());
            let answer = client.capacity_history(&region, history_question(offer)).await;
            Ok(self.questions.heard(answer, now)?.and_then(|answer| evictions(&answer)))
        };
        let key = (offer.zone.clone(), offer.instance_type.clone());
        Ok(*self.histories.get(&key, now, ask).await?)
    }
}

fn score_question((zone, types, class): &Question) -> CapacityAdviceRequest {
    let zone =
        CapacityAdviceRequestDistributionPolicyZoneConfiguration::new().set_zone(format!("zones/{zone}"));
    let policy = CapacityAdviceRequestDistributionPolicy::new()
        .set_target_shape(TargetShape::AnySingleZone)
        .set_zones([zone]);
    let selection = CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection::new()
        .set_machine_types(types.iter().map(TypeName::as_str));
    let flexibility =
        CapacityAdviceRequestInstanceFlexibilityPolicy::new().set_instance_selections([("any", selection)]);
    let scheduling = CapacityAdviceRequestInstancePropertiesScheduling::new()
        .set_provisioning_model(ProvisioningModel::Spot);
    CapacityAdviceRequest::new()
        .set_distribution_policy(policy)
        .set_instance_flexibility_policy(flexibility)
        .set_instance_properties(CapacityAdviceRequestInstanceProperties::new().set_scheduling(scheduling))
        .set_size(i32::try_from(*class).unwrap_or(i32::MAX))
}

/// The likelihood of the best recommendation, 0 to 100.
fn obtainability(answer: &CapacityAdviceResponse) -> Option<u8> {
    let told = answer.recommendations.iter().filter_map(|told| told.scores.as_ref()?.obtainability);
    let best = told
        .filter(|score| score.is_finite())
        .fold(None, |best: Option<f64>, score| Some(best.map_or(score, |best| best.max(score))));
    best.map(|score| (score.clamp(0.0, 1.0) * 100.0).round() as u8)
}

fn history_question(offer: &OfferId) -> CapacityHistoryRequest {
    let scheduling =
        CapacityHistoryRequestInstancePropertiesScheduling::new().set_provisioning_model(HistoryModel::Spot);
    let properties = CapacityHistoryRequestInstanceProperties::new()
        .set_machine_type(offer.instance_type.as_str())
        .set_scheduling(scheduling);
    let location = CapacityHistoryRequestLocationPolicy::new().set_location(format!("zones/{}", offer.zone));
    CapacityHistoryRequest::new()
        .set_types([Types::Preemption])
        .set_instance_properties(properties)
        .set_location_policy(location)
}

/// Google tells the share of spot machines that were taken back, day by day for a month. The mean
/// of the days, as the chance of one hour.
fn evictions(answer: &CapacityHistoryResponse) -> Option<u32> {
    let days = answer.preemption_history.iter().filter_map(|record| record.preemption_rate);
    let days: Vec<f64> = days.filter(|rate| rate.is_finite()).map(|rate| rate.clamp(0.0, 1.0)).collect();
    if days.is_empty() {
        return None;
    }
    let daily = days.iter().sum::<f64>() / days.len() as f64;
    let hourly = 1.0 - (1.0 - daily).powf(1.0 / 24.0);
    Some((hourly * 1e6).round() as u32)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_question_is_about_one_zone_and_its_types() {
        let question = ("us-central1-a".into(), vec!["n2-standard-2".into(), "e2-standard-2".into()], 128);
        let sent: Value = serde_json::to_value(score_question(&question)).unwrap();
        assert_eq!(
            sent,
            json!({
                "distributionPolicy": { "targetShape": "ANY_SINGLE_ZONE", "zones": [{ "zone": "zones/us-central1-a" }] },
                "instanceFlexibilityPolicy": {
                    "instanceSelections": { "any": { "machineTypes": ["n2-standard-2", "e2-standard-2"] } } },
                "instanceProperties": { "scheduling": { "provisioningModel": "SPOT" } },
                "size": 128,
            })
        );
    }

    #[test]
    fn a_likelihood_becomes_a_score_of_a_hundred() {
        for (told, score) in [(0.82, Some(82)), (0.0, Some(0)), (1.7, Some(100)), (-1.0, Some(0))] {
            let answer =
                json!({ "recommendations": [{ "scores": { "obtainability": told } }, { "shards": [] }] });
            assert_eq!(obtainability(&serde_json::from_value(answer).unwrap()), score, "{told}");
        }
        assert_eq!(obtainability(&CapacityAdviceResponse::new()), None);
    }

    #[test]
    fn days_of_preemptions_become_the_chance_of_an_hour() {
        let answer = |rates: &[f64]| {
            let days: Vec<Value> = rates.iter().map(|rate| json!({ "preemptionRate": rate })).collect();
            serde_json::from_value(json!({ "preemptionHistory": days })).unwrap()
        };
        assert_eq!(evictions(&answer(&[])), None);
        assert_eq!(evictions(&answer(&[0.0, 0.0])), Some(0));
        assert_eq!(evictions(&answer(&[1.0])), Some(1_000_000));
        // 1 - 0.9^(1/24)
        assert_eq!(evictions(&answer(&[0.05, 0.15])), Some(4_380));
    }
}
