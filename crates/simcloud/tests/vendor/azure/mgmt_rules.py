"""What the azure-mgmt clients meet beside good days: credentials, pages, limits, failures at once and late, answers
that get lost, what is only made when it is new, providers that nobody has registered for. The arguments say which."""

import sys

from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError, ServiceResponseError
from azure.mgmt.resource.resources import ResourceManagementClient

import estate
import sim
from estate import COMPUTE, GRAPH, NETWORK, REGION, RESOURCES, SIZE, made

GROUP = "life"


def credentials():
    """A wrong secret gets no token; a token opens the subscription as long as it is right."""
    error = None
    try:
        sim.credential("wrong").get_token(sim.SCOPE)
    except ClientAuthenticationError as refusal:
        error = refusal
    sim.expect(error is not None and "AADSTS7000215" in error.message, f"the wrong secret meets {error}")
    sim.expect(sim.CREDENTIAL.get_token(sim.SCOPE).token, "there is no token")
    sim.expect(list(RESOURCES.resource_groups.list()) == [], "there are groups")


def pages():
    """Lists go on by their links and their tokens, and no item is lost or told twice."""
    estate.group(GROUP)
    for number in range(30):
        disk = {
            "location": REGION,
            "tags": {"page": "x"},
            "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1},
        }
        COMPUTE.disks.begin_create_or_update(GROUP, f"d{number:02}", disk)
        sim.advance(1)
    names = [f"d{number:02}" for number in range(30)]
    sim.expect([disk.name for disk in COMPUTE.disks.list()] == names, "a list has other disks")
    sim.advance(60)
    query = {"subscriptions": [sim.SUBSCRIPTION], "query": "Resources | project id, name | order by name asc"}
    found, token = [], None
    while token is not None or not found:
        page = GRAPH.resources({**query, "options": {"$top": 7, "$skipToken": token}})
        sim.expect(page.count <= 7 and page.total_records == 30, f"{page}")
        found += [row["name"] for row in page.data]
        token = page.skip_token
    sim.expect(found == names, f"the pages of Resource Graph have {found}")
    table = GRAPH.resources({**query, "options": {"resultFormat": "table", "$top": 1}}).data
    sim.expect([column["name"] for column in table["columns"]] == ["id", "name"], f"{table}")

    meters, skip, url = set(), 0, "//api/retail/prices"
    while True:
        page = sim.raw("GET", url, version="2023-01-01-preview", token="", **{"$skip": skip}).json()
        skip += page["Count"]
        meters |= {item["meterId"] for item in page["Items"]}
        if page["NextPageLink"] is None:
            break
        sim.expect(f"skip={skip}" in page["NextPageLink"] and page["Count"] == 1000, page["NextPageLink"])
    sim.expect(len(meters) == skip > 1000, f"{skip} prices have {len(meters)} meters")
    away()


def limits():
    """A throttle says when to come back, and the clients come back then."""
    reads = 0
    answer = sim.raw("GET", "/resourcegroups")
    before = int(answer.headers["x-ms-ratelimit-remaining-subscription-reads"])
    while answer.status_code == 200:
        reads += 1
        answer = sim.raw("GET", "/resourcegroups")
    sim.expect(reads == before + 1, f"{reads} reads were answered, {before + 1} were left")
    refusal = answer.json()["error"]["code"]
    sim.expect((answer.status_code, refusal) == (429, "SubscriptionRequestsThrottled"), f"{answer.text}")
    sim.expect(int(answer.headers["retry-after"]) >= 1, f"{answer.headers}")
    started = sim.now()
    sim.expect(list(RESOURCES.resource_groups.list()) == [], "there are groups")
    sim.expect(sim.now() > started, "the client did not wait")
    # Compute counts behind Resource Manager.
    sim.advance(60)
    lists = [sim.raw("GET", "/providers/Microsoft.Compute/virtualMachines") for _ in range(2)]
    left = [answer.headers["x-ms-ratelimit-remaining-resource"] for answer in lists]
    sim.expect(left == ["Microsoft.Compute/HighCostGet;899", "Microsoft.Compute/HighCostGet;898"], f"{left}")
    # Writes have a bucket of their own, and the service's is behind that of Resource Manager.
    estate.group(GROUP)
    for _ in range(15):
        GRAPH.resources({"query": "Resources | count"})
    hurried = sim.raw("POST", "//providers/Microsoft.ResourceGraph/resources", {"query": "Resources | count"})
    sim.expect((hurried.status_code, hurried.json()["error"]["code"]) == (429, "RateLimiting"), hurried.text)
    sim.advance(5)
    answer = sim.raw("POST", "//providers/Microsoft.ResourceGraph/resources", {"query": "Resources | count"})
    sim.expect(answer.headers["x-ms-user-quota-remaining"] == "14", f"{answer.headers}")
    sim.expect(answer.headers["x-ms-user-quota-resets-after"] == "00:00:05", f"{answer.headers}")
    sim.advance(60)
    away()


