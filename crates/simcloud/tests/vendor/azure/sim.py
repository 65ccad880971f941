"""The simulated Azure as a check sees it: where it listens, and Azure's own clients of it, whose answers are walked."""

import os
import sys

import requests
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import BearerTokenCredentialPolicy
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import ClientSecretCredential
from world import (  # noqa: F401 (what the checks take from here)
    ADMIN,
    CLOUD,
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

import walker

# Where the face listens, and who is let in; the test that starts the check says it.
AZURE = os.environ["SIMCLOUD_VENDOR_AZURE"]
TENANT = os.environ["SIMCLOUD_VENDOR_TENANT"]
SUBSCRIPTION = os.environ["SIMCLOUD_VENDOR_SUBSCRIPTION"]
CLIENT = os.environ["SIMCLOUD_VENDOR_CLIENT"]
SECRET = os.environ["SIMCLOUD_VENDOR_SECRET"]
METHODS = set(os.environ["SIMCLOUD_VENDOR_METHODS"].split(","))

SCOPE = "https://management.azure.com/.default"
# Azure's identity library takes no authority but by https: its transport goes to the simulated one instead, and says
# that it was this one.
AUTHORITY = "https://login.simulated"

# Walks every answer that a client made here gets.
WALK = walker.Walker()


class Transport(RequestsTransport):
    """What clients send by. Where they would sleep, the world's clock moves."""

    def __init__(self):
        super().__init__(use_env_settings=False)

    def send(self, request, **more):
        if request.url.startswith(AUTHORITY):
            request.url = AZURE + request.url[len(AUTHORITY) :]
        response = super().send(request, **more)
        own = getattr(response, "internal_response", None)
        if own is None:
            own = response._internal_response
        WALK.answer(request.method, request.url, own.status_code, own.headers, own.content)
        if request.url.endswith("/.well-known/openid-configuration"):
            # Both kinds of answers that the library has read their bodies from there.
            own._content = response._content = own.content.replace(AZURE.encode(), AUTHORITY.encode())
        return response

    def sleep(self, duration):
        advance(duration)


class Policy(BearerTokenCredentialPolicy):
    """Azure's own policy, which sends no token but by https, and here to this computer."""

    def on_request(self, request):
        request.context.options["enforce_https"] = False
        super().on_request(request)


def credential(secret=SECRET):
    """A secret's credential of Azure's identity library."""
    return ClientSecretCredential(
        TENANT,
        CLIENT,
        secret,
        authority=AUTHORITY,
        disable_instance_discovery=True,
        transport=Transport(),
        retry_total=0,
    )


CREDENTIAL = credential()


def client(kind, *arguments, **more):
    """A client of Azure as its users make it, but for the address."""
    options = {
        "base_url": AZURE,
        "authentication_policy": Policy(CREDENTIAL, SCOPE),
        "transport": Transport(),
        "credential_scopes": [SCOPE],
    }
    return kind(CREDENTIAL, *arguments, **{**options, **more})


SESSION = requests.Session()
# Looking for a proxy in the environment takes longer than the call.
SESSION.trust_env = False


def raw(verb, path, body=None, version="2024-07-01", token=None, headers=None, **params):
    """One request as the wire has it, with no client's checks: `path` is behind the subscription, or begins with
    `//` for what is behind the address."""
    url = AZURE + path[1:] if path.startswith("//") else f"{AZURE}/subscriptions/{SUBSCRIPTION}{path}"
    if version:
        params["api-version"] = version
    if token is None:
        token = CREDENTIAL.get_token(SCOPE).token
    headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
    answer = SESSION.request(verb, url, params=params, json=body, headers=headers, timeout=30)
    WALK.answer(verb, url, answer.status_code, answer.headers, answer.content)
    return answer


def refused(status, code, call, *args, **parameters):
    """Fails unless a call is refused with this status and code; answers the error's message."""
    try:
        answer = call(*args, **parameters)
    except HttpResponseError as error:
        found, message = (error.status_code, error.error.code if error.error else None), error.message
    else:
        raise AssertionError(f"it is to be refused with {status} {code}, it answered {answer}")
    expect(found == (status, code), f"it is to be refused with {status} {code}: {found} {message}")
    expect(message, f"{status} {code} without a message")
    return message


def called():
    """The methods that answered at all in this world."""
    return {method for method, counted in admin("GET", "/v1/calls")[CLOUD].items() if counted}


def done(said):
    """Ends a check: what the walk of its answers found is its failure too."""
    sys.exit(WALK.verdict()) if WALK.problems else print(said)
