use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use skyfleet_core::{
    Error, ErrorKind, FleetBlueprint, FleetLaunch, Instance, LaunchRequest, Launched, Prepared, Region,
    Result, Selector, Shortfall, tag,
};
use skyfleet_simcloud::{Call, Cloud, Fixture, FixtureKind, Kernel, MachineSpec, Order, Whose};

use crate::SimProvider;
use crate::client::Place;
use crate::convert::{self, Reader};
use crate::error;

#[async_trait]
impl FleetLaunch for SimProvider {
    async fn prepare(&self, blueprint: &FleetBlueprint) -> Result<Prepared> {
        let rules = self.client.rules();
        check(blueprint, rules.user_data_bytes_max, rules.cloud, &self.client.world().look(|k| k.regions()))
            .map_err(|error| error.at("sim.prepare"))?;
        let mut operation = self.client.operation("sim.prepare");
        let mut prepared = Prepared::default();
        let mut made: BTreeSet<Arc<str>> = BTreeSet::new();
        for region in &blueprint.regions {
            for (fixture, spec) in fixtures(blueprint, region, rules.cloud, rules.extras.disk_gib_default) {
                if spec.is_some() {
                    prepared.handles.insert(region.clone(), fixture.id.to_string());
                }
                if !made.insert(fixture.id.clone()) {
                    continue;
                }
                prepared.resources.push(convert::fixture_resource(&fixture));
                let action = convert::create_action(rules.cloud, fixture.kind);
                let put = |kernel: &mut Kernel| Ok(kernel.put_fixture(fixture.clone(), spec.clone()));
                operation.call(Call::write(action, fixture.region.as_str(), 0), put).await?;
            }
        }
        Ok(prepared)
    }

    async fn launch(&self, request: &LaunchRequest) -> Result<Launched> {
        let rules = self.client.rules();
        let mut operation = self.client.operation("sim.launch");
        let unsupported = |message| Err(Error::new(ErrorKind::Unsupported, message).at("sim.launch"));
        if !rules.price_max && request.pools.iter().any(|pool| pool.price_max.is_some()) {
            return unsupported("this cloud does not keep a highest price");
        }
        if !rules.all_or_nothing && request.count_min > 1 {
            return unsupported("this cloud does not launch all or nothing");
        }
        let call = Call::write(rules.actions.launch, request.region.as_str(), request.count);
        let bought = operation.call(call, |kernel| kernel.launch(&order(kernel, request)?)).await?;
        let mut reader = Reader::default();
        let reason = |why| error::shortfall(rules, request.market, &request.region, why).at("sim.launch");
        Ok(Launched {
            instances: bought.machines.into_iter().filter_map(|view| reader.instance(view)).collect(),
            shortfalls: bought
                .missing
                .iter()
                .map(|missing| Shortfall { count: missing.count, reason: reason(&missing.why) })
                .collect(),
        })
    }

    async fn list(&self, selector: &Selector) -> Result<Vec<Instance>> {
        let mut operation = self.client.operation("sim.list");
        let action = self.client.rules().actions.list;
        let mut instances = Vec::new();
        for place in self.client.places() {
            let look = |kernel: &mut Kernel| Ok(selected(kernel, selector, &place));
            let found = operation.call(Call::read(action, place.as_str()), look).await?;
            operation.pages(action, &place, found.len()).await?;
            match instances.is_empty() {
                true => instances = found,
                false => instances.extend(found),
            }
        }
        Ok(instances)
    }
}

fn selected(kernel: &Kernel, selector: &Selector, place: &Place) -> Vec<Instance> {
    let (whose, mut reader) = (whose(selector, place), Reader::default());
    if selector.ids.is_empty() {
        return kernel.machines_as(&whose, |view| reader.instance(view));
    }
    let ids: BTreeSet<&str> = selector.ids.iter().map(|id| id.as_str()).collect();
    ids.into_iter().filter_map(|id| reader.instance(kernel.machine(id, &whose)?)).collect()
}

pub(crate) fn whose<'a>(selector: &'a Selector, place: &'a Place) -> Whose<'a> {
    Whose {
        owner: Some(selector.owner.as_str()),
        fleet: selector.fleet.as_ref().map(|fleet| fleet.as_str()),
        region: place.region(),
        zone: None,
    }
}

/// The world's order for a request: what the machines are made of comes from the template.
fn order(kernel: &Kernel, request: &LaunchRequest) -> std::result::Result<Order, skyfleet_simcloud::Refusal> {
    let handle = request.prepared.handles.get(&request.region).map_or("", String::as_str);
    let spec = kernel.template(handle)?.clone();
    let native_expiry = request.expires.filter(|_| kernel.rules().native_expiry);
    let tags = Arc::new(tag::of_launch(&request.token, request.expires));
    Ok(Order {
        token: Some(request.token.to_string()),
        region: request.region.clone(),
        market: request.market,
        pools: request.pools.clone(),
        count: request.count,
        count_min: request.count_min,
        spread: request.spread,
        spec,
        disk_tags: tags.clone(),
        interface_tags: tags.clone(),
        tags,
        native_expiry,
        name_prefix: format!("{}-{}", request.token.owner(), request.token.fleet()),
        names: Vec::new(),
    })
}

