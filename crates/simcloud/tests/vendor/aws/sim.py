"""The simulated EC2 as a check sees it: where it listens, and boto3 clients of it whose answers are walked."""

import os
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import walker
from world import (  # noqa: F401 (what the checks take from here)
    admin,
    advance,
    expect,
    fault,
    imds,
    left,
    lift_faults,
    nothing_is_left,
    now,
    until,
)

# Where the face listens; the test that starts the check says it.
AWS = os.environ["SIMCLOUD_VENDOR_AWS"]

# The credentials that it lets in; boto3 and the CLI read the same variables.
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]

# Walks every answer that a client made here gets.
WALK = walker.Walker()


def client(service, region="us-east-1"):
    """A boto3 client as its users make it, but for the address: and one that never tries again, so
    that a check sees each refusal."""
    config = Config(retries={"mode": "standard", "total_max_attempts": 1}, user_agent_extra="skyfleet-vendor-check")
    made = boto3.client(service, region_name=region, endpoint_url=AWS, config=config)
    WALK.watch(made)
    return made


def refused(code, call, **parameters):
    """Fails unless a call is refused with EC2's code; answers the error as boto3 read it."""
    try:
        answer = call(**parameters)
    except ClientError as error:
        found = error.response["Error"]["Code"]
        expect(found == code, f"{error.operation_name} is to be refused with {code}: {error}")
        expect(error.response["Error"]["Message"], f"{error.operation_name}: {code} without a message")
        return error.response
    raise AssertionError(f"{call.__name__}({parameters}) is to be refused with {code}, it answered {answer}")


def done(said):
    """Ends a check: what the walk of its answers found is its failure too."""
    sys.exit(WALK.verdict()) if WALK.problems else print(said)
