"""Calls every action of EC2 that is simulated, in a world where something is to be seen, and walks each
answer by the vendor's model. An action that no call here reaches is a failure."""

import base64
import os
from datetime import datetime, timezone

import sim


class Rehearsed:
    """EC2 of which each call is made as a dry run first. That is refused as one, and leaves no trace: the
    call itself is the first to use a name or a token."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        call = getattr(self.client, name)
        action = self.client.meta.method_to_api_mapping.get(name)
        if action is None:
            return call
        inputs = self.client.meta.service_model.operation_model(action).input_shape
        if inputs is None or "DryRun" not in inputs.members:
            return call

        def rehearsed(**parameters):
            sim.refused("DryRunOperation", call, DryRun=True, **parameters)
            sim.advance(1)
            return call(**parameters)

        return rehearsed


EC2 = Rehearsed(sim.client("ec2"))
# The server names STS's one action too: walk_services.py calls it.
ACTIONS = set(os.environ["SIMCLOUD_VENDOR_ACTIONS"].split(",")) - {"GetCallerIdentity"}
TAGS = [{"Key": "fleet", "Value": "walk"}, {"Key": "empty", "Value": ""}]


def tagged(*kinds):
    """Tags at creation, one specification for each type of resource."""
    return [{"ResourceType": kind, "Tags": TAGS} for kind in kinds]


def market():
    """What is sold, where, and for how much."""
    EC2.describe_regions(AllRegions=True)
    EC2.describe_availability_zones()
    EC2.describe_account_attributes()
    types = EC2.describe_instance_types(MaxResults=100)["InstanceTypes"]
    sim.expect(any("GpuInfo" in kind for kind in types), "no type of the catalogue tells of its GPUs")
    sim.expect(any("InstanceStorageInfo" in kind for kind in types), "no type tells of its disks")
    for location in ("region", "availability-zone", "availability-zone-id"):
        EC2.describe_instance_type_offerings(
            LocationType=location, Filters=[{"Name": "instance-type", "Values": ["m7g.*"]}]
        )
    EC2.get_instance_types_from_instance_requirements(
        ArchitectureTypes=["arm64"],
        VirtualizationTypes=["hvm"],
        InstanceRequirements={"VCpuCount": {"Min": 2, "Max": 4}, "MemoryMiB": {"Min": 4096}},
    )
    EC2.describe_spot_price_history(
        InstanceTypes=["m7g.large", "c7g.large"],
        ProductDescriptions=["Linux/UNIX"],
        StartTime=sim.now(),
    )
    EC2.get_spot_placement_scores(
        InstanceTypes=["m7g.large", "m6g.large", "c7g.large"],
        TargetCapacity=100,
        TargetCapacityUnitType="units",
        SingleAvailabilityZone=True,
        RegionNames=["us-east-1", "eu-west-1"],
    )


def image():
    """The newest public image for arm64."""
    images = EC2.describe_images(
        Owners=["amazon"],
        Filters=[{"Name": "architecture", "Values": ["arm64"]}, {"Name": "state", "Values": ["available"]}],
    )["Images"]
    return max(images, key=lambda image: image["CreationDate"])["ImageId"]


def network():
    """The default network, and a subnet of each zone."""
    vpc = EC2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = EC2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    return vpc, {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets}


def group(vpc):
    """A security group with rules of every kind."""
    made = EC2.create_security_group(
        GroupName="walk", Description="a walk", VpcId=vpc, TagSpecifications=tagged("security-group")
    )["GroupId"]
    ssh = {
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "IpRanges": [{"CidrIp": "192.0.2.0/24", "Description": "an office"}],
        "Ipv6Ranges": [{"CidrIpv6": "2001:db8::/32"}],
    }
    inside = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": made}]}
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    EC2.authorize_security_group_ingress(
        GroupId=made, IpPermissions=[ssh, inside], TagSpecifications=tagged("security-group-rule")
    )
    EC2.authorize_security_group_egress(GroupId=made, IpPermissions=[https])
    EC2.describe_security_groups(GroupIds=[made])
    EC2.revoke_security_group_ingress(GroupId=made, IpPermissions=[ssh])
    EC2.revoke_security_group_egress(GroupId=made, IpPermissions=[https])
    return made


def keys():
    """A key pair of EC2's own, and one that was brought along."""
    EC2.create_key_pair(KeyName="walk", KeyType="ed25519", TagSpecifications=tagged("key-pair"))
    material = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f walk"
    EC2.import_key_pair(KeyName="brought", PublicKeyMaterial=material, TagSpecifications=tagged("key-pair"))
    EC2.delete_key_pair(KeyName="brought")
    EC2.describe_key_pairs(KeyNames=["walk"], IncludePublicKey=True)


