"""A fleet's life as a program on google-cloud-compute leads it, by a clock that runs: what is for sale, a bulk insert
over a region and one in a zone, lists in pages, a preemption, a stop and a start, what comes beside machines, and the
end."""

from google.api_core.exceptions import NotFound
from google.api_core.future.polling import DEFAULT_POLLING
from google.cloud import compute_v1 as gce

import library
import sim

REGION, ZONE = "us-central1", "us-central1-a"
HERE = {"project": sim.PROJECT, "zone": ZONE}
THERE = {"project": sim.PROJECT, "region": REGION}
GLOBAL = {"project": sim.PROJECT}
TYPES = ["e2-standard-2", "n2-standard-2", "n2d-standard-2"]
FLEET = "labels.fleet=life"

# The world's minutes are seconds here; the library would ask after one, two, four of them.
POLLING = DEFAULT_POLLING.with_delay(initial=0.1, maximum=0.5)

INSTANCES = library.client(gce.InstancesClient)
REGIONAL = library.client(gce.RegionInstancesClient)
DISKS = library.client(gce.DisksClient)
ADDRESSES = library.client(gce.AddressesClient)
FIREWALLS = library.client(gce.FirewallsClient)
TEMPLATES = library.client(gce.InstanceTemplatesClient)


def wait(operation):
    """An operation's end, as the library waits for it; it raises what went wrong."""
    operation.result(timeout=60, polling=POLLING)
    sim.expect(operation.done() and not operation.error_code, f"{operation}")


def over(client, operation, **place):
    """An operation's end by `wait`, which the server holds back until it is there."""
    answer = client.wait(operation=operation.name, **place)
    sim.expect(answer.status == gce.Operation.Status.DONE, f"wait answered {answer}")
    sim.expect(not answer.error.errors, f"{answer.error}")


def machines(filter_=FLEET, page=0):
    """All machines of the project that a filter lets through, by name."""
    request = gce.AggregatedListInstancesRequest(project=sim.PROJECT, filter=filter_, max_results=page or None)
    found = [one for _, scope in INSTANCES.aggregated_list(request=request) for one in scope.instances]
    named = {one.name: one for one in found}
    sim.expect(len(named) == len(found), "a machine is listed twice")
    return named


def shop():
    """What is for sale, where, and how much of it the project may have."""
    regions = {region.name: region for region in library.client(gce.RegionsClient).list(**GLOBAL)}
    sim.expect({"us-central1", "us-east1", "europe-west1"} <= set(regions), f"the regions are {sorted(regions)}")
    quotas = {quota.metric: quota for quota in regions[REGION].quotas}
    sim.expect(quotas["CPUS"].limit > 0 and quotas["PREEMPTIBLE_CPUS"].usage == 0, f"{quotas}")
    sim.expect(library.client(gce.ProjectsClient).get(**GLOBAL).quotas, "the project has no quotas")
    zones = [zone.name for zone in library.client(gce.ZonesClient).list(**GLOBAL) if zone.region.endswith(f"/{REGION}")]
    sim.expect(len(zones) >= 3 and ZONE in zones, f"the zones are {zones}")
    kinds = library.client(gce.MachineTypesClient)
    of_zone = {kind.name: kind for kind in kinds.list(**HERE)}
    sim.expect(all(of_zone[name].guest_cpus == 2 for name in TYPES), f"a type is missing: {sorted(of_zone)}")
    pages = gce.AggregatedListMachineTypesRequest(project=sim.PROJECT, max_results=20, filter="guestCpus = 2")
    everything = [kind for _, scope in kinds.aggregated_list(request=pages) for kind in scope.machine_types]
    sim.expect({kind.guest_cpus for kind in everything} == {2}, "the filter let other types through")
    sim.expect(set(TYPES) <= {kind.name for kind in everything}, "the pages miss a type")
    gpus = library.client(gce.AcceleratorTypesClient).list(**HERE)
    sim.expect(any("t4" in gpu.name for gpu in gpus), "there are no T4s")
    return zones


def advised():
    """How likely fifty machines are to be had."""
    advice = library.client(gce.AdviceClient).capacity(
        **THERE,
        capacity_advice_request_resource=gce.CapacityAdviceRequest(
            size=50,
            instance_properties=gce.CapacityAdviceRequestInstanceProperties(
                scheduling=gce.CapacityAdviceRequestInstancePropertiesScheduling(provisioning_model="SPOT")
            ),
            instance_flexibility_policy=gce.CapacityAdviceRequestInstanceFlexibilityPolicy(
                instance_selections={
                    "any": gce.CapacityAdviceRequestInstanceFlexibilityPolicyInstanceSelection(machine_types=TYPES[:1])
                }
            ),
        ),
    )
    sim.expect(0 <= advice.recommendations[0].scores.obtainability <= 1, f"{advice}")


