"""The life of a few machines as a shell script on the AWS CLI leads it: real `aws` processes, nothing but
`AWS_ENDPOINT_URL` set."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import sim


def aws(*words, fails=None):
    """Runs `aws WORDS` and answers what it says; `fails` is the error code that it must end with."""
    done = subprocess.run(
        [sys.executable, "-m", "awscli", *words], capture_output=True, text=True, timeout=120, check=False
    )
    if fails is None:
        sim.expect(done.returncode == 0, f"aws {' '.join(words)}: exit code {done.returncode}: {done.stderr}")
        return done.stdout.strip()
    sim.expect(done.returncode in (254, 255), f"aws {' '.join(words)}: exit code {done.returncode}, not 254 or 255")
    sim.expect(f"({fails})" in done.stderr, f"aws {' '.join(words)} is to fail with {fails}: {done.stderr}")
    return done.stderr


def table(text):
    """The lines and words of `--output text`."""
    return [line.split("\t") for line in text.splitlines()]


def main():
    ec2 = "ec2"
    account = json.loads(aws("sts", "get-caller-identity"))["Account"]
    sim.expect(account == "123456789012", f"the account is {account}")
    zones = aws(
        ec2, "describe-availability-zones", "--query", "AvailabilityZones[].ZoneName", "--output", "text"
    ).split()
    sim.expect("us-east-1a" in zones, f"the zones are {zones}")
    parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    image = aws("ssm", "get-parameter", "--name", parameter, "--query", "Parameter.Value", "--output", "text")
    vpc = aws(
        ec2, "describe-vpcs", "--filters", "Name=is-default,Values=true", "--query", "Vpcs[0].VpcId", "--output", "text"
    )
    group = aws(
        ec2, "create-security-group", "--group-name", "cli", "--description", "a script", "--vpc-id", vpc,
        "--query", "GroupId", "--output", "text",
    )  # fmt: skip
    ran = json.loads(
        aws(
            ec2,
            "run-instances",
            "--image-id",
            image,
            "--instance-type",
            "t4g.medium",
            "--count",
            "2",
            "--security-group-ids",
            group,
            "--user-data",
            "#!/bin/sh\ntrue\n",
            "--tag-specifications",
            "ResourceType=instance,Tags=[{Key=fleet,Value=cli}]",
        )  # fmt: skip
    )
    ids = [machine["InstanceId"] for machine in ran["Instances"]]
    aws(ec2, "wait", "instance-running", "--instance-ids", *ids)
    rows = aws(
        ec2, "describe-instances", "--filters", "Name=tag:fleet,Values=cli", "--output", "text",
        "--query", "Reservations[].Instances[].[InstanceId,State.Name,InstanceType,Placement.AvailabilityZone]",
    )  # fmt: skip
    rows = table(rows)
    sim.expect(sorted(row[0] for row in rows) == sorted(ids), f"{rows}")
    sim.expect(all(row[1:3] == ["running", "t4g.medium"] and row[3] in zones for row in rows), f"{rows}")

    data = json.dumps({"ImageId": image, "SecurityGroupIds": [group]})
    aws(ec2, "create-launch-template", "--launch-template-name", "cli", "--launch-template-data", data)
    order = {
        "Type": "instant",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": "cli", "Version": "$Latest"},
                "Overrides": [{"InstanceType": kind} for kind in ("m7g.large", "m6g.large")],
            }
        ],
        "SpotOptions": {"AllocationStrategy": "price-capacity-optimized"},
        "TargetCapacitySpecification": {"TotalTargetCapacity": 10, "DefaultTargetCapacityType": "spot"},
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "fleet.json")
        file.write_text(json.dumps(order))
        bought = json.loads(aws(ec2, "create-fleet", "--cli-input-json", f"file://{file}"))
    spot = [instance for part in bought["Instances"] for instance in part["InstanceIds"]]
    sim.expect(len(spot) == 10, f"{bought}")
    requests = aws(
        ec2, "describe-spot-instance-requests", "--query", "SpotInstanceRequests[].[InstanceId,Status.Code]", "--output", "text",
    )  # fmt: skip
    sim.expect(sorted(row[0] for row in table(requests)) == sorted(spot), f"{requests}")

    aws(ec2, "describe-instances", "--instance-ids", "i-0123456789abcdef0", fails="InvalidInstanceID.NotFound")
    aws(ec2, "terminate-instances", "--dry-run", "--instance-ids", ids[0], fails="DryRunOperation")
    ending = json.loads(aws(ec2, "terminate-instances", "--instance-ids", *ids, *spot))["TerminatingInstances"]
    sim.expect(len(ending) == 12, f"{ending}")
    sim.until("nothing costs anything", 10, lambda: not sim.admin("GET", "/v1/ledger?cloud=aws")["live"])
    aws(ec2, "wait", "instance-terminated", "--instance-ids", *ids)
    aws(ec2, "delete-launch-template", "--launch-template-name", "cli")
    aws(ec2, "delete-security-group", "--group-id", group)
    sim.nothing_is_left()
    sim.done("a life by the AWS CLI")


main()
