"""Calls every method of Compute Engine that is simulated, in a world where something is to be seen, and walks each
answer by the discovery document. A method that no call here reaches is a failure."""

import sim

ZONE, REGION = "us-central1-a", "us-central1"
COMPUTE = sim.service()
LABELS = {"fleet": "walk", "empty": ""}

# Methods of the services beside Compute Engine: walk_services.py calls them.
OWN = {method for method in sim.METHODS if method in sim.WALK.methods}


def call(method, **parameters):
    """Calls a method by its name in the discovery document; the project is the check's if none is named."""
    part = COMPUTE
    *resources, name = method.split(".")
    for resource in resources:
        part = getattr(part, resource)()
    answer = getattr(part, name)(**{"project": sim.PROJECT, **parameters}).execute()
    sim.advance(1)
    return answer


def here(method, **parameters):
    """Calls a method in the walk's zone."""
    return call(method, zone=ZONE, **parameters)


def there(method, **parameters):
    """Calls a method in the walk's region."""
    return call(method, region=REGION, **parameters)


def lists(collection, call_, **parameters):
    """Lists a collection whole and by one item's filter."""
    found = call_(f"{collection}.list", **parameters)["items"]
    one = call_(f"{collection}.list", filter=f'name = "{found[0]["name"]}"', maxResults=1, **parameters)
    sim.expect([item["name"] for item in one["items"]] == [found[0]["name"]], f"{collection}: the filter finds {one}")
    if f"{collection}.aggregatedList" in OWN:
        call(f"{collection}.aggregatedList")
    return found


def market():
    """What is sold, where, and how much of it."""
    call("projects.get")
    for collection in ("zones", "regions"):
        for item in lists(collection, call)[:2]:
            call(f"{collection}.get", **{collection[:-1]: item["name"]})
    for collection, parameter in (
        ("machineTypes", "machineType"),
        ("acceleratorTypes", "acceleratorType"),
        ("diskTypes", "diskType"),
    ):
        for item in lists(collection, here)[:3]:
            here(f"{collection}.get", **{parameter: item["name"]})
    types = here("machineTypes.list")["items"]
    sim.expect(any("accelerators" in kind for kind in types), "no type of the catalogue tells of its GPUs")
    sim.expect({kind["architecture"] for kind in types} == {"X86_64", "ARM64"}, "an architecture is missing")
    images = lists("images", lambda method, **more: call(method, **{**more, "project": "debian-cloud"}))
    call("images.get", project="debian-cloud", image=images[0]["name"])
    call("images.getFromFamily", project="debian-cloud", family="debian-12")


def advice():
    """What Compute Engine says of capacity: now, and in the past."""
    spot = {"scheduling": {"provisioningModel": "SPOT"}}
    there(
        "advice.capacity",
        body={
            "distributionPolicy": {"targetShape": "ANY", "zones": [{"zone": f"zones/{ZONE}"}]},
            "instanceProperties": spot,
            "instanceFlexibilityPolicy": {"instanceSelections": {"any": {"machineTypes": ["n2-standard-2"]}}},
            "size": 100,
        },
    )
    history = {"instanceProperties": {"machineType": "n2-standard-2", **spot}, "types": ["PREEMPTION", "PRICE"]}
    there("advice.capacityHistory", body=history)
    in_zone = {**history, "types": ["PREEMPTION"], "locationPolicy": {"location": f"zones/{ZONE}"}}
    there("advice.capacityHistory", body=in_zone)


def images():
    """An image of the caller's own."""
    sim.good(here("disks.insert", body={"name": "origin", "sizeGb": "10"}))
    body = {"name": "own", "sourceDisk": f"zones/{ZONE}/disks/origin", "family": "own", "labels": LABELS}
    sim.good(call("images.insert", body=body))
    lists("images", call)
    sim.good(call("images.delete", image="own"))
    sim.good(here("disks.delete", disk="origin"))


def network():
    """The default network, and one of the walk's own."""
    lists("networks", call)
    lists("subnetworks", there)
    call("networks.get", network="default")
    there("subnetworks.get", subnetwork="default")
    sim.good(call("networks.insert", body={"name": "walk", "autoCreateSubnetworks": False}))
    body = {"name": "walk", "network": "global/networks/walk", "ipCidrRange": "10.9.0.0/24"}
    sim.good(there("subnetworks.insert", body=body))
    there("subnetworks.get", subnetwork="walk")
    call("networks.get", network="walk")


