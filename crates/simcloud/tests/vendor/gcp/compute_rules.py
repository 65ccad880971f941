"""Compute Engine's rules as google-cloud-compute meets them: filters, pages, request ids, rate quotas, the limits of
bulk inserts and launches that fail. The arguments name the rules; each has a
new world."""

import sys
import uuid

from google.api_core.exceptions import Forbidden, GoogleAPICallError
from google.cloud import compute_v1 as gce

import library
import sim

REGION, ZONE, OTHER = "us-central1", "us-central1-a", "us-central1-b"
HERE = {"project": sim.PROJECT, "zone": ZONE}
THERE = {"project": sim.PROJECT, "region": REGION}

INSTANCES = library.client(gce.InstancesClient)
REGIONAL = library.client(gce.RegionInstancesClient)
ZONES = library.client(gce.ZonesClient)
OF_ZONE = library.client(gce.ZoneOperationsClient)
OF_REGION = library.client(gce.RegionOperationsClient)


def token(number):
    """A request id."""
    return str(uuid.UUID(int=number))


def order(pattern="rule-####", count=1, **more):
    """A bulk insert."""
    made = {"count": str(count), "namePattern": pattern, "instanceProperties": sim.properties(), **more}
    return gce.BulkInsertInstanceResource.from_json(sim.json.dumps(made))


def bulk(request_id="", **more):
    """A regional bulk insert, sent: its operation as it is told at first."""
    return REGIONAL.bulk_insert_unary(
        request=gce.BulkInsertRegionInstanceRequest(
            **THERE, bulk_insert_instance_resource_resource=order(**more), request_id=request_id or None
        )
    )


def finished(operation):
    """An operation once it is done, as the library reads it: moves the clock."""
    place = operation.zone.rpartition("/")[2]
    for _ in range(400):
        if place:
            told = OF_ZONE.get(project=sim.PROJECT, zone=place, operation=operation.name)
        else:
            told = OF_REGION.get(**THERE, operation=operation.name)
        if told.status == gce.Operation.Status.DONE:
            return told
        sim.advance(2)
    raise AssertionError(f"never done: {told}")


def ready(operation):
    """Fails unless an operation ends well."""
    told = finished(operation)
    sim.expect(not told.error.errors, f"{told.error}")
    return told


def machines(filter_="", zone=None, **more):
    """The names of the machines that a filter lets through, in the whole project or in one zone."""
    if zone:
        request = gce.ListInstancesRequest(project=sim.PROJECT, zone=zone, filter=filter_, **more)
        return [one.name for one in INSTANCES.list(request=request)]
    request = gce.AggregatedListInstancesRequest(project=sim.PROJECT, filter=filter_, **more)
    return [one.name for _, scope in INSTANCES.aggregated_list(request=request) for one in scope.instances]


def away():
    """Deletes all machines."""
    for place, scope in INSTANCES.aggregated_list(project=sim.PROJECT):
        for one in scope.instances:
            sim.raw("DELETE", f"{place}/instances/{one.name}").raise_for_status()
    sim.advance(300)
    sim.expect(not machines(), f"still there: {machines()}")


