"""Bad calls, each with the status and the code that EC2 documents, in EC2's error envelope. They go out as
bare HTTP: boto3 would not send most of them."""

import os
import urllib.error
import urllib.parse
import urllib.request
from xml.etree import ElementTree

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import sim
import walker

NO_INSTANCE = "i-0123456789abcdef0"


def call(parameters, method="POST", region="us-east-1"):
    """One request as the wire has it: the status and the body."""
    form = urllib.parse.urlencode({"Version": "2016-11-15", **parameters}, quote_via=urllib.parse.quote)
    url, data = (f"{sim.AWS}/", form.encode()) if method == "POST" else (f"{sim.AWS}/?{form}", None)
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} if data else {}
    request = AWSRequest(method=method, url=url, data=data, headers=headers)
    SigV4Auth(Credentials(sim.KEY, sim.SECRET), "ec2", region).add_auth(request)
    raw = urllib.request.Request(url, data=data, method=method, headers=dict(request.headers.items()))
    try:
        with urllib.request.urlopen(raw, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def world():
    """What the bad calls are about."""
    ec2 = sim.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    default = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["default"]}])["SecurityGroups"][0]
    subnets = {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]}
    images = ec2.describe_images(Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["arm64"]}])["Images"]
    image = images[0]["ImageId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "192.0.2.0/24"}
    group = ec2.create_security_group(GroupName="taken", Description="taken", VpcId=vpc)["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, **rule)
    ec2.create_key_pair(KeyName="taken")
    data = {"ImageId": image, "InstanceType": "m7g.large"}
    template = ec2.create_launch_template(LaunchTemplateName="taken", LaunchTemplateData=data)["LaunchTemplate"]
    ec2.create_placement_group(GroupName="taken", Strategy="spread")
    spot = ec2.run_instances(
        ImageId=image,
        InstanceType="m7g.large",
        SecurityGroupIds=[group],
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
    )["Instances"][0]["InstanceId"]
    sim.advance(60)
    volume = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [spot]}])["Volumes"][0]
    return {
        "vpc": vpc,
        "default": default["GroupId"],
        "group": group,
        "image": image,
        "template": template["LaunchTemplateId"],
        "subnet": subnets["us-east-1a"],
        "far": subnets["us-east-1f"],
        "spot": spot,
        "volume": volume["VolumeId"],
    }


