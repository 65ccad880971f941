//! One call of a launch as Azure takes it: a fleet of Microsoft.AzureFleet in launch mode.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use skyfleet_core::{Market, Spread, TypeName, UsdPerHour, tag};

use super::order::{Order, Part, STEP};
use crate::client::fleet::COMPUTE;
use crate::convert::{PRICES, REQUEST, write_prices};
use crate::names::number_of;

/// What a call of a launch is made from.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) order: &'a Order<'a>,
    pub(super) part: &'a Part<'a>,
    /// Of the fleet object, and the beginning of its machines' names.
    pub(super) name: &'a str,
    pub(super) count: u32,
    /// With fewer Azure makes none; 0 takes what there is.
    pub(super) least: u32,
    /// The prices of the types, where they are known.
    pub(super) prices: &'a BTreeMap<&'a TypeName, UsdPerHour>,
}

impl Call<'_> {
    pub(super) fn body(&self) -> Value {
        let request = self.order.request;
        let mut properties = json!({
            "mode": "Launch",
            "vmNamePrefix": self.name,
            "capacityType": "VM",
            "vmSizesProfile": self.sizes(),
            "computeProfile": {
                "baseVirtualMachineProfile": self.profile(),
                "computeApiVersion": COMPUTE,
                "platformFaultDomainCount": 1,
            },
        });
        match request.market {
            Market::Spot => properties["spotPriorityProfile"] = self.spot(),
            Market::OnDemand => properties["regularPriorityProfile"] = self.regular(),
        }
        let mut body = json!({ "location": request.region, "tags": self.tags(), "properties": properties });
        let zones: Vec<&str> = self.part.zones.iter().filter_map(|zone| number_of(zone)).collect();
        if !zones.is_empty() {
            body["zones"] = json!(zones);
        }
        body
    }

    /// Of everything that the call makes.
    fn tags(&self) -> BTreeMap<String, String> {
        let request = self.order.request;
        let mut tags = tag::of_launch(&request.token, request.expires);
        tags.extend(self.order.handle.labels.clone());
        tags.insert(REQUEST.to_owned(), self.order.fingerprint());
        let known = self.part.sizes.iter().filter_map(|name| Some((*name, *self.prices.get(name)?)));
        let prices = write_prices(known);
        if !prices.is_empty() {
            tags.insert(PRICES.to_owned(), prices);
        }
        tags
    }

    /// Ranks count on demand alone: there nobody takes machines back, and the order is the request's.
    fn sizes(&self) -> Value {
        let ranked = self.is_ranked();
        let size = |(rank, name): (usize, &&TypeName)| match ranked {
            true => json!({ "name": name, "rank": rank }),
            false => json!({ "name": name }),
        };
        self.part.sizes.iter().enumerate().map(size).collect()
    }

    fn is_ranked(&self) -> bool {
        self.order.request.market == Market::OnDemand && self.part.sizes.len() > 1
    }

    fn spot(&self) -> Value {
        let strategy = match self.order.request.spread {
            Spread::Even => "PriceCapacityOptimized",
            Spread::Packed => "LowestPrice",
            Spread::SingleZone => "CapacityOptimized",
        };
        let mut profile = json!({
            "capacity": self.count,
            "allocationStrategy": strategy,
            "evictionPolicy": "Delete",
            "maintain": false,
        });
        if self.least > 0 {
            profile["minCapacity"] = self.least.into();
        }
        // Without one a machine is never taken back for its price, and never costs more than on
        // demand.
        if let Some(max) = self.part.price_max {
            profile["maxPricePerVM"] = ((max.micros() / STEP) as f64 / (1_000_000 / STEP) as f64).into();
        }
        profile
    }

    fn regular(&self) -> Value {
        let strategy = if self.is_ranked() { "Prioritized" } else { "LowestPrice" };
        let mut profile = json!({ "capacity": self.count, "allocationStrategy": strategy });
        if self.least > 0 {
            profile["minCapacity"] = self.least.into();
        }
        profile
    }

    /// A machine, with everything that comes and goes with it.
    fn profile(&self) -> Value {
        let handle = self.order.handle;
        let (user, key) = &handle.login;
        let mut os = json!({
            // The names themselves are Azure's.
            "computerNamePrefix": "skyfleet",
            "adminUsername": user,
            "linuxConfiguration": {
                "disablePasswordAuthentication": true,
                "ssh": { "publicKeys": [{ "path": format!("/home/{user}/.ssh/authorized_keys"), "keyData": key }] },
            },
        });
        if !handle.user_data.is_empty() {
            os["customData"] = STANDARD.encode(&handle.user_data).into();
        }
        let mut disk = json!({
            "createOption": "FromImage",
            "deleteOption": "Delete",
            "caching": "ReadWrite",
            "managedDisk": { "storageAccountType": "StandardSSD_LRS" },
        });
        if handle.disk_gib > 0 {
            disk["diskSizeGB"] = handle.disk_gib.into();
        }
        json!({
            "storageProfile": { "imageReference": handle.images.get(&self.part.arch), "osDisk": disk },
            "osProfile": os,
            "networkProfile": {
                "networkApiVersion": "2020-11-01",
                "networkInterfaceConfigurations": [self.interface()],
            },
        })
    }

    fn interface(&self) -> Value {
        let handle = self.order.handle;
        let mut address = json!({ "primary": true, "subnet": { "id": handle.subnet } });
        if handle.public_ip {
            address["publicIPAddressConfiguration"] = json!({
                "name": "public",
                "sku": { "name": "Standard", "tier": "Regional" },
                "properties": { "deleteOption": "Delete" },
            });
        }
        json!({ "name": "nic", "properties": {
            "primary": true,
            "deleteOption": "Delete",
            "networkSecurityGroup": { "id": handle.security_group },
            "ipConfigurations": [{ "name": "ip", "properties": address }],
        } })
    }
}