def filters():
    """Both grammars of filters choose the same machines, and are not mixed."""
    labelled = {**sim.properties(), "labels": {"owner": "ada", "fleet-run": "run42"}}
    ready(bulk(pattern="ada-##", count=3, instanceProperties=labelled))
    of_spot = {**sim.properties(), "labels": {"owner": "grace"}, "scheduling": sim.spot()}
    ready(bulk(pattern="grace-##", count=2, instanceProperties=of_spot))
    ready(bulk(pattern="nobody-##", count=1))
    ada, grace, nobody = ["ada-01", "ada-02", "ada-03"], ["grace-01", "grace-02"], ["nobody-01"]
    everybody = ada + grace + nobody
    here = f"https://www.googleapis.com/compute/v1/projects/{sim.PROJECT}/zones/{ZONE}"
    there = machines(zone=ZONE)
    stopping = INSTANCES.list(project=sim.PROJECT, zone=ZONE)
    number = next((one.id for one in stopping if one.name == there[0]), None) if there else None
    for text, names in {
        "": everybody,
        "labels.owner=ada": ada,
        'labels.owner="ada"': ada,
        "labels.owner:*": ada + grace,
        "labels.owner:a*": ada,
        "NOT labels.owner:*": nobody,
        "-labels.owner=ada": grace + nobody,
        "labels.fleet-run = run42": ada,
        "labels.owner!=ada": grace + nobody,
        "labels.owner=ada AND status=RUNNING": ada,
        "(labels.owner=ada) (name=ada-02)": ["ada-02"],
        "labels.owner=ada OR labels.owner=grace": ada + grace,
        "(labels.owner=ada OR labels.owner=grace) AND name=*-02": ["ada-02", "grace-02"],
        "scheduling.preemptible = true": grace,
        "scheduling.provisioningModel = SPOT": grace,
        "status = TERMINATED": [],
        "name = ada-01": ["ada-01"],
        "name eq ada-.*": ada,
        "name eq ada": [],
        'name eq "ada-01|grace-01"': ["ada-01", "grace-01"],
        "name ne ada-.*": grace + nobody,
        "(name eq .*-01) (status eq RUNNING)": ["ada-01", "grace-01", "nobody-01"],
        "labels.owner eq (ada|grace)": ada + grace,
        f"zone eq .*/{ZONE}": there,
        f'zone = "{here}"': there,
        **({f"id = {number}": [there[0]]} if there else {}),
    }.items():
        found = machines(text)
        sim.expect(sorted(found) == sorted(names), f"{text!r} finds {sorted(found)}, not {sorted(names)}")
    for wrong in ("name", "name =", "= ada", "(name = ada", "name eq ada-.* AND labels.owner = ada", "name eq ("):
        sim.refused(400, "invalid", machines, wrong)
        sim.refused(400, "invalid", machines, wrong, ZONE)
    # What a filter leaves out is left out of every list.
    disks = library.client(gce.DisksClient)
    request = gce.AggregatedListDisksRequest(project=sim.PROJECT, filter="name = ada-0*")
    found = [disk.name for _, scope in disks.aggregated_list(request=request) for disk in scope.disks]
    sim.expect(sorted(found) == ada, f"the disks are {found}")
    request = gce.ListZonesRequest(project=sim.PROJECT, filter=f"region eq .*/{REGION}")
    sim.expect({zone.name.rpartition("-")[0] for zone in ZONES.list(request=request)} == {REGION}, "another region")
    away()


def paging():
    """Pages of 500 at most cover a list once each, whatever happens between them."""
    ready(bulk(pattern="page-####", count=510, minCount="510"))
    wanted = {f"page-{number:04}" for number in range(1, 511)}
    request = gce.AggregatedListInstancesRequest(project=sim.PROJECT)
    pages = list(INSTANCES.aggregated_list(request=request).pages)
    sizes = [sum(len(scope.instances) for scope in page.items.values()) for page in pages]
    sim.expect(sizes == [500, 10], f"510 machines come in pages of {sizes}")
    scopes = pages[0].items
    empty = [place for place, scope in scopes.items() if not scope.instances]
    sim.expect(empty and all(scopes[place].warning.code == "NO_RESULTS_ON_PAGE" for place in empty), f"{empty}")
    # gcloud sends this with each of its lists; the library has no such parameter.
    partial = sim.raw("GET", "aggregated/instances", returnPartialSuccess="true").json()
    sim.expect(len(partial["items"]) == len(scopes) and partial["nextPageToken"], "another first page")
    found, page_token, first = [], "", True
    while first or page_token:
        request = gce.AggregatedListInstancesRequest(
            project=sim.PROJECT, max_results=100, page_token=page_token or None
        )
        page = next(INSTANCES.aggregated_list(request=request).pages)
        here = [one.name for scope in page.items.values() for one in scope.instances]
        sim.expect(len(here) <= 100, f"a page of 100 has {len(here)}")
        found, page_token, first = found + here, page.next_page_token, False
        if page_token:
            bulk(pattern="later-####", count=1)
            sim.advance(30)
    sim.expect(wanted <= set(found) and len(set(found)) == len(found), "the pages miss machines or have some twice")
    zone = max(scopes, key=lambda place: len(scopes[place].instances)).partition("/")[2]
    by_pages = machines("name eq page-.*", zone, max_results=40)
    sim.expect(by_pages == machines("name eq page-.*", zone), "small pages give another list")
    sim.expect(by_pages == sorted(by_pages), "a list is not by name")
    newest = machines("", zone, order_by="creationTimestamp desc")
    sim.expect(sorted(newest) == sorted(machines("", zone)), "another order gives other machines")
    sim.refused(400, "invalid", machines, max_results=501)
    sim.refused(400, "invalid", machines, page_token="made-up")
    sim.refused(400, "invalid", machines, order_by="status")
    away()


