"""The simulated Compute Engine as a check sees it: where it listens, and Google's own clients of it, whose answers
are walked."""

import json
import os
import sys

import requests
from google.api_core.exceptions import GoogleAPICallError
from google.oauth2.credentials import Credentials
from googleapiclient import discovery
from googleapiclient.errors import HttpError
from googleapiclient.http import HttpRequest

import walker
from world import (  # noqa: F401 (what the checks take from here)
    ADMIN,
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

# Where the face listens, who is let in, and to which project; the test that starts the check says it.
GCP = os.environ["SIMCLOUD_VENDOR_GCP"]
TOKEN = os.environ["SIMCLOUD_VENDOR_TOKEN"]
PROJECT = os.environ["SIMCLOUD_VENDOR_PROJECT"]
METHODS = set(os.environ["SIMCLOUD_VENDOR_METHODS"].split(","))

# Walks every answer that a client made here gets.
WALK = walker.Walker(*os.environ.get("SIMCLOUD_VENDOR_WALKED", "compute/v1").split(","))

IMAGE = "projects/debian-cloud/global/images/family/debian-12"


def service(name="compute", version="v1"):
    """A client of google-api-python-client, built from its discovery document, as its users make it but for the
    address."""

    def request(http, postproc, uri, **more):
        verb = more.get("method", "GET")

        def walked(response, content):
            WALK.answer(verb, uri, response.status, response, content)
            return postproc(response, content)

        return HttpRequest(http, walked, uri, **more)

    path = "/compute/v1/" if name == "compute" else "/"
    return discovery.build(
        name,
        version,
        credentials=Credentials(TOKEN),
        client_options={"api_endpoint": GCP + path},
        static_discovery=True,
        cache_discovery=False,
        requestBuilder=request,
    )


SESSION = requests.Session()
# Looking for a proxy in the environment takes longer than the call.
SESSION.trust_env = False
SESSION.hooks["response"].append(WALK.response)


def raw(verb, path, body=None, token=TOKEN, **params):
    """One request as the wire has it, with no client's checks: `path` is behind the project, or begins with `/`."""
    url = GCP + path if path.startswith("/") else f"{GCP}/compute/v1/projects/{PROJECT}/{path}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if isinstance(body, str):
        headers["Content-Type"] = "application/json"
        return SESSION.request(verb, url, params=params, data=body, headers=headers, timeout=30)
    return SESSION.request(verb, url, params=params, json=body, headers=headers, timeout=30)


def operation_path(operation):
    """The path of an operation in its project."""
    return operation["selfLink"].partition(f"/projects/{PROJECT}/")[2]


def settled(operation, seconds=900):
    """An operation once it is done: moves the clock, which must be a manual one, until it is."""
    for _ in range(seconds // 2):
        found = raw("GET", operation_path(operation)).json()
        if found["status"] == "DONE":
            return found
        advance(2)
    raise AssertionError(f"not done after {seconds} s: {found}")


def good(operation, seconds=900):
    """An operation that is done and went well."""
    found = settled(operation, seconds)
    expect("error" not in found, f"it failed: {json.dumps(found, indent=1)}")
    return found


def failed(operation, code, seconds=900):
    """An operation that is done and failed, first of all with a code or a longer form of it."""
    found = settled(operation, seconds)
    codes = [error["code"] for error in found.get("error", {}).get("errors", [])]
    expect(codes and codes[0].startswith(code), f"it is to fail with {code}: {json.dumps(found, indent=1)}")
    expect(found["httpErrorStatusCode"] >= 400 and found["httpErrorMessage"], f"{found}")
    return found


def refused(status, reason, call, *args, **parameters):
    """Fails unless a call is refused with this status and reason, however its client reads them; answers the
    error's message."""
    try:
        answer = call(*args, **parameters)
    except HttpError as error:
        envelope = json.loads(error.content)["error"]
        found, message = (error.status_code, envelope["errors"][0]["reason"]), error.reason
        for problem in walker.refusal_problems(error.status_code, error.resp, error.content):
            WALK.problems.append(f"{error.uri}: {problem}")
    except GoogleAPICallError as error:
        found, message = (int(error.code), error.errors[0]["reason"]), error.message
    else:
        raise AssertionError(f"it is to be refused with {status} {reason}, it answered {answer}")
    expect(found == (status, reason), f"it is to be refused with {status} {reason}: {found} {message}")
    expect(message, f"{status} {reason} without a message")
    return message


def minute():
    """Moves the clock to the start of the next minute: rate quotas are full then."""
    second = int(now()[17:19])
    advance(60 - second)


def machine(name, zone="us-central1-a", **more):
    """A machine for a single insert, which wants the type by its zone."""
    return properties(**{"name": name, "machineType": f"zones/{zone}/machineTypes/e2-standard-2", **more})


def properties(**more):
    """What many machines are made from, and templates."""
    return {
        "machineType": "e2-standard-2",
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": IMAGE, "diskSizeGb": "10"}}],
        "networkInterfaces": [{"network": "global/networks/default"}],
        **more,
    }


def spot(**more):
    """The scheduling of a Spot VM that goes when it is preempted."""
    return {
        "provisioningModel": "SPOT",
        "instanceTerminationAction": "DELETE",
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        **more,
    }


def done(said):
    """Ends a check: what the walk of its answers found is its failure too."""
    sys.exit(WALK.verdict()) if WALK.problems else print(said)
