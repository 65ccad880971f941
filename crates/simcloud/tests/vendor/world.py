"""The simulated cloud as every check sees it, whatever its face: the admin face, the clock, faults, and what is
left in it."""

import json
import os
import time
import urllib.error
import urllib.request

# Where the admin face listens, and which cloud is checked; the test that starts the check says it.
ADMIN = os.environ["SIMCLOUD_VENDOR_ADMIN"]
CLOUD = os.environ["SIMCLOUD_VENDOR_CLOUD"]


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
    """Makes something go wrong in the cloud."""
    return admin("POST", "/v1/faults", {"kind": kind, "cloud": CLOUD, **fields})


def lift_faults():
    """Ends all that goes wrong in the cloud."""
    admin("DELETE", f"/v1/faults?cloud={CLOUD}")


def imds(instance, path, method="GET", headers=None):
    """A call of an instance's metadata service: the status and the text."""
    request = urllib.request.Request(f"{ADMIN}/imds/{CLOUD}/{instance}{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def left():
    """What still costs money or is still in the way."""
    ledger = admin("GET", f"/v1/ledger?cloud={CLOUD}")
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
