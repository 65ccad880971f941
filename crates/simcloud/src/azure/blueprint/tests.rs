use serde_json::json;
use skyfleet_core::Market;

use super::*;
use crate::azure::trial::Trial;
use crate::order::OnReclaim;

/// A subscription with a group `g`, a network `net` and a security group `nsg` in eastus.
pub(crate) fn trial() -> Trial {
    let trial = Trial::with_group();
    let inside = "/resourceGroups/g/providers/Microsoft.Network";
    let network = json!({ "location": "eastus", "properties": {
        "addressSpace": { "addressPrefixes": ["10.0.0.0/16"] },
        "subnets": [{ "name": "s", "properties": { "addressPrefix": "10.0.0.0/16" } }] } });
    trial.done("PUT", &format!("{inside}/virtualNetworks/net"), network);
    trial.done("PUT", &format!("{inside}/networkSecurityGroups/nsg"), json!({ "location": "eastus" }));
    trial
}

/// A profile as a fleet or a scale set takes it: with everything that it needs.
pub(crate) fn profile() -> Value {
    let inside =
        format!("{}/resourceGroups/g/providers/Microsoft.Network", crate::azure::trial::SUBSCRIPTION);
    json!({
        "storageProfile": {
            "imageReference": { "publisher": "Debian", "offer": "debian-12", "sku": "12-gen2", "version": "latest" },
            "osDisk": { "createOption": "FromImage", "deleteOption": "Delete",
                "managedDisk": { "storageAccountType": "StandardSSD_LRS" } },
        },
        "osProfile": {
            "computerNamePrefix": "words",
            "adminUsername": "azureuser",
            "customData": "IyEvYmluL3NoCg==",
            "linuxConfiguration": {
                "disablePasswordAuthentication": true,
                "ssh": { "publicKeys": [{ "path": "/home/azureuser/.ssh/authorized_keys",
                    "keyData": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA nobody" }] },
            },
        },
        "networkProfile": {
            "networkApiVersion": "2020-11-01",
            "networkInterfaceConfigurations": [{ "name": "nic", "properties": {
                "primary": true,
                "deleteOption": "Delete",
                "networkSecurityGroup": { "id": format!("{inside}/networkSecurityGroups/nsg") },
                "ipConfigurations": [{ "name": "ip", "properties": {
                    "subnet": { "id": format!("{inside}/virtualNetworks/net/subnets/s") } } }],
            } }],
        },
    })
}

/// The body of the PUT of a spot machine.
pub(crate) fn machine() -> Value {
    let mut properties = profile();
    properties["hardwareProfile"] = json!({ "vmSize": "Standard_D2s_v5" });
    properties["osProfile"]["computerName"] = "words-1".into();
    properties["priority"] = "Spot".into();
    properties["evictionPolicy"] = "Delete".into();
    json!({ "location": "eastus", "zones": ["2"], "properties": properties })
}

fn read(trial: &Trial, body: &Value) -> Result<Blueprint, Refusal> {
    let id = format!("{}/resourceGroups/g/providers/{MACHINES}/vm", crate::azure::trial::SUBSCRIPTION);
    let id = Id::parse(&id).unwrap();
    trial.face.look(|kernel, state| of_machine(kernel, state, &id, &"eastus".into(), body))
}

fn code(trial: &Trial, at: &str, value: Value) -> String {
    let mut body = machine();
    *body.pointer_mut(at).unwrap_or_else(|| panic!("{at}")) = value;
    match read(trial, &body) {
        Err(Refusal::Coded { code, .. }) => code,
        other => panic!("{at}: {other:?}"),
    }
}

#[test]
fn a_machine_is_what_its_body_says() {
    let trial = trial();
    let mut body = machine();
    body["properties"]["storageProfile"]["osDisk"]["name"] = "Own".into();
    let blueprint = read(&trial, &body).unwrap();
    let spec = &blueprint.spec;
    assert_eq!((spec.disk_gib, spec.public_ip, &*spec.user_data), (30, false, "#!/bin/sh\n"));
    assert_eq!(spec.goes(), Goes { disk: true, interface: true, address: false });
    assert_eq!((spec.on_reclaim, spec.holds.len()), (OnReclaim::Terminate, 3));
    assert!(
        spec.disk_name.as_ref().unwrap().ends_with("/resourceGroups/g/providers/Microsoft.Compute/disks/Own")
    );
    let order = blueprint.order(vec!["/subscriptions/x".into()], &Arc::default());
    assert_eq!((order.count, order.market, order.pools.len()), (1, Market::Spot, 1));
    assert_eq!(order.pools[0].offer.zone.as_str(), "eastus-2");
    let details = &blueprint.details;
    assert!(details.zonal && details.os.told.get("customData").is_none());
    assert_eq!(details.os.computer.as_deref(), Some("words-1"));
}

#[test]
fn what_stays_stays_unless_it_is_said() {
    let trial = trial();
    let mut body = machine();
    body["properties"]["storageProfile"]["osDisk"]["deleteOption"] = Value::Null;
    let interface =
        &mut body["properties"]["networkProfile"]["networkInterfaceConfigurations"][0]["properties"];
    interface["deleteOption"] = "detach".into();
    interface["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"] = json!({ "name": "pip" });
    let spec = read(&trial, &body).unwrap().spec;
    assert_eq!(spec.goes(), Goes { disk: false, interface: false, address: false });
    assert!(spec.public_ip);
}

#[test]
fn without_a_zone_azure_chooses_one() {
    let trial = trial();
    let mut body = machine();
    body["zones"] = Value::Null;
    let blueprint = read(&trial, &body).unwrap();
    assert_eq!((blueprint.pools.len(), blueprint.details.zonal), (3, false));
}

#[test]
fn what_does_not_fit_is_refused_by_its_name() {
    let trial = trial();
    let profile = "/properties";
    for (at, value, wanted) in [
        ("/zones", json!(["7"]), "AvailabilityZoneNotSupported"),
        ("/zones", json!(["1", "2"]), "InvalidParameter"),
        ("/zones", json!([1]), "InvalidParameter"),
        ("/properties/hardwareProfile", Value::Null, "InvalidParameter"),
        ("/properties/hardwareProfile/vmSize", json!("Standard_D2s_v55"), "InvalidParameter"),
        ("/properties/hardwareProfile/vmSize", json!("Standard_D2ps_v5"), "BadRequest"),
        ("/properties/osProfile", Value::Null, "InvalidParameter"),
        ("/properties/osProfile/adminUsername", json!("admin"), "InvalidParameter"),
        ("/properties/osProfile/customData", json!("#!/bin/sh"), "InvalidParameter"),
        ("/properties/osProfile/linuxConfiguration/ssh", Value::Null, "InvalidParameter"),
        ("/properties/priority", json!("Regular"), "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines"),
        ("/properties/networkProfile", Value::Null, "InvalidParameter"),
        (
            "/properties/networkProfile/networkInterfaceConfigurations/0/properties/networkSecurityGroup/id",
            json!("/subscriptions/s"),
            "InvalidResourceReference",
        ),
        (
            "/properties/networkProfile/networkInterfaceConfigurations/0/properties/ipConfigurations/0/properties/subnet/id",
            json!(
                "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/net/subnets/x"
            ),
            "InvalidResourceReference",
        ),
        ("/properties/storageProfile/imageReference/sku", Value::Null, "InvalidParameter"),
        ("/properties/storageProfile/osDisk/createOption", json!("Attach"), "NotImplemented"),
        ("/properties/storageProfile/osDisk", json!({ "diskSizeGB": 20 }), "OperationNotAllowed"),
        (profile, json!([]), "InvalidParameter"),
        (profile, Value::Null, "InvalidParameter"),
    ] {
        assert_eq!(code(&trial, at, value.clone()), wanted, "{at} = {value}");
    }
    let elsewhere = trial.face.look(|kernel, state| {
        let id =
            Id::parse("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm")
                .unwrap();
        of_machine(kernel, state, &id, &"westus2".into(), &machine())
    });
    assert!(matches!(elsewhere, Err(Refusal::Coded { code, .. }) if code == "InvalidResourceReference"));
}
