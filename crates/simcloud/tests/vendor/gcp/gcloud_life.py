"""The life of a few machines as a shell script on gcloud leads it: real `gcloud` processes that are told where the
cloud is by `CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE`."""

import json
import os
import subprocess
import tempfile

import sim

ZONE = "us-central1-a"
IMAGE = ("--image-family=debian-12", "--image-project=debian-cloud")


def surroundings(folder):
    """What gcloud finds in its environment: nothing of this machine's account, and nobody to ask or to tell."""
    return {
        **os.environ,
        "CLOUDSDK_CONFIG": folder,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE": f"{sim.GCP}/compute/v1/",
        "CLOUDSDK_AUTH_ACCESS_TOKEN": sim.TOKEN,
        "CLOUDSDK_CORE_PROJECT": sim.PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_SURVEY_DISABLE_PROMPTS": "true",
        # The tool brings a Python of its own.
        "PYTHONPATH": "",
    }


class Gcloud:
    """The tool with a configuration of its own."""

    def __init__(self, folder):
        self.env = surroundings(folder)

    def __call__(self, *words, fails=None):
        """Runs `gcloud compute WORDS` and answers what it says, read; `fails` is a part of what it must say."""
        command = ["gcloud", "compute", *words, "--format=json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=self.env)
        said = f"{' '.join(command)}: exit code {done.returncode}: {done.stderr}"
        if fails is None:
            sim.expect(done.returncode == 0, said)
            return json.loads(done.stdout) if done.stdout.strip() else None
        sim.expect(done.returncode == 1 and fails in done.stderr, f"it is to fail with {fails!r}: {said}")
        return None


def names(machines):
    """Names, in order."""
    return sorted(machine["name"] for machine in machines)


def main():
    with tempfile.TemporaryDirectory() as folder:
        life(Gcloud(folder))
    sim.done("a life by gcloud")


def life(gcloud):
    types = gcloud("machine-types", "list", f"--zones={ZONE}", "--filter=guestCpus=2")
    sim.expect("e2-standard-2" in names(types), f"the types are {names(types)}")
    region = gcloud("regions", "describe", "us-central1")
    sim.expect({quota["metric"] for quota in region["quotas"]} >= {"CPUS", "PREEMPTIBLE_CPUS"}, f"{region}")

    common = (f"--zone={ZONE}", "--machine-type=e2-standard-2", *IMAGE)
    made = gcloud("instances", "create", "one", "two", *common, "--labels=fleet=cli", "--metadata=a=b", "--tags=web")
    sim.expect(names(made) == ["one", "two"], f"{made}")
    sim.expect({machine["status"] for machine in made} == {"RUNNING"}, f"{made}")
    elsewhere = ",".join(f"{zone}=deny" for zone in ("us-central1-b", "us-central1-c", "us-central1-f"))
    gcloud(
        "instances", "bulk", "create", "--name-pattern=spot-##", "--count=5", "--min-count=1", "--region=us-central1",
        "--machine-type=e2-standard-2", *IMAGE, "--provisioning-model=SPOT", "--instance-termination-action=DELETE",
        "--labels=fleet=cli", f"--location-policy={elsewhere}",
    )  # fmt: skip
    spot = [f"spot-{number:02}" for number in range(1, 6)]
    listed = gcloud("instances", "list", "--filter=labels.fleet=cli")
    sim.expect(names(listed) == ["one", *spot, "two"], f"{names(listed)} are listed")
    told = gcloud("instances", "describe", "one", f"--zone={ZONE}")
    sim.expect(told["labels"] == {"fleet": "cli"} and told["tags"]["items"] == ["web"], f"{told}")
    sim.expect({"key": "a", "value": "b"} in told["metadata"]["items"], f"{told['metadata']}")

    gcloud("instances", "add-labels", "one", f"--zone={ZONE}", "--labels=role=head")
    gcloud("instances", "stop", "one", f"--zone={ZONE}")
    (head,) = gcloud("instances", "list", "--filter=labels.role:*")
    sim.expect((head["name"], head["status"]) == ("one", "TERMINATED"), f"{head}")
    gcloud("instances", "start", "one", f"--zone={ZONE}")
    operations = gcloud("operations", "list", "--filter=operationType=bulkInsert")
    sim.expect([one["status"] for one in operations] == ["DONE"], f"{operations}")

    gcloud("instances", "create", "one", *common, fails="already exists")
    sim.fault("capacity", zone=ZONE, instance_type="n2-standard-2", market="all", available=0)
    refused = (f"--zone={ZONE}", "--machine-type=n2-standard-2", *IMAGE)
    gcloud("instances", "create", "late", *refused, fails="does not have enough resources available")
    sim.lift_faults()
    gcloud("instances", "delete", *names(listed), f"--zone={ZONE}")
    gcloud("instances", "describe", "one", f"--zone={ZONE}", fails="was not found")
    sim.until("nothing is left", 10, lambda: not sim.left())


main()
