use std::sync::{Arc, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use skyfleet_core::{Market, Timestamp};

use crate::catalog::Cloud;
use crate::event::{EventKind, WorldEvent};
use crate::server::CLOUDS;
use crate::server::admin::{Admin, Refused};
use crate::server::worlds::Worlds;

/// The events of all worlds in one row. Each world numbers its own; the row says which of them has
/// which number here. What came since the last look is put in the order of time.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The cloud's place among all and the number of the event in its world.
    row: Vec<(u8, u32)>,
    /// How many of each world's events are in the row.
    seen: [u64; CLOUDS.len()],
}

impl Log {
    /// Takes in what is new.
    fn catch_up(&mut self, worlds: &Worlds) {
        let worlds = worlds.all();
        let counts = worlds.map(|(_, world)| world.look(|kernel| kernel.events_count()));
        // A world that has fewer events than were seen was emptied by somebody else.
        if counts.iter().zip(&self.seen).any(|(count, seen)| count < seen) {
            *self = Self::default();
        }
        let mut new: Vec<(Timestamp, u8, u32)> = Vec::new();
        for (place, (_, world)) in (0u8..).zip(worlds) {
            let seen = &mut self.seen[usize::from(place)];
            let told = world.events_after(*seen);
            *seen += told.len() as u64;
            new.extend(told.iter().map(|event| (event.at, place, event.number as u32)));
        }
        new.sort_unstable();
        self.row.extend(new.into_iter().map(|(_, place, number)| (place, number)));
    }

    /// The events after number `after` of the row.
    fn after(&self, after: u64, worlds: &Worlds) -> Vec<Told> {
        let from = usize::try_from(after).unwrap_or(usize::MAX).min(self.row.len());
        let wanted = &self.row[from..];
        // In the row, each world's events keep their order: they are told one after the other.
        let mut told = worlds.all().map(|(cloud, world)| {
            let here = |(place, _): &&(u8, u32)| CLOUDS[usize::from(*place)] == cloud;
            let first = wanted.iter().find(here).map(|(_, number)| u64::from(*number));
            first.map_or_else(Vec::new, |first| world.events_after(first - 1)).into_iter()
        });
        let tell = |(number, (place, _)): (u64, &(u8, u32))| {
            let place = usize::from(*place);
            told[place].next().map(|event| Told::of(number, CLOUDS[place], event))
        };
        (from as u64 + 1..).zip(wanted).filter_map(tell).collect()
    }
}

/// One event, with its number in the row and its cloud.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    number: u64,
    cloud: Cloud,
    at: Timestamp,
    kind: EventKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<Market>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

impl Told {
    fn of(number: u64, cloud: Cloud, event: WorldEvent) -> Self {
        let WorldEvent { at, kind, instance, market, deadline, detail, .. } = event;
        Self { number, cloud, at, kind, instance, market, deadline, detail }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    #[serde(default)]
    after: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Events {
    events: Vec<Told>,
    /// The number of the newest: where to go on.
    last: u64,
}

pub(crate) async fn events(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Events>, Refused> {
    let Query(asked) = query.map_err(|rejection| Refused::bad(rejection.body_text()))?;
    let mut log = admin.log();
    log.catch_up(&admin.worlds);
    Ok(Json(Events { events: log.after(asked.after, &admin.worlds), last: log.row.len() as u64 }))
}

impl Admin {
    pub(crate) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
