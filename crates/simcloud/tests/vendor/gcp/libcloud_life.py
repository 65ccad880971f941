"""Apache Libcloud's GCE driver leads a life. It knows one address of Compute Engine and one of Google's tokens; both
are taken from it, and nothing else."""

import json
import tempfile
from datetime import datetime, timedelta, timezone
from pathlib import Path

from libcloud.common.google import ResourceNotFoundError
from libcloud.compute.drivers import gce
from libcloud.compute.types import NodeState

import sim

ZONE, REGION = "us-central1-a", "us-central1"


class Connection(gce.GCEConnection):
    """A connection to the simulated cloud, which asks after operations more often: its minutes are seconds."""

    host, _, port = sim.GCP.removeprefix("http://").partition(":")
    poll_interval = 0.1

    def __init__(self, user_id, key, secure, **more):
        # No TLS on the way to this machine itself.
        super().__init__(user_id, key, False, **{**more, "host": self.host, "port": int(self.port)})

    def add_default_headers(self, headers):
        return {**super().add_default_headers(headers), "Host": f"{self.host}:{self.port}"}


class Driver(gce.GCENodeDriver):
    """The driver as its users make it, but for the address."""

    connectionCls = Connection
    # The driver looks through the images of projects that are long closed.
    IMAGE_PROJECTS = {"debian-cloud": ["debian-12"]}


def driver(folder):
    """The driver with a token that it takes for a service account's of the machine that it runs on."""
    expires = datetime.now(timezone.utc) + timedelta(hours=1)
    token = {"access_token": sim.TOKEN, "expire_time": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "expires_in": 3600}
    file = Path(folder, "token")
    file.write_text(json.dumps(token))
    return Driver("check", "", datacenter=ZONE, project=sim.PROJECT, auth_type="GCE", credential_file=str(file))


def node(cloud, name):
    """A node as it is now; none when there is none."""
    try:
        return cloud.ex_get_node(name, ZONE)
    except ResourceNotFoundError:
        return None


def main():
    with tempfile.TemporaryDirectory() as folder:
        life(driver(folder))
    sim.done("a life by Libcloud on Compute Engine")


def life(cloud):
    sim.expect({place.name for place in cloud.list_locations()} >= {ZONE, "us-central1-b"}, "a zone is missing")
    sim.expect(REGION in {region.name for region in cloud.ex_list_regions()}, "the region is missing")
    sizes = {size.name: size for size in cloud.list_sizes(ZONE)}
    sim.expect(sizes["e2-standard-2"].ram == 8192 and sizes["e2-standard-2"].extra["guestCpus"] == 2, f"{sizes}")
    image = cloud.ex_get_image_from_family("debian-12", ex_project_list=["debian-cloud"])
    sim.expect(image.extra["family"] == "debian-12" and image.name.startswith("debian-12"), f"{image}")
    sim.expect(cloud.ex_get_project().name == sim.PROJECT, "the project has another name")
    sim.expect("default" in {network.name for network in cloud.ex_list_networks()}, "there is no default network")
    sim.expect(cloud.ex_list_subnetworks(REGION), "the default network has no subnets")
    rule = cloud.ex_create_firewall(
        "libcloud", [{"IPProtocol": "tcp", "ports": ["22"]}], network="default",
        source_ranges=["192.0.2.0/24"], target_tags=["web"],
    )  # fmt: skip
    sim.expect(rule.name in {found.name for found in cloud.ex_list_firewalls()}, "the rule is not listed")

    one = cloud.create_node(
        "one", "e2-standard-2", image, location=ZONE, ex_network="default", ex_tags=["web"],
        ex_metadata={"items": [{"key": "startup-script", "value": "#!/bin/sh\ntrue\n"}]},
        ex_labels={"fleet": "libcloud"}, external_ip="ephemeral", ex_disk_auto_delete=True,
    )  # fmt: skip
    many = cloud.ex_create_multiple_nodes(
        "spot", "e2-standard-2", image, 3, location=ZONE, ex_preemptible=True, ex_disk_auto_delete=True,
        poll_interval=0.1,
    )  # fmt: skip
    sim.expect(sorted(made.name for made in many) == ["spot-000", "spot-001", "spot-002"], f"{many}")
    sim.until("they run", 20, lambda: {found.state for found in cloud.list_nodes(ZONE)} == {NodeState.RUNNING})
    nodes = {found.name: found for found in cloud.list_nodes()}
    sim.expect(sorted(nodes) == ["one", "spot-000", "spot-001", "spot-002"], f"{nodes}")
    sim.expect(nodes["one"].public_ips and nodes["one"].private_ips, f"{nodes['one']}")
    sim.expect(nodes["spot-000"].extra["scheduling"]["preemptible"] is True, f"{nodes['spot-000'].extra}")
    sim.expect(nodes["one"].extra["labels"] == {"fleet": "libcloud"}, f"{nodes['one'].extra}")
    sim.expect(cloud.ex_set_node_tags(nodes["one"], ["web", "more"]), "no tags are set")
    sim.expect(cloud.ex_set_node_labels(node(cloud, "one"), {"fleet": "libcloud", "role": "head"}), "no label is set")
    sim.expect(node(cloud, "one").extra["labels"]["role"] == "head", "the label is not there")
    sim.expect({volume.name for volume in cloud.list_volumes()} == set(nodes), "each machine has a disk of its name")

    sim.expect(cloud.ex_stop_node(one), "it is not stopped")
    sim.expect(node(cloud, "one").state == NodeState.STOPPED, f"{node(cloud, 'one')}")
    sim.expect(cloud.ex_start_node(one), "it is not started")
    sim.expect(node(cloud, "one").state == NodeState.RUNNING, f"{node(cloud, 'one')}")
    volume = cloud.create_volume(20, "data", location=ZONE)
    sim.expect(volume.size == "20" and cloud.destroy_volume(volume), f"{volume}")
    address = cloud.ex_create_address("door", region=REGION)
    sim.expect(address.address in {found.address for found in cloud.ex_list_addresses(REGION)}, f"{address}")
    sim.expect(cloud.ex_destroy_address(address), "the address stays")

    sim.expect(node(cloud, "nobody") is None, "a node that there is not is found")
    gone = cloud.ex_destroy_multiple_nodes(list(nodes.values()), destroy_boot_disk=False, poll_interval=0.1)
    sim.expect(all(gone), f"not all are destroyed: {gone}")
    sim.expect(cloud.list_nodes() == [], f"{cloud.list_nodes()}")
    sim.expect(cloud.ex_destroy_firewall(rule), "the rule stays")
    sim.until("nothing is left", 10, lambda: not sim.left())


main()