def properties(**more):
    """What the machines of the fleet are made from."""
    disk = gce.AttachedDisk(
        boot=True,
        auto_delete=True,
        initialize_params=gce.AttachedDiskInitializeParams(
            source_image=sim.IMAGE, disk_size_gb=10, labels={"fleet": "life"}
        ),
    )
    nat = gce.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT")
    scheduling = gce.Scheduling(
        provisioning_model="SPOT",
        instance_termination_action="DELETE",
        automatic_restart=False,
        on_host_maintenance="TERMINATE",
        max_run_duration=gce.Duration(seconds=86_400),
    )
    made = {
        "disks": [disk],
        "network_interfaces": [gce.NetworkInterface(network="global/networks/default", access_configs=[nat])],
        "scheduling": scheduling,
        "labels": {"fleet": "life"},
        "tags": gce.Tags(items=["life"]),
        "metadata": gce.Metadata(items=[gce.Items(key="startup-script", value="#!/bin/sh\ntrue\n")]),
    }
    return {**made, **more}


def prepare():
    """A firewall rule and a template; the image of a family."""
    image = library.client(gce.ImagesClient).get_from_family(project="debian-cloud", family="debian-12")
    sim.expect(image.status == "READY" and image.family == "debian-12", f"{image}")
    rule = gce.Firewall(
        name="life",
        network="global/networks/default",
        allowed=[gce.Allowed(I_p_protocol="tcp", ports=["22"])],
        source_ranges=["192.0.2.0/24"],
        target_tags=["life"],
    )
    wait(FIREWALLS.insert(**GLOBAL, firewall_resource=rule))
    sim.expect(FIREWALLS.get(**GLOBAL, firewall="life").target_tags == ["life"], "the rule is another one")
    template = gce.InstanceTemplate(
        name="life", properties=gce.InstanceProperties(machine_type=TYPES[0], **properties())
    )
    wait(TEMPLATES.insert(**GLOBAL, instance_template_resource=template))
    told = TEMPLATES.get(**GLOBAL, instance_template="life").properties
    sim.expect(told.machine_type == TYPES[0] and told.labels["fleet"] == "life", f"{told}")


def launch(zones):
    """Fifty machines in one call, of any of three types, in any zone but one; ten more in one zone by a template."""
    flexible = gce.InstanceFlexibilityPolicy(
        instance_selections={
            "first": gce.InstanceFlexibilityPolicyInstanceSelection(machine_types=TYPES[:1], rank=1),
            "then": gce.InstanceFlexibilityPolicyInstanceSelection(machine_types=TYPES[1:], rank=2),
        }
    )
    not_here = {f"zones/{ZONE}": gce.LocationPolicyLocation(preference="DENY")}
    order = gce.BulkInsertInstanceResource(
        count=50,
        min_count=1,
        name_pattern="life-####",
        instance_properties=gce.InstanceProperties(**properties()),
        instance_flexibility_policy=flexible,
        location_policy=gce.LocationPolicy(locations=not_here, target_shape="ANY"),
    )
    regional = REGIONAL.bulk_insert(**THERE, bulk_insert_instance_resource_resource=order)
    told = library.client(gce.RegionOperationsClient).get(**THERE, operation=regional.name)
    sim.expect(told.operation_type == "bulkInsert" and told.operation_group_id, f"{told}")
    places = told.instances_bulk_insert_operation_metadata.per_location_status
    sim.expect(sum(place.target_vm_count for place in places.values()) == 50, f"{places}")
    over(library.client(gce.RegionOperationsClient), regional, **THERE)
    zonal = INSTANCES.bulk_insert(
        **HERE,
        bulk_insert_instance_resource_resource=gce.BulkInsertInstanceResource(
            count=10, name_pattern="zonal-##", source_instance_template="global/instanceTemplates/life"
        ),
    )
    wait(zonal)
    found = machines(page=20)
    names = {f"life-{number:04}" for number in range(1, 51)} | {f"zonal-{number:02}" for number in range(1, 11)}
    sim.expect(set(found) == names, f"{sorted(found)} are listed")
    used = {name: one.zone.rpartition("/")[2] for name, one in found.items()}
    sim.expect(ZONE not in {zone for name, zone in used.items() if name.startswith("life")}, "a denied zone is used")
    sim.expect(set(used.values()) <= set(zones), f"{used}")
    sim.expect({zone for name, zone in used.items() if name.startswith("zonal")} == {ZONE}, f"{used}")
    inserts = gce.ListZoneOperationsRequest(**HERE, filter=f'operationGroupId = "{zonal.operation_group_id}"')
    children = [
        one for one in library.client(gce.ZoneOperationsClient).list(request=inserts) if one.operation_type == "insert"
    ]
    sim.expect(len(children) == 10, f"a bulk insert of ten has {len(children)} operations below it")


def one():
    """A machine on demand, by a single insert."""
    resource = gce.Instance(
        name="head",
        machine_type=f"zones/{ZONE}/machineTypes/e2-medium",
        **properties(scheduling=gce.Scheduling(automatic_restart=True, on_host_maintenance="MIGRATE")),
    )
    wait(INSTANCES.insert(**HERE, instance_resource=resource))


