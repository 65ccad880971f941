"""The walk itself: an answer that is as the discovery document says passes, and each thing that is wrong is
found."""

import copy
import json

import walker

ROOT = "https://www.googleapis.com/compute/v1/projects/p"
KIND = {"content-type": "application/json; charset=UTF-8"}
GOOD = {
    "kind": "compute#instanceAggregatedList",
    "id": "projects/p/aggregated/instances",
    "selfLink": f"{ROOT}/aggregated/instances",
    "items": {
        "zones/us-central1-a": {
            "instances": [
                {
                    "kind": "compute#instance",
                    "id": "7700000000000000001",
                    "creationTimestamp": "2026-01-01T00:00:00.000-08:00",
                    "name": "one",
                    "selfLink": f"{ROOT}/zones/us-central1-a/instances/one",
                    "zone": f"{ROOT}/zones/us-central1-a",
                    "machineType": f"{ROOT}/zones/us-central1-a/machineTypes/e2-standard-2",
                    "status": "RUNNING",
                    "cpuPlatform": "Intel Broadwell",
                    "fingerprint": "AAAAAAAAAAE=",
                    "labels": {"fleet": "walk"},
                    "labelFingerprint": "42WmSpB8rSM=",
                    "tags": {"fingerprint": "42WmSpB8rSM="},
                    "metadata": {"kind": "compute#metadata", "fingerprint": "AAAAAAAAAAE="},
                    "scheduling": {
                        "provisioningModel": "SPOT",
                        "automaticRestart": False,
                        "onHostMaintenance": "TERMINATE",
                        "preemptible": True,
                        "maxRunDuration": {"seconds": "3600"},
                    },
                    "disks": [
                        {
                            "kind": "compute#attachedDisk",
                            "boot": True,
                            "autoDelete": True,
                            "index": 0,
                            "mode": "READ_WRITE",
                            "type": "PERSISTENT",
                            "deviceName": "one",
                            "diskSizeGb": "10",
                        }
                    ],
                    "networkInterfaces": [
                        {
                            "kind": "compute#networkInterface",
                            "name": "nic0",
                            "network": f"{ROOT}/global/networks/default",
                            "networkIP": "10.128.0.2",
                            "fingerprint": "AAAAAAAAAAE=",
                        }
                    ],
                }
            ]
        },
        "zones/us-central1-b": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "none"}},
    },
}
MACHINE = ("items", "zones/us-central1-a", "instances", 0)
# Where, what is put there (or taken away), and a part of what the walk says to it.
GONE = object()
WRONG = [
    ((*MACHINE, "colour"), "red", "colour is not a member of Instance"),
    ((*MACHINE, "id"), 7700000000000000001, "7700000000000000001 is no uint64"),
    ((*MACHINE, "id"), "-1", "'-1' is no uint64"),
    ((*MACHINE, "id"), GONE, "id of Instance is missing"),
    ((*MACHINE, "selfLink"), GONE, "selfLink of Instance is missing"),
    ((*MACHINE, "selfLink"), "zones/us-central1-a/instances/one", "is no name of a resource"),
    ((*MACHINE, "kind"), GONE, "kind of Instance is missing"),
    ((*MACHINE, "kind"), "compute#disk", "kind of Instance is 'compute#disk'"),
    ((*MACHINE, "status"), "BROKEN", "'BROKEN' is none of the values"),
    ((*MACHINE, "status"), GONE, "status of Instance is missing"),
    ((*MACHINE, "creationTimestamp"), "2026-01-01 00:00:00", "is no time of RFC 3339"),
    ((*MACHINE, "labels"), {"fleet": 1}, "1 is no string"),
    ((*MACHINE, "labels"), ["fleet"], "is no object"),
    ((*MACHINE, "labelFingerprint"), "no base64!", "is no byte"),
    ((*MACHINE, "disks"), {}, "{} is no array"),
    ((*MACHINE, "disks", 0, "boot"), "true", "'true' is no boolean"),
    ((*MACHINE, "disks", 0, "index"), "0", "'0' is no int32"),
    ((*MACHINE, "disks", 0, "index"), True, "True is no int32"),
    ((*MACHINE, "disks", 0, "index"), 1 << 31, "is no int32"),
    ((*MACHINE, "disks", 0, "diskSizeGb"), 10, "10 is no int64"),
    ((*MACHINE, "disks", 0, "kind"), GONE, "kind of AttachedDisk is missing"),
    ((*MACHINE, "scheduling", "maxRunDuration", "seconds"), 3600, "3600 is no int64"),
    ((*MACHINE, "scheduling", "provisioningModel"), "CHEAP", "'CHEAP' is none of the values"),
    (("kind",), GONE, "kind of InstanceAggregatedList is missing"),
    (("nextToken",), "x", "nextToken is not a member of InstanceAggregatedList"),
    (("items", "zones/us-central1-b", "warning", "code"), "EMPTY", "'EMPTY' is none of the values"),
]
ENVELOPE = {
    "error": {
        "code": 404,
        "message": "not there",
        "errors": [{"message": "not there", "domain": "global", "reason": "notFound"}],
    }
}
BROKEN = [
    (("error", "code"), 400),
    (("error", "message"), ""),
    (("error", "errors", 0, "message"), GONE),
    (("error", "errors"), []),
    (("error", "errors", 0, "reason"), GONE),
    (("error", "errors", 0, "domain"), GONE),
    (("error", "colour"), "red"),
    (("error",), GONE),
]


