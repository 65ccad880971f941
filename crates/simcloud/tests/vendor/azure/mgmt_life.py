"""A life as a program on the azure-mgmt clients leads it: what is for sale, a group, its network, a machine with an
interface of its own, a fleet, what is left behind, tags, Resource Graph, and the end. Where the clients wait, the
world's clock moves."""

import estate
import sim
import walker
from estate import COMPUTE, FLEETS, NETWORK, REGION, RESOURCES, SIZE, made

GROUP = "life"


def shop():
    """What is for sale, where, and how much of it the subscription may have."""
    account = sim.raw("GET", "", version="2022-12-01").json()
    sim.expect(account["subscriptionId"] == sim.SUBSCRIPTION and account["state"] == "Enabled", f"{account}")
    accounts = sim.raw("GET", "//subscriptions", version="2022-12-01").json()["value"]
    sim.expect(all(account["state"] == "Enabled" for account in accounts), f"{accounts}")
    regions = sim.raw("GET", "/locations", version="2022-12-01").json()["value"]
    sim.expect({"eastus", "westeurope"} <= {region["name"] for region in regions}, f"the regions are {regions}")
    sizes = {sku.name: sku for sku in COMPUTE.resource_skus.list(filter=f"location eq '{REGION}'")}
    abilities = {ability.name: ability.value for ability in sizes[SIZE].capabilities}
    sim.expect(abilities["vCPUs"] == "2" and abilities["MemoryGB"] == "8", f"{abilities}")
    sim.expect(sizes[SIZE].location_info[0].zones == ["1", "2", "3"], f"{sizes[SIZE].location_info}")
    short = {size.name: size for size in COMPUTE.virtual_machine_sizes.list(REGION)}
    sim.expect(short[SIZE].number_of_cores == 2 and short[SIZE].memory_in_mb == 8192, f"{short[SIZE]}")
    quotas = {usage.name.value: usage for usage in COMPUTE.usage.list(REGION)}
    sim.expect(quotas["lowPriorityCores"].current_value == 0 < quotas["cores"].limit, f"{quotas.keys()}")
    names = {provider.namespace: provider for provider in RESOURCES.providers.list()}
    sim.expect({"Microsoft.Compute", "Microsoft.Network", "Microsoft.AzureFleet"} <= set(names), f"{names.keys()}")
    compute = RESOURCES.providers.get("Microsoft.Compute")
    sim.expect(compute.registration_state == "Registered", f"{compute.registration_state}")
    sim.expect("virtualMachines" in {kind.resource_type for kind in compute.resource_types}, f"{compute}")
    RESOURCES.providers.unregister("Microsoft.ComputeSchedule")
    sim.expect(RESOURCES.providers.register("Microsoft.ComputeSchedule").registration_state == "Registering", "")
    sim.advance(60)
    permissions = sim.raw("GET", "/providers/Microsoft.Authorization/permissions", version="2022-04-01").json()
    sim.expect(permissions["value"][0]["actions"] == ["*"], f"{permissions}")


def prices():
    """What it costs, and how likely it is to be had."""
    wanted = f"armRegionName eq '{REGION}' and armSkuName eq '{SIZE}' and priceType eq 'Consumption'"
    page = sim.raw("GET", "//api/retail/prices", version="2023-01-01-preview", token="", **{"$filter": wanted}).json()
    linux = [item for item in page["Items"] if "Windows" not in item["productName"]]
    by_meter = {item["meterName"]: item["retailPrice"] for item in linux}
    sim.expect(0 < by_meter["D2s v5 Spot"] < by_meter["D2s v5"], f"{by_meter}")
    asked = {
        "desiredLocations": [REGION],
        "desiredSizes": [{"sku": SIZE}],
        "desiredCount": 10,
        "availabilityZones": True,
    }
    advice = estate.ADVICE.spot_placement_scores
    sim.expect(advice.get(REGION).name == "spot", "the scores have no name")
    scores = advice.post(REGION, asked).placement_scores
    sim.expect([score.availability_zone for score in scores] == ["1", "2", "3"], f"{scores}")
    sim.expect(all(score.score == "High" and score.is_quota_available for score in scores), f"{scores}")
    rates = estate.graph(
        "SpotResources | where type =~ 'microsoft.compute/skuspotevictionrate/location' "
        f"| where sku.name in~ ('{SIZE}') | where location in~ ('{REGION}') "
        "| project skuName = tostring(sku.name), location, spotEvictionRate = tostring(properties.evictionRate)"
    )
    sim.expect(rates == [{"skuName": SIZE.lower(), "location": REGION, "spotEvictionRate": "0-5"}], f"{rates}")


