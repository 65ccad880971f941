"""Every filter that the vendor's documentation names is taken, but for those below, which are refused by name.
The names are read out of botocore's own documentation of each action."""

import fnmatch
import os
import re

from botocore import xform_name
from botocore.exceptions import ClientError

import sim

EC2 = sim.client("ec2")

# What the simulation does not have. A pattern that no refused filter fits any more is a failure: take it away.
ABSENT = {
    "DescribeImages": "image-watermark.* instance-type-specification.* public-ssm-parameter-name scan-result.*",
    "DescribeInstanceStatus": "application-status.* attached-ebs-status.* event.* operator.*",
    "DescribeInstances": """affinity block-device-mapping.attach-time boot-mode capacity-reservation-* current-instance-boot-mode
        ebs-optimized ena-support enclave-options.* hibernation-options.* host-id iam-instance-profile.id ipv6-address kernel-id
        maintenance-options.* metadata-options.* network-interface.* network-performance-options.* operator.* outpost-arn
        placement-partition-number platform platform-details private-dns-name-options.* product-code* ramdisk-id reason
        requester-id source-dest-check state-reason-message tpm-support usage-operation*""",
    "DescribeNetworkInterfaces": """addresses.association.owner-id addresses.primary association.allocation-id
        association.association-id association.public-dns-name attachment.attach-time attachment.attachment-id
        ipv6-addresses.* operator.* private-dns-name requester-id""",
    "DescribeSpotInstanceRequests": "launch.block-device-mapping.* launch.kernel-id launch.ramdisk-id network-interface.*",
    "DescribeVolumes": "fast-restored multi-attach-enabled operator.*",
}

# What some actions want beside filters; DescribeFleetInstances wants a fleet and has one filter.
BESIDE = {"DescribeLaunchTemplateVersions": {"Versions": ["$Latest"]}}
SKIPPED = {"DescribeFleetInstances"}

# Bullets in the documentation of a filter that are its values.
VALUES = {"informational", "low", "medium", "high", "critical"}


def documented(text):
    """The names of the filters in a documentation."""
    names = re.findall(r"<li>\s*<p>\s*<code>([a-z][a-z0-9.-]*)</code>", text)
    return ["tag:any" if name == "tag" else name for name in dict.fromkeys(names) if name not in VALUES]


def main():
    problems, taken = [], 0
    model = EC2.meta.service_model
    actions = set(os.environ["SIMCLOUD_VENDOR_ACTIONS"].split(",")) & set(model.operation_names) - SKIPPED
    for action in sorted(actions):
        inputs = model.operation_model(action).input_shape
        parameter = next((name for name in ("Filters", "Filter") if name in inputs.members), None)
        if parameter is None:
            continue
        names = documented(inputs.members[parameter].documentation)
        sim.expect(names, f"no filter of {action} is documented: has botocore's documentation another shape?")
        refused = set()
        for name in names:
            sim.advance(1)
            try:
                filters = {parameter: [{"Name": name, "Values": ["no-such-value"]}]}
                getattr(EC2, xform_name(action))(**filters, **BESIDE.get(action, {}))
                taken += 1
            except ClientError as error:
                sim.expect(error.response["Error"]["Code"] == "InvalidParameterValue", f"{name}: {error}")
                refused.add(name)
        absent = ABSENT.get(action, "").split()
        unknown = {name for name in refused if not any(fnmatch.fnmatch(name, pattern) for pattern in absent)}
        if unknown:
            problems.append(f"{action} refuses {' '.join(sorted(unknown))}")
        stale = [pattern for pattern in absent if not fnmatch.filter(refused, pattern)]
        if stale:
            problems.append(f"{action} takes {' '.join(stale)}: no gap any more")
    sim.expect(not problems, "\n".join(problems))
    sim.done(f"{taken} documented filters")


main()
