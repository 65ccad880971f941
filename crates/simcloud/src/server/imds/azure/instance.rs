//! `/metadata/instance`: what the machine is. The members of version 2021-02-01; every value is a
//! text.

use serde_json::{Value, json};

use crate::azure::blueprint::sizes;
use crate::azure::id::Id;
use crate::azure::machines::item::computer_name;
use crate::azure::network::networks;
use crate::azure::state::State;
use crate::kernel::Kernel;
use crate::ledger::LineKind;
use crate::server::imds::azure::machine::Machine;
use crate::server::imds::azure::{Told, tree};

pub(crate) fn answer(
    kernel: &Kernel,
    state: &State,
    machine: &Machine,
    path: &str,
    format: Option<&str>,
) -> Told {
    let document = json!({ "compute": compute(kernel, machine), "network": network(state, machine) });
    tree::find(&document, path, format)
}

fn compute(kernel: &Kernel, machine: &Machine) -> Value {
    let Machine { id, view, details, .. } = machine;
    let image = |member: &str| details.disk.image.get(member).and_then(Value::as_str).unwrap_or_default();
    let (os, terms) = (&details.os, &details.terms);
    let login = &os.told["linuxConfiguration"];
    let keys = login["ssh"]["publicKeys"].as_array().into_iter().flatten();
    let keys: Vec<Value> =
        keys.map(|key| json!({ "keyData": key["keyData"], "path": key["path"] })).collect();
    let tags: Vec<Value> =
        view.tags.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let in_line: Vec<String> = view.tags.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let security = &details.told.get("securityProfile").cloned().unwrap_or_default()["uefiSettings"];
    let flag = |value: &Value| value.as_bool().unwrap_or(false).to_string();
    let told = |name: &str| details.told.get(name).cloned().unwrap_or_default();
    let domain = told("platformFaultDomain").as_u64().unwrap_or(0);
    let set = details.scale_set.as_ref();
    json!({
        "azEnvironment": "AzurePublicCloud",
        "customData": "",
        "evictionPolicy": terms.eviction.map_or("", |eviction| eviction.as_str()),
        "isHostCompatibilityLayerVm": "false",
        "licenseType": told("licenseType").as_str().unwrap_or_default(),
        "location": view.region,
        "name": id.name(),
        "offer": image("offer"),
        "osProfile": {
            "adminUsername": os.told["adminUsername"],
            "computerName": computer_name(details, id),
            "disablePasswordAuthentication": flag(&login["disablePasswordAuthentication"]),
        },
        "osType": "Linux",
        "placementGroupId": "",
        "plan": { "name": "", "product": "", "publisher": "" },
        "platformFaultDomain": domain.to_string(),
        "platformUpdateDomain": "0",
        "priority": terms.priority.unwrap_or("Regular"),
        "provider": "Microsoft.Compute",
        "publicKeys": keys,
        "publisher": image("publisher"),
        "resourceGroupName": id.group,
        "resourceId": id.to_string(),
        "securityProfile": {
            "secureBootEnabled": flag(&security["secureBootEnabled"]),
            "virtualTpmEnabled": flag(&security["vTpmEnabled"]),
        },
        "sku": image("sku"),
        "storageProfile": storage(kernel, machine),
        "subscriptionId": id.subscription,
        "tags": in_line.join(";"),
        "tagsList": tags,
        "userData": os.user_data.as_deref().unwrap_or_default(),
        "version": version(image("version")),
        "virtualMachineScaleSet": { "id": set.map(Id::to_string).unwrap_or_default() },
        "vmId": machine.vm_id,
        "vmScaleSetName": set.map(Id::name).unwrap_or_default(),
        "vmSize": view.offer.instance_type,
        "zone": if details.zonal { sizes::number(&view.offer.zone) } else { "" },
    })
}

/// The version that `latest` was. Ours: each is one.
fn version(asked: &str) -> &str {
    if asked.is_empty() || asked.eq_ignore_ascii_case("latest") { "1.0.0" } else { asked }
}

fn storage(kernel: &Kernel, machine: &Machine) -> Value {
    let disk = &machine.details.disk;
    let line =
        kernel.lines_of(machine.view.number).find(|line| kernel.lines[*line as usize].kind == LineKind::Disk);
    let id = line.map(|line| kernel.line_id(line).to_string()).unwrap_or_default();
    let image = |member: &str| disk.image.get(member).and_then(Value::as_str).unwrap_or_default();
    json!({
        "dataDisks": [],
        "imageReference": {
            "id": image("id"),
            "offer": image("offer"),
            "publisher": image("publisher"),
            "sku": image("sku"),
            "version": image("version"),
        },
        "osDisk": {
            "caching": disk.caching,
            "createOption": "FromImage",
            "diffDiskSettings": { "option": "" },
            "diskSizeGB": machine.view.disk_gib.to_string(),
            "encryptionSettings": { "enabled": "false" },
            "image": { "uri": "" },
            "managedDisk": { "id": id, "storageAccountType": disk.kind },
            "name": id.rsplit('/').next().unwrap_or_default(),
            "osType": "Linux",
            "vhd": { "uri": "" },
            "writeAcceleratorEnabled": "false",
        },
        "resourceDisk": { "size": "0" },
    })
}

fn network(state: &State, machine: &Machine) -> Value {
    let interface = machine.details.interface();
    let given = interface.and_then(|interface| interface.given.as_ref());
    let part = given.and_then(|id| {
        let made = state.made.get(&id.key())?;
        made.body.get("properties")?["ipConfigurations"].get(0).map(|part| part["properties"].clone())
    });
    let own = machine.view.private_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let inside = part.as_ref().and_then(|part| part["privateIPAddress"].as_str()).unwrap_or(&own);
    let outside = machine.view.public_ip.map(|ip| ip.to_string()).unwrap_or_default();
    let subnet = part.as_ref().and_then(|part| Id::parse(part["subnet"]["id"].as_str()?));
    let subnet = subnet.as_ref().or_else(|| interface?.subnet.as_ref());
    let range = subnet.and_then(|subnet| {
        let network = Id::new(&subnet.subscription, &subnet.group, networks::KIND, &[subnet.names.first()?]);
        networks::prefix_of(state.made.get(&network.key())?, subnet.name())
    });
    let range = range.unwrap_or_default();
    let (address, prefix) = range.split_once('/').unwrap_or_default();
    let octets = inside.split('.').filter_map(|part| part.parse::<u8>().ok());
    // 00-0D-3A is Microsoft's.
    let mac = octets.skip(1).fold("000D3A".to_owned(), |mac, octet| format!("{mac}{octet:02X}"));
    json!({ "interface": [{
        "ipv4": {
            "ipAddress": [{ "privateIpAddress": inside, "publicIpAddress": outside }],
            "subnet": [{ "address": address, "prefix": prefix }],
        },
        "ipv6": { "ipAddress": [] },
        "macAddress": mac,
    }] })
}