def template(image_id, group_id):
    """A launch template with much in it, and versions of it."""
    data = {
        "ImageId": image_id,
        "InstanceType": "m7g.large",
        "KeyName": "walk",
        "UserData": base64.b64encode(b"#!/bin/sh\ntrue\n").decode(),
        "InstanceInitiatedShutdownBehavior": "terminate",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {"VolumeSize": 12, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
            }
        ],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "AssociatePublicIpAddress": True,
                "DeleteOnTermination": True,
                "Groups": [group_id],
            }
        ],
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "enabled"},
        "TagSpecifications": tagged("instance", "volume", "network-interface"),
    }
    made = EC2.create_launch_template(
        LaunchTemplateName="walk",
        VersionDescription="the first",
        LaunchTemplateData=data,
        TagSpecifications=tagged("launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    EC2.create_launch_template_version(
        LaunchTemplateId=made, SourceVersion="1", LaunchTemplateData={"InstanceType": "c7g.large"}
    )
    EC2.create_launch_template_version(LaunchTemplateId=made, LaunchTemplateData=data)
    EC2.describe_launch_templates(LaunchTemplateNames=["walk"])
    versions = EC2.describe_launch_template_versions(LaunchTemplateId=made, Versions=["$Latest", "$Default", "2"])
    sim.expect(len(versions["LaunchTemplateVersions"]) == 3, f"of three versions there are {versions}")
    told = next(version for version in versions["LaunchTemplateVersions"] if version["VersionNumber"] == 1)
    sim.expect(
        told["LaunchTemplateData"] == data, f"the template was given {data} and tells {told['LaunchTemplateData']}"
    )
    EC2.modify_launch_template(LaunchTemplateId=made, DefaultVersion="3")
    EC2.delete_launch_template_versions(LaunchTemplateId=made, Versions=["2", "9"])
    return made


def fleets(template_id, subnets):
    """A fleet of each type; one type is sold out in one zone, so that there are errors too."""
    zones = sorted(subnets)[:3]
    sim.fault("capacity", zone=zones[0], instance_type="c7g.large", market="all", available=0)

    def fleet(kind, spot, on_demand, **more):
        overrides = [
            {"InstanceType": name, "SubnetId": subnets[zone], "Priority": 1.0}
            for name in ("m7g.large", "c7g.large")
            for zone in zones
        ]
        specification = {"LaunchTemplateId": template_id, "Version": "$Latest"}
        return EC2.create_fleet(
            Type=kind,
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification, "Overrides": overrides}],
            TargetCapacitySpecification={
                "TotalTargetCapacity": spot + on_demand,
                "SpotTargetCapacity": spot,
                "OnDemandTargetCapacity": on_demand,
                "DefaultTargetCapacityType": "spot",
            },
            **more,
        )

    instant = fleet(
        "instant",
        6,
        2,
        SpotOptions={"AllocationStrategy": "diversified"},
        OnDemandOptions={"AllocationStrategy": "prioritized"},
        TagSpecifications=tagged("fleet", "instance", "volume", "network-interface"),
        ClientToken="walk-instant",
    )
    sim.expect(instant["Errors"], "a fleet that spreads over a pool without room tells of no error")
    maintained = fleet("maintain", 2, 1, TagSpecifications=tagged("fleet"))["FleetId"]
    asked = fleet("request", 2, 0)
    sim.lift_faults()
    sim.advance(60)
    EC2.describe_fleets(FleetIds=[instant["FleetId"]])
    EC2.describe_fleets(MaxResults=100)
    EC2.describe_fleet_instances(FleetId=maintained)
    EC2.describe_fleet_history(FleetId=maintained, StartTime=datetime(2020, 1, 1, tzinfo=timezone.utc))
    EC2.modify_fleet(FleetId=maintained, TargetCapacitySpecification={"TotalTargetCapacity": 2})
    EC2.delete_fleets(FleetIds=[maintained, asked["FleetId"]], TerminateInstances=True)
    EC2.describe_fleets(FleetIds=[maintained])
    return [instance for part in instant["Instances"] for instance in part["InstanceIds"]]


def machines(image_id, group_id, subnet):
    """An instance of each market, through its life."""
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "VolumeType": "gp3", "DeleteOnTermination": True}}
    usual = {
        "ImageId": image_id,
        "InstanceType": "t4g.medium",
        "SubnetId": subnet,
        "SecurityGroupIds": [group_id],
        "BlockDeviceMappings": [disk],
    }
    kept = EC2.run_instances(
        MinCount=2,
        MaxCount=2,
        KeyName="walk",
        UserData="#!/bin/sh\ntrue\n",
        TagSpecifications=tagged("instance", "volume", "network-interface"),
        MetadataOptions={"HttpTokens": "required"},
        ClientToken="walk-on-demand",
        **usual,
    )["Instances"]
    spot = EC2.run_instances(
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "1.0"}},
        TagSpecifications=tagged("instance", "spot-instances-request"),
        **usual,
    )["Instances"]
    ids = [instance["InstanceId"] for instance in kept + spot]
    EC2.describe_instances(Filters=[{"Name": "tag:fleet", "Values": ["walk"]}])
    sim.advance(60)
    EC2.describe_instances(InstanceIds=ids)
    EC2.describe_instance_status(InstanceIds=ids, IncludeAllInstances=True)
    EC2.get_console_output(InstanceId=ids[0])
    EC2.stop_instances(InstanceIds=[ids[0]])
    sim.advance(120)
    EC2.describe_instances(InstanceIds=[ids[0]])
    EC2.start_instances(InstanceIds=[ids[0]])
    sim.advance(120)
    EC2.reboot_instances(InstanceIds=[ids[0]])
    for attribute in EC2.meta.service_model.shape_for("InstanceAttributeName").enum:
        EC2.describe_instance_attribute(InstanceId=ids[0], Attribute=attribute)
    EC2.modify_instance_attribute(InstanceId=ids[0], DisableApiTermination={"Value": False})
    return ids