def table(have):
    """The parameters, the status and the code of each bad call."""
    run = {
        "Action": "RunInstances",
        "ImageId": have["image"],
        "InstanceType": "m7g.large",
        "MinCount": "1",
        "MaxCount": "1",
    }
    rule = {
        "GroupId": have["group"],
        "IpPermissions.1.IpProtocol": "tcp",
        "IpPermissions.1.FromPort": "22",
        "IpPermissions.1.ToPort": "22",
    }
    fleet = {
        "Action": "CreateFleet",
        "Type": "instant",
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId": have["template"],
        "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version": "1",
        "TargetCapacitySpecification.TotalTargetCapacity": "1",
        "TargetCapacitySpecification.DefaultTargetCapacityType": "spot",
    }
    office = "IpPermissions.1.IpRanges.1.CidrIp"
    spot = {"InstanceMarketOptions.MarketType": "spot"}
    return [
        # The request itself
        ({}, 400, "MissingAction"),
        ({"Action": "DescribeNoSuchThing"}, 400, "InvalidAction"),
        ({**run, "DryRun": "true"}, 412, "DryRunOperation"),
        ({**run, "DryRun": "perhaps"}, 400, "InvalidParameterValue"),
        # Lists
        ({"Action": "DescribeInstances", "InstanceId.1": NO_INSTANCE}, 400, "InvalidInstanceID.NotFound"),
        ({"Action": "DescribeInstances", "InstanceId.1": "nonsense"}, 400, "InvalidInstanceID.Malformed"),
        ({"Action": "DescribeInstances", "MaxResults": "4"}, 400, "InvalidParameterValue"),
        ({"Action": "DescribeInstances", "MaxResults": "1001"}, 400, "InvalidParameterValue"),
        (
            {"Action": "DescribeInstances", "InstanceId.1": have["spot"], "MaxResults": "10"},
            400,
            "InvalidParameterCombination",
        ),
        (
            {"Action": "DescribeInstances", "Filter.1.Name": "colour", "Filter.1.Value.1": "red"},
            400,
            "InvalidParameterValue",
        ),
        ({"Action": "DescribeInstances", "NextToken": "made-up"}, 400, "InvalidNextToken"),
        ({"Action": "DescribeInstanceTypes", "InstanceType.1": "m99.huge"}, 400, "InvalidInstanceType"),
        ({"Action": "DescribeInstanceTypes", "MaxResults": "101"}, 400, "InvalidParameterValue"),
        ({"Action": "DescribeImages", "ImageId.1": "ami-0123456789abcdef0"}, 400, "InvalidAMIID.NotFound"),
        ({"Action": "DescribeVpcs", "VpcId.1": "vpc-0123456789abcdef0"}, 400, "InvalidVpcID.NotFound"),
        ({"Action": "DescribeSubnets", "SubnetId.1": "subnet-0123456789abcdef0"}, 400, "InvalidSubnetID.NotFound"),
        ({"Action": "DescribeSecurityGroups", "GroupId.1": "sg-0123456789abcdef0"}, 400, "InvalidGroup.NotFound"),
        ({"Action": "DescribeVolumes", "VolumeId.1": "vol-0123456789abcdef0"}, 400, "InvalidVolume.NotFound"),
        ({"Action": "DescribeKeyPairs", "KeyName.1": "no-such-key"}, 400, "InvalidKeyPair.NotFound"),
        (
            {"Action": "DescribeLaunchTemplates", "LaunchTemplateName.1": "no-such"},
            400,
            "InvalidLaunchTemplateName.NotFoundException",
        ),
        (
            {"Action": "DescribeLaunchTemplates", "LaunchTemplateId.1": "lt-0123456789abcdef0"},
            400,
            "InvalidLaunchTemplateId.NotFound",
        ),
        (
            {"Action": "DescribeSpotInstanceRequests", "SpotInstanceRequestId.1": "sir-abcd1234"},
            400,
            "InvalidSpotInstanceRequestID.NotFound",
        ),
        # Launching
        ({"Action": "RunInstances", "MinCount": "1", "MaxCount": "1"}, 400, "MissingParameter"),
        ({**run, "ImageId": "ami-0123456789abcdef0"}, 400, "InvalidAMIID.NotFound"),
        ({**run, "ImageId": "debian"}, 400, "InvalidAMIID.Malformed"),
        ({**run, "InstanceType": "m99.huge"}, 400, "InvalidParameterValue"),
        ({**run, "MinCount": "0"}, 400, "InvalidParameterValue"),
        ({**run, "SubnetId": "subnet-0123456789abcdef0"}, 400, "InvalidSubnetID.NotFound"),
        ({**run, "SecurityGroupId.1": "sg-0123456789abcdef0"}, 400, "InvalidGroup.NotFound"),
        ({**run, "KeyName": "no-such-key"}, 400, "InvalidKeyPair.NotFound"),
        ({**run, "UserData": "not base64!"}, 400, "InvalidUserData.Malformed"),
        # m8g is not sold in this zone: not a matter of capacity.
        ({**run, "InstanceType": "m8g.large", "SubnetId": have["far"]}, 400, "Unsupported"),
        ({**run, **spot, "InstanceMarketOptions.SpotOptions.MaxPrice": "0.0011"}, 400, "SpotMaxPriceTooLow"),
        (
            {
                **run,
                "TagSpecification.1.ResourceType": "spot-instances-request",
                "TagSpecification.1.Tag.1.Key": "a",
                "TagSpecification.1.Tag.1.Value": "b",
            },
            400,
            "InvalidParameterValue",
        ),
        ({"Action": "CreateFleet"}, 400, "MissingParameter"),
        ({**fleet, "Type": "sometimes"}, 400, "InvalidParameterValue"),
        ({**fleet, "SpotOptions.AllocationStrategy": "cheapest"}, 400, "InvalidParameterValue"),
        ({**fleet, "SpotOptions.MaxTotalPrice": "-1"}, 400, "InvalidParameterValue"),
        ({**fleet, "SpotOptions.MinTargetCapacity": "1"}, 400, "InvalidParameterCombination"),
        (
            {**fleet, "LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId": "lt-0123456789abcdef0"},
            400,
            "InvalidLaunchTemplateId.NotFound",
        ),
        # Changing
        ({"Action": "TerminateInstances"}, 400, "MissingParameter"),
        ({"Action": "TerminateInstances", "InstanceId.1": NO_INSTANCE}, 400, "InvalidInstanceID.NotFound"),
        ({"Action": "StopInstances", "InstanceId.1": have["spot"]}, 400, "UnsupportedOperation"),
        ({"Action": "CreateTags", "ResourceId.1": NO_INSTANCE, "Tag.1.Key": "a"}, 400, "InvalidInstanceID.NotFound"),
        ({"Action": "CreateTags", "ResourceId.1": have["spot"], "Tag.1.Key": "aws:mine"}, 400, "InvalidParameterValue"),
        (
            {
                "Action": "CreateTags",
                "ResourceId.1": have["spot"],
                **{f"Tag.{number}.Key": f"key{number}" for number in range(1, 52)},
            },
            400,
            "TagLimitExceeded",
        ),
        ({"Action": "CreateKeyPair", "KeyName": "taken"}, 400, "InvalidKeyPair.Duplicate"),
        (
            {"Action": "CreateSecurityGroup", "GroupName": "taken", "GroupDescription": "x", "VpcId": have["vpc"]},
            400,
            "InvalidGroup.Duplicate",
        ),
        (
            {"Action": "AuthorizeSecurityGroupIngress", **rule, office: "192.0.2.0/24"},
            400,
            "InvalidPermission.Duplicate",
        ),
        (
            {"Action": "RevokeSecurityGroupIngress", **rule, office: "198.51.100.0/24"},
            400,
            "InvalidPermission.NotFound",
        ),
        ({"Action": "DeleteSecurityGroup", "GroupId": have["default"]}, 400, "CannotDelete"),
        ({"Action": "DeleteSecurityGroup", "GroupId": have["group"]}, 400, "DependencyViolation"),
        (
            {
                "Action": "CreateLaunchTemplate",
                "LaunchTemplateName": "taken",
                "LaunchTemplateData.InstanceType": "m7g.large",
            },
            400,
            "InvalidLaunchTemplateName.AlreadyExistsException",
        ),
        (
            {"Action": "CreatePlacementGroup", "GroupName": "taken", "Strategy": "spread"},
            400,
            "InvalidPlacementGroup.Duplicate",
        ),
        ({"Action": "DeletePlacementGroup", "GroupName": "no-such"}, 400, "InvalidPlacementGroup.Unknown"),
        ({"Action": "CreateVolume", "AvailabilityZone": "us-east-1z", "Size": "8"}, 400, "InvalidZone.NotFound"),
        ({"Action": "DeleteVolume", "VolumeId": have["volume"]}, 400, "VolumeInUse"),
        (
            {"Action": "ReleaseAddress", "AllocationId": "eipalloc-0123456789abcdef0"},
            400,
            "InvalidAllocationID.NotFound",
        ),
        (
            {"Action": "CancelSpotInstanceRequests", "SpotInstanceRequestId.1": "sir-abcd1234"},
            400,
            "InvalidSpotInstanceRequestID.NotFound",
        ),
    ]


