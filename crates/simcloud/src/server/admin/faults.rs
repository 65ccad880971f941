use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::catalog::Cloud;
use crate::fault::Fault;
use crate::server::admin::{Admin, Refused, known};
use crate::trouble::FaultId;
use crate::world::World;

/// Lets something go wrong in one cloud.
pub(crate) async fn add(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Json<Value>, Refused> {
    let fault: Fault = serde_json::from_slice(&body)
        .map_err(|error| Refused::bad(format!("the fault is not understood: {error}")))?;
    let Some(cloud) = known(fault.cloud())? else {
        return Err(Refused::bad("the fault names no cloud: it must be aws, gcp or azure"));
    };
    let id = world(&admin, cloud)?.inject(fault)?;
    Ok(Json(json!({ "id": id, "cloud": cloud })))
}

/// The faults that hold, of all clouds.
pub(crate) async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Value>, Refused> {
    let mut faults = Vec::new();
    for (cloud, world) in admin.worlds.all() {
        for (id, fault) in world.faults() {
            let mut told = serde_json::to_value(&fault).map_err(|error| {
                Refused::new(StatusCode::INTERNAL_SERVER_ERROR, format!("fault {id} cannot be told: {error}"))
            })?;
            (told["id"], told["cloud"]) = (json!(id), json!(cloud));
            faults.push(told);
        }
    }
    Ok(Json(json!({ "faults": faults })))
}

/// Which faults are lifted: all, those of a cloud, or one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    cloud: Option<Cloud>,
    id: Option<u64>,
}

pub(crate) async fn lift(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, Refused> {
    let Query(which) = query.map_err(|rejection| Refused::bad(rejection.body_text()))?;
    let cloud = known(which.cloud)?;
    let mut meant: Vec<(Cloud, FaultId)> = Vec::new();
    for (here, world) in admin.worlds.all() {
        if cloud.is_none_or(|cloud| cloud == here) {
            let held = world.faults().into_iter().map(|(id, _)| id);
            meant.extend(held.filter(|id| which.id.is_none_or(|wanted| wanted == id.0)).map(|id| (here, id)));
        }
    }
    if let Some(id) = which.id {
        let place = cloud.map_or("any cloud".to_owned(), |cloud| cloud.to_string());
        match meant.as_slice() {
            [] => {
                return Err(Refused::new(StatusCode::NOT_FOUND, format!("no fault {id} holds in {place}")));
            }
            [_] => {}
            _ => {
                let message = format!("a fault {id} holds in more than one cloud: say which with cloud=");
                return Err(Refused::bad(message));
            }
        }
    }
    let mut lifted = 0;
    for (cloud, id) in meant {
        lifted += u64::from(world(&admin, cloud)?.lift(id));
    }
    Ok(Json(json!({ "lifted": lifted })))
}

fn world(admin: &Admin, cloud: Cloud) -> Result<&World, Refused> {
    admin.worlds.of(cloud).ok_or_else(|| Refused::bad(format!("no face plays {cloud}")))
}