def no_network():
    """The walk's own network goes."""
    sim.good(there("subnetworks.delete", subnetwork="walk"))
    sim.good(call("networks.delete", network="walk"))


def firewall():
    """Rules of both directions."""
    body = {
        "name": "walk",
        "description": "a walk",
        "network": "global/networks/default",
        "allowed": [{"IPProtocol": "tcp", "ports": ["22", "80-90"]}, {"IPProtocol": "icmp"}],
        "sourceRanges": ["192.0.2.0/24"],
        "targetTags": ["walk"],
    }
    sim.good(call("firewalls.insert", body=body))
    out = {"name": "walk-out", "direction": "EGRESS", "denied": [{"IPProtocol": "all"}], "priority": 900}
    sim.good(call("firewalls.insert", body={**out, "destinationRanges": ["198.51.100.0/24"]}))
    lists("firewalls", call)
    told = call("firewalls.get", firewall="walk")
    for member in ("description", "allowed", "sourceRanges", "targetTags"):
        sim.expect(told[member] == body[member], f"the rule was given {body[member]} and tells {told[member]}")
    for method in ("firewalls.patch", "firewalls.update"):
        sim.good(call(method, firewall="walk", body={**body, "sourceRanges": ["192.0.2.0/25"]}))
    for name in ("walk", "walk-out"):
        sim.good(call("firewalls.delete", firewall=name))


def address():
    """A static address."""
    sim.good(there("addresses.insert", body={"name": "walk", "description": "a walk", "labels": LABELS}))
    lists("addresses", there)
    told = there("addresses.get", address="walk")
    body = {"labels": {"more": "yes"}, "labelFingerprint": told["labelFingerprint"]}
    sim.good(there("addresses.setLabels", resource="walk", body=body))
    sim.good(there("addresses.delete", address="walk"))


def disks():
    """A disk beside machines, and one of an image."""
    sim.good(here("disks.insert", body={"name": "walk", "sizeGb": "20", "labels": LABELS}))
    kind = f"zones/{ZONE}/diskTypes/pd-balanced"
    sim.good(here("disks.insert", body={"name": "imaged", "sourceImage": sim.IMAGE, "type": kind}))
    found = lists("disks", here)
    sim.expect(len(found) == 2, f"of two disks there are {found}")
    told = here("disks.get", disk="walk")
    body = {"labels": {"more": "yes"}, "labelFingerprint": told["labelFingerprint"]}
    sim.good(here("disks.setLabels", resource="walk", body=body))
    for name in ("walk", "imaged"):
        sim.good(here("disks.delete", disk=name))


