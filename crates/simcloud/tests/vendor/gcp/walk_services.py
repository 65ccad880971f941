"""The services beside Compute Engine, walked by their own discovery documents: prices, permissions, what is
enabled."""

import os

# What the walk knows; read where the clients are made.
os.environ["SIMCLOUD_VENDOR_WALKED"] = "cloudbilling/v1,cloudresourcemanager/v3,cloudresourcemanager/v1,serviceusage/v1"

import sim  # noqa: E402
import walker  # noqa: E402

# Compute Engine in the billing catalogue. Cloud Billing documentation, "Get Google Cloud pricing information".
SERVICE = "services/6F81-5844-456A"

# What the server calls the services' methods, and their names in the documents.
SERVED = {
    "services.list": "cloudbilling.v1.services.list",
    "skus.list": "cloudbilling.v1.services.skus.list",
    "cloudresourcemanager.projects.get": "cloudresourcemanager.v3.projects.get",
    "cloudresourcemanager.projects.testIamPermissions": "cloudresourcemanager.v3.projects.testIamPermissions",
    "cloudresourcemanager.v1.projects.get": "cloudresourcemanager.v1.projects.get",
    "cloudresourcemanager.v1.projects.testIamPermissions": "cloudresourcemanager.v1.projects.testIamPermissions",
    "serviceusage.services.get": "serviceusage.v1.services.get",
}


def prices():
    """The SKUs of Compute Engine, in pages; a machine's price is the sum of some."""
    services = sim.service("cloudbilling").services()
    listed = {service["name"]: service["displayName"] for service in services.list().execute()["services"]}
    sim.expect(listed[SERVICE] == "Compute Engine", f"{listed}")
    skus = services.skus()
    found, request = [], skus.list(parent=SERVICE, pageSize=100)
    pages = 0
    while request is not None:
        answer = request.execute()
        sim.expect(len(answer["skus"]) <= 100, f"a page of 100 has {len(answer['skus'])}")
        found, pages = found + answer["skus"], pages + 1
        request = skus.list_next(request, answer) if answer.get("nextPageToken") else None
    sim.expect(pages > 1 and len({sku["skuId"] for sku in found}) == len(found), f"{len(found)} SKUs in {pages} pages")
    for usage in ("OnDemand", "Preemptible"):
        for part in ("N2 Instance Core", "N2 Instance Ram"):
            fitting = [
                sku
                for sku in found
                if part in sku["description"]
                and sku["category"]["usageType"] == usage
                and "us-central1" in sku["serviceRegions"]
            ]
            sim.expect(len(fitting) == 1, f"{usage} {part} in us-central1 is {fitting}")
            (rate,) = fitting[0]["pricingInfo"][0]["pricingExpression"]["tieredRates"]
            price = int(rate["unitPrice"].get("units", 0)) + rate["unitPrice"]["nanos"] / 1e9
            sim.expect(0 < price < 1 and rate["unitPrice"]["currencyCode"] == "USD", f"{rate}")


def permissions():
    """What the caller may do, of what is asked about."""
    asked = ["compute.instances.create", "compute.instances.delete"]
    body = {"permissions": asked}
    projects = sim.service("cloudresourcemanager", "v3").projects()
    told = projects.get(name=f"projects/{sim.PROJECT}").execute()
    sim.expect((told["projectId"], told["state"]) == (sim.PROJECT, "ACTIVE"), f"{told}")
    answer = projects.testIamPermissions(resource=f"projects/{sim.PROJECT}", body=body).execute()
    sim.expect(answer["permissions"] == asked, f"{answer}")
    projects = sim.service("cloudresourcemanager", "v1").projects()
    told = projects.get(projectId=sim.PROJECT).execute()
    sim.expect((told["projectId"], told["lifecycleState"]) == (sim.PROJECT, "ACTIVE"), f"{told}")
    answer = projects.testIamPermissions(resource=sim.PROJECT, body=body).execute()
    sim.expect(answer["permissions"] == asked, f"{answer}")


def enabled():
    """Whether Compute Engine is enabled in the project."""
    usage = sim.service("serviceusage").services()
    answer = usage.get(name=f"projects/{sim.PROJECT}/services/compute.googleapis.com").execute()
    sim.expect(answer["state"] == "ENABLED", f"{answer}")


prices()
permissions()
enabled()
of_compute = set(walker.methods(walker.document("compute", "v1")))
unknown = sorted(sim.METHODS - of_compute - set(SERVED))
sim.expect(not unknown, f"no sample call in walk_services.py: {', '.join(unknown)}")
forgotten = [method for method, known in SERVED.items() if method in sim.METHODS and known not in sim.WALK.answered]
sim.expect(not forgotten, f"no sample call in walk_services.py answers: {', '.join(forgotten)}")
sim.done(f"walked {', '.join(sorted(sim.WALK.answered))}")