def ground():
    """A group and its network; answers the subnet's id."""
    sim.expect(not RESOURCES.resource_groups.check_existence(GROUP), "the group is there before it is made")
    subnet = estate.site(GROUP)
    sim.expect(RESOURCES.resource_groups.check_existence(GROUP.upper()), "the group is not there")
    told = RESOURCES.resource_groups.update(GROUP, {"tags": {"fleet": "life", "of": "checks"}})
    sim.expect(
        told.tags == {"fleet": "life", "of": "checks"} and told.properties.provisioning_state == "Succeeded", f"{told}"
    )
    found = RESOURCES.resource_groups.list(filter="tagName eq 'of' and tagValue eq 'checks'")
    sim.expect([group.name for group in found] == [GROUP], "the group is not found by its tag")
    sim.expect(RESOURCES.resource_groups.get(GROUP).location == REGION, "the group is elsewhere")

    rules = NETWORK.security_rules
    made(rules.begin_create_or_update(GROUP, "guard", "ssh", estate.rule("ssh", 100, 22)))
    sim.expect(rules.get(GROUP, "guard", "ssh").destination_port_range == "22", "the rule is another one")
    sim.expect({rule.name for rule in rules.list(GROUP, "guard")} == {"ssh", "web"}, "the rules are others")
    made(rules.begin_delete(GROUP, "guard", "web"))
    first = NETWORK.default_security_rules
    sim.expect(first.get(GROUP, "guard", "DenyAllInBound").access == "Deny", "the default rule is another one")
    sim.expect(len(list(first.list(GROUP, "guard"))) == 6, "there are other default rules")
    guard = NETWORK.network_security_groups.update_tags(GROUP, "guard", {"tags": {"fleet": "life"}})
    sim.expect([rule.name for rule in guard.security_rules] == ["ssh"], f"{guard}")
    sim.expect(len(list(NETWORK.network_security_groups.list(GROUP))) == 1, "there are other security groups")
    sim.expect(len(list(NETWORK.network_security_groups.list_all())) == 1, "there are other security groups")

    subnets = NETWORK.subnets
    made(subnets.begin_create_or_update(GROUP, "net", "more", {"properties": {"addressPrefix": "10.0.16.0/20"}}))
    sim.expect({one.name for one in subnets.list(GROUP, "net")} == {"default", "more"}, "the subnets are others")
    sim.expect(subnets.get(GROUP, "net", "more").address_prefix == "10.0.16.0/20", "the subnet is another one")
    made(subnets.begin_delete(GROUP, "net", "more"))
    network = NETWORK.virtual_networks.update_tags(GROUP, "net", {"tags": {"fleet": "life", "a": "b"}})
    sim.expect(network.tags["a"] == "b" and network.provisioning_state == "Succeeded", f"{network}")
    sim.expect(NETWORK.virtual_networks.get(GROUP, "net").subnets[0].id == subnet, "the subnet has another id")
    sim.expect(len(list(NETWORK.virtual_networks.list(GROUP))) == 1, "there are other networks")
    sim.expect(len(list(NETWORK.virtual_networks.list_all())) == 1, "there are other networks")
    return subnet


def interface(subnet):
    """An interface with a public address; answers its id."""
    address = {
        "location": REGION,
        "zones": ["1"],
        "sku": {"name": "Standard", "tier": "Regional"},
        "properties": {"publicIPAllocationMethod": "Static"},
    }
    address = made(NETWORK.public_ip_addresses.begin_create_or_update(GROUP, "door", address))
    sim.expect(address.ip_address and address.provisioning_state == "Succeeded", f"{address}")
    NETWORK.public_ip_addresses.update_tags(GROUP, "door", {"tags": {"fleet": "life"}})
    part = {"name": "ip", "properties": {"subnet": {"id": subnet}, "publicIPAddress": {"id": address.id}}}
    nic = {"location": REGION, "properties": {"ipConfigurations": [part]}}
    nic = made(NETWORK.network_interfaces.begin_create_or_update(GROUP, "nic", nic))
    sim.expect(nic.ip_configurations[0].private_ip_address.startswith("10.0."), f"{nic}")
    NETWORK.network_interfaces.update_tags(GROUP, "nic", {"tags": {"fleet": "life"}})
    for lists in (NETWORK.network_interfaces, NETWORK.public_ip_addresses):
        sim.expect(len(list(lists.list(GROUP))) == len(list(lists.list_all())) == 1, f"{lists} has others")
    used = NETWORK.public_ip_addresses.get(GROUP, "door").ip_configuration.id
    sim.expect(used == f"{nic.id}/ipConfigurations/ip", f"the address is used by {used}")
    return nic.id


