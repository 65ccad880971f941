use std::collections::BTreeMap;

use skyfleet_core::{InstanceId, Market, Timestamp, UsdPerHour};

use crate::picture::draw;
use crate::{Event, EventKind};

/// A picture of a fleet's life: instances over time by state and market, preemptions, cost.
///
/// ```
/// use skyfleet::Timeline;
/// let timeline = Timeline::titled("words: 20 instances");
/// assert!(timeline.to_svg().starts_with("<svg"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    title: String,
    events: Vec<Event>,
}

/// How many instances there are from a moment on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Bought and not yet running, on any market.
    pub pending: u32,
    /// Running on the spot market.
    pub spot: u32,
    /// Running on demand.
    pub on_demand: u32,
}

impl Level {
    /// All of them.
    pub fn total(self) -> u32 {
        self.pending + self.spot + self.on_demand
    }
}

impl Timeline {
    /// An empty timeline with a headline.
    pub fn titled(title: impl Into<String>) -> Self {
        Self { title: title.into(), events: Vec::new() }
    }

    /// Takes note of an event.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// How many instances there were from each moment on at which the number changed. A teardown
    /// counts as the end of all.
    pub fn levels(&self) -> Vec<(Timestamp, Level)> {
        self.story().levels
    }

    /// The picture, as SVG text: 900 × 420, on a light card of its own, so that it reads on a dark
    /// page too.
    pub fn to_svg(&self) -> String {
        draw(&self.title, &self.story())
    }

    fn story(&self) -> Story {
        let mut story = Story::default();
        let Some(first) = self.events.first() else { return story };
        story.begin = first.at;
        let (mut alive, mut cost) = (BTreeMap::<InstanceId, Life>::new(), 0.0);
        let (mut rate, mut last) = (UsdPerHour::ZERO, first.at);
        let mut level = Level::default();
        story.levels.push((first.at, level));
        story.costs.push((first.at, 0.0));
        for event in &self.events {
            let at = event.at.max(last);
            cost += rate.to_dollars() * at.duration_since(last).as_secs_f64() / 3_600.0;
            last = at;
            match &event.kind {
                EventKind::Filled { slot, instance, offer, price, replaces } => {
                    let price = price.known().unwrap_or_default();
                    let life = Life { market: offer.market, running: false, price };
                    rate += price;
                    level.pending += 1;
                    alive.insert(instance.clone(), life);
                    story.bought += 1;
                    if replaces.is_some() {
                        story.replaced.push((*slot, at));
                    }
                }
                EventKind::Running { instance, .. } => {
                    if let Some(life) = alive.get_mut(instance).filter(|life| !life.running) {
                        life.running = true;
                        level.pending -= 1;
                        *level.running(life.market) += 1;
                    }
                }
                EventKind::Notice { slot, .. } => story.noticed.push((*slot, at)),
                EventKind::Preempted { slot, instance, .. } => {
                    story.preempted.push((*slot, at));
                    end(&mut level, &mut rate, alive.remove(instance));
                }
                EventKind::Lost { instance, .. } | EventKind::Released { instance, .. } => {
                    end(&mut level, &mut rate, alive.remove(instance));
                }
                EventKind::TeardownStarted { .. } => {
                    story.teardown.get_or_insert(at);
                    (level, rate) = (Level::default(), UsdPerHour::ZERO);
                    alive.clear();
                }
                EventKind::TornDown { spent, leftovers } => {
                    (level, rate) = (Level::default(), UsdPerHour::ZERO);
                    alive.clear();
                    story.outcome = Some((spent.to_dollars(), *leftovers));
                }
                _ => {}
            }
            if story.levels.last().is_some_and(|(_, before)| *before != level) {
                story.levels.push((at, level));
            }
            story.costs.push((at, cost));
        }
        // Events carry prices, not what disks and addresses cost beside them. The bill at the end
        // does: the difference lies over the time as the prices do.
        if let Some((spent, _)) = story.outcome.filter(|_| cost > 0.0) {
            story.costs.iter_mut().for_each(|(_, so_far)| *so_far *= spent / cost);
        }
        story.end = last;
        story
    }
}

impl Extend<Event> for Timeline {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        self.events.extend(events);
    }
}

struct Life {
    market: Market,
    running: bool,
    price: UsdPerHour,
}

impl Level {
    fn running(&mut self, market: Market) -> &mut u32 {
        match market {
            Market::Spot => &mut self.spot,
            Market::OnDemand => &mut self.on_demand,
        }
    }
}

fn end(level: &mut Level, rate: &mut UsdPerHour, life: Option<Life>) {
    let Some(life) = life else { return };
    *rate = *rate - life.price;
    *(if life.running { level.running(life.market) } else { &mut level.pending }) -= 1;
}