def failures():
    """A machine that cannot be made stays, and holds its interface; a quota says its numbers."""
    subnet = estate.site(GROUP)
    part = {"name": "ip", "properties": {"subnet": {"id": subnet}}}
    nic = {"location": REGION, "properties": {"ipConfigurations": [part]}}
    nic = made(NETWORK.network_interfaces.begin_create_or_update(GROUP, "nic", nic)).id
    sim.fault("capacity", zone="eastus-1", instance_type=SIZE, market="all", available=0)
    machines = COMPUTE.virtual_machines
    poller = machines.begin_create_or_update(GROUP, "one", estate.machine(nic))
    message = sim.refused(200, "ZonalAllocationFailed", poller.result)
    sim.expect("sufficient capacity" in message, message)
    sim.expect(poller.status() == "Failed", f"the operation is {poller.status()}")
    failed = machines.get(GROUP, "one", expand="instanceView")
    sim.expect(failed.provisioning_state == "Failed", f"it is {failed.provisioning_state}")
    sim.lift_faults()
    other = machines.begin_create_or_update
    sim.refused(400, "NicReservedForAnotherVm", other, GROUP, "two", estate.machine(nic))
    made(machines.begin_delete(GROUP, "one"))
    sim.refused(400, "NicReservedForAnotherVm", NETWORK.network_interfaces.begin_delete, GROUP, "nic")
    sim.advance(180)
    sim.fault("quota", region=REGION, name="cores", limit=1)
    message = sim.refused(409, "OperationNotAllowed", other, GROUP, "two", estate.machine(nic))
    for part in ("cores quota", "Current Limit: 1", "Current Usage: 0", "Additional Required: 2"):
        sim.expect(part in message, f"{part!r} is not in {message!r}")
    sim.fault("sku-restriction", region=REGION, instance_type=SIZE, on=True)
    (sku,) = [sku for sku in COMPUTE.resource_skus.list(filter=f"location eq '{REGION}'") if sku.name == SIZE]
    sim.expect(sku.restrictions[0].reason_code == "NotAvailableForSubscription", f"{sku.restrictions}")
    sim.lift_faults()
    made(other(GROUP, "two", estate.machine(nic)))
    made(machines.begin_delete(GROUP, "two", force_deletion=True))
    made(NETWORK.network_interfaces.begin_delete(GROUP, "nic"))
    away()


def lost():
    """An answer that gets lost is asked for again, and nothing is made twice."""
    hurried = sim.client(ResourceManagementClient, sim.SUBSCRIPTION, retry_total=0)
    sim.fault("error", action="resourceGroups.PUT", probability=1.0, status=503, when="after")
    gone = None
    try:
        hurried.resource_groups.create_or_update(GROUP, {"location": REGION})
    except (ServiceRequestError, ServiceResponseError) as error:
        gone = error
    sim.expect(gone is not None, "the answer was not lost")
    sim.lift_faults()
    sim.expect(RESOURCES.resource_groups.check_existence(GROUP), "and nothing was done")
    sim.expect(estate.group(GROUP).name == GROUP, "it cannot be asked for again")
    sim.fault("error", action="operations.GET", probability=0.5, status=503, when="before")
    disk = {"location": REGION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}
    made(COMPUTE.disks.begin_create_or_update(GROUP, "disk", disk))
    sim.lift_faults()
    sim.expect(len(list(COMPUTE.disks.list())) == 1, "the disk was made twice")
    away()


def conditions():
    """What is only to be made when it is new is not changed."""
    new = {"If-None-Match": "*"}
    estate.group(GROUP)
    sim.refused(
        412,
        "PreconditionFailed",
        RESOURCES.resource_groups.create_or_update,
        GROUP,
        {"location": REGION, "tags": {"a": "b"}},
        headers=new,
    )
    sim.expect("a" not in RESOURCES.resource_groups.get(GROUP).tags, "the group was changed")
    guard = NETWORK.network_security_groups
    made(guard.begin_create_or_update(GROUP, "guard", {"location": REGION}, headers=new))
    sim.refused(
        412, "PreconditionFailed", guard.begin_create_or_update, GROUP, "guard", {"location": REGION}, headers=new
    )
    away()


def registrations():
    """What a subscription is not registered for it cannot make, until it has registered."""
    estate.group(GROUP)
    RESOURCES.providers.unregister("Microsoft.Compute")
    disk = {"location": REGION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1}}
    begin = COMPUTE.disks.begin_create_or_update
    message = sim.refused(409, "MissingSubscriptionRegistration", begin, GROUP, "disk", disk)
    # Azure's own clients find the provider to register between the quotes.
    sim.expect("'Microsoft.Compute'" in message, message)
    sim.expect(RESOURCES.providers.register("Microsoft.Compute").registration_state == "Registering", "at once")
    while RESOURCES.providers.get("Microsoft.Compute").registration_state != "Registered":
        sim.advance(10)
    made(begin(GROUP, "disk", disk))
    away()


def away():
    """The group goes, with everything in it."""
    made(RESOURCES.resource_groups.begin_delete(GROUP))
    sim.nothing_is_left()


for part in sys.argv[1:]:
    globals()[part]()
sim.done("the clients met " + ", ".join(sys.argv[1:]))
