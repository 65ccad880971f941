use std::collections::BTreeMap;

use skyfleet_core::Market;

use crate::aws::Request;
use crate::aws::blueprint::{Blueprint, TAGGED, Terms, check_tagged, draw, interruption, price, user_data};
use crate::aws::error::{coded, invalid, missing};
use crate::aws::instances::item::{Source, Xml, instance, reservation};
use crate::aws::launched::Tags;
use crate::aws::purchase::{Buyer, Reserving, Short, buy, refused};
use crate::aws::query::Node;
use crate::aws::state::State;
use crate::aws::templates::data::LaunchTemplateData;
use crate::aws::{network, templates};
use crate::kernel::Kernel;
use crate::place::Places;
use crate::refusal::{Closed, Refusal};
use crate::view::MachineView;

/// EC2 error codes, `RequestResourceCountExceeded`: at most this many spot instances per request.
const SPOT_MAX: u32 = 3_000;

/// `RunInstances`: one type, one zone, as many as fit between the two counts, or none.
pub(crate) fn run(request: &Request<'_>) -> Result<String, Refusal> {
    let root = request.root();
    let counts = counts(&root)?;
    let own = LaunchTemplateData::read(&root)?;
    if root.text("SubnetId").is_some() && !own.network_interfaces.is_empty() {
        let message =
            "Network interfaces and an instance-level subnet ID may not be specified on the same request";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    if root.text("PrivateIpAddress").is_some() && counts.1 > 1 {
        let message = "A private IP address may only be specified for one instance.";
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    let (token, digest) = (root.text("ClientToken"), request.query.digest());
    if let Some(token) = token.filter(|token| token.chars().count() > 64 || !token.is_ascii()) {
        return Err(invalid("ClientToken", token, "at most 64 ASCII characters"));
    }
    let xml = request.call(counts.1, |kernel, state| {
        let key = token.map(|token| (request.region.to_owned(), token.to_owned()));
        if let Some((before, launch)) = key.as_ref().and_then(|key| state.launched.tokens.get(key)).copied() {
            let views = repeated(kernel, token.unwrap_or_default(), before == digest, launch)?;
            return Ok(written(kernel, state, launch, &views));
        }
        let (launch, views) = launch(kernel, state, request, &own, counts)?;
        if let Some(key) = key {
            state.launched.tokens.insert(key, (digest, launch));
        }
        Ok(written(kernel, state, launch, &views))
    })?;
    Ok(request.answer_written(xml.0))
}

fn counts(root: &Node<'_>) -> Result<(u32, u32), Refusal> {
    let least = root.number("MinCount", 1..=100_000)?.ok_or_else(|| missing("MinCount"))?;
    let most = root.number("MaxCount", 1..=100_000)?.ok_or_else(|| missing("MaxCount"))?;
    if least > most {
        let message = format!("Minimum instance count {least} is above the maximum instance count {most}.");
        return Err(coded(400, "InvalidParameterValue", message));
    }
    Ok((least, most))
}

fn repeated(kernel: &Kernel, token: &str, same: bool, launch: u32) -> Result<Vec<MachineView>, Refusal> {
    let token = token.to_owned();
    if !same {
        return Err(Refusal::TokenReused { token });
    }
    let views: Vec<MachineView> =
        kernel.lots[launch as usize].machines().map(|m| kernel.view(m, kernel.now())).collect();
    if !views.iter().any(|view| view.leaving.is_none()) {
        return Err(Refusal::TokenSpent { token });
    }
    Ok(views)
}

fn launch(
    kernel: &mut Kernel,
    state: &mut State,
    request: &Request<'_>,
    own: &LaunchTemplateData,
    (least, most): (u32, u32),
) -> Result<(u32, Vec<MachineView>), Refusal> {
    let (root, region) = (request.root(), request.region);
    let named = root.node("LaunchTemplate");
    let (mut data, mut tags, mut own_tags) = (own.clone(), BTreeMap::new(), Tags::new());
    if named.is_given() {
        let template = templates::resolve(state, region, &named)?;
        tags.clone_from(&template.data.tags);
        data = data.over(&template.data);
        own_tags.insert("aws:ec2launchtemplate:id".to_owned(), template.id);
        own_tags.insert("aws:ec2launchtemplate:version".to_owned(), template.version.to_string());
    }
    for (kind, of_request) in &own.tags {
        tags.entry(kind.clone()).or_default().extend(of_request.clone());
    }
    let options = data.market.as_ref().filter(|options| options.spot);
    let market = if options.is_some() { Market::Spot } else { Market::OnDemand };
    // A template may tag spot requests that this launch does not make; the request may not.
    check_tagged(own.tags.keys().map(String::as_str), &TAGGED, market == Market::Spot)?;
    if market == Market::Spot && most > SPOT_MAX {
        let message = format!("A request launches at most {SPOT_MAX} Spot Instances, not {most}.");
        return Err(coded(400, "RequestResourceCountExceeded", message));
    }
    let behavior = interruption(options.and_then(|options| options.interruption.as_deref()));
    let persistent = options.is_some_and(|options| options.persistent);
    if behavior != "terminate" && !persistent {
        let message = format!(
            "The instance interruption behavior '{behavior}' needs a Spot request of type 'persistent'."
        );
        return Err(coded(400, "InvalidParameterCombination", message));
    }
    if persistent && behavior == "terminate" {
        let message = "This simulated EC2 keeps no request that launches again by itself: a persistent Spot request needs the instance interruption behavior stop or hibernate.";
        return Err(coded(400, "UnsupportedOperation", message));
    }
    let parameter = "InstanceMarketOptions.SpotOptions.MaxPrice";
    let (subnets, script) = (network::subnets(kernel, region), user_data(&data)?);
    let mut terms = Terms {
        region,
        subnets: &subnets,
        user_data: &script,
        // EC2 API, RunInstances: the default of `InstanceType`.
        instance_type: data.instance_type.as_deref().unwrap_or("m1.small"),
        place: root.text("SubnetId"),
        market,
        price_max: price(parameter, options.and_then(|options| options.max_price.as_deref()))?,
        persistent,
        interruption: behavior,
        tags: &tags,
    };
    let fixed = terms.place.is_some()
        || data.zone.is_some()
        || data.zone_id.is_some()
        || data.network_interfaces.first().is_some_and(|interface| interface.subnet_id.is_some());
    let blueprints: Vec<Blueprint> = if fixed || subnets.is_empty() {
        vec![draw(kernel, state, &data, &terms)?]
    } else {
        let mut drawn = Vec::new();
        for subnet in &subnets {
            terms.place = Some(&subnet.id);
            drawn.push(draw(kernel, state, &data, &terms)?);
        }
        drawn
    };
    let (blueprint, count) = roomiest(kernel, &blueprints, least, most)?;
    let buyer = Buyer { client_token: root.text("ClientToken").map(str::to_owned), fleet: None, own_tags };
    let mut launches = buy(kernel, state, blueprint, count, &buyer)?;
    let Some((launch, mut views)) = launches.drain(..1).next() else {
        return Err(Refusal::State { message: "a launch with places made nothing".to_owned() });
    };
    views.extend(launches.into_iter().flat_map(|(_, views)| views));
    Ok((launch, views))
}

/// EC2 chooses the zone when nobody else does: the first with room for all, else the one with most.
fn roomiest<'a>(
    kernel: &mut Kernel,
    blueprints: &'a [Blueprint],
    least: u32,
    most: u32,
) -> Result<(&'a Blueprint, u32), Refusal> {
    let mut reserving = Reserving::new(kernel, blueprints.iter().map(|blueprint| (blueprint, 1)), None);
    let rooms: Vec<u32> = (0..blueprints.len()).map(|index| reserving.room(index, most)).collect();
    // `max_by_key` gives the last of equals.
    let best = (0..rooms.len()).rev().max_by_key(|index| rooms[*index]).unwrap_or(0);
    reserving.take(best, most);
    let (got, short) = reserving.release();
    if got[best] >= least {
        return Ok((&blueprints[best], got[best]));
    }
    let unknown = Short::Closed(Closed::Zone(blueprints[best].subnet.zone.as_str().into()));
    Err(refused(kernel, &blueprints[best], short.get(&best).unwrap_or(&unknown)))
}

fn written(kernel: &Kernel, state: &State, launch: u32, views: &[MachineView]) -> Xml {
    let mut xml = Xml::default();
    let source = Source::of(kernel, state);
    if let Some(details) = state.launched.of(launch) {
        reservation(&mut xml, details, |xml| {
            for view in views {
                xml.part("item", |xml| instance(xml, source, view, details));
            }
        });
    }
    xml
}
