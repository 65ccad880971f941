"""The walk finds what is wrong: answers that are right but for one thing, and what it is to say of each."""

import copy
import json

from azure.mgmt.compute import models as compute
from azure.mgmt.network import models as network

import sim
import walker

GROUP = "/subscriptions/s/resourceGroups/g/providers/Microsoft"

DISK = {
    "id": f"{GROUP}.Compute/disks/d",
    "name": "d",
    "type": "Microsoft.Compute/disks",
    "location": "eastus",
    "tags": {"a": "b"},
    "sku": {"name": "StandardSSD_LRS", "tier": "Standard"},
    "properties": {
        "creationData": {"createOption": "Empty"},
        "diskSizeGB": 32,
        "diskState": "Unattached",
        "provisioningState": "Succeeded",
        "timeCreated": "2027-01-15T08:00:00Z",
    },
}


def without(path):
    """The disk without one member."""

    def change(disk):
        *way, last = path.split("/")
        for name in way:
            disk = disk[name]
        del disk[last]

    return change


def with_(path, value):
    """The disk with one member another."""

    def change(disk):
        *way, last = path.split("/")
        for name in way:
            disk = disk[name]
        disk[last] = value

    return change


WRONG = [
    (with_("colour", "red"), "colour is not a member of Disk"),
    (with_("properties/size", 1), "size is not a member of DiskProperties"),
    (with_("properties/diskSizeGB", "32"), "'32' is no int"),
    (with_("properties/diskSizeGB", True), "True is no int"),
    (with_("properties/diskState", "Loose"), "'Loose' is none of the values"),
    (with_("properties/timeCreated", "yesterday"), "'yesterday' is no datetime"),
    (with_("tags", ["a"]), "['a'] is no object"),
    (with_("tags/a", 7), "7 is no str"),
    (with_("zones", "1"), "'1' is no list"),
    (with_("sku", "cheap"), "'cheap' is no DiskSku"),
    (with_("name", "e"), "does not end in the name 'e'"),
    (with_("id", "disks/d"), "'disks/d' is no id"),
    (without("location"), "location of Disk is missing"),
    (without("properties/diskState"), "diskState of DiskProperties is missing"),
    (without("properties/creationData"), "creationData of DiskProperties is missing"),
]

REFUSALS = [
    ({"error": {"code": "A", "message": "b"}}, None),
    ({"code": "A", "message": "b"}, "not in Resource Manager's envelope"),
    ({"error": {"code": "A"}}, "not in Resource Manager's envelope"),
    ({"error": {"code": "A", "message": ""}}, "no code or no message"),
    ({"error": {"code": "A", "message": "b", "colour": "c"}}, "the error has colour"),
    ({"error": {"code": "A", "message": "b", "details": [{"code": "C"}]}}, "a detail has no code"),
]

ANSWERS = [
    ("GET", "/operations/1", 200, {"status": "InProgress"}, {"x-ms-request-id": "1"}, None),
    ("GET", "/operations/1", 200, {"status": "Done", "endTime": "x"}, {"x-ms-request-id": "1"}, "'Done' is none of"),
    ("GET", "/operations/1", 200, {"status": "Failed", "endTime": "x"}, {"x-ms-request-id": "1"}, "does not say why"),
    ("GET", "/operations/1", 200, {"status": "Succeeded"}, {"x-ms-request-id": "1"}, "since when"),
    ("GET", "/disks", 200, {"value": [], "more": "x"}, {"x-ms-request-id": "1"}, "more is not a member of a page"),
    ("GET", "/disks", 200, {"value": []}, {}, "no x-ms-request-id"),
    ("PUT", "/disks/d", 201, {}, {"x-ms-request-id": "1", "location": "x"}, "when to ask again"),
]


def found(look, *arguments):
    """What one look finds."""
    before, sim.WALK.problems = sim.WALK.problems, []
    look(*arguments)
    problems, sim.WALK.problems = sim.WALK.problems, before
    return problems


def says(problems, wanted, what):
    """Fails unless the one problem that was found is the wanted one."""
    if wanted is None:
        sim.expect(not problems, f"{what}: it is right, and is told to be wrong: {problems}")
    else:
        sim.expect(any(wanted in problem for problem in problems), f"{what}: {wanted!r} is not among {problems}")


says(found(sim.WALK.model, compute.Disk, DISK), None, "the disk")
says(found(sim.WALK.model, list[compute.Disk], [DISK]), None, "a list of disks")
for change, wanted in WRONG:
    disk = copy.deepcopy(DISK)
    change(disk)
    says(found(sim.WALK.model, compute.Disk, disk), wanted, wanted)
for envelope, wanted in REFUSALS:
    says(walker.refusal_problems(json.dumps(envelope)), wanted, str(envelope))
for verb, path, status, body, headers, wanted in ANSWERS:
    headers = {**headers, "content-type": "application/json"}
    url, text = f"http://sim{path}", json.dumps(body)
    says(found(sim.WALK.answer, verb, url, status, headers, text), wanted, f"{path} {body}")
# Every model that answers are read by can be walked at all.
for package in (compute, network):
    for name in ("VirtualMachine", "VirtualMachineScaleSet", "NetworkInterface", "VirtualNetwork", "ResourceSku"):
        if hasattr(package, name):
            sim.expect(len(walker.members(getattr(package, name))) > 5, f"{name} has too few members")
sim.expect("SecurityRule" not in sim.WALK.seen and "DiskProperties" in sim.WALK.seen, f"seen: {sim.WALK.seen}")
sim.done("the walk finds what is wrong")