def compare(found, wanted, what, problems):
    """Collects what an answer does not have of a refusal."""
    status, body = found
    if status < 300:
        problems.append(f"{what}: {status}, it is to be refused with {wanted}")
        return
    problems.extend(f"{what}: {problem}" for problem in walker.refusal_problems(body))
    code = ElementTree.fromstring(body).findtext("Errors/Error/Code") if body else None
    if (status, code) != wanted:
        problems.append(f"{what}: ({status}, {code!r}) instead of {wanted}: {body.decode()}")


def ranges(problems):
    """Pages larger and smaller than the model has them."""
    model = sim.client("ec2").meta.service_model
    for action in sorted(set(os.environ["SIMCLOUD_VENDOR_ACTIONS"].split(",")) & set(model.operation_names)):
        members = model.operation_model(action).input_shape.members
        size = members["MaxResults"].metadata if "MaxResults" in members else {}
        for wrong in [size[bound] + step for bound, step in (("min", -1), ("max", 1)) if bound in size]:
            sim.advance(1)
            what = f"{action} of pages of {wrong}"
            compare(call({"Action": action, "MaxResults": wrong}), (400, "InvalidParameterValue"), what, problems)


def signatures(problems):
    """A scope that is none."""
    found = call({"Action": "DescribeRegions"}, region="mars-north-1")
    compare(found, (401, "AuthFailure"), "a region that does not exist", problems)


def trouble(have, problems):
    """What the cloud does not have, what the account may not have, what comes too fast, and what fails."""
    run = {
        "Action": "RunInstances",
        "ImageId": have["image"],
        "InstanceType": "c7g.large",
        "MinCount": "1",
        "MaxCount": "1",
        "SubnetId": have["subnet"],
    }
    sim.fault("capacity", zone="us-east-1a", instance_type="c7g.large", market="all", available=0)
    compare(call(run), (500, "InsufficientInstanceCapacity"), "an empty pool", problems)
    sim.lift_faults()
    sim.fault("quota", region="us-east-1", name="L-1216C47A", limit=1)
    compare(call(run), (400, "VcpuLimitExceeded"), "a full on-demand quota", problems)
    sim.fault("quota", region="us-east-1", name="L-34B43A08", limit=1)
    spot = {**run, "InstanceMarketOptions.MarketType": "spot"}
    compare(call(spot), (400, "MaxSpotInstanceCountExceeded"), "a full spot quota", problems)
    sim.lift_faults()
    look = {"Action": "DescribeRegions"}
    sim.fault("throttle", rps=1, burst=1)
    call(look)
    compare(call(look), (503, "RequestLimitExceeded"), "the second call of a second that has one", problems)
    sim.lift_faults()
    sim.fault("error", action="DescribeRegions", probability=1.0, status=503, code="Unavailable", when="before")
    compare(call(look), (503, "Unavailable"), "an outage", problems)
    sim.lift_faults()


def main():
    have, problems = world(), []
    for number, (parameters, status, code) in enumerate(table(have)):
        # Refusals fill the buckets too.
        sim.advance(2)
        # What a client may send as a form it may send in the address too.
        method = "POST" if number % 3 else "GET"
        compare(call(parameters, method), (status, code), f"{method} {parameters}", problems)
    ranges(problems)
    signatures(problems)
    sim.advance(60)
    trouble(have, problems)
    sim.expect(not problems, "\n".join(problems))
    sim.done("refused as EC2 refuses")


main()
