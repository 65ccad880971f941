"""EC2's rules as boto3 meets them: tokens, dry runs, throttles, pages and lists that lag behind. The first
argument names the rule."""

import sys

import botocore.config
import boto3
from botocore.exceptions import ClientError

import sim

EC2 = sim.client("ec2")


def image():
    """Any public image for arm64."""
    filters = [{"Name": "architecture", "Values": ["arm64"]}]
    return EC2.describe_images(Owners=["amazon"], Filters=filters)["Images"][0]["ImageId"]


def run(**more):
    """A launch of one machine."""
    order = {"ImageId": image(), "InstanceType": "m7g.large", "MinCount": 1, "MaxCount": 1}
    return [machine["InstanceId"] for machine in EC2.run_instances(**{**order, **more})["Instances"]]


def living():
    """The ids of all machines that have not ended."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    found = (
        EC2.get_paginator("describe_instances").paginate(Filters=states).search("Reservations[].Instances[].InstanceId")
    )
    return sorted(found)


def live(count):
    """Fails unless this many machines live."""
    ids = living()
    sim.expect(len(ids) == count, f"{count} machines were bought, {len(ids)} live")


def idempotency():
    """One token buys once, whatever is asked for again."""
    first = run(ClientToken="one", MaxCount=3)
    sim.expect(run(ClientToken="one", MaxCount=3) == first, "the same token and the same request: another answer")
    sim.refused(
        "IdempotentParameterMismatch",
        EC2.run_instances,
        ImageId=image(),
        InstanceType="m7g.large",
        MinCount=1,
        MaxCount=2,
        ClientToken="one",
    )
    data = {"ImageId": image(), "InstanceType": "m7g.large"}
    EC2.create_launch_template(LaunchTemplateName="rules", LaunchTemplateData=data, ClientToken="template")
    EC2.create_launch_template(LaunchTemplateName="rules", LaunchTemplateData=data, ClientToken="template")

    def fleet(size):
        specification = {"LaunchTemplateName": "rules", "Version": "1"}
        return EC2.create_fleet(
            Type="instant",
            ClientToken="two",
            LaunchTemplateConfigs=[{"LaunchTemplateSpecification": specification}],
            TargetCapacitySpecification={"TotalTargetCapacity": size, "DefaultTargetCapacityType": "on-demand"},
        )

    once, again = fleet(4), fleet(4)
    sim.expect(once["FleetId"] == again["FleetId"], "one token made two fleets")
    sim.expect(once["Instances"] == again["Instances"], f"{once['Instances']} and then {again['Instances']}")
    refusal = None
    try:
        fleet(5)
    except ClientError as error:
        refusal = error.response["Error"]["Code"]
    sim.expect(refusal == "IdempotentParameterMismatch", f"another fleet by the same token: {refusal}")
    sim.advance(30)
    live(7)
    # A launch whose answer got lost is asked for again and not bought again.
    sim.fault("error", action="RunInstances", probability=1.0, status=503, when="after")
    lost = None
    try:
        run(ClientToken="three")
    except ClientError as error:
        raise AssertionError(f"the answer was to be lost: {error}") from None
    except Exception as error:  # botocore has several names for a connection that ends
        lost = type(error).__name__
    sim.expect(
        lost in ("ConnectionClosedError", "ProtocolError", "EndpointConnectionError"), f"the answer was lost as {lost}"
    )
    sim.lift_faults()
    sim.advance(10)
    run(ClientToken="three")
    sim.advance(30)
    live(8)
    EC2.terminate_instances(InstanceIds=first)
    sim.advance(300)
    sim.refused(
        "IdempotentInstanceTerminated",
        EC2.run_instances,
        ImageId=image(),
        InstanceType="m7g.large",
        MinCount=1,
        MaxCount=3,
        ClientToken="one",
    )
    EC2.terminate_instances(InstanceIds=living())
    EC2.delete_launch_template(LaunchTemplateName="rules")


def dry_run():
    """A dry run says that it would have worked, and does nothing."""
    order = {"ImageId": image(), "InstanceType": "m7g.large", "MinCount": 1, "MaxCount": 1, "DryRun": True}
    error = sim.refused("DryRunOperation", EC2.run_instances, **order)
    sim.expect(error["ResponseMetadata"]["HTTPStatusCode"] == 412, f"{error}")
    sim.refused("DryRunOperation", EC2.describe_instances, DryRun=True)
    sim.refused("DryRunOperation", EC2.create_security_group, GroupName="dry", Description="dry", DryRun=True)
    sim.refused("DryRunOperation", EC2.allocate_address, Domain="vpc", DryRun=True)
    sim.expect(not living(), "a dry run launched something")


def throttling():
    """EC2's buckets: RunInstances five at once and then two a second; boto3 knows the answer as a throttle."""
    data = {"ImageId": image(), "InstanceType": "m7g.large", "MinCount": 1, "MaxCount": 1}
    ids = [EC2.run_instances(**data)["Instances"][0]["InstanceId"] for _ in range(5)]
    error = sim.refused("RequestLimitExceeded", EC2.run_instances, **data)
    sim.expect(error["ResponseMetadata"]["HTTPStatusCode"] == 503, f"{error}")
    sim.advance(1)
    ids += [EC2.run_instances(**data)["Instances"][0]["InstanceId"] for _ in range(2)]
    sim.refused("RequestLimitExceeded", EC2.run_instances, **data)
    sim.advance(60)
    # A thousand machines in a burst, and not one more.
    ids += run(MinCount=990, MaxCount=990)
    sim.refused("RequestLimitExceeded", EC2.run_instances, **{**data, "MinCount": 200, "MaxCount": 200})
    sim.advance(60)
    machines = [line for line in sim.left() if line["kind"] == "instance"]
    sim.expect(len(machines) == 997, f"997 machines were bought, {len(machines)} live")
    EC2.terminate_instances(InstanceIds=ids)
    sim.advance(120)
    # A client that tries again by itself takes a throttle for one and tries again.
    sim.fault("throttle", rps=0.001, burst=1, action="DescribeRegions")
    config = botocore.config.Config(retries={"mode": "standard", "total_max_attempts": 2})
    stubborn = boto3.client("ec2", region_name="us-east-1", endpoint_url=sim.AWS, config=config)
    stubborn.describe_regions()
    error = sim.refused("RequestLimitExceeded", stubborn.describe_regions)
    sim.expect(error["ResponseMetadata"]["RetryAttempts"] == 1, f"boto3 did not try again: {error}")
    sim.lift_faults()