def disks():
    """A disk that no machine has."""
    disk = {
        "location": REGION,
        "zones": ["1"],
        "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 64},
    }
    disk = made(COMPUTE.disks.begin_create_or_update(GROUP, "data", disk))
    sim.expect(disk.disk_state == "Unattached" and disk.disk_size_gb == 64, f"{disk}")
    disk = made(COMPUTE.disks.begin_update(GROUP, "data", {"tags": {"fleet": "life"}}))
    sim.expect(COMPUTE.disks.get(GROUP, "data").tags == {"fleet": "life"}, f"{disk}")


def machine(nic):
    """One machine through all of its states."""
    machines = COMPUTE.virtual_machines
    one = made(machines.begin_create_or_update(GROUP, "one", estate.machine(nic, userData="aGVsbG8=")))
    sim.expect(one.provisioning_state == "Succeeded" and one.vm_id and one.zones == ["1"], f"{one}")
    sim.expect(one.hardware_profile.vm_size == SIZE, f"{one.hardware_profile}")
    view = machines.get(GROUP, "one", expand="instanceView").instance_view
    sim.expect(estate.power(view) == "running", f"{view}")
    sim.expect(machines.get(GROUP, "one", expand="userData").user_data == "aGVsbG8=", "the user data is another one")
    sim.expect(NETWORK.network_interfaces.get(GROUP, "nic").virtual_machine.id == one.id, "the interface is free")
    disk = COMPUTE.disks.get(GROUP, one.storage_profile.os_disk.name)
    sim.expect(disk.disk_state == "Attached" and disk.managed_by == one.id, f"{disk}")
    for end, begin in (
        ("stopped", machines.begin_power_off),
        ("running", machines.begin_start),
        ("running", machines.begin_restart),
        ("deallocated", machines.begin_deallocate),
    ):
        made(begin(GROUP, "one"))
        view = machines.instance_view(GROUP, "one")
        sim.expect(estate.power(view) == end, f"it is {estate.power(view)}, not {end}")
    made(machines.begin_start(GROUP, "one"))
    told = made(machines.begin_update(GROUP, "one", {"tags": {"fleet": "life", "a": "b"}}))
    sim.expect(told.tags == {"fleet": "life", "a": "b"}, f"{told.tags}")
    for listed in (machines.list(GROUP), machines.list_all(), machines.list_by_location(REGION)):
        sim.expect([found.name for found in listed] == ["one"], "a list has other machines")
    (short,) = machines.list_all(status_only="true")
    sim.expect(estate.power(short.instance_view) == "running", f"{short}")
    sim.refused(400, "NicInUse", NETWORK.network_interfaces.begin_delete, GROUP, "nic")
    return one


def evicted(subnet):
    """A spot machine that Azure takes back, with everything that is its own."""
    spot = {
        "priority": "Spot",
        "evictionPolicy": "Delete",
        "billingProfile": {"maxPrice": -1},
        "networkProfile": estate.profile(subnet)["networkProfile"],
    }
    machines = COMPUTE.virtual_machines
    made(machines.begin_create_or_update(GROUP, "spot", estate.machine("", **spot)))
    (nic,) = [nic for nic in NETWORK.network_interfaces.list(GROUP) if nic.name != "nic"]
    sim.expect(nic.virtual_machine.id.endswith("/virtualMachines/spot"), f"{nic}")
    sim.expect(NETWORK.network_interfaces.get(GROUP, nic.name).id == nic.id, "the interface is another one")
    machines.simulate_eviction(GROUP, "spot")
    sim.advance(240)
    sim.refused(404, "ResourceNotFound", machines.get, GROUP, "spot")
    sim.expect([nic.name for nic in NETWORK.network_interfaces.list(GROUP)] == ["nic"], "an interface is left")
    since = "eventTimestamp ge '2027-01-01T00:00:00Z'"
    path = "/providers/Microsoft.Insights/eventtypes/management/values"
    log = sim.raw(
        "GET", path, version="2015-04-01", **{"$filter": f"{since} and resourceGroupName eq '{GROUP}'"}
    ).json()
    names = [entry["operationName"]["value"] for entry in log["value"]]
    sim.expect("Microsoft.Compute/virtualMachines/evictSpotVM/action" in names, f"the log has {names}")