def request_ids():
    """One request id acts once, whatever is asked for again."""
    first = bulk(token(1), count=3)
    again = bulk(token(1), count=3)
    sim.expect((first.name, first.id) == (again.name, again.id), "the same id and the same request: another operation")
    sim.refused(400, "invalid", bulk, token(1), count=4)
    sim.refused(400, "invalid", bulk, token(0), count=3)
    sim.refused(400, "invalid", bulk, "not-a-uuid", count=3)
    ready(first)
    sim.expect(len(machines()) == 3, f"three were ordered: {machines()}")

    def insert(number, name="single"):
        resource = gce.Instance.from_json(sim.json.dumps(sim.machine(name)))
        request = gce.InsertInstanceRequest(**HERE, instance_resource=resource, request_id=token(number))
        return INSTANCES.insert_unary(request=request)

    once, twice = insert(2), insert(2)
    sim.expect(once.name == twice.name, "one id began two operations")
    sim.refused(409, "alreadyExists", insert, 3)
    ready(once)
    sim.refused(409, "alreadyExists", insert, 4)

    def delete(number):
        return INSTANCES.delete_unary(
            request=gce.DeleteInstanceRequest(**HERE, instance="single", request_id=token(number))
        )

    gone = delete(5)
    ready(gone)
    sim.expect(delete(5).name == gone.name, "a delete that was done is another one when it is asked for again")
    sim.refused(404, "notFound", delete, 6)
    # A launch whose answer got lost is asked for again, and not bought again.
    sim.fault("error", action="regionInstances.bulkInsert", probability=1.0, status=503, when="after")
    lost = None
    try:
        bulk(token(7), pattern="lost-####", count=2)
    except GoogleAPICallError as error:
        raise AssertionError(f"the answer was to be lost: {error}") from None
    except Exception as error:  # requests has several names for a connection that ends
        lost = type(error).__name__
    sim.expect(lost in ("ConnectionError", "ChunkedEncodingError"), f"the answer was lost as {lost}")
    sim.lift_faults()
    sim.advance(10)
    ready(bulk(token(7), pattern="lost-####", count=2))
    sim.expect(machines("name eq lost-.*") == ["lost-0001", "lost-0002"], f"{machines()}")
    away()


def rate_quotas():
    """A minute's quota is full again at the next minute's boundary, and not before."""
    sim.minute()
    sim.advance(15)
    wanted = "rateLimitExceeded"
    answered = 0
    try:
        for _ in range(3100):
            sim.raw("GET", f"zones/{ZONE}").raise_for_status()
            answered += 1
    except sim.requests.HTTPError as error:
        refusal = error.response.json()["error"]
        sim.expect((error.response.status_code, refusal["errors"][0]["reason"]) == (403, wanted), f"{refusal}")
    sim.expect(answered == 1500, f"{answered} reads of a minute were answered")
    error = None
    try:
        ZONES.get(**HERE)
    except Forbidden as refusal:
        error = refusal
    sim.expect(error is not None and error.reason == "RATE_LIMIT_EXCEEDED", f"the library reads {error!r}")
    sim.expect(error.errors[0]["domain"] == "usageLimits" and error.errors[0]["reason"] == wanted, f"{error.errors}")
    # Writes have a quota of their own, and waiting a part of the minute gives nothing back.
    ready_later = bulk(count=1)
    sim.advance(40)
    sim.refused(403, wanted, ZONES.get, **HERE)
    sim.minute()
    ZONES.get(**HERE)
    ready(ready_later)
    away()


def bulk_limits():
    """At most ten bulk inserts are under way, and at most twenty are asked for in a second."""
    operations = [bulk(pattern=f"bulk{number}-##", count=1) for number in range(10)]
    sim.refused(403, "rateLimitExceeded", bulk, pattern="bulk10-##")
    for operation in operations:
        ready(operation)
    # What is asked for again begins nothing, and is a request all the same.
    sim.advance(5)
    for _ in range(20):
        once = bulk(token(9), pattern="once-##")
    sim.refused(403, "rateLimitExceeded", bulk, token(9), pattern="once-##")
    sim.advance(1)
    ready(once)
    ready(bulk(pattern="after-##"))
    away()


