"""The simulated cloud as a check sees it: where it listens, its admin face, and what is left in it."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

import walker

# Where the faces listen; the test that starts the check says it.
AWS = os.environ["SIMCLOUD_VENDOR_AWS"]
ADMIN = os.environ["SIMCLOUD_VENDOR_ADMIN"]

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


def admin(method, path, body=None):
    """A call of the admin face."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(ADMIN + path, data=data, method=method)
    request.add_header("content-type", "application/json")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            text = answer.read()
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
    return json.loads(text) if text else None


def advance(seconds):
    """Moves the world's clock, which must be a manual one."""
    admin("POST", "/v1/clock", {"advance_s": seconds})


def now():
    """The world's time."""
    return admin("GET", "/v1/clock")["now"]


def fault(kind, **fields):
    """Makes something go wrong on EC2."""
    return admin("POST", "/v1/faults", {"kind": kind, "cloud": "aws", **fields})


def lift_faults():
    """Ends all that goes wrong on EC2."""
    admin("DELETE", "/v1/faults?cloud=aws")


def imds(instance, path, method="GET", headers=None):
    """A call of an instance's metadata service: the status and the text."""
    request = urllib.request.Request(f"{ADMIN}/imds/aws/{instance}{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def left():
    """What still costs money or is still in the way."""
    ledger = admin("GET", "/v1/ledger?cloud=aws")
    return ledger["live"] + ledger["blocking"]


def nothing_is_left():
    """Fails unless the ledger is empty."""
    rest = left()
    expect(not rest, f"the ledger still has: {json.dumps(rest, indent=1)}")


def until(what, seconds, holds):
    """Waits, in real time, until something holds and answers it."""
    for _ in range(int(seconds * 20)):
        held = holds()
        if held:
            return held
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain until {what}")


def expect(holds, otherwise):
    """Fails with a sentence unless something holds."""
    if not holds:
        raise AssertionError(otherwise)


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