def spot_requests(instances):
    """Spot requests: running, about to be interrupted, and cancelled."""
    page = EC2.describe_spot_instance_requests()["SpotInstanceRequests"]
    sim.expect({request["State"] for request in page} >= {"active"}, f"no spot request is active: {page}")
    request = next(request for request in page if request.get("InstanceId") in instances)
    sim.fault("preempt", instance_id=request["InstanceId"], notice_seconds=120)
    sim.advance(5)
    EC2.describe_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"]])
    EC2.describe_instances(InstanceIds=[request["InstanceId"]])
    sim.advance(300)
    EC2.describe_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"]])
    EC2.describe_instances(InstanceIds=[request["InstanceId"]])
    EC2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request["SpotInstanceRequestId"] for request in page])


def things(instance, zone, subnet, group_id):
    """Volumes, interfaces, addresses, tags and placement groups beside the machines."""
    volume = EC2.create_volume(
        AvailabilityZone=zone, Size=10, VolumeType="gp3", Encrypted=True, TagSpecifications=tagged("volume")
    )["VolumeId"]
    sim.advance(30)
    EC2.describe_volumes(VolumeIds=[volume])
    EC2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    EC2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    EC2.describe_volumes(VolumeIds=[volume])
    EC2.detach_volume(VolumeId=volume)
    EC2.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    made = EC2.create_network_interface(
        SubnetId=subnet, Groups=[group_id], Description="a walk", TagSpecifications=tagged("network-interface")
    )["NetworkInterface"]["NetworkInterfaceId"]
    EC2.describe_network_interfaces(NetworkInterfaceIds=[made])
    EC2.delete_network_interface(NetworkInterfaceId=made)
    address = EC2.allocate_address(Domain="vpc", TagSpecifications=tagged("elastic-ip"))["AllocationId"]
    EC2.describe_addresses(AllocationIds=[address])
    association = EC2.associate_address(AllocationId=address, InstanceId=instance)["AssociationId"]
    EC2.describe_addresses(AllocationIds=[address])
    EC2.describe_instances(InstanceIds=[instance])
    EC2.disassociate_address(AssociationId=association)
    EC2.release_address(AllocationId=address)
    EC2.create_tags(Resources=[instance, volume], Tags=[{"Key": "more", "Value": "<&>\"' \u00e9"}])
    EC2.describe_tags(Filters=[{"Name": "resource-id", "Values": [instance]}])
    EC2.delete_tags(Resources=[instance, volume], Tags=[{"Key": "more"}])
    EC2.delete_volume(VolumeId=volume)
    EC2.create_placement_group(GroupName="walk", Strategy="cluster", TagSpecifications=tagged("placement-group"))
    EC2.describe_placement_groups(GroupNames=["walk"])
    EC2.delete_placement_group(GroupName="walk")


def down(group_id, template_id):
    """Everything ends."""
    pages = EC2.get_paginator("describe_instances").paginate()
    ids = [
        instance["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
    ]
    EC2.terminate_instances(InstanceIds=ids)
    EC2.describe_instances(InstanceIds=ids[:2])
    sim.advance(300)
    EC2.describe_instances(InstanceIds=ids[:2])
    EC2.describe_instance_status(IncludeAllInstances=True)
    EC2.delete_launch_template(LaunchTemplateId=template_id)
    EC2.delete_security_group(GroupId=group_id)
    EC2.delete_key_pair(KeyName="walk")


def every_action_was_called():
    """Nothing that is simulated was forgotten, and what answers a list was seen with something in it."""
    model = EC2.meta.service_model
    forgotten = sorted(ACTIONS - sim.WALK.answered)
    sim.expect(not forgotten, f"no sample call in walk_ec2.py answers: {', '.join(forgotten)}")

    def lists(action):
        shape = model.operation_model(action).output_shape
        return shape is not None and any(member.type_name == "list" for member in shape.members.values())

    bare = sorted(action for action in ACTIONS - sim.WALK.listed if lists(action))
    sim.expect(not bare, f"only ever seen with empty lists: {', '.join(bare)}")


def main():
    market()
    image_id = image()
    vpc, subnets = network()
    zone = sorted(subnets)[0]
    group_id = group(vpc)
    keys()
    sim.advance(20)
    template_id = template(image_id, group_id)
    of_fleet = fleets(template_id, subnets)
    instances = machines(image_id, group_id, subnets[zone])
    things(instances[0], zone, subnets[zone], group_id)
    spot_requests(of_fleet)
    sim.advance(20)
    down(group_id, template_id)
    every_action_was_called()
    sim.advance(600)
    sim.nothing_is_left()
    sim.done(f"{len(sim.WALK.answered)} actions walked")


main()