def failures():
    """Stock-outs, quotas and what can never work are told apart, and without `minCount` nothing stays."""
    # A zone without stock: the operation tells, machine by machine.
    sim.fault("capacity", zone=ZONE, instance_type="e2-standard-2", market="all", available=2)
    resource = order(pattern="short-##", count=5, minCount="1")
    zonal = INSTANCES.bulk_insert_unary(**HERE, bulk_insert_instance_resource_resource=resource)
    told = finished(zonal)
    (place,) = told.instances_bulk_insert_operation_metadata.per_location_status.values()
    found = (place.target_vm_count, place.created_vm_count, place.failed_to_create_vm_count, place.status)
    sim.expect(found == (5, 2, 3, "DONE"), f"two of five came up: {place}")
    sim.expect(len(machines("name eq short-.*", ZONE)) == 2, f"{machines()}")
    request = gce.ListZoneOperationsRequest(**HERE, filter=f"operationGroupId = {told.operation_group_id}")
    children = [one for one in OF_ZONE.list(request=request) if one.operation_type == "insert"]
    codes = [one.error.errors[0].code for one in children if one.error.errors]
    known = {"ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"}
    sim.expect(len(codes) == 3 and set(codes) <= known, f"{codes}")
    bad = next(one for one in children if one.error.errors and one.error.errors[0].error_details)
    sim.expect(bad.http_error_status_code == 503 and "/instances/short-" in bad.target_link, f"{bad}")
    sim.expect(bad.error.errors[0].error_details[0].error_info.metadatas["zone"] == ZONE, f"{bad.error}")
    away()
    # All or nothing is the default: what came up goes again.
    sim.lift_faults()
    sim.fault("capacity", zone=ZONE, instance_type="e2-standard-2", market="all", available=2)
    whole = INSTANCES.bulk_insert_unary(
        **HERE, bulk_insert_instance_resource_resource=order(pattern="whole-##", count=5)
    )
    seen = set()
    for _ in range(200):
        told = OF_ZONE.get(**HERE, operation=whole.name)
        seen |= {place.status for place in told.instances_bulk_insert_operation_metadata.per_location_status.values()}
        if told.status == gce.Operation.Status.DONE:
            break
        sim.advance(1)
    sim.expect(seen == {"CREATING", "ROLLING_BACK", "DONE"} or seen == {"ROLLING_BACK", "DONE"}, f"it went {seen}")
    sim.expect(told.error.errors[0].code == "VM_MIN_COUNT_NOT_REACHED", f"{told.error}")
    sim.advance(60)
    sim.expect(not machines(), f"all or nothing left {machines()}")
    # A single machine, too.
    sim.lift_faults()
    sim.fault("capacity", zone=ZONE, instance_type="e2-standard-2", market="all", available=0)
    single = gce.Instance.from_json(sim.json.dumps(sim.machine("single")))
    told = finished(INSTANCES.insert_unary(**HERE, instance_resource=single))
    sim.expect(told.error.errors[0].code.startswith("ZONE_RESOURCE_POOL_EXHAUSTED"), f"{told.error}")
    sim.advance(60)
    sim.expect(not machines(), f"a machine that could not be made is still there: {machines()}")
    # Where one zone has nothing, the others have.
    ready(bulk(pattern="round-##", count=5))
    sim.expect(len(machines("name eq round-.*")) == 5 and not machines("name eq round-.*", ZONE), f"{machines()}")
    away()
    sim.lift_faults()
    # What the project may have.
    sim.fault("quota", region=REGION, name="CPUS", limit=3)
    sim.refused(403, "quotaExceeded", bulk, pattern="quota-##", count=2)
    told = finished(INSTANCES.insert_unary(**HERE, instance_resource=single))
    sim.expect(not told.error.errors, f"{told.error}")
    second = gce.Instance.from_json(sim.json.dumps(sim.machine("second")))
    code = None
    try:
        told = finished(INSTANCES.insert_unary(**HERE, instance_resource=second))
        code = told.error.errors[0].code
        info = told.error.errors[0].error_details[0].quota_info
        sim.expect((info.metric_name, info.limit) == ("compute.googleapis.com/cpus", 3.0), f"{told.error}")
    except Forbidden as error:
        code = error.errors[0]["reason"]
    sim.expect(code in ("QUOTA_EXCEEDED", "quotaExceeded"), f"a machine above the quota: {code}")
    sim.lift_faults()
    away()


RULES = {rule.__name__: rule for rule in (filters, paging, request_ids, rate_quotas, bulk_limits, failures)}
for name in sys.argv[1:]:
    RULES[name]()
    sim.advance(600)
    sim.nothing_is_left()
    sim.admin("POST", "/v1/reset")
sim.done(", ".join(sys.argv[1:]))