def changed(whole, path, value):
    """A copy with something else at a place."""
    copied = copy.deepcopy(whole)
    part = copied
    for step in path[:-1]:
        part = part[step]
    if value is GONE:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return copied


def walked(body, status=200, headers=None, path="/compute/v1/projects/p/aggregated/instances"):
    """What the walk finds in an answer."""
    WALK.problems.clear()
    url = "http://127.0.0.1:1" + path
    WALK.answer("GET", url, status, KIND if headers is None else headers, json.dumps(body).encode())
    return list(WALK.problems)


WALK = walker.Walker("compute/v1")


def main():
    assert not walked(GOOD), WALK.problems
    assert WALK.listed == {"instances.aggregatedList"}, WALK.listed
    assert list(WALK.links) == [f"{ROOT}/zones/us-central1-a/instances/one"], WALK.links
    for path, value, said in WRONG:
        found = walked(changed(GOOD, path, value))
        assert any(said in problem for problem in found), f"{path} = {value!r}: {found}"
    assert walked(GOOD, headers={"content-type": "text/html"}), "another content type"
    assert walked(GOOD, path="/compute/v1/projects/p/aggregated/machines"), "no such method"
    assert not walked(ENVELOPE, 404), WALK.problems
    for path, value in BROKEN:
        assert walked(changed(ENVELOPE, path, value), 404), f"{path} = {value!r}"
    ways = {
        ("POST", "zones/z/instances"): "instances.insert",
        ("POST", "zones/z/instances/bulkInsert"): "instances.bulkInsert",
        ("DELETE", "zones/z/instances/bulkInsert"): "instances.delete",
        ("GET", "global/images/family/debian-12"): "images.getFromFamily",
        ("GET", "global/images/debian-12"): "images.get",
        ("GET", "global/images/a/b"): None,
    }
    for (verb, path), name in ways.items():
        found = WALK.method(verb, f"http://127.0.0.1:1/compute/v1/projects/p/{path}?alt=json")
        assert found == name, f"{verb} {path} is {found}, not {name}"
    documents = [walker.document(*one)["schemas"] for one in walker.DOCUMENTS]
    for name, members in walker.ALWAYS.items():
        known = [set(schemas[name].get("properties", {})) for schemas in documents if name in schemas]
        assert any(set(members.split()) <= schema for schema in known), f"not all in the schema of {name}: {members}"


main()