/// The neutral image names, which every provider knows.
const IMAGES: [&str; 4] = ["ubuntu-24.04", "ubuntu-22.04", "debian-13", "debian-12"];

/// Whether an image is one of the cloud's own.
fn is_own_image(cloud: Cloud, image: &str) -> bool {
    match cloud {
        Cloud::Neutral => false,
        Cloud::Aws => image.starts_with("ami-"),
        Cloud::Gcp => image.contains("/images/"),
        Cloud::Azure => image.starts_with("/subscriptions/") || image.split(':').count() == 4,
    }
}

fn check(blueprint: &FleetBlueprint, user_data_max: usize, cloud: Cloud, regions: &[Region]) -> Result<()> {
    blueprint.check(regions, user_data_max)?;
    let image = blueprint.image.as_str();
    if IMAGES.contains(&image) || is_own_image(cloud, image) {
        return Ok(());
    }
    let message = format!("there is no image {image:?}; known: {}", IMAGES.join(", "));
    Err(Error::new(ErrorKind::InvalidRequest, message).with("key", "image"))
}

/// What a fleet needs in a region, the fixture with the machines' spec last. Names are derived
/// from owner, fleet, region and content: the same blueprint finds what it made before.
fn fixtures(
    blueprint: &FleetBlueprint,
    region: &Region,
    cloud: Cloud,
    disk_gib_default: u32,
) -> Vec<(Fixture, Option<MachineSpec>)> {
    let (owner, fleet) = (&blueprint.owner, &blueprint.fleet);
    let tags = Arc::new(tag::of_fleet(owner, fleet, blueprint.expires));
    let make = |kind, id: String, inside: Option<Arc<str>>| Fixture {
        kind,
        id: id.into(),
        region: if cloud == Cloud::Gcp { "global".into() } else { region.clone() },
        inside,
        tags: tags.clone(),
        created: skyfleet_core::Timestamp::UNIX_EPOCH,
    };
    let mut spec = MachineSpec {
        user_data: blueprint.user_data.clone(),
        disk_gib: if blueprint.disk_gib == 0 { disk_gib_default } else { blueprint.disk_gib },
        public_ip: blueprint.public_ip,
        delete_with_instance: true,
        labels: Arc::new(blueprint.labels.clone()),
        holds: Vec::new(),
        ..MachineSpec::default()
    };
    let content = content_digest(blueprint);
    let mut list = Vec::new();
    match cloud {
        Cloud::Neutral | Cloud::Aws => {
            let (group, template) = if cloud == Cloud::Aws { ("sg", "lt") } else { ("firewall", "template") };
            let ports = digest(&blueprint.inbound_ports);
            let firewall =
                make(FixtureKind::Firewall, format!("{group}-{region}-{owner}-{fleet}-{ports}"), None);
            spec.holds.push(firewall.id.clone());
            list.push((firewall, None));
            let name = format!("{template}-{region}-{owner}-{fleet}-{content}");
            list.push((make(FixtureKind::Template, name, None), Some(spec)));
        }
        Cloud::Gcp => {
            // A default network lets nothing in: a firewall rule is only needed for open ports.
            if !blueprint.inbound_ports.is_empty() {
                let ports = digest(&blueprint.inbound_ports);
                let name = format!("global/firewalls/{owner}-{fleet}-{ports}");
                list.push((make(FixtureKind::Firewall, name, None), None));
            }
            let name = format!("global/instanceTemplates/{owner}-{fleet}-{content}");
            list.push((make(FixtureKind::Template, name, None), Some(spec)));
        }
        Cloud::Azure => {
            let name =
                format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{owner}-{fleet}-{region}-{content}");
            let group = make(FixtureKind::ResourceGroup, name, None);
            let inside = |kind, path: &str| {
                make(kind, format!("{}/providers/Microsoft.Network/{path}", group.id), Some(group.id.clone()))
            };
            let network = inside(FixtureKind::Network, "virtualNetworks/skyfleet");
            spec.holds.extend([group.id.clone(), network.id.clone()]);
            if !blueprint.inbound_ports.is_empty() {
                let firewall = inside(FixtureKind::Firewall, "networkSecurityGroups/skyfleet");
                spec.holds.push(firewall.id.clone());
                list.push((firewall, None));
            }
            list.push((network, None));
            // The group is made first.
            list.insert(0, (group, Some(spec)));
        }
    }
    list
}

const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000000";

/// Names what the machines are made of. When they expire is a tag, and changes no template.
fn content_digest(blueprint: &FleetBlueprint) -> String {
    let FleetBlueprint { image, user_data, disk_gib, public_ip, inbound_ports, labels, .. } = blueprint;
    digest(&(image, user_data, disk_gib, public_ip, inbound_ports, labels))
}

/// A short name for a content (FNV-1a).
fn digest(content: &impl serde::Serialize) -> String {
    let bytes = serde_json::to_vec(content).unwrap_or_default();
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash as u32 ^ (hash >> 32) as u32)
}
