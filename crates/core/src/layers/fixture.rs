//! What the layers' tests start from.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    FleetBlueprint, FleetName, Instance, InstanceId, InstanceState, LaunchRequest, Launched, ManualClock,
    Market, OfferId, Owner, PoolBid, Prepared, Price, Spread, Timestamp, Token, UsdPerHour,
};

pub(super) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::auto(Timestamp::UNIX_EPOCH))
}

pub(super) fn owner() -> Owner {
    Owner::parse("ada").unwrap()
}

fn token(attempt: u32) -> Token {
    Token::derive(&owner(), &FleetName::parse("words").unwrap(), attempt)
}

pub(super) fn blueprint() -> FleetBlueprint {
    FleetBlueprint {
        owner: owner(),
        fleet: FleetName::parse("words").unwrap(),
        regions: vec!["north-1".into()],
        archs: vec![],
        image: "debian-12".into(),
        user_data: "secret=hunter2".into(),
        disk_gib: 10,
        public_ip: false,
        inbound_ports: vec![],
        labels: BTreeMap::new(),
        expires: None,
    }
}

/// A spot launch in one pool of `north-1`.
pub(super) fn request(count: u32) -> LaunchRequest {
    let offer = OfferId { zone: "north-1a".into(), instance_type: "small".into(), market: Market::Spot };
    LaunchRequest {
        token: token(1),
        prepared: Prepared::default(),
        region: "north-1".into(),
        market: Market::Spot,
        pools: vec![PoolBid { offer, price_max: None }],
        count,
        count_min: 1,
        spread: Spread::Even,
        expires: None,
    }
}

/// What the cloud answers when it has room for all.
pub(super) fn launched(request: &LaunchRequest) -> Launched {
    let instance = |n| Instance {
        id: InstanceId::new(format!("i-{n}")),
        owner: request.token.owner().clone(),
        fleet: request.token.fleet().clone(),
        token: request.token.clone(),
        offer: request.pools[0].offer.clone(),
        region: request.region.clone(),
        state: InstanceState::Pending,
        price: Price::Known(UsdPerHour::from_micros(10_000)),
        launched: Timestamp::UNIX_EPOCH,
        labels: Arc::default(),
        expires: None,
        private_ip: None,
        public_ip: None,
    };
    Launched { instances: (0..request.count).map(instance).collect(), shortfalls: vec![] }
}

/// The token of another launch of the same fleet.
pub(super) fn other_token() -> Token {
    token(2)
}
