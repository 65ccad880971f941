"""Apache Libcloud's Azure ARM driver leads a life. It knows one address of Resource Manager and one of the identity
service; both are taken from it, and where it would sleep, the world's clock moves. Nothing else is changed."""

import time
from types import SimpleNamespace

from libcloud.common.azure_arm import AzureResourceManagementConnection
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.base import NodeAuthSSHKey
from libcloud.compute.drivers import azure_arm
from libcloud.compute.types import NodeState
from libcloud.http import LibcloudConnection

import estate
import sim

GROUP = "life"


class Wire(LibcloudConnection):
    """The only way to the simulated cloud, for both addresses."""

    def __init__(self, *_, host=None, port=None, secure=None, **more):
        host, _, port = sim.AZURE.removeprefix("http://").partition(":")
        super().__init__(host, int(port), secure=False, **more)


class Connection(AzureResourceManagementConnection):
    conn_class = Wire


class Driver(azure_arm.AzureNodeDriver):
    """The driver as its users make it, but for the address."""

    connectionCls = Connection


def driver(secret=sim.SECRET):
    """The driver with a client's secret."""
    return Driver(sim.TENANT, sim.SUBSCRIPTION, sim.CLIENT, secret, region=estate.REGION)


def life(cloud):
    places = {place.id for place in cloud.list_locations()}
    sim.expect({"eastus", "westus2"} <= places, f"the locations are {places}")
    sizes = {size.id: size for size in cloud.list_sizes()}
    sim.expect(
        (sizes[estate.SIZE].ram, sizes[estate.SIZE].extra["numberOfCores"]) == (8192, 2), f"{sizes[estate.SIZE]}"
    )
    sim.expect([group.name for group in cloud.ex_list_resource_groups()] == [GROUP], "there are other groups")
    (network,) = cloud.ex_list_networks()
    (subnet,) = cloud.ex_list_subnets(network)
    sim.expect(subnet.name == "default", f"{subnet}")
    cloud.ex_create_network_security_group("more", GROUP)
    sim.expect({one.name for one in cloud.ex_list_network_security_groups(GROUP)} == {"guard", "more"}, "no group")
    cloud.ex_delete_network_security_group("more", GROUP)
    door = cloud.ex_create_public_ip("door", GROUP)
    nic = cloud.ex_create_network_interface("nic", subnet, GROUP, public_ip=door)
    sim.expect([one.name for one in cloud.ex_list_nics(GROUP)] == ["nic"], "there are other interfaces")

    image = cloud.get_image("Canonical:ubuntu-24_04-lts:server:latest")
    node = cloud.create_node(
        "one",
        sizes[estate.SIZE],
        image,
        NodeAuthSSHKey(estate.KEY),
        ex_resource_group=GROUP,
        ex_use_managed_disks=True,
        ex_nic=nic,
        ex_tags={"fleet": "libcloud"},
    )
    sim.advance(120)
    (node,) = cloud.list_nodes()
    sim.expect((node.name, node.state) == ("one", NodeState.RUNNING), f"{node}")
    sim.expect(node.public_ips and node.private_ips[0].startswith("10.0."), f"{node.public_ips} {node.private_ips}")
    sim.expect(node.extra["tags"] == {"fleet": "libcloud"}, f"{node.extra}")
    (volume,) = cloud.list_volumes(ex_resource_group=GROUP)
    sim.expect(volume.name == "one", f"the disk is {volume}")

    for act, seconds, state in (
        (cloud.reboot_node, 120, NodeState.RUNNING),
        (cloud.stop_node, 240, NodeState.STOPPED),
        (cloud.start_node, 240, NodeState.RUNNING),
    ):
        act(node)
        sim.advance(seconds)
        (now,) = cloud.list_nodes(GROUP)
        sim.expect(now.state == state, f"{act.__name__} ends as {now.state}")
    cloud.ex_create_tags(node.id, {"role": "head"})
    sim.expect(cloud.list_nodes()[0].extra["tags"]["role"] == "head", "the tag is not there")

    place = next(place for place in cloud.list_locations() if place.id == estate.REGION)
    data = cloud.create_volume(20, "data", location=place, ex_resource_group=GROUP)
    sim.expect(data.size == 20, f"{data}")
    sim.expect(cloud.destroy_volume(data), "the disk stays")
    sim.expect(cloud.destroy_node(node), "the machine stays")
    sim.advance(60)
    sim.expect(cloud.list_nodes() == [] and cloud.list_volumes() == [], "something of it is left")
    sim.expect(cloud.ex_list_nics(GROUP) == [], "its interface is left")
    cloud.ex_delete_public_ip(door)


def strangers():
    """A wrong secret gets no token."""
    error = None
    try:
        driver("wrong").list_nodes()
    except Exception as refusal:  # the driver has no name for it
        error = refusal
    sim.expect(error is not None, "the wrong secret is let in")


azure_arm.time = SimpleNamespace(time=time.time, sleep=sim.advance)
estate.site(GROUP)
strangers()
try:
    life(driver())
except BaseHTTPError as refusal:
    raise AssertionError(f"{refusal.code} {refusal.message}") from refusal
estate.made(estate.RESOURCES.resource_groups.begin_delete(GROUP))
sim.nothing_is_left()
sim.done("a life by Libcloud on Azure")