def fleet(subnet):
    """Twenty machines in one request, of any of two sizes, in any zone."""
    body = {
        "location": REGION,
        "zones": ["1", "2", "3"],
        "tags": {"fleet": "life"},
        "properties": {
            "mode": "Launch",
            "spotPriorityProfile": {
                "capacity": 20,
                "minCapacity": 20,
                "maintain": False,
                "allocationStrategy": "PriceCapacityOptimized",
                "evictionPolicy": "Delete",
            },
            "vmSizesProfile": [{"name": SIZE}, {"name": "Standard_D2as_v5"}],
            "computeProfile": {"baseVirtualMachineProfile": estate.profile(subnet)},
        },
    }
    many = made(FLEETS.fleets.begin_create_or_update(GROUP, "many", body))
    sim.expect(many.properties.provisioning_state == "Succeeded", f"{many}")
    found = list(FLEETS.fleets.list_virtual_machines(GROUP, "many"))
    sim.expect(len(found) == 20 and all(one.operation_status == "Succeeded" for one in found), f"{found}")
    told = made(FLEETS.fleets.begin_update(GROUP, "many", {"tags": {"fleet": "life", "a": "b"}}))
    sim.expect(told.tags == FLEETS.fleets.get(GROUP, "many").tags == {"fleet": "life", "a": "b"}, f"{told}")
    sim.expect(not list(FLEETS.fleets.list_virtual_machine_scale_sets(GROUP, "many")), "the fleet has scale sets")
    for listed in (FLEETS.fleets.list_by_resource_group(GROUP), FLEETS.fleets.list_by_subscription()):
        sim.expect([fleet.name for fleet in listed] == ["many"], "a list has other fleets")
    running = [one for one in COMPUTE.virtual_machines.list(GROUP) if one.priority == "Spot"]
    sim.expect({one.id for one in running} == {one.id for one in found}, "the fleet's machines are others")
    sim.expect(len(list(NETWORK.network_interfaces.list(GROUP))) == 21, "the machines have other interfaces")
    return [one.id for one in found]


def scale_set(subnet):
    """A scale set in flexible orchestration: ten machines, three fewer, four more, one singly."""
    network = estate.profile(subnet)
    interface = network["networkProfile"]["networkInterfaceConfigurations"][0]
    interface["properties"]["networkSecurityGroup"] = {"id": NETWORK.network_security_groups.get(GROUP, "guard").id}
    body = {
        "location": REGION,
        "zones": ["1", "2"],
        "tags": {"fleet": "life"},
        "sku": {"name": SIZE, "capacity": 10},
        "properties": {
            "orchestrationMode": "Flexible",
            "platformFaultDomainCount": 1,
            "singlePlacementGroup": False,
            "virtualMachineProfile": {"priority": "Spot", "evictionPolicy": "Delete", **network},
        },
    }
    sets, members = COMPUTE.virtual_machine_scale_sets, COMPUTE.virtual_machine_scale_set_vms
    herd = made(sets.begin_create_or_update(GROUP, "herd", body))
    sim.expect(herd.provisioning_state == "Succeeded" and herd.sku.capacity == 10, f"{herd}")
    found = list(members.list(GROUP, "herd"))
    sim.expect(len(found) == 10, f"the scale set has {len(found)} machines")
    machines = [one for one in COMPUTE.virtual_machines.list(GROUP) if one.virtual_machine_scale_set]
    sim.expect({one.virtual_machine_scale_set.id for one in machines} == {herd.id}, "the machines are of another set")
    sim.expect({zone for one in machines for zone in one.zones} == {"1", "2"}, "the machines are in other zones")
    some = [one.name for one in machines[:3]]
    made(sets.begin_delete_instances(GROUP, "herd", {"instanceIds": some}, force_deletion=True))
    sim.expect(sets.get(GROUP, "herd").sku.capacity == 7, "the capacity is another one")
    made(sets.begin_update(GROUP, "herd", {"sku": {"name": SIZE, "capacity": 11}}))
    found = list(members.list(GROUP, "herd"))
    sim.expect(len(found) == 11, f"the scale set has {len(found)} machines")
    one = found[0].instance_id
    sim.expect(members.get(GROUP, "herd", one).instance_id == one, "the machine is another one")
    made(members.begin_delete(GROUP, "herd", one))
    sim.expect(len(list(members.list(GROUP, "herd"))) == 10, "the machine is still there")
    two = [found[1].instance_id]
    made(sets.begin_deallocate(GROUP, "herd", {"instanceIds": two}))
    made(sets.begin_start(GROUP, "herd", {"instanceIds": two}))
    for listed in (sets.list(GROUP), sets.list_all()):
        sim.expect([herd.name for herd in listed] == ["herd"], "a list has other scale sets")
    made(sets.begin_delete(GROUP, "herd", force_deletion=True))
    left = [one.name for one in COMPUTE.virtual_machines.list(GROUP) if one.virtual_machine_scale_set]
    sim.expect(not left, f"the scale set leaves {left}")


