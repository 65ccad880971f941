//! A timeline as SVG.

use std::fmt::Write as _;

use skyfleet_core::Timestamp;

use crate::chart::{Scale, clock_ticks, count_ticks, dollar_label, dollar_ticks, escape, time_label};
use crate::timeline::{Level, Story};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 880.0;
/// The panel of instances, and below it the panel of cost.
const FLEET: (f64, f64) = (92.0, 280.0);
const COST: (f64, f64) = (306.0, 376.0);

/// More preemptions and replacements than this are drawn as ticks.
const MARKS_MAX: usize = 60;

const PENDING: &str = "#cbd5e1";
const SPOT: &str = "#0d9488";
const ON_DEMAND: &str = "#f59e0b";
const PREEMPTED: &str = "#dc2626";
const REPLACED: &str = "#1d4ed8";
const MONEY: &str = "#7c3aed";
const INK: &str = "#1e293b";
const FAINT: &str = "#64748b";
const GRID: &str = "#e2e8f0";
const WHITE: &str = "#ffffff";

/// Where an area begins or ends, in instances.
type Height = fn(Level) -> u32;

pub(crate) fn draw(title: &str, story: &Story) -> String {
    let length = story.end.duration_since(story.begin).as_secs_f64().max(1.0);
    let time = Scale { zero: LEFT, one: (RIGHT - LEFT) / length };
    let x = |at: Timestamp| time.at(at.duration_since(story.begin).as_secs_f64());
    let most = story.levels.iter().map(|(_, level)| level.total()).max().unwrap_or(0);
    let cost = story.outcome.map(|(spent, _)| spent);
    let cost = cost.into_iter().chain(story.costs.last().map(|(_, cost)| *cost)).fold(0.0, f64::max);

    let mut svg = String::new();
    let out = &mut svg;
    frame(out, title, story, most, cost);

    // The scales, with a little air above the highest value.
    let fleet = Scale { zero: FLEET.1, one: -(FLEET.1 - FLEET.0) / (f64::from(most.max(1)) * 1.12) };
    let money = Scale { zero: COST.1, one: -(COST.1 - COST.0) / (cost.max(1e-6) * 1.12) };
    for n in count_ticks(most) {
        grid_line(out, fleet.at(f64::from(n)), &n.to_string());
    }
    for dollars in dollar_ticks(cost) {
        grid_line(out, money.at(dollars), &dollar_label(dollars));
    }
    for seconds in clock_ticks(length) {
        let x = time.at(seconds);
        let anchor = if x + 22.0 > RIGHT { "end" } else { "middle" };
        let _ = writeln!(
            out,
            r#"<path d="M{x:.1} {}V{}" stroke="{GRID}"/><text x="{x:.1}" y="392" text-anchor="{anchor}" class="t">{}</text>"#,
            FLEET.0,
            COST.1,
            time_label(seconds, length)
        );
    }

    // Stacked: running spot at the bottom, on demand on it, pending on top.
    let stack: [(&str, Height, Height); 3] = [
        (SPOT, |_| 0, |l| l.spot),
        (ON_DEMAND, |l| l.spot, |l| l.spot + l.on_demand),
        (PENDING, |l| l.spot + l.on_demand, Level::total),
    ];
    for (colour, low, high) in stack {
        if story.levels.iter().any(|(_, level)| high(*level) > low(*level)) {
            let top = steps(story, x, |level| fleet.at(f64::from(high(level))));
            let bottom = steps(story, x, |level| fleet.at(f64::from(low(level))));
            let area = top.iter().chain(bottom.iter().rev());
            let _ = writeln!(out, r#"<path d="{}Z" fill="{colour}"/>"#, path(area));
        }
    }
    marks(out, story, x, |at| fleet.at(f64::from(level_at(story, at))));

    let line: Vec<_> = thinned(story.costs.iter().map(|(at, cost)| (x(*at), money.at(*cost))));
    let area = format!("{}L{:.1} {}L{LEFT} {}Z", path(line.iter()), x(story.end), COST.1, COST.1);
    let _ = writeln!(out, r#"<path d="{area}" fill="{MONEY}" fill-opacity="0.12"/>"#);
    let _ =
        writeln!(out, r#"<path d="{}" fill="none" stroke="{MONEY}" stroke-width="2"/>"#, path(line.iter()));
    let axes = format!("M{LEFT} {}H{RIGHT}M{LEFT} {}H{RIGHT}", FLEET.1, COST.1);
    let _ = writeln!(out, r#"<path d="{axes}" stroke="{FAINT}"/>"#);
    svg.push_str("</svg>\n");
    svg
}

/// The card, the headline, the legend and the names of the axes.
fn frame(out: &mut String, title: &str, story: &Story, most: u32, cost: f64) {
    let title = if title.is_empty() { "fleet" } else { title };
    let _ = writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif" role="img">
<title>{0}</title>
<style>.t{{font-size:11px;fill:{FAINT}}}.s{{font-size:12px;fill:{FAINT}}}.h{{font-size:17px;font-weight:600;fill:{INK}}}</style>
<rect x="0.5" y="0.5" width="899" height="419" rx="10" fill="{1}" stroke="{GRID}"/>
<text x="20" y="30" class="h">{0}</text>"#,
        escape(title),
        WHITE
    );
    let mut facts = vec![
        format!("{} bought, {most} at a time", story.bought),
        format!("{} preempted, {} replaced", story.preempted.len(), story.replaced.len()),
        format!("{} spent", dollar_label(cost)),
    ];
    if let Some((_, leftovers)) = story.outcome {
        facts.push(format!("leftovers: {leftovers}"));
    }
    let _ = writeln!(out, r#"<text x="20" y="50" class="s">{}</text>"#, facts.join("  ·  "));

    let mut left = LEFT;
    for (name, colour, shape) in [
        ("running, spot", SPOT, Shape::Box),
        ("running, on-demand", ON_DEMAND, Shape::Box),
        ("pending", PENDING, Shape::Box),
        ("notice", PREEMPTED, Shape::Hollow),
        ("preempted", PREEMPTED, Shape::Down),
        ("replacement bought", REPLACED, Shape::Up),
        ("cost", MONEY, Shape::Line),
    ] {
        shape.draw(out, left + 5.0, 68.0, colour);
        let _ = writeln!(out, r#"<text x="{:.1}" y="72" class="t">{name}</text>"#, left + 15.0);
        left += 15.0 + 6.1 * name.len() as f64 + 18.0;
    }
    for (panel, name) in [(FLEET, "instances"), (COST, "US dollars")] {
        let y = f64::midpoint(panel.0, panel.1);
        let _ = writeln!(
            out,
            r#"<text x="14" y="{y}" transform="rotate(-90 14 {y})" text-anchor="middle" class="t">{name}</text>"#
        );
    }
    let _ = writeln!(
        out,
        r#"<text x="{:.1}" y="409" text-anchor="middle" class="t">time since the first launch, by the fleet's clock</text>"#,
        f64::midpoint(LEFT, RIGHT)
    );
}

fn grid_line(out: &mut String, y: f64, label: &str) {
    let _ = writeln!(
        out,
        r#"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="{GRID}"/><text x="{}" y="{:.1}" text-anchor="end" class="t">{label}</text>"#,
        LEFT - 6.0,
        y + 4.0
    );
}

/// Preemptions above the stack, and the replacements of their slots.
fn marks(out: &mut String, story: &Story, x: impl Fn(Timestamp) -> f64, top: impl Fn(Timestamp) -> f64) {
    if let Some(at) = story.teardown {
        let x = x(at);
        let _ = writeln!(
            out,
            r#"<path d="M{x:.1} {}V{}" stroke="{FAINT}" stroke-dasharray="3 3"/><text x="{:.1}" y="{}" text-anchor="end" class="t">teardown</text>"#,
            FLEET.0,
            COST.1,
            x - 4.0,
            FLEET.0 + 10.0
        );
    }
    if story.preempted.len() + story.replaced.len() > MARKS_MAX {
        // Too many for marks of their own: a strip of ticks above the panel for each kind.
        for (list, colour, y) in
            [(&story.preempted, PREEMPTED, FLEET.0 - 8.0), (&story.replaced, REPLACED, FLEET.0 - 3.0)]
        {
            let ticks = thinned(list.iter().map(|(_, at)| (x(*at), y)));
            let d: String = ticks.iter().map(|(x, y)| format!("M{x:.1} {y:.1}v4")).collect();
            let _ = writeln!(out, r#"<path d="{d}" stroke="{colour}" stroke-width="0.6"/>"#);
        }
        return;
    }
    let above = |at: Timestamp| (top(at) - 8.0).max(FLEET.0 + 4.0);
    for (_, at) in &story.replaced {
        Shape::Up.draw(out, x(*at), (top(*at) + 9.0).min(FLEET.1 - 6.0), REPLACED);
    }
    for (_, at) in &story.noticed {
        Shape::Hollow.draw(out, x(*at), above(*at), PREEMPTED);
    }
    let mut free_from = LEFT;
    for (slot, at) in &story.preempted {
        let (x, y) = (x(*at), above(*at));
        Shape::Down.draw(out, x, y, PREEMPTED);
        // A name where there is room for it.
        if x >= free_from && x + 50.0 < RIGHT {
            free_from = x + 60.0;
            let _ =
                writeln!(out, r#"<text x="{:.1}" y="{:.1}" class="t">slot {slot}</text>"#, x + 8.0, y + 4.0);
        }
    }
}

#[derive(Clone, Copy)]
enum Shape {
    Box,
    Down,
    Hollow,
    Up,
    Line,
}

impl Shape {
    fn draw(self, out: &mut String, x: f64, y: f64, colour: &str) {
        let _ = match self {
            Self::Box => writeln!(
                out,
                r#"<rect x="{:.1}" y="{:.1}" width="11" height="11" rx="2" fill="{colour}"/>"#,
                x - 5.0,
                y - 6.0
            ),
            Self::Line => {
                writeln!(out, r#"<path d="M{:.1} {y:.1}h12" stroke="{colour}" stroke-width="2.5"/>"#, x - 6.0)
            }
            Self::Down => writeln!(
                out,
                r##"<path d="M{:.1} {:.1}h11l-5.5 9z" fill="{colour}" stroke="#ffffff"/>"##,
                x - 5.5,
                y - 5.0
            ),
            Self::Hollow => writeln!(
                out,
                r##"<path d="M{:.1} {:.1}h9l-4.5 7z" fill="#ffffff" stroke="{colour}" stroke-width="1.5"/>"##,
                x - 4.5,
                y - 4.0
            ),
            Self::Up => writeln!(
                out,
                r##"<path d="M{:.1} {:.1}h11l-5.5 -9z" fill="{colour}" stroke="#ffffff"/>"##,
                x - 5.5,
                y + 4.0
            ),
        };
    }
}

/// The fleet's size at a moment.
fn level_at(story: &Story, at: Timestamp) -> u32 {
    let until = story.levels.partition_point(|(from, _)| *from <= at);
    // At the moment of a change the higher of the two levels: the mark must not lie inside.
    let around = &story.levels[until.saturating_sub(2)..until];
    around.iter().map(|(_, level)| level.total()).max().unwrap_or(0)
}

/// The corners of a staircase from the first moment to the last.
fn steps(story: &Story, x: impl Fn(Timestamp) -> f64, y: impl Fn(Level) -> f64) -> Vec<(f64, f64)> {
    let points = thinned(story.levels.iter().map(|(at, level)| (x(*at), y(*level))));
    let mut corners: Vec<(f64, f64)> = Vec::with_capacity(2 * points.len() + 1);
    for (x, y) in points {
        if let Some(&(_, before)) = corners.last() {
            corners.push((x, before));
        }
        corners.push((x, y));
    }
    corners.extend(corners.last().map(|(_, last)| (x(story.end), *last)));
    corners
}

/// At most a point per third of a pixel, the last one of each: a large fleet makes no large file.
fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    for point in points {
        match kept.last_mut() {
            Some(last) if kept_together(last.0, point.0) => *last = (last.0, point.1),
            _ => kept.push(point),
        }
    }
    kept
}

fn kept_together(a: f64, b: f64) -> bool {
    (b - a).abs() < 1.0 / 3.0
}

fn path<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> String {
    let mut text = String::new();
    for (n, (x, y)) in points.enumerate() {
        let _ = write!(text, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
    }
    text
}
