"""The metadata service as azure-identity and a program in a machine use it: what the machine is, tokens of its identity,
attested data, and the scheduled events by which a spot machine hears of its end."""

import base64
import os
from email.utils import parsedate_to_datetime

from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

import estate
import sim
from estate import COMPUTE, NETWORK, REGION, RESOURCES, SIZE, made

GROUP = "here"
API = {"api-version": "2021-02-01"}
TRUE = {"Metadata": "true"}


def id_of(name):
    """The id of a machine."""
    return (
        f"/subscriptions/{sim.SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"
    )


def ask(path, name="here", headers=TRUE, verb="GET", body=None, **params):
    """What the metadata service answers."""
    url = f"{sim.ADMIN}/imds/azure{id_of(name)}/metadata/{path}"
    return sim.SESSION.request(verb, url, headers=headers, params={**API, **params}, json=body, timeout=30)


def leaf(path):
    """One value."""
    return ask(f"instance/{path}", format="text").text


def begin():
    """A spot machine with an identity, and a plain one without."""
    subnet = estate.site(GROUP)
    spot = {"priority": "Spot", "evictionPolicy": "Delete", "userData": base64.b64encode(b"hello").decode()}
    for name, properties, more in [("here", spot, {"identity": {"type": "SystemAssigned"}}), ("there", {}, {})]:
        address = {"name": "ip", "properties": {"subnet": {"id": subnet}}}
        nic = {"location": REGION, "properties": {"ipConfigurations": [address]}}
        nic = made(NETWORK.network_interfaces.begin_create_or_update(GROUP, name, nic))
        body = {**estate.machine(nic.id, **properties), **more}
        made(COMPUTE.virtual_machines.begin_create_or_update(GROUP, name, body))
    sim.advance(300)
    return COMPUTE.virtual_machines.get(GROUP, "here")


def manners():
    """Who asks otherwise than documented is told nothing."""
    for headers in [{}, {"Metadata": "yes"}, {**TRUE, "X-Forwarded-For": "192.0.2.1"}]:
        sim.expect(ask("instance", headers=headers).status_code == 400, f"{headers}, and an answer")
    missing = ask("instance", **{"api-version": ""})
    sim.expect(missing.status_code == 400 and missing.json()["newest-versions"], f"{missing.text}")
    sim.expect(ask("instance/compute/name").status_code == 400, "a leaf in JSON")
    sim.expect(ask("instance/nothing").status_code == 404, "there is something where nothing is")
    sim.expect(ask("instance", verb="POST").status_code == 405, "an instance takes a POST")
    sim.expect(ask("instance", name="nobody").status_code == 404, "a machine that is not there")


def facts(machine):
    """What the machine can know about itself is what Resource Manager tells of it."""
    everything = ask("instance").json()
    compute = everything["compute"]
    found = {name: compute[name] for name in ["resourceId", "vmId", "name", "vmSize", "location", "zone", "priority"]}
    told = {
        "resourceId": machine.id,
        "vmId": machine.vm_id,
        "name": "here",
        "vmSize": SIZE,
        "location": REGION,
        "zone": machine.zones[0],
        "priority": "Spot",
    }
    sim.expect(found == told, f"{found}")
    sim.expect(compute["tagsList"] == [{"name": "fleet", "value": "life"}], f"{compute['tagsList']}")
    sim.expect(base64.b64decode(leaf("compute/userData")) == b"hello", "other user data")
    sim.expect(compute["publicKeys"][0]["keyData"] == estate.KEY, f"{compute['publicKeys']}")
    sim.expect(compute["sku"] == estate.IMAGE["sku"], f"another image: {compute['sku']}")
    nic = NETWORK.network_interfaces.get(GROUP, "here").ip_configurations[0]
    sim.expect(
        leaf("network/interface/0/ipv4/ipAddress/0/privateIpAddress") == nic.private_ip_address, "another address"
    )
    sim.expect("compute/" in ask("instance", format="text").text.split(), "the list has no compute/")
    document = base64.b64decode(ask("attested/document", nonce="42").json()["signature"])
    sim.expect(machine.vm_id.encode() in document and b'"nonce":"42"' in document, f"{document}")


def tokens():
    """The token of the machine's identity opens the face; a machine without one gets none."""
    os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"{sim.ADMIN}/imds/azure{id_of('here')}"
    token = ManagedIdentityCredential().get_token(sim.SCOPE).token
    sim.expect(sim.raw("GET", "/resourceGroups", token=token).status_code == 200, "the token opens nothing")
    os.environ["AZURE_POD_IDENTITY_AUTHORITY_HOST"] = f"{sim.ADMIN}/imds/azure{id_of('there')}"
    try:
        token = ManagedIdentityCredential().get_token(sim.SCOPE)
    except ClientAuthenticationError:
        return
    raise AssertionError(f"a machine without an identity got {token}")


def events():
    """A spot machine hears of its end, and says that it is ready."""
    sim.expect(ask("scheduledevents").json() == {"DocumentIncarnation": 1, "Events": []}, "an event out of nothing")
    sim.fault("preempt", instance_id=id_of("here"), notice_seconds=600)
    told = ask("scheduledevents").json()
    [event] = told["Events"]
    sim.expect(told["DocumentIncarnation"] == 2 and event["EventType"] == "Preempt", f"{told}")
    sim.expect(event["Resources"] == ["here"] and event["EventStatus"] == "Scheduled", f"{event}")
    sim.expect(parsedate_to_datetime(event["NotBefore"]).tzinfo, f"{event}")
    wrong = {"StartRequests": [{"EventId": "nothing"}]}
    sim.expect(ask("scheduledevents", verb="POST", body=wrong).status_code == 400, "an event that is none was begun")
    ready = {"StartRequests": [{"EventId": event["EventId"]}]}
    sim.expect(ask("scheduledevents", verb="POST", body=ready).status_code == 200, "it may not be begun")
    sim.advance(240)
    sim.expect(ask("instance").status_code == 404, "it waits for its time though it was ready")


def main():
    machine = begin()
    manners()
    facts(machine)
    tokens()
    events()
    made(RESOURCES.resource_groups.begin_delete(GROUP))
    sim.nothing_is_left()
    sim.done("a machine heard of its end")


main()
