"""The metadata server as google-auth and a program in a machine use it: attributes, tokens, and the long poll by which
a Spot VM hears of its preemption."""

import os
import threading

import sim

NAME, ZONE = "here", "us-central1-a"
WHERE = f"{sim.ADMIN.removeprefix('http://')}/imds/gcp/zones/{ZONE}/instances/{NAME}"
# google-auth reads these when it is loaded.
os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = WHERE

from google.auth import compute_engine  # noqa: E402
from google.auth.compute_engine import _metadata  # noqa: E402
from google.auth.transport.requests import Request  # noqa: E402
from google.cloud import compute_v1 as gce  # noqa: E402

FLAVOR = {"Metadata-Flavor": "Google"}
REQUEST = Request()


def get(path, headers=FLAVOR, **params):
    """What the metadata server answers."""
    url = f"http://{WHERE}/computeMetadata/v1/{path}"
    return sim.requests.get(url, headers=headers, params=params, timeout=60)


def begin():
    """A Spot VM that wants to hear of its preemption two minutes before."""
    scheduling = sim.spot(preemptionNoticeDuration={"seconds": "120"})
    account = {"email": "default", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    items = [{"key": "startup-script", "value": "#!/bin/sh\ntrue\n"}, {"key": "fleet", "value": "here"}]
    more = {"scheduling": scheduling, "serviceAccounts": [account], "metadata": {"items": items}, "labels": {"a": "b"}}
    body = sim.machine(NAME, **more)
    sim.good(sim.raw("POST", f"zones/{ZONE}/instances", body).json())
    sim.advance(30)
    return sim.raw("GET", f"zones/{ZONE}/instances/{NAME}").json()


def manners():
    """Who does not say that he knows what he asks is told nothing."""
    sim.expect(get("instance/id", headers={}).status_code == 403, "no Metadata-Flavor, and an answer")
    forwarded = {**FLAVOR, "X-Forwarded-For": "192.0.2.1"}
    sim.expect(get("instance/id", headers=forwarded).status_code == 403, "a proxy was answered")
    sim.expect(get("instance/nothing").status_code == 404, "there is something where nothing is")
    sim.expect(get("instance/attributes/nothing").status_code == 404, "an attribute that was not given")
    answer = get("instance/id")
    sim.expect(answer.headers["Metadata-Flavor"] == "Google", f"{answer.headers}")
    sim.expect(answer.headers["Content-Type"].startswith("application/text"), f"{answer.headers}")
    sim.expect(answer.headers.get("ETag"), f"{answer.headers}")


def facts(machine):
    """What the machine can know about itself, as google-auth asks for it."""
    sim.expect(_metadata.ping(REQUEST), "google-auth does not find the metadata server")
    sim.expect(_metadata.get_project_id(REQUEST) == sim.PROJECT, "another project")
    sim.expect(str(_metadata.get(REQUEST, "instance/id")) == machine["id"], "another number")
    sim.expect(get("instance/name").text == NAME, "another name")
    sim.expect(get("instance/zone").text.endswith(f"/zones/{ZONE}"), get("instance/zone").text)
    sim.expect(get("instance/machine-type").text.endswith("/machineTypes/e2-standard-2"), "another type")
    sim.expect(get("instance/attributes/fleet").text == "here", "another attribute")
    sim.expect("startup-script" in get("instance/attributes/").text.split(), "an attribute is missing")
    everything = get("instance/", recursive="true").json()
    sim.expect(everything["attributes"]["fleet"] == "here" and everything["preempted"] == "FALSE", f"{everything}")
    address = machine["networkInterfaces"][0]["networkIP"]
    sim.expect(everything["networkInterfaces"][0]["ip"] == address, f"{everything['networkInterfaces']}")
    sim.expect(everything["scheduling"]["preemptible"] == "TRUE", f"{everything['scheduling']}")
    sim.expect(get("instance/maintenance-event").text == "NONE", "maintenance out of nothing")


def tokens():
    """The token of the machine's account opens the face."""
    account = _metadata.get_service_account_info(REQUEST)
    sim.expect("@" in account["email"] and account["scopes"], f"{account}")
    token, expires = _metadata.get_service_account_token(REQUEST)
    sim.expect(token and expires is not None, f"{token} until {expires}")
    credentials = compute_engine.Credentials()
    credentials.refresh(REQUEST)
    sim.expect(credentials.valid and credentials.service_account_email == account["email"], f"{credentials}")
    zones = gce.ZonesClient(credentials=credentials, client_options={"api_endpoint": sim.GCP})
    sim.expect(any(zone.name == ZONE for zone in zones.list(project=sim.PROJECT)), "the token opens nothing")


def poll(found, **params):
    """A long poll, beside everything else."""

    def ask():
        found.append(get("instance/preempted", wait_for_change="true", **params))

    asking = threading.Thread(target=ask)
    asking.start()
    return asking


def preemption():
    """The flag flips while the machine runs on, and who waits for it hears of it at once."""
    first = get("instance/preempted")
    sim.expect(first.text == "FALSE", f"it is preempted before it is: {first.text}")
    known = first.headers["ETag"]
    quick = get("instance/preempted", wait_for_change="true", last_etag="another", timeout_sec="120")
    sim.expect(quick.text == "FALSE", "a change that was missed is not told at once")
    found = []
    asking = poll(found, timeout_sec="5", last_etag=known)
    sim.until("a poll gives up by the world's clock", 20, lambda: found or sim.advance(1))
    asking.join()
    sim.expect(found[0].status_code == 200 and found[0].text == "FALSE", f"{found[0].text}")
    found = []
    asking = poll(found, last_etag=known, timeout_sec="3600")
    sim.expect(not found, "the poll did not wait")
    sim.fault("preempt", instance_id=f"zones/{ZONE}/instances/{NAME}")
    sim.advance(1)
    asking.join(timeout=20)
    sim.expect(found and found[0].text == "TRUE", f"the poll heard {[one.text for one in found]}")
    sim.expect(found[0].headers["ETag"] != known, "what changed has the same ETag")
    status = sim.raw("GET", f"zones/{ZONE}/instances/{NAME}").json()["status"]
    sim.expect(status == "RUNNING", f"it is {status} while it was told two minutes before")
    sim.advance(100)
    sim.expect(get("instance/preempted").status_code == 200, "it ended before its two minutes were over")
    sim.advance(120)
    sim.expect(get("instance/preempted").status_code == 404, "a machine that is gone asks about itself")
    gone = sim.raw("GET", f"zones/{ZONE}/instances/{NAME}").status_code
    sim.expect(gone == 404, f"{gone} for a machine that is gone")


def main():
    machine = begin()
    manners()
    facts(machine)
    tokens()
    preemption()
    sim.nothing_is_left()
    sim.done("a machine heard of its end")


main()
