"""A fleet's life as a program on boto3 leads it, by a clock that runs: what is for sale, a fleet over three
zones, waiters and pages, a preemption, a stop and a start, what comes beside machines, and the end."""

import json

import sim

EC2 = sim.client("ec2")
FLEET = [{"Name": "tag:fleet", "Values": ["life"]}]
TAGS = [{"Key": "fleet", "Value": "life"}]
TYPES = ["m6g.large", "m7g.large", "c7g.large"]


def pages(operation, key, **parameters):
    """All items of all pages."""
    return [item for page in EC2.get_paginator(operation).paginate(**parameters) for item in page[key]]


def machines(**parameters):
    """All machines of the fleet."""
    reservations = pages("describe_instances", "Reservations", Filters=FLEET, **parameters)
    return [instance for reservation in reservations for instance in reservation["Instances"]]


def wait(waiter, tries=40, **parameters):
    """A waiter of boto3, which asks once a second instead of every 15."""
    EC2.get_waiter(waiter).wait(WaiterConfig={"Delay": 1, "MaxAttempts": tries}, **parameters)


def shop():
    """What is for sale, where, and for how much."""
    regions = {region["RegionName"] for region in EC2.describe_regions()["Regions"]}
    sim.expect({"us-east-1", "us-west-2", "eu-west-1"} <= regions, f"the regions are {regions}")
    zones = [zone["ZoneName"] for zone in EC2.describe_availability_zones()["AvailabilityZones"]][:3]
    kinds = pages("describe_instance_types", "InstanceTypes", InstanceTypes=TYPES)
    sim.expect(sorted(kind["InstanceType"] for kind in kinds) == sorted(TYPES), f"of {TYPES} there are {kinds}")
    sim.expect(all(kind["VCpuInfo"]["DefaultVCpus"] == 2 for kind in kinds), "a large machine has two vCPUs")
    everything = pages("describe_instance_types", "InstanceTypes", PaginationConfig={"PageSize": 5})
    sim.expect(len({kind["InstanceType"] for kind in everything}) == len(everything) >= 30, "the catalogue has gaps")
    offered = pages(
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": TYPES}, {"Name": "location", "Values": zones}],
    )
    sim.expect(len(offered) == 9, f"three types in three zones are {len(offered)} offerings")
    prices = pages(
        "describe_spot_price_history",
        "SpotPriceHistory",
        InstanceTypes=TYPES,
        ProductDescriptions=["Linux/UNIX"],
        Filters=[{"Name": "availability-zone", "Values": zones}],
    )
    pools = {(price["InstanceType"], price["AvailabilityZone"]) for price in prices}
    sim.expect(len(pools) == 9 and all(0 < float(price["SpotPrice"]) < 1 for price in prices), f"prices: {pools}")
    return zones


def prepare(zones):
    """The network, a group, a key and a template; the fleet's subnets."""
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    image = sim.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    wait("image_available", ImageIds=[image])
    vpc = EC2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = pages(
        "describe_subnets",
        "Subnets",
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "availability-zone", "Values": zones}],
    )
    group = EC2.create_security_group(GroupName="life", Description="a life", VpcId=vpc)["GroupId"]
    wait("security_group_exists", GroupIds=[group])
    EC2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="192.0.2.0/24")
    key = EC2.create_key_pair(KeyName="life")
    sim.expect("PRIVATE KEY" in key["KeyMaterial"], f"the key is {key['KeyMaterial'][:40]!r}")
    wait("key_pair_exists", KeyNames=["life"])
    data = {
        "ImageId": image,
        "KeyName": "life",
        "InstanceInitiatedShutdownBehavior": "terminate",
        "NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group], "AssociatePublicIpAddress": True}],
        "MetadataOptions": {"HttpTokens": "required"},
    }
    EC2.create_launch_template(LaunchTemplateName="life", LaunchTemplateData=data)
    return [subnet["SubnetId"] for subnet in subnets], group


def launch(subnets):
    """Fifty machines in one call: 45 of the spot market, 5 on demand, in three zones."""
    overrides = [{"InstanceType": kind, "SubnetId": subnet} for kind in TYPES for subnet in subnets]
    answer = EC2.create_fleet(
        Type="instant",
        ClientToken="life-1",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "life", "Version": "$Default"},
                "Overrides": overrides,
            }
        ],
        SpotOptions={"AllocationStrategy": "diversified"},
        TargetCapacitySpecification={
            "TotalTargetCapacity": 50,
            "OnDemandTargetCapacity": 5,
            "DefaultTargetCapacityType": "spot",
        },
        TagSpecifications=[{"ResourceType": kind, "Tags": TAGS} for kind in ("fleet", "instance", "volume")],
    )
    sim.expect(not answer["Errors"], f"{answer['Errors']}")
    bought = {"spot": [], "on-demand": []}
    for part in answer["Instances"]:
        bought[part["Lifecycle"]] += part["InstanceIds"]
    sim.expect([len(ids) for ids in bought.values()] == [45, 5], f"bought {bought}")
    return answer["FleetId"], bought["spot"], bought["on-demand"]