def properties(**more):
    """What machines and templates are made from, with much in it."""
    return {
        **sim.properties(),
        "description": "a walk",
        "labels": LABELS,
        "tags": {"items": ["walk"]},
        "metadata": {"items": [{"key": "startup-script", "value": "#!/bin/sh\ntrue\n"}]},
        "networkInterfaces": [
            {
                "network": "global/networks/default",
                "accessConfigs": [{"name": "External NAT", "type": "ONE_TO_ONE_NAT"}],
            }
        ],
        "serviceAccounts": [{"email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}],
        "shieldedInstanceConfig": {"enableSecureBoot": True, "enableVtpm": True, "enableIntegrityMonitoring": True},
        **more,
    }


def machine(name, **more):
    """A machine for a single insert."""
    return sim.machine(name, **{**properties(), "machineType": f"zones/{ZONE}/machineTypes/e2-standard-2", **more})


def template():
    """A template, which shows what it was given."""
    body = {"name": "walk", "description": "a walk", "properties": properties(scheduling=sim.spot())}
    sim.good(call("instanceTemplates.insert", body=body))
    lists("instanceTemplates", call)
    told = call("instanceTemplates.get", instanceTemplate="walk")["properties"]
    for member in ("machineType", "description", "labels", "serviceAccounts", "shieldedInstanceConfig"):
        wanted = body["properties"][member]
        sim.expect(told[member] == wanted, f"the template was given {wanted} and tells {told[member]}")


def regional_template():
    """A template of a region."""
    sim.good(there("regionInstanceTemplates.insert", body={"name": "local", "properties": properties()}))
    lists("regionInstanceTemplates", there)
    there("regionInstanceTemplates.get", instanceTemplate="local")
    sim.good(there("regionInstanceTemplates.delete", instanceTemplate="local"))


def common_metadata():
    """What all machines of the project are told."""
    known = call("projects.get")["commonInstanceMetadata"]
    body = {"fingerprint": known["fingerprint"], "items": [{"key": "everybody", "value": "knows"}]}
    sim.good(call("projects.setCommonInstanceMetadata", body=body))
    told = call("projects.get")["commonInstanceMetadata"]
    sim.expect(told["items"] == body["items"] and told["fingerprint"] != known["fingerprint"], f"{told}")


def machines():
    """A machine of each market, through its life."""
    sim.good(here("instances.insert", body=machine("one")))
    gpu = [{"acceleratorType": f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 1}]
    with_gpu = {"machineType": f"zones/{ZONE}/machineTypes/n1-standard-4", "guestAccelerators": gpu}
    lifetime = {"maxRunDuration": {"seconds": "7200"}, "preemptionNoticeDuration": {"seconds": "120"}}
    sim.good(here("instances.insert", body=machine("gpu", scheduling=sim.spot(**lifetime), **with_gpu)))
    begun = here("instances.insert", body=machine("young"))
    sim.expect(begun["status"] in ("PENDING", "RUNNING"), f"{begun}")
    here("instances.get", instance="young")
    lists("instances", here)
    sim.good(begun)
    one = here("instances.get", instance="one")
    sim.expect(one["status"] == "RUNNING" and one["labels"] == LABELS, f"{one}")
    told = here("instances.get", instance="gpu")
    sim.expect(told["scheduling"]["maxRunDuration"] == {"seconds": "7200"}, f"{told['scheduling']}")
    sim.expect(told["guestAccelerators"][0]["acceleratorCount"] == 1, f"{told}")
    body = {"labels": {**LABELS, "role": "head"}, "labelFingerprint": one["labelFingerprint"]}
    sim.good(here("instances.setLabels", instance="one", body=body))
    metadata = {"fingerprint": one["metadata"]["fingerprint"], "items": [{"key": "a", "value": "b"}]}
    sim.good(here("instances.setMetadata", instance="one", body=metadata))
    tags = {"fingerprint": one["tags"]["fingerprint"], "items": ["more"]}
    sim.good(here("instances.setTags", instance="one", body=tags))
    sim.expect(here("instances.get", instance="one")["labels"]["role"] == "head", "the label is not there")
    here("instances.getSerialPortOutput", instance="one", port=1)
    ending = here("instances.stop", instance="one")
    here("instances.get", instance="one")
    sim.good(ending)
    stopped = here("instances.get", instance="one")
    sim.expect(stopped["status"] == "TERMINATED" and "lastStopTimestamp" in stopped, f"{stopped}")
    sim.good(here("instances.start", instance="one"))
    sim.good(here("instances.reset", instance="one"))
    sim.good(here("instances.setDeletionProtection", resource="one", deletionProtection=False))


def many():
    """Bulk inserts, of a region and of a zone; one that cannot be, whole and in part."""
    flexible = {
        "instanceSelections": {
            "first": {"machineTypes": ["e2-standard-2"], "rank": "1"},
            "then": {"machineTypes": ["n2-standard-2", "n2d-standard-2"], "rank": "2"},
        }
    }
    made = properties(scheduling=sim.spot())
    del made["machineType"]
    regional = there(
        "regionInstances.bulkInsert",
        body={
            "count": "12",
            "minCount": "1",
            "namePattern": "many-####",
            "instanceProperties": made,
            "instanceFlexibilityPolicy": flexible,
            "locationPolicy": {"targetShape": "BALANCED", "locations": {f"zones/{ZONE}": {"preference": "DENY"}}},
        },
    )
    there("regionOperations.get", operation=regional["name"])
    sim.good(regional)
    named = {"left": {}, "right": {}}
    body = {"perInstanceProperties": named, "sourceInstanceTemplate": "global/instanceTemplates/walk", "count": "2"}
    sim.good(here("instances.bulkInsert", body=body))
    sim.fault("capacity", zone=ZONE, instance_type="c2-standard-4", market="all", available=1)
    scarce = {**properties(), "machineType": "c2-standard-4"}
    for least in ("1", "3"):
        body = {"count": "3", "minCount": least, "namePattern": f"scarce{least}-#", "instanceProperties": scarce}
        short = here("instances.bulkInsert", body=body)
        here("zoneOperations.get", operation=short["name"])
        here("instances.list")
        sim.settled(short)
    failed = here("instances.insert", body=machine("none", machineType=f"zones/{ZONE}/machineTypes/c2-standard-4"))
    sim.failed(failed, "ZONE_RESOURCE_POOL_EXHAUSTED")
    sim.lift_faults()
    lists("instances", here)


def preempted():
    """A preemption, and an event that looks like one."""
    name = next(one["name"] for one in here("instances.list")["items"] if one["name"] in ("left", "right"))
    sim.fault("preempt", instance_id=f"zones/{ZONE}/instances/{name}")
    sim.advance(1)
    sim.expect(here("instances.get", instance=name)["status"] == "STOPPING", "it does not stop")
    sim.advance(120)
    kind = 'operationType = "compute.instances.preempted"'
    sim.expect(here("zoneOperations.list", filter=kind)["items"], "no operation tells of the preemption")
    sim.good(here("instances.simulateMaintenanceEvent", instance="one"))


def operations():
    """Operations of all scopes, in every way in which they are asked for."""
    for collection, call_ in (("zoneOperations", here), ("regionOperations", there), ("globalOperations", call)):
        found = lists(collection, call_)
        newest = call_(f"{collection}.list", orderBy="creationTimestamp desc", maxResults=2)["items"]
        sim.expect(newest[0]["insertTime"] >= newest[-1]["insertTime"], f"{newest}")
        old = next(one["name"] for one in found if one["status"] == "DONE")
        call_(f"{collection}.wait", operation=old)
        call_(f"{collection}.get", operation=old)
        call_(f"{collection}.delete", operation=old)
        sim.refused(404, "notFound", call_, f"{collection}.get", operation=old)


def down():
    """Everything ends."""
    pages = call("instances.aggregatedList")["items"]
    ending = []
    for place, scope in pages.items():
        for one in scope.get("instances", []):
            ending.append(call("instances.delete", zone=place.partition("/")[2], instance=one["name"]))
    sim.expect(len(ending) >= 16, f"{len(ending)} machines lived")
    here("instances.list")
    for operation in ending:
        sim.good(operation)
    sim.good(call("instanceTemplates.delete", instanceTemplate="walk"))


def links_lead_somewhere():
    """What a resource says that its name is, can be fetched, and is the same resource."""
    sim.minute()
    told = 0
    for link, number in sim.WALK.links.items():
        answer = sim.raw("GET", link.removeprefix("https://www.googleapis.com"))
        # Most of them are gone by now; a name that the server cannot read is another thing.
        sim.expect(answer.status_code in (200, 404), f"{link}: {answer.status_code} {answer.text}")
        if answer.status_code == 200:
            told += 1
            sim.expect(answer.json()["id"] == number, f"{link} is {answer.json()['id']}, not {number}")
    sim.expect(told > 20, f"of {len(sim.WALK.links)} names {told} lead somewhere")


def every_method_was_called():
    """Nothing that is simulated was forgotten, and what answers a list was seen with something in it."""
    forgotten = sorted(OWN - sim.WALK.answered)
    sim.expect(not forgotten, f"no sample call in walk_compute.py answers: {', '.join(forgotten)}")
    listing = {method for method in OWN if method.endswith(("List", ".list"))}
    bare = sorted(listing - sim.WALK.listed)
    sim.expect(not bare, f"only ever seen with empty lists: {', '.join(bare)}")


def main():
    market()
    advice()
    network()
    disks()
    images()
    firewall()
    address()
    template()
    regional_template()
    common_metadata()
    machines()
    many()
    preempted()
    operations()
    down()
    no_network()
    links_lead_somewhere()
    every_method_was_called()
    sim.advance(600)
    sim.nothing_is_left()
    sim.done(f"{len(sim.WALK.answered)} methods walked")


main()
