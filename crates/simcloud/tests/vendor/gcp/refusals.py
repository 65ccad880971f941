"""Bad calls, each with the status and the reason that Compute Engine documents, in Google's error envelope, and as
Google's two Python clients read them. Most go out as bare HTTP: the clients would not send them."""

from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.cloud import compute_v1 as gce
from googleapiclient.errors import HttpError

import library
import sim

ZONE, REGION = "us-central1-a", "us-central1"
HERE, THERE = f"zones/{ZONE}", f"regions/{REGION}"
ZERO = "00000000-0000-0000-0000-000000000000"


def world():
    """What the bad calls are about."""
    sim.good(sim.raw("POST", f"{HERE}/instances", sim.machine("taken", scheduling=sim.spot())).json())
    rule = {"name": "taken", "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}], "sourceRanges": ["192.0.2.0/24"]}
    sim.good(sim.raw("POST", "global/firewalls", rule).json())
    sim.good(sim.raw("POST", f"{HERE}/disks", {"name": "kept", "sizeGb": "10"}).json())
    sim.good(sim.raw("POST", f"{THERE}/addresses", {"name": "taken"}).json())
    template = {"name": "taken", "properties": sim.properties()}
    sim.good(sim.raw("POST", "global/instanceTemplates", template).json())


def machine(**more):
    """A machine that could be made but for what is said here."""
    return {**sim.machine("bad"), **more}


def bulk(**more):
    """A bulk insert that could be made but for what is said here."""
    made = {"count": "2", "namePattern": "bad-##", "instanceProperties": sim.properties(), **more}
    return {name: value for name, value in made.items() if value is not None}


def boot(**parameters):
    """A boot disk."""
    return [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": sim.IMAGE, **parameters}}]


def reads():
    """What is asked for and is not there, or in no good way."""
    calls = [("GET", f"{place}/{what}/nobody", None, 404, "notFound") for place, what in NAMED]
    return [
        *calls,
        *[("DELETE", f"{place}/{what}/nobody", None, 404, "notFound") for place, what in NAMED if what in DELETED],
        ("GET", "zones/mars-north1-a", None, 404, "notFound"),
        ("GET", "regions/mars-north1", None, 404, "notFound"),
        ("GET", "zones/mars-north1-a/instances", None, 400, "invalid"),
        ("GET", "zones/mars-north1-a/instances/nobody", None, 400, "invalid"),
        ("GET", "regions/mars-north1/addresses", None, 400, "invalid"),
        ("GET", "global/images/family/nothing", None, 404, "notFound"),
        *[
            ("GET", f"{path}?{query}", None, 400, "invalid")
            for path in (f"{HERE}/instances", "aggregated/instances", "zones", "global/firewalls", f"{HERE}/operations")
            for query in ("maxResults=501", "maxResults=-1", "pageToken=made-up", "filter=name", "orderBy=colour")
        ],
        ("GET", f"{HERE}/nothings", None, 501, "notImplemented"),
    ]


NAMED = [
    (HERE, "instances"),
    (HERE, "disks"),
    (HERE, "machineTypes"),
    (HERE, "acceleratorTypes"),
    (HERE, "operations"),
    (THERE, "addresses"),
    (THERE, "subnetworks"),
    (THERE, "operations"),
    ("global", "firewalls"),
    ("global", "networks"),
    ("global", "images"),
    ("global", "instanceTemplates"),
    ("global", "operations"),
]
DELETED = {"instances", "disks", "addresses", "subnetworks", "firewalls", "networks", "instanceTemplates"}


def launches():
    """Machines that cannot be."""
    standard = {"provisioningModel": "STANDARD", "instanceTerminationAction": "DELETE"}
    gpu = [{"acceleratorType": f"{HERE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 1}]
    nobody = [{"network": "global/networks/nobody"}]
    many = {f"label{number}": "" for number in range(65)}
    odd = {"items": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}
    wrong = [
        {"name": "Bad_Name"},
        {"name": "a" * 64},
        {"name": None},
        {"machineType": None},
        {"machineType": f"{HERE}/machineTypes/m99-huge-2"},
        {"disks": None},
        {"disks": boot(sourceImage="projects/debian-cloud/global/images/nothing")},
        {"disks": boot(sourceImage="projects/debian-cloud/global/images/family/nothing")},
        {"disks": boot(diskSizeGb="much")},
        {"networkInterfaces": nobody},
        {"scheduling": standard},
        {"scheduling": {**sim.spot(), "automaticRestart": True}},
        {"scheduling": {**sim.spot(), "onHostMaintenance": "MIGRATE"}},
        {"scheduling": {**sim.spot(), "provisioningModel": "CHEAP"}},
        {"scheduling": {**sim.spot(), "preemptionNoticeDuration": {"seconds": "60"}}},
        {"labels": {"Upper": "case"}},
        {"labels": {"a": "Upper"}},
        {"labels": many},
        {"metadata": odd},
        {"guestAccelerators": gpu, "scheduling": {"onHostMaintenance": "TERMINATE"}},
        {"guestAccelerators": gpu, "machineType": "n1-standard-4", "scheduling": {"onHostMaintenance": "MIGRATE"}},
    ]
    calls = []
    for more in wrong:
        body = {name: value for name, value in machine(**more).items() if value is not None}
        calls.append(("POST", f"{HERE}/instances", body, 400, "invalid required"))
    return [
        *calls,
        ("POST", f"{HERE}/instances", None, 400, "invalid required"),
        ("POST", f"{HERE}/instances", "{not json", 400, "parseError"),
        ("POST", f"{HERE}/instances", sim.machine("taken"), 409, "alreadyExists"),
        ("POST", "zones/mars-north1-a/instances", machine(), 400, "invalid"),
        ("POST", f"{HERE}/instances?requestId={ZERO}", machine(), 400, "invalid"),
        ("POST", f"{HERE}/instances?requestId=one", machine(), 400, "invalid"),
    ]


def bulks():
    """Launches of many that cannot be."""
    flexible = {"instanceSelections": {"any": {"machineTypes": ["e2-standard-2", "n2-standard-2"]}}}
    no_type = {name: value for name, value in sim.properties().items() if name != "machineType"}
    wrong = [
        bulk(count="0"),
        bulk(count="-1"),
        bulk(count="many"),
        bulk(minCount="3"),
        bulk(namePattern=None),
        bulk(namePattern="bad"),
        bulk(namePattern="#-bad-#"),
        bulk(namePattern="Bad-##"),
        bulk(instanceProperties=None),
        bulk(instanceProperties=no_type),
        bulk(instanceProperties={**sim.properties(), "machineType": "m99-huge-2"}),
        bulk(instanceProperties={**no_type, "disks": []}, instanceFlexibilityPolicy={"instanceSelections": {}}),
        bulk(perInstanceProperties={"Bad_Name": {}}, namePattern=None),
    ]
    regional = [
        bulk(locationPolicy={"locations": {"zones/mars-north1-a": {"preference": "ALLOW"}}}),
        bulk(locationPolicy={"locations": {f"zones/{ZONE}": {"preference": "PERHAPS"}}}),
        bulk(locationPolicy={"targetShape": "ROUND"}),
    ]
    calls = [
        ("POST", f"{place}/instances/bulkInsert", body, 400, "invalid required")
        for place in (HERE, THERE)
        for body in wrong
    ]
    return [
        *calls,
        *[("POST", f"{THERE}/instances/bulkInsert", body, 400, "invalid") for body in regional],
        (
            "POST", f"{HERE}/instances/bulkInsert", bulk(instanceProperties=no_type, instanceFlexibilityPolicy=flexible),
            400, "invalid",
        ),
        ("POST", f"{THERE}/instances/bulkInsert?requestId={ZERO}", bulk(), 400, "invalid"),
    ]  # fmt: skip


def changes():
    """What cannot be changed, made or taken away."""
    taken = f"{HERE}/instances/taken"
    labels = {"labels": {"a": "b"}, "labelFingerprint": "MTIzNDU2Nzg="}
    rule = {"name": "bad", "allowed": [{"IPProtocol": "tcp"}], "sourceRanges": ["192.0.2.0/24"]}
    template = {"name": "taken", "properties": sim.properties()}
    return [
        ("POST", f"{taken}/setLabels", labels, 412, "conditionNotMet"),
        ("POST", f"{taken}/setMetadata", {"fingerprint": "MTIzNDU2Nzg=", "items": []}, 412, "conditionNotMet"),
        ("POST", f"{HERE}/instances/nobody/setLabels", labels, 404, "notFound"),
        ("POST", f"{HERE}/instances/nobody/stop", None, 404, "notFound"),
        ("POST", f"{HERE}/instances/nobody/start", None, 404, "notFound"),
        ("POST", f"{HERE}/disks", {"name": "kept", "sizeGb": "10"}, 409, "alreadyExists"),
        ("POST", f"{HERE}/disks", {"name": "Bad_Name", "sizeGb": "10"}, 400, "invalid"),
        ("DELETE", f"{HERE}/disks/taken", None, 400, "resourceInUseByAnotherResource"),
        ("DELETE", "global/networks/default", None, 400, "resourceInUseByAnotherResource"),
        ("POST", f"{THERE}/addresses", {"name": "taken"}, 409, "alreadyExists"),
        ("POST", "global/firewalls", {**rule, "name": "taken"}, 409, "alreadyExists"),
        ("POST", "global/firewalls", {**rule, "sourceRanges": ["everywhere"]}, 400, "invalid"),
        ("POST", "global/firewalls", {**rule, "allowed": []}, 400, "invalid required"),
        ("POST", "global/firewalls", {**rule, "network": "global/networks/nobody"}, 400, "invalid"),
        ("POST", "global/instanceTemplates", template, 409, "alreadyExists"),
        ("POST", f"{HERE}/operations/nobody/wait", None, 404, "notFound"),
    ]


def compare(response, status, reasons, what, problems):
    """Collects what an answer does not have of a refusal; the envelope is walked as all answers are."""
    if response.status_code < 300:
        problems.append(f"{what}: {response.status_code}, it is to be refused with {status} {reasons}")
        return
    try:
        reason = response.json()["error"]["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError):
        reason = None
    if response.status_code != status or reason not in reasons.split():
        problems.append(f"{what}: {response.status_code} {reason} instead of {status} {reasons}: {response.text}")


def callers(problems):
    """Who is not let in."""
    compare(sim.raw("GET", "zones", token=""), 401, "required", "no token", problems)
    compare(sim.raw("GET", "zones", token="another"), 401, "authError", "another token", problems)
    other = sim.raw("GET", "/compute/v1/projects/no-such-project/zones")
    compare(other, 404, "notFound", "another project", problems)


def trouble(problems):
    """What comes too fast, and what fails."""
    sim.fault("throttle", rps=0.001, burst=1, action="zones.list")
    sim.raw("GET", "zones")
    compare(sim.raw("GET", "zones"), 403, "rateLimitExceeded", "the second call of many seconds", problems)
    sim.lift_faults()
    for status, reason in ((503, "backendError"), (500, "internalError")):
        sim.fault("error", action="zones.list", probability=1.0, status=status, when="before")
        compare(sim.raw("GET", "zones"), status, reason, "an outage", problems)
        sim.lift_faults()
    disabled = {"probability": 1.0, "status": 403, "code": "accessNotConfigured", "when": "before"}
    sim.fault("error", action="zones.list", **disabled)
    compare(sim.raw("GET", "zones"), 403, "accessNotConfigured", "an API that is not enabled", problems)
    sim.lift_faults()


def as_read():
    """The same refusals as Google's clients read them."""
    instances, old = library.client(gce.InstancesClient), sim.service()
    here = {"project": sim.PROJECT, "zone": ZONE}
    resource = gce.Instance.from_json(sim.json.dumps(sim.machine("taken")))
    for wanted, call in (
        (exceptions.NotFound, lambda: instances.get(**here, instance="nobody")),
        (exceptions.BadRequest, lambda: instances.list(project=sim.PROJECT, zone="mars-north1-a")),
        (exceptions.Conflict, lambda: instances.insert(**here, instance_resource=resource)),
        (exceptions.NotFound, lambda: library.client(gce.ZonesClient).list(project="no-such-project")),
    ):
        try:
            call()
        except exceptions.GoogleAPICallError as error:
            sim.expect(type(error) is wanted, f"{wanted.__name__} is read as {error!r}")
            sim.expect(error.message and error.errors, f"{error!r}")
            continue
        raise AssertionError(f"it is to be refused with {wanted.__name__}")
    try:
        library.client(gce.ZonesClient, "another").list(project=sim.PROJECT)
    except RefreshError:
        # What google-auth does with a 401: it asks for another token, and here nobody gives one.
        pass
    else:
        raise AssertionError("another token was let in")
    try:
        old.instances().get(**here, instance="nobody").execute()
    except HttpError as error:
        sim.expect(error.status_code == 404 and error.reason.endswith("was not found"), f"{error!r}")
        sim.expect(error.error_details[0]["reason"] == "notFound", f"{error.error_details!r}")
    else:
        raise AssertionError("a machine that there is not was found")
    sim.fault("throttle", rps=0.001, burst=1, action="regions.list")
    regions = library.client(gce.RegionsClient)
    regions.list(project=sim.PROJECT)
    try:
        regions.list(project=sim.PROJECT)
    except exceptions.Forbidden as error:
        sim.expect(error.errors[0]["reason"] == "rateLimitExceeded", f"{error!r}")
        sim.expect(error.reason == "RATE_LIMIT_EXCEEDED" and error.domain == "googleapis.com", f"{error.details}")
    else:
        raise AssertionError("the second call was answered")
    sim.lift_faults()


def away():
    """What the calls were about goes."""
    ending = [
        sim.raw("DELETE", f"{HERE}/instances/taken").json(),
        sim.raw("DELETE", f"{HERE}/disks/kept").json(),
        sim.raw("DELETE", f"{THERE}/addresses/taken").json(),
        sim.raw("DELETE", "global/firewalls/taken").json(),
        sim.raw("DELETE", "global/instanceTemplates/taken").json(),
    ]
    for operation in ending:
        sim.good(operation)


def main():
    problems = []
    world()
    for verb, path, body, status, reasons in [*reads(), *launches(), *bulks(), *changes()]:
        # Refusals fill the rate quotas too.
        sim.advance(1)
        compare(sim.raw(verb, path, body), status, reasons, f"{verb} {path} {body or ''}", problems)
    callers(problems)
    trouble(problems)
    as_read()
    away()
    sim.expect(not problems, "\n".join(problems))
    sim.advance(60)
    sim.nothing_is_left()
    sim.done("refused as Compute Engine refuses")


main()