def look(fleet, spot, on_demand, zones):
    """The machines as the API shows them."""
    wait("instance_exists", InstanceIds=spot + on_demand)
    wait("instance_running", InstanceIds=spot + on_demand)
    wait("instance_status_ok", tries=60, InstanceIds=on_demand)
    seen = machines(PaginationConfig={"PageSize": 20})
    sim.expect(sorted(machine["InstanceId"] for machine in seen) == sorted(spot + on_demand), f"{len(seen)} are listed")
    sim.expect({machine["Placement"]["AvailabilityZone"] for machine in seen} == set(zones), "not all zones are used")
    sim.expect(len({machine["PrivateIpAddress"] for machine in seen}) == 50, "private addresses are used twice")
    sim.expect(all(machine.get("PublicIpAddress") for machine in seen), "a public address is missing")
    lifecycles = [machine.get("InstanceLifecycle") for machine in seen]
    sim.expect((lifecycles.count("spot"), lifecycles.count(None)) == (45, 5), f"{lifecycles}")
    described = EC2.describe_fleets(FleetIds=[fleet])["Fleets"][0]
    sim.expect(described["Type"] == "instant" and described["Tags"] == TAGS, f"{described}")
    requests = pages("describe_spot_instance_requests", "SpotInstanceRequests", PaginationConfig={"PageSize": 20})
    sim.expect({request["State"] for request in requests} == {"active"} and len(requests) == 45, f"{len(requests)}")
    volumes = pages("describe_volumes", "Volumes", Filters=FLEET)
    sim.expect(len(volumes) == 50 and all(volume["State"] == "in-use" for volume in volumes), f"{len(volumes)} volumes")
    return {request["InstanceId"]: request["SpotInstanceRequestId"] for request in requests}


def interrupted(instance, request):
    """A preemption is in the spot request and in the metadata before it is in the instance."""
    sim.fault("preempt", instance_id=instance, notice_seconds=600)

    (told,) = EC2.describe_spot_instance_requests(SpotInstanceRequestIds=[request])["SpotInstanceRequests"]
    sim.expect((told["State"], told["Status"]["Code"]) == ("closed", "instance-terminated-no-capacity"), f"{told}")
    (machine,) = EC2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    sim.expect(machine["State"]["Name"] == "running", f"it is {machine['State']} before its two minutes are over")
    status, _ = sim.imds(instance, "/latest/meta-data/spot/instance-action")
    sim.expect(status == 401, f"the metadata service answers {status} without a token")
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    status, token = sim.imds(instance, "/latest/api/token", "PUT", lifetime)
    sim.expect(status == 200 and token, f"the metadata service gives no token: {status}")
    known = {"X-aws-ec2-metadata-token": token}
    status, action = sim.imds(instance, "/latest/meta-data/spot/instance-action", headers=known)
    sim.expect(status == 200 and json.loads(action)["action"] == "terminate", f"{status}: {action}")
    status, name = sim.imds(instance, "/latest/meta-data/instance-id", headers=known)
    sim.expect((status, name) == (200, instance), f"{status}: {name}")
    wait("instance_terminated", InstanceIds=[instance])
    (gone,) = EC2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    sim.expect(gone["StateReason"]["Code"] == "Server.SpotInstanceTermination", f"{gone.get('StateReason')}")


def rested(instance):
    """A machine on demand is stopped and started, and is the same."""
    EC2.stop_instances(InstanceIds=[instance])
    wait("instance_stopped", InstanceIds=[instance])
    EC2.start_instances(InstanceIds=[instance])
    wait("instance_running", InstanceIds=[instance])


def beside(instance, zone):
    """Tags, a volume and an address."""
    EC2.create_tags(Resources=[instance], Tags=[{"Key": "role", "Value": "head"}])
    found = pages("describe_tags", "Tags", Filters=[{"Name": "key", "Values": ["role"]}])
    sim.expect([tag["ResourceId"] for tag in found] == [instance], f"{found}")
    EC2.delete_tags(Resources=[instance], Tags=[{"Key": "role"}])
    volume = EC2.create_volume(AvailabilityZone=zone, Size=4, VolumeType="gp3")["VolumeId"]
    wait("volume_available", VolumeIds=[volume])
    EC2.delete_volume(VolumeId=volume)
    wait("volume_deleted", VolumeIds=[volume])
    address = EC2.allocate_address(Domain="vpc")["AllocationId"]
    kinds = {line["kind"] for line in sim.left()}
    sim.expect(any("address" in kind for kind in kinds), f"the address is not in the ledger: {kinds}")
    EC2.release_address(AllocationId=address)


def end(group):
    """All of it goes."""
    ids = [machine["InstanceId"] for machine in machines() if machine["State"]["Name"] != "terminated"]
    sim.expect(len(ids) == 49, f"{len(ids)} machines live")
    EC2.terminate_instances(InstanceIds=ids)
    sim.refused("DependencyViolation", EC2.delete_security_group, GroupId=group)
    wait("instance_terminated", InstanceIds=ids)
    EC2.delete_launch_template(LaunchTemplateName="life")
    EC2.delete_key_pair(KeyName="life")

    def group_is_gone():
        try:
            EC2.delete_security_group(GroupId=group)
        except EC2.exceptions.ClientError as error:
            sim.expect(error.response["Error"]["Code"] == "DependencyViolation", f"{error}")
            return False
        return True

    sim.until("the group can be deleted", 10, group_is_gone)
    sim.until("nothing is left", 10, lambda: not sim.left())
    sim.nothing_is_left()


def main():
    zones = shop()
    subnets, group = prepare(zones)
    fleet, spot, on_demand = launch(subnets)
    requests = look(fleet, spot, on_demand, zones)
    interrupted(spot[0], requests[spot[0]])
    rested(on_demand[0])
    beside(on_demand[1], zones[0])
    end(group)
    sim.done("a life of fifty machines")


main()
