//! Spot placement scores, asked for sparingly.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use skyfleet_core::kept::age;
use skyfleet_core::{Error, ErrorKind, Region, Result, Timestamp, TypeName};
use tokio::sync::Mutex;

use crate::client::Client;
use crate::client::market::{SCORE_REGIONS_MAX, ZoneScore};

/// A score is an answer about now.
const SCORE_AGE_MAX: Duration = Duration::from_secs(600);
/// EC2 counts the new configurations of the last 24 hours (EC2 user guide, "Spot placement score").
const DAY: Duration = Duration::from_secs(24 * 3_600);
/// How long nothing new is asked for after EC2 said that it was enough.
const PAUSE: Duration = Duration::from_secs(3_600);
/// The most types of one question (EC2's service model).
const TYPES_MAX: usize = 1_000;

/// What was asked for, with its latest answers.
///
/// An account may ask for few new configurations a day, so one that was asked for before is asked
/// for again as long as it fits: the same size class, all of the regions, and at least half of the
/// types. A size class is a power of two: a fleet that misses 37 instances and then 35 asks once.
#[derive(Debug, Default)]
pub(super) struct Scores(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    configurations: Vec<Configuration>,
    paused_until: Option<Timestamp>,
}

#[derive(Debug)]
struct Configuration {
    types: BTreeSet<TypeName>,
    class: u32,
    regions: Vec<Region>,
    first: Timestamp,
    last: Timestamp,
    scores: Vec<ZoneScore>,
}

impl Configuration {
    /// How well it answers a question, in per cent of the types; `None` when it does not.
    fn fits(&self, types: &BTreeSet<TypeName>, class: u32, regions: &[Region]) -> Option<usize> {
        if self.class != class || !regions.iter().all(|region| self.regions.contains(region)) {
            return None;
        }
        let both = self.types.intersection(types).count();
        let either = self.types.union(types).count();
        (both * 2 >= either).then(|| both * 100 / either.max(1))
    }
}

/// The scores of zones by their id, and the types that they are about.
pub(super) struct Answer {
    pub(super) types: BTreeSet<TypeName>,
    pub(super) by_zone: BTreeMap<(Region, String), u8>,
}

impl Scores {
    /// How likely `count` spot instances of any of these types can be had, 10 to 100, in the zones
    /// about which EC2 says something: the ten best.
    ///
    /// # Errors
    /// `RateLimited` and `Unavailable`; all other refusals mean that there is no score.
    pub(super) async fn of(
        &self,
        client: &Client,
        types: &BTreeSet<TypeName>,
        count: u32,
        regions: &[Region],
    ) -> Result<Vec<Answer>> {
        let class = count.max(1).checked_next_power_of_two().unwrap_or(u32::MAX);
        let types: BTreeSet<TypeName> = types.iter().take(TYPES_MAX).cloned().collect();
        let mut asked = self.0.lock().await;
        let now = client.clock().now();
        asked.configurations.retain(|configuration| age(configuration.first, now) < DAY);
        let mut answers = Vec::new();
        for regions in regions.chunks(SCORE_REGIONS_MAX) {
            let fits = |configuration: &Configuration| configuration.fits(&types, class, regions);
            let best = (0..asked.configurations.len())
                .filter_map(|n| Some((fits(&asked.configurations[n])?, n)))
                .max_by_key(|(likeness, n)| (*likeness, std::cmp::Reverse(*n)))
                .map(|(_, n)| n);
            let known = match best {
                Some(n) => n,
                None if asked.paused_until.is_some_and(|until| now < until) => continue,
                None => {
                    asked.configurations.push(Configuration {
                        types: types.clone(),
                        class,
                        regions: regions.to_vec(),
                        first: now,
                        // Older than any answer may be: it has none yet.
                        last: Timestamp::MIN,
                        scores: Vec::new(),
                    });
                    asked.configurations.len() - 1
                }
            };
            let configuration = &mut asked.configurations[known];
            if age(configuration.last, now) >= SCORE_AGE_MAX {
                let names: Vec<TypeName> = configuration.types.iter().cloned().collect();
                match client.scores(&names, class, &configuration.regions).await {
                    Ok(scores) => {
                        configuration.scores = scores;
                        configuration.last = now;
                    }
                    Err(error) => {
                        let old = configuration.scores.is_empty() && configuration.last == Timestamp::MIN;
                        if old {
                            asked.configurations.remove(known);
                        }
                        asked.refused(error, now)?;
                        continue;
                    }
                }
            }
            let configuration = &asked.configurations[known];
            let by_zone = configuration
                .scores
                .iter()
                .map(|score| ((score.region.clone(), score.zone_id.clone()), percent(score.score)));
            answers.push(Answer { types: configuration.types.clone(), by_zone: by_zone.collect() });
        }
        Ok(answers)
    }
}

impl Asked {
    /// No score is no misfortune: signals order candidates. Only what passes is worth a retry.
    fn refused(&mut self, error: Error, now: Timestamp) -> Result<()> {
        if matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Unavailable) {
            return Err(error);
        }
        // After too many questions, or one that may not be asked at all, the next would fare no better.
        tracing::info!(%error, "no placement scores for an hour");
        self.paused_until = Some(now + PAUSE);
        Ok(())
    }
}

/// EC2 says 1 to 10.
fn percent(score: i32) -> u8 {
    u8::try_from(score.clamp(1, 10) * 10).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(types: &[&str], class: u32, regions: &[&str]) -> Configuration {
        Configuration {
            types: types.iter().map(|name| TypeName::from(*name)).collect(),
            class,
            regions: regions.iter().map(|name| Region::from(*name)).collect(),
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            scores: Vec::new(),
        }
    }

    #[test]
    fn a_score_of_ten_steps_becomes_one_of_a_hundred() {
        for (score, expected) in [(1, 10), (5, 50), (10, 100), (0, 10), (11, 100), (-3, 10)] {
            assert_eq!(percent(score), expected);
        }
    }

    #[test]
    fn an_earlier_question_is_asked_again_while_it_fits() {
        let asked = configuration(&["a", "b", "c"], 128, &["r1", "r2"]);
        let fits = |types: &[&str], class, regions: &[&str]| {
            let question = configuration(types, class, regions);
            asked.fits(&question.types, class, &question.regions)
        };
        assert_eq!(fits(&["a", "b", "c"], 128, &["r1", "r2"]), Some(100));
        assert_eq!(fits(&["a", "b", "c"], 128, &["r2"]), Some(100));
        assert_eq!(fits(&["a", "b"], 128, &["r1"]), Some(66));
        assert_eq!(fits(&["a", "b", "d"], 128, &["r1"]), Some(50));
        assert_eq!(fits(&["a"], 128, &["r1"]), None);
        assert_eq!(fits(&["a", "b", "c"], 256, &["r1"]), None);
        assert_eq!(fits(&["a", "b", "c"], 128, &["r3"]), None);
    }
}
