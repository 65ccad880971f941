//! What EC2 says to a launch.

use std::sync::Arc;

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::types::{
    CreateFleetError, CreateFleetInstance, InstanceLifecycle, LaunchTemplateAndOverridesResponse,
};
use skyfleet_core::{
    Error, ErrorKind, Instance, InstanceId, InstanceState, Launched, Market, OfferId, Price, Result,
    Timestamp,
};

use super::order::Order;

/// What a launch that was not sent obtained: no pool may be asked.
pub(super) fn nothing(order: &Order<'_>) -> Launched {
    let shortfalls = order.shortfalls(order.request.count, order.barred.clone());
    Launched { instances: Vec::new(), shortfalls }
}

/// Reads the answer. Instances are always in the `Ok`.
///
/// # Errors
/// A launch that got nothing because it is wrong as a whole, or because the call failed. Missing
/// capacity and quota are shortfalls, wherever EC2 says so.
pub(super) fn read(order: &Order<'_>, answer: Result<CreateFleetOutput>, now: Timestamp) -> Result<Launched> {
    let count = order.request.count;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if matches!(error.kind(), ErrorKind::NoCapacity | ErrorKind::QuotaExceeded) => {
            return Ok(Launched { instances: Vec::new(), shortfalls: whole(order, &error) });
        }
        Err(error) => return Err(error),
    };
    let instances: Vec<Instance> =
        answer.instances().iter().flat_map(|group| group_instances(order, group, now)).collect();
    let mut reasons: Vec<Error> = answer.errors().iter().map(|error| reason(order, error)).collect();
    if instances.is_empty()
        && let Some(wrong) = reasons.iter().find(|reason| is_wrong(reason.kind()))
    {
        return Err(wrong.clone());
    }
    let missing = count.saturating_sub(u32::try_from(instances.len()).unwrap_or(u32::MAX));
    reasons.extend(order.barred.iter().cloned());
    Ok(Launched { instances, shortfalls: order.shortfalls(missing, reasons) })
}

/// What no other pool and no waiting can mend.
fn is_wrong(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    matches!(kind, InvalidRequest | Conflict | Unauthenticated | PermissionDenied | NotFound)
}

/// A refusal of the whole call, said of each pool.
fn whole(order: &Order<'_>, error: &Error) -> Vec<skyfleet_core::Shortfall> {
    let code = error.fact("code").unwrap_or_default();
    let of_pool = |offer: &OfferId| {
        let reason = order.reason(Some(offer), code, error.message());
        match error.fact("request_id") {
            Some(id) => reason.with("request_id", id),
            None => reason,
        }
    };
    let reasons = order.pools.iter().map(|pool| of_pool(&pool.bid.offer)).chain(order.barred.iter().cloned());
    order.shortfalls(order.request.count, reasons.collect())
}

fn reason(order: &Order<'_>, error: &CreateFleetError) -> Error {
    let offer = error.launch_template_and_overrides().and_then(|at| offer(order, at));
    let code = error.error_code().unwrap_or_default();
    order.reason(offer.as_ref(), code, error.error_message().unwrap_or_default())
}

fn group_instances(order: &Order<'_>, group: &CreateFleetInstance, now: Timestamp) -> Vec<Instance> {
    let Some(mut offer) = group.launch_template_and_overrides().and_then(|at| offer(order, at)) else {
        return Vec::new();
    };
    // What was obtained, where it is said, before what was asked.
    if let Some(name) = group.instance_type() {
        offer.instance_type = name.as_str().into();
    }
    if let Some(zone) = group.availability_zone() {
        offer.zone = zone.into();
    }
    offer.market = match group.lifecycle() {
        Some(InstanceLifecycle::Spot) => Market::Spot,
        Some(_) => Market::OnDemand,
        None => offer.market,
    };
    let labels = Arc::new(order.handle.labels.clone());
    let token = &order.request.token;
    let instance = |id: &String| Instance {
        id: InstanceId::from(id.as_str()),
        owner: token.owner().clone(),
        fleet: token.fleet().clone(),
        token: token.clone(),
        offer: offer.clone(),
        region: order.request.region.clone(),
        state: InstanceState::Pending,
        price: Price::Unknown,
        launched: now,
        labels: labels.clone(),
        expires: order.request.expires,
        private_ip: None,
        public_ip: None,
    };
    group.instance_ids().iter().map(instance).collect()
}

/// The pool that a part of the answer is about: named by zone, or by the subnet of the zone.
fn offer(order: &Order<'_>, at: &LaunchTemplateAndOverridesResponse) -> Option<OfferId> {
    let at = at.overrides()?;
    let name = at.instance_type()?.as_str();
    let matching = |pool: &&super::order::Pool<'_>| {
        let offer = &pool.bid.offer;
        let here = match (at.availability_zone(), at.subnet_id()) {
            (Some(zone), _) => offer.zone.as_str() == zone,
            (None, subnet) => subnet.is_some() && pool.subnet == subnet,
        };
        here && offer.instance_type.as_str() == name
    };
    order.pools.iter().find(matching).map(|pool| pool.bid.offer.clone())
}
