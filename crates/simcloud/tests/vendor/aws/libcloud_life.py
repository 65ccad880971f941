"""Apache Libcloud's EC2 driver, which sends everything as GET. The first argument is the version of the
signature: 2 is the driver's own choice and names no region, 4 does."""

import sys

from libcloud.compute.base import NodeImage
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

import sim

VERSION = sys.argv[1]
REGION = "us-east-1" if VERSION == "2" else "eu-west-1"


def driver():
    """The driver as its users make it, but for the address."""
    address = sim.AWS.removeprefix("http://")
    host, port = address.rstrip("/").split(":")
    return get_driver(Provider.EC2)(
        sim.KEY, sim.SECRET, region=REGION, host=host, port=int(port), secure=False, signature_version=VERSION
    )


def node(ec2, wanted):
    """The node of an id, as it is now."""
    (found,) = ec2.list_nodes(ex_node_ids=[wanted.id])
    return found


def main():
    ec2 = driver()
    locations = ec2.list_locations()
    sim.expect({place.availability_zone.region_name for place in locations} == {REGION}, f"{locations}")
    place = next(place for place in locations if place.name == f"{REGION}a")
    sizes = {size.id: size for size in ec2.list_sizes()}
    images = ec2.list_images(ex_owner="amazon", ex_filters={"architecture": "arm64"})
    sim.expect(
        images and all(isinstance(image, NodeImage) and image.id.startswith("ami-") for image in images), f"{images}"
    )
    sim.expect(ec2.get_image(images[0].id).name == images[0].name, "an image by its id is another one")
    sim.expect(ec2.ex_get_limits()["resource"]["max-instances"] > 0, "no limits are told")
    (network,) = ec2.ex_list_networks(filters={"is-default": "true"})
    subnets = ec2.ex_list_subnets(filters={"vpc-id": network.id, "availability-zone": place.name})
    group = ec2.ex_create_security_group("libcloud", "a driver", vpc_id=network.id)["group_id"]
    ec2.ex_authorize_security_group_ingress(group, 22, 22, cidr_ips=["192.0.2.0/24"])
    sim.expect("libcloud" in ec2.ex_list_security_groups(), "the group is not listed")
    key = ec2.create_key_pair("libcloud")
    sim.expect("PRIVATE KEY" in key.private_key and ec2.get_key_pair("libcloud").name == "libcloud", f"{key}")

    one = ec2.create_node(
        name="one",
        size=sizes["m7g.large"],
        image=images[0],
        location=place,
        ex_keyname="libcloud",
        ex_userdata="#!/bin/sh\ntrue\n",
        ex_subnet=subnets[0],
        ex_security_group_ids=[group],
        ex_assign_public_ip=True,
        ex_terminate_on_shutdown=True,
        ex_metadata={"fleet": "libcloud"},
    )
    spot = ec2.create_node(
        name="spot",
        size=sizes["m6g.large"],
        image=images[0],
        location=place,
        ex_spot=True,
        ex_mincount=3,
        ex_maxcount=3,
    )
    sim.advance(60)
    nodes = ec2.list_nodes()
    sim.expect(sorted(found.id for found in nodes) == sorted(found.id for found in [one, *spot]), f"{nodes}")
    sim.expect({found.state for found in nodes} == {NodeState.RUNNING}, f"{nodes}")
    (tagged,) = ec2.list_nodes(ex_filters={"tag:fleet": "libcloud"})
    sim.expect((tagged.name, tagged.extra["tags"]["fleet"]) == ("one", "libcloud"), f"{tagged.extra}")
    sim.expect(tagged.public_ips and tagged.private_ips, f"{tagged}")
    sim.expect(tagged.extra["availability"] == place.name and tagged.extra["key_name"] == "libcloud", f"{tagged.extra}")

    sim.expect(ec2.ex_create_tags(tagged, {"role": "head"}), "no tag is made")
    sim.expect(ec2.ex_describe_tags(tagged)["role"] == "head", "the tag is not there")
    sim.expect(ec2.ex_delete_tags(tagged, {"role": "head"}), "no tag is deleted")
    sim.expect(len(ec2.list_volumes(node=tagged)) == 1, "the machine has not one disk")
    sim.expect(ec2.stop_node(tagged), "it is not stopped")
    sim.advance(120)
    sim.expect(node(ec2, tagged).state == NodeState.STOPPED, "it was not stopped")
    sim.expect(ec2.start_node(tagged), "it is not started")
    sim.advance(120)
    sim.expect(node(ec2, tagged).state == NodeState.RUNNING, "it was not started")
    volume = ec2.create_volume(5, "data", location=place)
    sim.advance(30)
    sim.expect(volume.id in {found.id for found in ec2.list_volumes()}, "the volume is not listed")
    sim.expect(ec2.destroy_volume(volume), "the volume stays")
    address = ec2.ex_allocate_address(domain="vpc")
    sim.expect(address.ip in {found.ip for found in ec2.ex_describe_all_addresses()}, "the address is not listed")
    sim.expect(ec2.ex_release_address(address, domain="vpc"), "the address stays")

    refusal = ""
    try:
        ec2.list_nodes(ex_node_ids=["i-0123456789abcdef0"])
    except Exception as error:  # the driver has no type of its own for it
        refusal = str(error)
    sim.expect("InvalidInstanceID.NotFound" in refusal, f"an unknown machine: {refusal!r}")
    sim.expect(all(ec2.destroy_node(found) for found in [tagged, *spot]), "not all are destroyed")
    sim.advance(300)
    sim.expect(
        {found.state for found in ec2.list_nodes()} <= {NodeState.TERMINATED, NodeState.UNKNOWN}, f"{ec2.list_nodes()}"
    )
    ec2.ex_delete_security_group_by_id(group)
    ec2.delete_key_pair(key)
    sim.nothing_is_left()
    sim.done(f"a life by Libcloud in {REGION}")


main()