/// What the picture shows.
#[derive(Default)]
pub(crate) struct Story {
    pub(crate) begin: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) levels: Vec<(Timestamp, Level)>,
    pub(crate) costs: Vec<(Timestamp, f64)>,
    pub(crate) noticed: Vec<(u32, Timestamp)>,
    pub(crate) preempted: Vec<(u32, Timestamp)>,
    pub(crate) replaced: Vec<(u32, Timestamp)>,
    pub(crate) teardown: Option<Timestamp>,
    pub(crate) outcome: Option<(f64, u32)>,
    pub(crate) bought: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfleet_core::{OfferId, Price, Usd};

    fn at(second: i64, kind: EventKind) -> Event {
        Event { at: Timestamp::from_second(second).unwrap(), kind }
    }

    fn offer(market: Market) -> OfferId {
        OfferId { zone: "sim-east-a".into(), instance_type: "sim.small".into(), market }
    }

    fn filled(slot: u32, id: &str, market: Market, replaces: Option<&str>) -> EventKind {
        EventKind::Filled {
            slot,
            instance: id.into(),
            offer: offer(market),
            price: Price::Known(UsdPerHour::from_micros(36_000_000)),
            replaces: replaces.map(Into::into),
        }
    }

    fn running(slot: u32, id: &str) -> EventKind {
        EventKind::Running { slot, instance: id.into() }
    }

    fn life() -> Timeline {
        let mut timeline = Timeline::titled("words & <more>");
        timeline.extend([
            at(0, filled(0, "i-0", Market::Spot, None)),
            at(0, filled(1, "i-1", Market::OnDemand, None)),
            at(40, running(0, "i-0")),
            at(50, running(1, "i-1")),
            at(100, EventKind::Preempted { slot: 0, instance: "i-0".into(), offer: offer(Market::Spot) }),
            at(110, filled(0, "i-2", Market::Spot, Some("i-0"))),
            at(150, running(0, "i-2")),
            at(200, EventKind::TeardownStarted { instances: 2 }),
            at(260, EventKind::TornDown { leftovers: 0, spent: Usd::from_micros(3_900_000) }),
        ]);
        timeline
    }

    fn level(pending: u32, spot: u32, on_demand: u32) -> Level {
        Level { pending, spot, on_demand }
    }

    #[test]
    fn the_levels_follow_the_events_and_end_at_zero() {
        let levels: Vec<_> = life().levels().into_iter().map(|(at, level)| (at.as_second(), level)).collect();
        assert_eq!(
            levels,
            [
                (0, level(0, 0, 0)),
                (0, level(1, 0, 0)),
                (0, level(2, 0, 0)),
                (40, level(1, 1, 0)),
                (50, level(0, 1, 1)),
                (100, level(0, 0, 1)),
                (110, level(1, 0, 1)),
                (150, level(0, 1, 1)),
                (200, level(0, 0, 0)),
            ]
        );
    }

    #[test]
    fn the_cost_is_price_times_time() {
        let story = life().story();
        // A cent per second and instance: 100 s of two, 10 s of one, 90 s of two.
        assert!((story.costs.last().unwrap().1 - 3.9).abs() < 1e-9);
    }

    #[test]
    fn the_cost_ends_at_what_was_spent_disks_included() {
        let mut timeline = life();
        let spent = Usd::from_micros(4_200_000);
        timeline.push(at(300, EventKind::TornDown { leftovers: 0, spent }));
        assert!((timeline.story().costs.last().unwrap().1 - 4.2).abs() < 1e-9);
    }

    #[test]
    fn the_picture_is_well_formed_whatever_happened() {
        let mut lost = Timeline::default();
        lost.push(at(0, EventKind::Lost { slot: 9, instance: "never-seen".into() }));
        for timeline in [Timeline::default(), lost, life()] {
            assert_well_formed(&timeline.to_svg());
        }
        let svg = life().to_svg();
        assert!(svg.contains("words &amp; &lt;more&gt;") && svg.contains("leftovers: 0"), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn a_large_fleet_makes_no_large_file() {
        let mut timeline = Timeline::default();
        for n in 0..20_000 {
            timeline.push(at(n, filled(n as u32, &format!("i-{n}"), Market::Spot, None)));
        }
        assert!(timeline.to_svg().len() < 300_000);
    }

    /// Every tag is closed, in order, and no bare `&` or `<` is left in a text.
    fn assert_well_formed(svg: &str) {
        let mut open = Vec::new();
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or_else(|| panic!("a tag does not end: {part}"));
            assert!(!text.contains('>') && tag.matches('"').count() % 2 == 0, "{part}");
            assert!(text.split('&').skip(1).all(|entity| entity.contains(';')), "{part}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name.to_owned()));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap().to_owned());
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }
}