def paging():
    """Pages cover a list once each, whatever happens between them."""
    ids = run(MinCount=120, MaxCount=120)
    sim.advance(60)
    found, token, first = [], None, True
    while first or token:
        more = {"NextToken": token} if token else {}
        page = EC2.describe_instances(MaxResults=50, **more)
        here = [machine["InstanceId"] for reservation in page["Reservations"] for machine in reservation["Instances"]]
        sim.expect(len(here) <= 50, f"a page of 50 has {len(here)}")
        found, token, first = found + here, page.get("NextToken"), False
        if token:
            run()
            sim.advance(10)
    sim.expect(set(ids) <= set(found) and len(set(found)) == len(found), "the pages miss machines or have some twice")
    sim.refused("InvalidParameterCombination", EC2.describe_instances, InstanceIds=ids[:1], MaxResults=50)
    sim.refused("InvalidParameterValue", EC2.describe_instances, MaxResults=4)
    status = EC2.get_paginator("describe_instance_status").paginate(PaginationConfig={"PageSize": 50})
    seen = status.search("InstanceStatuses[].InstanceId")
    sim.expect(set(ids) <= set(seen), "the pages of DescribeInstanceStatus miss machines")
    EC2.terminate_instances(InstanceIds=living())
    sim.advance(300)
    terminated = EC2.describe_instances(InstanceIds=ids[:1])["Reservations"][0]["Instances"][0]
    sim.expect(terminated["State"]["Name"] == "terminated", f"{terminated['State']}")
    sim.advance(3700)
    sim.refused("InvalidInstanceID.NotFound", EC2.describe_instances, InstanceIds=ids[:1])
    sim.expect(not EC2.describe_instances()["Reservations"], "terminated machines are listed for more than an hour")


def signatures():
    """The secret that the cloud knows opens it; another does not."""
    for service, call, code in (
        ("ec2", "describe_regions", "SignatureDoesNotMatch"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
    ):
        getattr(sim.client(service), call)()
        wrong = boto3.client(
            service,
            region_name="eu-west-1",
            endpoint_url=sim.AWS,
            aws_access_key_id="AKIAVENDORCHECK",
            aws_secret_access_key="wrong",
        )
        sim.refused(code, getattr(wrong, call))
    stranger = boto3.client(
        "ec2",
        region_name="us-east-1",
        endpoint_url=sim.AWS,
        aws_access_key_id="AKIASTRANGER",
        aws_secret_access_key="x",
    )
    sim.refused("AuthFailure", stranger.describe_regions)
    nowhere = boto3.client("ec2", region_name="mars-north-1", endpoint_url=sim.AWS)
    sim.refused("AuthFailure", nowhere.describe_regions)


RULES = (idempotency, dry_run, throttling, paging, signatures)
rule = {rule.__name__: rule for rule in RULES}[sys.argv[1]]
rule()
sim.advance(600)
sim.nothing_is_left()
sim.done(rule.__doc__)