def managed(subnet):
    """A fleet that stays: it replaces what is taken back, and takes its machines with it."""
    body = {
        "location": REGION,
        "zones": ["2"],
        "tags": {"fleet": "managed"},
        "properties": {
            "mode": "Managed",
            "spotPriorityProfile": {"capacity": 4, "maintain": True, "evictionPolicy": "Delete"},
            "vmSizesProfile": [{"name": SIZE}],
            "computeProfile": {"baseVirtualMachineProfile": estate.profile(subnet)},
        },
    }
    guard = {"id": NETWORK.network_security_groups.get(GROUP, "guard").id}
    network = body["properties"]["computeProfile"]["baseVirtualMachineProfile"]["networkProfile"]
    network["networkInterfaceConfigurations"][0]["properties"]["networkSecurityGroup"] = guard

    def own():
        all_ = COMPUTE.virtual_machines.list(GROUP)
        return {one.id for one in all_ if (one.tags or {}).get("fleet") == "managed"}

    fleets = FLEETS.fleets
    made(fleets.begin_create_or_update(GROUP, "steady", body))
    sets = list(fleets.list_virtual_machine_scale_sets(GROUP, "steady"))
    sim.expect(sets and sets[0].operation_status == "Succeeded", f"the fleet's scale sets are {sets}")
    before = own()
    sim.expect(before == {one.id for one in fleets.list_virtual_machines(GROUP, "steady")}, f"{before}")
    sim.expect(len(before) == 4, f"the fleet has {len(before)} machines")
    COMPUTE.virtual_machines.simulate_eviction(GROUP, min(before).rpartition("/")[2])
    for _ in range(60):
        sim.advance(30)
        after = own()
        if len(after) == 4 and after != before:
            break
    gone, new = before - after, after - before
    sim.expect(len(gone) == len(new) == 1, f"{len(gone)} machines are gone, and {len(new)} are new")
    made(fleets.begin_delete(GROUP, "steady"))
    sim.expect(not own(), f"the fleet leaves {own()}")


def known(machines):
    """What Resource Manager and Resource Graph know of all that, by its tag."""
    rows = estate.graph(
        "Resources | where type =~ 'Microsoft.Compute/virtualMachines' and tags['fleet'] == 'life' "
        "| project id, name, power = tostring(properties.extended.instanceView.powerState.code) | order by name asc"
    )
    sim.expect(len(rows) == len(machines) + 1, f"Resource Graph knows {len(rows)} machines")
    sim.expect({row["power"] for row in rows} == {"PowerState/running"}, f"{rows}")
    containers = estate.graph("ResourceContainers | where tags.of == 'checks' | project name")
    sim.expect(containers == [{"name": GROUP}], f"{containers}")
    tagged = list(RESOURCES.resources.list(filter="tagName eq 'fleet' and tagValue eq 'life'"))
    inside = list(RESOURCES.resources.list_by_resource_group(GROUP))
    sim.expect({one.id for one in tagged} <= {one.id for one in inside}, "something is tagged and not in the group")
    kinds = {one.type.lower() for one in inside}
    sim.expect({"microsoft.compute/disks", "microsoft.network/networkinterfaces"} <= kinds, f"{kinds}")
    tags = RESOURCES.tags
    merged = made(tags.begin_update_at_scope(machines[0], {"operation": "Merge", "properties": {"tags": {"x": "y"}}}))
    sim.expect(
        merged.properties.tags["x"] == "y" and tags.get_at_scope(machines[0]).properties.tags["fleet"], f"{merged}"
    )
    made(tags.begin_create_or_update_at_scope(machines[0], {"properties": {"tags": {"fleet": "life"}}}))
    made(tags.begin_delete_at_scope(machines[1]))
    sim.expect(not tags.get_at_scope(machines[1]).properties.tags, "the tags are still there")


