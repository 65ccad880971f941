"""What machines of the checks stand on, and what they are made of: a group, its network, and bodies as Azure's
documentation has them."""

from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.computefleet import ComputeFleetMgmtClient
from azure.mgmt.computerecommender import RecommenderMgmtClient
from azure.mgmt.network import NetworkManagementClient
from azure.mgmt.resource.resources import ResourceManagementClient
from azure.mgmt.resourcegraph import ResourceGraphClient

import sim

REGION, SIZE = "eastus", "Standard_D2s_v5"
IMAGE = {"publisher": "Canonical", "offer": "ubuntu-24_04-lts", "sku": "server", "version": "latest"}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUzq1Cv0eXkq4PpEmYyEr0Hy4gW3Jt4sZ2nVbYw1Qx7 ada@home"

RESOURCES = sim.client(ResourceManagementClient, sim.SUBSCRIPTION)
COMPUTE = sim.client(ComputeManagementClient, sim.SUBSCRIPTION)
NETWORK = sim.client(NetworkManagementClient, sim.SUBSCRIPTION)
FLEETS = sim.client(ComputeFleetMgmtClient, sim.SUBSCRIPTION)
ADVICE = sim.client(RecommenderMgmtClient, sim.SUBSCRIPTION)
GRAPH = sim.client(ResourceGraphClient)


def made(poller):
    """What a change has made, once it is there; it raises what went wrong."""
    return poller.result()


def group(name="life", **tags):
    """A resource group."""
    return RESOURCES.resource_groups.create_or_update(name, {"location": REGION, "tags": {"fleet": "life", **tags}})


def site(name="life"):
    """A network with a subnet and a security group, in a group of its own; answers the subnet's id."""
    group(name)
    rules = [rule("web", 110, 443)]
    guard = made(
        NETWORK.network_security_groups.begin_create_or_update(
            name, "guard", {"location": REGION, "properties": {"securityRules": rules}}
        )
    )
    subnet = {
        "name": "default",
        "properties": {"addressPrefix": "10.0.0.0/20", "networkSecurityGroup": {"id": guard.id}},
    }
    network = {
        "location": REGION,
        "tags": {"fleet": "life"},
        "properties": {"addressSpace": {"addressPrefixes": ["10.0.0.0/16"]}, "subnets": [subnet]},
    }
    network = made(NETWORK.virtual_networks.begin_create_or_update(name, "net", network))
    return network.subnets[0].id


def rule(name, priority, port):
    """Lets everybody reach a port."""
    return {
        "name": name,
        "properties": {
            "priority": priority,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourcePortRange": "*",
            "sourceAddressPrefix": "*",
            "destinationPortRange": str(port),
            "destinationAddressPrefix": "*",
        },
    }


def login():
    """By a key alone."""
    path = "/home/ada/.ssh/authorized_keys"
    return {"disablePasswordAuthentication": True, "ssh": {"publicKeys": [{"path": path, "keyData": KEY}]}}


def disk(**more):
    """The disk that a machine boots from."""
    return {"createOption": "FromImage", "managedDisk": {"storageAccountType": "StandardSSD_LRS"}, **more}


def machine(interface, zone="1", **properties):
    """A machine with an interface that was made before."""
    return {
        "location": REGION,
        "zones": [zone],
        "tags": {"fleet": "life"},
        "properties": {
            "hardwareProfile": {"vmSize": SIZE},
            "storageProfile": {"imageReference": IMAGE, "osDisk": disk(deleteOption="Delete")},
            "osProfile": {"computerName": "life", "adminUsername": "ada", "linuxConfiguration": login()},
            "networkProfile": {"networkInterfaces": [{"id": interface, "properties": {"primary": True}}]},
            **properties,
        },
    }


def profile(subnet, **network):
    """What many machines are made of, everything of which goes with them."""
    address = {"name": "ip", "properties": {"primary": True, "subnet": {"id": subnet}}}
    nic = {"primary": True, "deleteOption": "Delete", "ipConfigurations": [address]}
    return {
        "storageProfile": {"imageReference": IMAGE, "osDisk": disk(deleteOption="Delete", caching="ReadWrite")},
        "osProfile": {"computerNamePrefix": "life", "adminUsername": "ada", "linuxConfiguration": login()},
        "networkProfile": {
            "networkApiVersion": "2020-11-01",
            "networkInterfaceConfigurations": [{"name": "nic", "properties": nic}],
            **network,
        },
    }


def power(view):
    """The power state of an instance view."""
    states = [status.code for status in view.statuses if status.code.startswith("PowerState/")]
    return states[0].partition("/")[2] if states else None


def graph(query, **options):
    """The rows that Resource Graph has for a query, once it has seen everything."""
    sim.advance(60)
    answer = GRAPH.resources({"subscriptions": [sim.SUBSCRIPTION], "query": query, "options": options})
    sim.expect(answer.count == len(answer.data), f"{answer}")
    return answer.data
