"""Bad calls, each with the status and the code that Azure documents, in Resource Manager's envelope. Most go out as
bare HTTP: the clients would not send them."""

import estate
import sim

G = "/resourceGroups/life"
NET, COMPUTE = f"{G}/providers/Microsoft.Network", f"{G}/providers/Microsoft.Compute"
DISK = {"location": estate.REGION, "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 8}}
SCORES = f"/providers/Microsoft.Compute/locations/{estate.REGION}/placementScores/spot/generate"
GRAPH = "//providers/Microsoft.ResourceGraph/resources"
FLEET = f"{G}/providers/Microsoft.AzureFleet/fleets"


def network(*subnets, space="10.0.0.0/16"):
    """A network with subnets."""
    subnets = [{"name": f"s{number}", "properties": {"addressPrefix": range_}} for number, range_ in enumerate(subnets)]
    return {"location": estate.REGION, "properties": {"addressSpace": {"addressPrefixes": [space]}, "subnets": subnets}}


def guard(**changes):
    """A security group with one rule."""
    rule = estate.rule("a", 100, 22)
    rule["properties"].update(changes)
    return {"location": estate.REGION, "properties": {"securityRules": [rule]}}


def machine(subnet, **changes):
    """A machine that could be made but for what is said here."""
    return estate.machine("", **{"networkProfile": estate.profile(subnet)["networkProfile"], **changes})


def scores(**changes):
    """A question for scores."""
    asked = {"desiredLocations": [estate.REGION], "desiredSizes": [{"sku": estate.SIZE}], "desiredCount": 1}
    return {**asked, **changes}


def calls(subnet):
    """What is asked, and what is to be said to it."""
    nowhere = {"location": "mars"}
    spot = {"priority": "Spot", "billingProfile": {"maxPrice": -1}}
    cheap = {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": 0.00001}}
    interface = {"ipConfigurations": [{"name": "ip", "properties": {"subnet": {"id": f"{subnet}x"}}}]}
    many = {f"t{number}": "x" for number in range(51)}
    return [
        ("GET", "/resourceGroups/none", None, 404, "ResourceGroupNotFound"),
        ("GET", "/resourceGroups/none/resources", None, 404, "ResourceGroupNotFound"),
        ("DELETE", "/resourceGroups/none", None, 404, "ResourceGroupNotFound"),
        ("PUT", "/resourceGroups/new", {}, 400, "LocationRequired"),
        ("PUT", "/resourceGroups/new", nowhere, 400, "LocationNotAvailableForResourceType"),
        ("PUT", "/resourceGroups/life", {"location": "westus2"}, 409, "InvalidResourceGroupLocation"),
        ("PUT", "/resourceGroups/a%20b", {"location": "eastus"}, 400, "InvalidResourceGroup"),
        ("PATCH", "/resourceGroups/life", {"tags": ["a"]}, 400, "InvalidTagsFormat"),
        ("PATCH", "/resourceGroups/life", {"tags": many}, 400, "InvalidTagsFormat"),
        ("GET", "/resourcegroups?$filter=name like 'x'", None, 400, "InvalidFilterInQueryString"),
        ("GET", "/resources?$filter=tagValue eq 'x'", None, 400, "InvalidFilterInQueryString"),
        ("GET", "/providers/Microsoft.Nothing", None, 404, "InvalidResourceNamespace"),
        ("POST", "/providers/Microsoft.Network/unregister", None, 409, "CannotUnregisterResourceProvider"),
        *[("GET", path, None, 404, "ResourceNotFound") for path in NAMED],
        ("PUT", f"{NET}/virtualNetworks/n", nowhere, 400, "LocationNotAvailableForResourceType"),
        ("PUT", f"{NET}/virtualNetworks/n", {"location": "eastus"}, 400, "InvalidParameter"),
        ("PUT", f"{NET}/virtualNetworks/n", network("10.1.0.0/24"), 400, "NetcfgInvalidSubnet"),
        ("PUT", f"{NET}/virtualNetworks/n", network("10.0.0.0/24", "10.0.0.0/25"), 400, "NetcfgSubnetRangesOverlap"),
        ("PUT", f"{NET}/networkSecurityGroups/n", guard(priority=99), 400, "SecurityRuleInvalidPriority"),
        ("PUT", f"{NET}/networkSecurityGroups/n", guard(access="Maybe"), 400, "InvalidParameter"),
        (
            "PUT",
            f"{NET}/networkSecurityGroups/guard/securityRules/b",
            estate.rule("b", 110, 1),
            400,
            "SecurityRuleConflict",
        ),
        ("DELETE", f"{NET}/networkSecurityGroups/guard", None, 400, "InUseNetworkSecurityGroupCannotBeDeleted"),
        (
            "PUT",
            f"{NET}/networkInterfaces/n",
            {"location": "eastus", "properties": interface},
            400,
            "InvalidResourceReference",
        ),
        ("PUT", f"{COMPUTE}/disks/d", {**DISK, "zones": ["9"]}, 400, "InvalidParameter"),
        ("PUT", f"{COMPUTE}/disks/d!", DISK, 400, "InvalidResourceName"),
        ("PUT", "/resourceGroups/none/providers/Microsoft.Compute/disks/d", DISK, 404, "ResourceGroupNotFound"),
        ("PATCH", f"{COMPUTE}/disks/kept", {"properties": {"diskSizeGB": 9}}, 409, "OperationNotAllowed"),
        (
            "PUT",
            f"{COMPUTE}/virtualMachines/m",
            machine(subnet, hardwareProfile={"vmSize": "Standard_X"}),
            400,
            "InvalidParameter",
        ),
        (
            "PUT",
            f"{COMPUTE}/virtualMachines/m",
            machine(subnet, evictionPolicy="Delete"),
            400,
            "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines",
        ),
        ("PUT", f"{COMPUTE}/virtualMachines/m", machine(subnet, **cheap), 400, "SpotPriceGreaterThanProvidedMaxPrice"),
        ("PUT", f"{COMPUTE}/virtualMachines/m", machine(f"{subnet}x", **spot), 400, "InvalidResourceReference"),
        ("GET", "/providers/Microsoft.Compute/skus?$filter=name eq 'x'", None, 400, "InvalidFilter"),
        ("GET", "/providers/Microsoft.Compute/locations/mars/usages", None, 400, "NoRegisteredProviderFound"),
        ("POST", SCORES, scores(desiredCount=0), 400, "InvalidParameter"),
        ("POST", SCORES, scores(desiredLocations=["mars"]), 400, "InvalidParameter"),
        ("POST", SCORES, scores(desiredSizes=[{"sku": "a"}] * 6), 400, "InvalidParameter"),
        ("POST", GRAPH, {"query": "Resources | where"}, 400, "BadRequest"),
        ("POST", GRAPH, {"query": "Resources | join (Resources) on id"}, 400, "BadRequest"),
        ("POST", GRAPH, {"query": "Resources | project colour"}, 400, "BadRequest"),
        ("GET", "//api/retail/prices?$filter=colour eq 'red'", None, 400, "BadRequest"),
        ("GET", "//api/retail/prices?currencyCode=EUR", None, 501, "NotImplemented"),
        ("GET", f"{FLEET}/none", None, 404, "ResourceNotFound"),
        ("PUT", f"{FLEET}/f", {"location": "eastus", "properties": {}}, 400, None),
        ("GET", f"{G}/providers/Microsoft.Storage/storageAccounts", None, 501, "NotImplemented"),
    ]


NAMED = [
    f"{NET}/virtualNetworks/none",
    f"{NET}/virtualNetworks/net/subnets/none",
    f"{NET}/networkSecurityGroups/none",
    f"{NET}/networkSecurityGroups/guard/securityRules/none",
    f"{NET}/networkInterfaces/none",
    f"{NET}/publicIPAddresses/none",
    f"{COMPUTE}/disks/none",
    f"{COMPUTE}/virtualMachines/none",
    f"{COMPUTE}/disks/none/providers/Microsoft.Resources/tags/default",
]


def doors():
    """Who is let in, and how."""
    for version, token, status, code in (
        ("", None, 400, "MissingApiVersionParameter"),
        ("2024-07-01", "", 401, "AuthenticationFailed"),
        ("2024-07-01", "made-up", 401, "InvalidAuthenticationToken"),
    ):
        check("GET", "/resourcegroups", sim.raw("GET", "/resourcegroups", version=version, token=token), status, code)
    # The price list is open to everybody.
    sim.expect(sim.raw("GET", "//api/retail/prices", version="", token="").status_code == 200, "no prices")


def check(verb, path, answer, status, code):
    """Fails unless an answer refuses with this status and code."""
    body = answer.json() if answer.content else {}
    found = (answer.status_code, body.get("error", {}).get("code"))
    sim.expect(found[0] == status and code in (None, found[1]), f"{verb} {path}: {found}, not {status} {code}: {body}")


subnet = estate.site("life")
sim.expect(sim.raw("PUT", f"{COMPUTE}/disks/kept", DISK).status_code == 202, "the disk is not made")
rule = estate.rule("first", 110, 22)
sim.expect(
    sim.raw("PUT", f"{NET}/networkSecurityGroups/guard/securityRules/first", estate.rule("first", 120, 22)).ok, ""
)
sim.advance(60)
doors()
before = sim.left()
for verb, path, body, status, code in calls(subnet):
    path, _, query = path.partition("?")
    params = dict([query.split("=", 1)]) if query else {}
    check(verb, path, sim.raw(verb, path, body, **params), status, code)
sim.advance(600)
sim.expect(len(sim.left()) == len(before), "a call that was refused left something behind")
estate.made(estate.RESOURCES.resource_groups.begin_delete("life"))
sim.nothing_is_left()
sim.done("what Azure refuses is refused")
