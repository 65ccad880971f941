"""Clients of google-cloud-compute, whose answers are walked. Apart from sim.py: the library takes seconds to load."""

from google.cloud import compute_v1 as gce
from google.oauth2.credentials import Credentials

import sim


def client(kind, token=sim.TOKEN):
    """A client of google-cloud-compute as its users make it, but for the address."""
    made = bare(kind, token)
    # The library makes the clients that look after operations itself, and leaves the address behind.
    services = getattr(made.transport, "_extended_operations_services", None)
    if services is not None:
        services["zone_operations"] = bare(gce.ZoneOperationsClient, token)
        services["region_operations"] = bare(gce.RegionOperationsClient, token)
        services["global_operations"] = bare(gce.GlobalOperationsClient, token)
    return made


def bare(kind, token):
    """A client that looks after no operations."""
    made = kind(credentials=Credentials(token), client_options={"api_endpoint": sim.GCP})
    session = made.transport._session
    session.hooks["response"].append(sim.WALK.response)
    session.trust_env = False
    return made