def look():
    """The machines as the API shows them."""
    sim.until("all of them run", 20, lambda: {one.status for one in machines().values()} == {"RUNNING"})
    found = machines()
    sim.expect(len(found) == 61, f"{len(found)} are listed")
    sim.expect(len({one.network_interfaces[0].network_i_p for one in found.values()}) == 61, "an address is used twice")
    sim.expect(all(one.network_interfaces[0].access_configs[0].nat_i_p for one in found.values()), "one is not public")
    models = [one.scheduling.provisioning_model for one in found.values()]
    sim.expect((models.count("SPOT"), models.count("STANDARD")) == (60, 1), f"{models}")
    disks = [disk for _, scope in DISKS.aggregated_list(project=sim.PROJECT) for disk in scope.disks]
    sim.expect(len(disks) == 61 and all(len(disk.users) == 1 for disk in disks), f"{len(disks)} disks")
    quotas = library.client(gce.RegionsClient).get(**THERE).quotas
    sim.expect(any(quota.metric == "PREEMPTIBLE_CPUS" and quota.usage == 120 for quota in quotas), f"{quotas}")
    head = INSTANCES.get(**HERE, instance="head")
    labelled = gce.InstancesSetLabelsRequest(
        label_fingerprint=head.label_fingerprint, labels={"fleet": "life", "role": "head"}
    )
    wait(INSTANCES.set_labels(**HERE, instance="head", instances_set_labels_request_resource=labelled))
    sim.expect(set(machines("labels.role:*")) == {"head"}, "the label is not found")
    sim.refused(
        412, "conditionNotMet", INSTANCES.set_labels, **HERE, instance="head",
        instances_set_labels_request_resource=labelled,
    )  # fmt: skip
    told = INSTANCES.get_serial_port_output(**HERE, instance="head")
    sim.expect(told.next_ >= told.start and told.contents is not None, f"{told}")


def preempted():
    """A preempted machine is stopping before it is gone, and an operation of the system says why."""
    sim.fault("preempt", instance_id=f"zones/{ZONE}/instances/zonal-01", notice_seconds=240)
    (told,) = machines("name = zonal-01").values()
    sim.expect(told.status == "STOPPING", f"it is {told.status} while it is being preempted")
    request = gce.ListZoneOperationsRequest(**HERE, filter='operationType = "compute.instances.preempted"')

    def gone():
        try:
            INSTANCES.get(**HERE, instance="zonal-01")
        except NotFound:
            return True
        return False

    sim.until("the preempted machine is gone", 30, gone)
    (why,) = library.client(gce.ZoneOperationsClient).list(request=request)
    sim.expect(why.user == "system" and why.target_link.endswith("/instances/zonal-01"), f"{why}")
    sim.expect(why.status_message == "Instance was preempted.", f"{why}")


def rested():
    """A machine is stopped and started, and is the same."""
    before = INSTANCES.get(**HERE, instance="head").id
    wait(INSTANCES.stop(**HERE, instance="head"))
    sim.expect(INSTANCES.get(**HERE, instance="head").status == "TERMINATED", "it was not stopped")
    wait(INSTANCES.start(**HERE, instance="head"))
    head = INSTANCES.get(**HERE, instance="head")
    sim.expect((head.status, head.id) == ("RUNNING", before), f"{head.status}, {head.id}")


def beside():
    """A disk and an address."""
    wait(DISKS.insert(**HERE, disk_resource=gce.Disk(name="data", size_gb=20, labels={"fleet": "life"})))
    sim.expect(DISKS.get(**HERE, disk="data").status == "READY", "the disk is not ready")
    wait(ADDRESSES.insert(**THERE, address_resource=gce.Address(name="door")))
    address = ADDRESSES.get(**THERE, address="door")
    sim.expect(address.status == "RESERVED" and address.address.count(".") == 3, f"{address}")
    kinds = {line["kind"] for line in sim.left()}
    sim.expect(any("address" in kind for kind in kinds), f"the address is not in the ledger: {kinds}")
    wait(ADDRESSES.delete(**THERE, address="door"))
    wait(DISKS.delete(**HERE, disk="data"))


def end():
    """All of it goes."""
    sim.refused(404, "notFound", INSTANCES.get, **HERE, instance="nobody")
    operations = [
        INSTANCES.delete(project=sim.PROJECT, zone=one.zone.rpartition("/")[2], instance=name)
        for name, one in machines().items()
    ]
    sim.expect(len(operations) == 60, f"{len(operations)} machines lived")
    for operation in operations[:3]:
        wait(operation)
    sim.until("no machine is listed", 30, lambda: not machines(""))
    wait(FIREWALLS.delete(**GLOBAL, firewall="life"))
    wait(TEMPLATES.delete(**GLOBAL, instance_template="life"))
    sim.until("nothing is left", 10, lambda: not sim.left())


def main():
    zones = shop()
    advised()
    prepare()
    launch(zones)
    one()
    look()
    preempted()
    rested()
    beside()
    end()
    sim.done("a life of sixty-one machines")


main()