#[cfg(test)]
mod tests {
    use skyfleet_core::{LaunchRequest, Price};

    use super::super::order::Handle;
    use super::super::order::tests::{handle, request};
    use super::*;

    const POOLS: [(&str, &str); 4] = [("1", "D2s_v5"), ("2", "D2s_v5"), ("1", "D2as_v5"), ("2", "D2as_v5")];

    fn body(request: &LaunchRequest, handle: &Handle, least: u32) -> Value {
        let order = Order::new(request, handle, |_| Price::Unknown).unwrap();
        let prices =
            order.parts[0].sizes.iter().map(|name| (*name, UsdPerHour::from_micros(38_500))).collect();
        let part = &order.parts[0];
        Call { order: &order, part, name: "words-1-3-a", count: 10, least, prices: &prices }.body()
    }

    #[test]
    fn spot_goes_with_everything_that_belongs_to_it() {
        let mut request = request(Market::Spot, &POOLS);
        request.pools.iter_mut().for_each(|bid| bid.price_max = Some(UsdPerHour::from_micros(40_567)));
        let body = body(&request, &handle(), 0);
        assert_eq!((&body["zones"], &body["location"]), (&json!(["1", "2"]), &json!("eastus")));
        let spot = &body["properties"]["spotPriorityProfile"];
        assert_eq!((&spot["capacity"], &spot["maxPricePerVM"]), (&json!(10), &json!(0.040_56)));
        assert_eq!((&spot["evictionPolicy"], &spot["minCapacity"]), (&json!("Delete"), &Value::Null));
        let machine = &body["properties"]["computeProfile"]["baseVirtualMachineProfile"];
        assert_eq!(machine["storageProfile"]["osDisk"]["deleteOption"], "Delete");
        let interface = &machine["networkProfile"]["networkInterfaceConfigurations"][0]["properties"];
        assert_eq!(interface["deleteOption"], "Delete");
        assert_eq!(
            interface["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"],
            Value::Null
        );
        assert_eq!(machine["osProfile"]["linuxConfiguration"]["disablePasswordAuthentication"], true);
        assert_eq!(machine["osProfile"]["customData"], "IyEvYmluL3NoCg==");
        let tags = &body["tags"];
        assert_eq!((&tags["skyfleet-owner"], &tags["team"]), (&json!("ada"), &json!("search")));
        assert_eq!(tags["skyfleet-prices"], "D2s_v5=38500 D2as_v5=38500");
    }

    #[test]
    fn on_demand_takes_the_sizes_in_the_order_of_the_request() {
        let body = body(&request(Market::OnDemand, &POOLS), &Handle { public_ip: true, ..handle() }, 10);
        let regular = &body["properties"]["regularPriorityProfile"];
        assert_eq!(
            (&regular["allocationStrategy"], &regular["minCapacity"]),
            (&json!("Prioritized"), &json!(10))
        );
        assert_eq!(body["properties"]["vmSizesProfile"][1], json!({ "name": "Standard_D2as_v5", "rank": 1 }));
        let text = body.to_string();
        assert!(text.contains("publicIPAddressConfiguration") && !text.contains("password\":"), "{text}");
    }

    #[test]
    fn the_same_request_is_the_same_to_the_letter() {
        let (request, handle) = (request(Market::Spot, &POOLS), handle());
        assert_eq!(body(&request, &handle, 0), body(&request.clone(), &handle.clone(), 0));
    }
}
