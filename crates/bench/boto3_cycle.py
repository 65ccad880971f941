"""Instances up, ready and down, through boto3: what skyfleet-bench-client measures skyfleet beside.

boto3_cycle.py EC2_URL ADMIN_URL COUNT...

One cycle for each count, in the fewest calls that the same needs: a security group, a launch template, one
instant fleet over nine spot pools; one list, pages of a thousand; one end for all; then both deleted, and the
proof that nothing is left. Prints the CPU seconds of this process, user and system, as JSON. What moves the
simulated time and counts the calls is not measured.
"""

import json
import resource
import sys
import time
import urllib.request

import boto3
from botocore.config import Config

TYPES = ["m6g.large", "m7g.large", "m8g.large"]
ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]
IMAGE = "resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/stable/current/arm64/hvm/ebs-gp3/ami-id"
TAGS = [{"Key": "bench:owner", "Value": "ada"}, {"Key": "bench:fleet", "Value": "crowd"}]
MINE = [{"Name": "tag:bench:owner", "Values": ["ada"]}, {"Name": "tag:bench:fleet", "Values": ["crowd"]}]
ALIVE = ["pending", "running", "shutting-down", "stopping", "stopped"]
# When the slowest of a thousand is up and gone, and when an account may launch a thousand again.
UP_S, GONE_S, REFILL_S = 90, 120, 600


def admin(url, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def calls(url):
    return sum(count["calls"] for count in admin(url, "/v1/calls")["aws"].values())


def sleep(url, seconds):
    admin(url, "/v1/clock", {"advance_s": seconds})


def tagged(*kinds):
    return [{"ResourceType": kind, "Tags": TAGS} for kind in kinds]


def up(ec2, number, count):
    name = f"bench-{number}"
    group = ec2.create_security_group(
        GroupName=name, Description="Made by a benchmark", TagSpecifications=tagged("security-group")
    )["GroupId"]
    template = ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={
            "ImageId": IMAGE,
            "UserData": "IyEvYmluL3NoCnRydWUK",
            "InstanceInitiatedShutdownBehavior": "terminate",
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/sda1",
                    "Ebs": {
                        "VolumeSize": 10,
                        "VolumeType": "gp3",
                        "Encrypted": True,
                        "DeleteOnTermination": True,
                    },
                }
            ],
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "AssociatePublicIpAddress": False,
                    "Groups": [group],
                    "DeleteOnTermination": True,
                }
            ],
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
                "InstanceMetadataTags": "enabled",
            },
        },
        TagSpecifications=tagged("launch-template"),
    )["LaunchTemplate"]["LaunchTemplateId"]
    fleet = ec2.create_fleet(
        Type="instant",
        LaunchTemplateConfigs=[
            {
                "LaunchTemplateSpecification": {"LaunchTemplateId": template, "Version": "1"},
                "Overrides": [
                    {"InstanceType": name, "AvailabilityZone": zone} for zone in ZONES for name in TYPES
                ],
            }
        ],
        TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": "spot"},
        SpotOptions={"AllocationStrategy": "diversified"},
        TagSpecifications=tagged("fleet", "instance", "volume", "network-interface", "spot-instances-request"),
    )
    launched = sum(len(part["InstanceIds"]) for part in fleet["Instances"])
    assert launched == count, f"{launched} of {count} instances are launched: {fleet['Errors']}"
    return group, template


def instances(ec2, filters):
    pages = ec2.get_paginator("describe_instances").paginate(
        Filters=filters, PaginationConfig={"PageSize": 1000}
    )
    return [it for page in pages for part in page["Reservations"] for it in part["Instances"]]


def ready(ec2, count):
    found = instances(ec2, MINE)
    running = [it["InstanceId"] for it in found if it["State"]["Name"] == "running"]
    assert len(running) == count, f"{len(running)} of {count} instances are running"
    return running


def end(ec2, ids):
    ended = ec2.terminate_instances(InstanceIds=ids)["TerminatingInstances"]
    assert len(ended) == len(ids), f"{len(ended)} of {len(ids)} instances are ending"


def prove(ec2, group, template):
    ec2.delete_security_group(GroupId=group)
    ec2.delete_launch_template(LaunchTemplateId=template)
    left = instances(ec2, MINE[:1] + [{"Name": "instance-state-name", "Values": ALIVE}])
    tags = ec2.describe_tags(
        Filters=[
            {"Name": "key", "Values": ["bench:owner"]},
            {"Name": "value", "Values": ["ada"]},
            {
                "Name": "resource-type",
                "Values": ["security-group", "launch-template", "volume", "network-interface"],
            },
        ],
        MaxResults=1000,
    )["Tags"]
    requests = ec2.describe_spot_instance_requests(
        Filters=MINE[:1] + [{"Name": "state", "Values": ["open", "active"]}]
    )["SpotInstanceRequests"]
    assert not left and not tags and not requests, f"something was left: {left} {tags} {requests}"


def measured(work, *arguments):
    begun = time.process_time()
    result = work(*arguments)
    return result, time.process_time() - begun


def cycle(ec2, url, number, count):
    before = calls(url)
    (group, template), up_s = measured(up, ec2, number, count)
    sleep(url, UP_S)
    ids, ready_s = measured(ready, ec2, count)
    _, end_s = measured(end, ec2, ids)
    sleep(url, GONE_S)
    _, prove_s = measured(prove, ec2, group, template)
    made = calls(url) - before
    sleep(url, REFILL_S)
    down_s = end_s + prove_s
    return {"instances": count, "up_s": up_s, "ready_s": ready_s, "down_s": down_s, "calls": made}


def main():
    ec2_url, admin_url, *counts = sys.argv[1:]
    ec2 = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=ec2_url,
        aws_access_key_id="AKIAEXAMPLE",
        aws_secret_access_key="example",
        config=Config(retries={"total_max_attempts": 1}),
    )
    start_s = time.process_time()
    cycles = [cycle(ec2, admin_url, number, int(count)) for number, count in enumerate(counts)]
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"start_s": start_s, "cycles": cycles, "peak_kib": peak_kib}))


main()