def end(machines):
    """Everything goes one by one, in the only order in which it can; nothing is left."""
    body = {
        "resources": {"ids": machines},
        "forceDeletion": True,
        "executionParameters": {"retryPolicy": {"retryCount": 3, "retryWindowInMinutes": 30}},
        "correlationid": "6f0e1c52-9d5a-4f6e-8a4b-1f2e3d4c5b6a",
    }
    path = f"/providers/Microsoft.ComputeSchedule/locations/{REGION}/virtualMachinesExecuteDelete"
    answer = sim.raw("POST", path, body, version="2025-05-01")
    sim.expect(answer.status_code < 300 and len(answer.json()["results"]) == len(machines), answer.text)
    operations = [result["operation"]["operationId"] for result in answer.json()["results"]]
    asked = {"operationIds": operations, "correlationid": body["correlationid"]}
    path = path.replace("ExecuteDelete", "GetOperationStatus")
    for _ in range(60):
        told = sim.raw("POST", path, asked, version="2025-05-01").json()["results"]
        states = {one["operation"]["state"] for one in told}
        if states == {"Succeeded"}:
            break
        sim.advance(10)
    sim.expect(states == {"Succeeded"}, f"the deletions are {states}")
    made(FLEETS.fleets.begin_delete(GROUP, "many"))
    sim.expect([one.name for one in COMPUTE.virtual_machines.list(GROUP)] == ["one"], "a machine of the fleet is left")
    made(COMPUTE.virtual_machines.begin_delete(GROUP, "one"))
    sim.expect([one.name for one in COMPUTE.disks.list()] == ["data"], "a disk of a machine is left")
    sim.expect(len(list(COMPUTE.disks.list_by_resource_group(GROUP))) == 1, "a disk of a machine is left")
    sim.refused(400, "PublicIPAddressCannotBeDeleted", NETWORK.public_ip_addresses.begin_delete, GROUP, "door")
    sim.refused(400, "InUseSubnetCannotBeDeleted", NETWORK.virtual_networks.begin_delete, GROUP, "net")
    for begin, name in (
        (NETWORK.network_interfaces.begin_delete, "nic"),
        (NETWORK.public_ip_addresses.begin_delete, "door"),
        (NETWORK.virtual_networks.begin_delete, "net"),
        (NETWORK.network_security_groups.begin_delete, "guard"),
        (COMPUTE.disks.begin_delete, "data"),
    ):
        made(begin(GROUP, name))
    inside = list(RESOURCES.resources.list_by_resource_group(GROUP))
    sim.expect(not inside, f"the group still has {inside}")
    made(RESOURCES.resource_groups.begin_delete(GROUP))
    sim.expect(not RESOURCES.resource_groups.check_existence(GROUP), "the group is still there")
    sim.nothing_is_left()


def whole():
    """A group that goes with everything in it, machines too."""
    subnet = estate.site("whole")
    spot = {"networkProfile": estate.profile(subnet)["networkProfile"]}
    made(COMPUTE.virtual_machines.begin_create_or_update("whole", "one", estate.machine("", **spot)))
    made(RESOURCES.resource_groups.begin_delete("whole", force_deletion_types="Microsoft.Compute/virtualMachines"))
    sim.nothing_is_left()


def everything():
    """Fails for a method that this life has not called, and for a model that no answer was walked by."""
    rest = sim.METHODS - sim.called()
    sim.expect(not rest, f"nobody called {sorted(rest)}")
    unseen = {name.partition(".")[2] for name in walker.ALWAYS} - sim.WALK.seen
    sim.expect(not unseen, f"no answer was walked by {sorted(unseen)}")


shop()
prices()
subnet = ground()
nic = interface(subnet)
disks()
machine(nic)
evicted(subnet)
scale_set(subnet)
managed(subnet)
many = fleet(subnet)
known(many)
end(many)
whole()
everything()
sim.done("azure-mgmt clients led a life")
