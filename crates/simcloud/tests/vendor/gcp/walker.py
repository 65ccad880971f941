"""Walks answers by Google's own discovery documents, as google-api-python-client carries them.

Google's clients pass over what they do not know and do not miss what is not there. This one does neither:
every member of an answer must be in the schema, of its type, and among the values that the schema lists; and
what clients rely on must be there.
"""

import base64
import binascii
import json
import re
from urllib.parse import parse_qs, urlsplit

from findings import Findings
from googleapiclient import discovery_cache

# The discovery documents mark no member of an answer as required. These are always there: an object of the
# schema (left) without one of the members (right) would break clients that index it.
ALWAYS = {
    "Zone": "status region",
    "Region": "status zones quotas",
    "Quota": "metric limit usage",
    "Project": "quotas",
    "MachineType": "guestCpus memoryMb isSharedCpu zone architecture description maximumPersistentDisks",
    "AcceleratorType": "zone maximumCardsPerInstance description",
    "Image": "status family diskSizeGb selfLink",
    "Network": "autoCreateSubnetworks",
    "Subnetwork": "network ipCidrRange region gatewayAddress",
    "Firewall": "network direction priority",
    "Address": "address status region addressType",
    "Disk": "status sizeGb zone type",
    "InstanceTemplate": "properties",
    "Instance": "status zone machineType disks networkInterfaces scheduling labelFingerprint metadata tags "
    "fingerprint cpuPlatform",
    "AttachedDisk": "boot autoDelete index mode type deviceName",
    # An address comes with a host.
    "NetworkInterface": "name network fingerprint",
    "AccessConfig": "name type",
    "Scheduling": "provisioningModel automaticRestart onHostMaintenance preemptible",
    "Tags": "fingerprint",
    "Metadata": "fingerprint",
    "Operation": "operationType status progress insertTime startTime user targetLink",
    "BulkInsertOperationStatus": "status targetVmCount createdVmCount failedToCreateVmCount deletedVmCount",
    "SerialPortOutput": "contents start next",
    "CapacityAdviceResponseRecommendation": "scores shards",
    "Sku": "name skuId description category serviceRegions pricingInfo",
    "Service": "name",
}

# The documents whose schemas those are.
DOCUMENTS = [("compute", "v1"), ("cloudbilling", "v1"), ("serviceusage", "v1")]

# Objects that are part of another one, and there carry neither a number nor a name of their own. Templates and
# the like show what was given.
PARTS = {"InstanceProperties"}

# What a resource has, whatever it is, once its schema has all of it.
RESOURCE = ("kind", "id", "name", "selfLink", "creationTimestamp")

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[-+]\d\d:\d\d)")
DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
LINK = re.compile(r"https://www\.googleapis\.com/compute/v1/projects/[^/]+(/[a-zA-Z0-9._-]+)*")


class Walker(Findings):
    """What all walked answers together showed."""

    def __init__(self, *services):
        super().__init__()
        self.documents = [document(*service.split("/")) for service in services or ("compute/v1",)]
        self.methods = {}
        for described in self.documents:
            # Compute Engine's methods are known by their names alone.
            service = "" if described["name"] == "compute" else f"{described['name']}.{described['version']}."
            self.methods.update(methods(described, prefix=service))
        # By verb and length of the path, and the one with the most words first: `instances/bulkInsert` is not an
        # instance of that name.
        self._routes = {}
        for name, method in sorted(self.methods.items(), key=lambda item: item[1]["flatPath"].count("{")):
            path = method["base"] + method["flatPath"]
            self._routes.setdefault((method["httpMethod"], path.count("/")), []).append((pattern(path), name))
        # The methods that answered, and those among them that answered with an item in a list.
        self.answered = set()
        self.listed = set()
        # The names under which a resource says that it can be fetched.
        self.links = {}

    def method(self, verb, url):
        """Which method an address means, by the discovery documents."""
        path = urlsplit(url).path
        routes = self._routes.get((verb, path.count("/")), [])
        return next((name for regex, name in routes if regex.fullmatch(path)), None)

    def response(self, response, *_, **__):
        """Walks an answer that `requests` got: a hook of a session."""
        self.answer(response.request.method, response.url, response.status_code, response.headers, response.content)

    def answer(self, verb, url, status, headers, body):
        """Walks one answer."""
        name = self.method(verb, url)
        self._call = name or f"{verb} {urlsplit(url).path}"
        if status >= 300:
            for problem in refusal_problems(status, headers, body):
                self._problem("", problem)
            return
        if name is None:
            self._problem("", "the discovery documents have no such method")
            return
        schema = self.methods[name].get("response")
        if schema is None:
            if body:
                self._problem("", f"the method has no answer, and there is one: {body[:200]!r}")
            self.answered.add(name)
            return
        kind = headers.get("content-type", "")
        if not kind.lower().replace(" ", "").startswith("application/json;charset=utf-8"):
            self._problem("", f"Content-Type is {kind!r}, not application/json; charset=UTF-8")
        self.answered.add(name)
        value = json.loads(body)
        fields = parse_qs(urlsplit(url).query).get("fields")
        self._schemas = self.methods[name]["schemas"]
        self._partial = bool(fields)
        self._value(schema, value, "")
        if listed(value):
            self.listed.add(name)

    def _value(self, schema, value, path, of="", within=()):
        name = schema.get("$ref")
        if name is not None:
            schema, of = self._schemas[name], name
        kind = schema.get("type")
        if kind == "object":
            if not isinstance(value, dict):
                self._problem(path, f"{value!r} is no object")
            elif "additionalProperties" in schema:
                for key, item in value.items():
                    self._value(schema["additionalProperties"], item, f"{path}/{key}", of, within)
            else:
                self._object(schema, value, path, of, within)
        elif kind == "array":
            if not isinstance(value, list):
                self._problem(path, f"{value!r} is no array")
                return
            for item in value:
                self._value(schema["items"], item, f"{path}/", of, within)
        elif kind != "any":
            self._scalar(schema, value, path)

    def _object(self, schema, value, path, of, within):
        members = schema.get("properties", {})
        for name in sorted(set(value) - set(members)):
            self._problem(path, f"{name} is not a member of {of}")
        for name in sorted(set(value) & set(members)):
            self._value(members[name], value[name], f"{path}/{name}", f"{of}.{name}", (*within, of))
        if self._partial:
            return
        wanted = {"kind"} if "default" in members.get("kind", {}) else set()
        if set(RESOURCE) <= set(members):
            old = {name for name in RESOURCE if members[name].get("description", "").startswith("[Deprecated]")}
            wanted.update(set(RESOURCE) - old)
        if not PARTS & set(within):
            wanted.update(set(ALWAYS.get(of, "").split()) & set(members))
        for name in sorted(wanted - set(value)):
            self._problem(path, f"{name} of {of} is missing")
        default = members.get("kind", {}).get("default")
        if default is not None and value.get("kind", default) != default:
            self._problem(path, f"kind of {of} is {value['kind']!r}, not {default!r}")
        link = value.get("selfLink")
        if link is not None and "id" in members and set(RESOURCE) <= set(members):
            self.links[link] = value.get("id")

    def _scalar(self, schema, value, path):
        kind, form = schema.get("type"), schema.get("format")
        if not fits(kind, form, value):
            self._problem(path, f"{value!r} is no {form or kind}")
            return
        if kind != "string":
            return
        if "enum" in schema and value not in schema["enum"]:
            known = ", ".join(schema["enum"][:12])
            self._problem(path, f"{value!r} is none of the values that the schema lists: {known}")
        says = schema.get("description", "")
        if "RFC3339" in says and "value should be in RFC3339" not in says and not TIME.fullmatch(value):
            self._problem(path, f"{value!r} is no time of RFC 3339")
        name = path.rpartition("/")[2]
        if name == "selfLink" and not LINK.fullmatch(value):
            self._problem(path, f"{value!r} is no name of a resource")
        if "pattern" in schema and not re.fullmatch(schema["pattern"], value):
            self._problem(path, f"{value!r} does not match {schema['pattern']}")


def fits(kind, form, value):
    """Whether a value is of a type and format of the discovery documents, as JSON has them."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        low, high = (0, 1 << 32) if form == "uint32" else (-(1 << 31), 1 << 31)
        return whole and low <= value < high
    if kind == "number":
        return whole or isinstance(value, float)
    if not isinstance(value, str):
        return False
    if form in ("int64", "uint64"):
        low, high = (0, 1 << 64) if form == "uint64" else (-(1 << 63), 1 << 63)
        return re.fullmatch(r"-?\d+", value) is not None and low <= int(value) < high
    if form == "byte":
        return is_base64(value)
    if form in ("google-datetime", "date-time"):
        return TIME.fullmatch(value) is not None
    if form == "google-duration":
        return DURATION.fullmatch(value) is not None
    return True


def is_base64(text):
    """Base64, of either alphabet."""
    try:
        base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def listed(value):
    """Whether an answer has a list with something in it."""
    items = value.get("items", value) if isinstance(value, dict) else value
    if isinstance(items, dict):
        return any(listed(part) for part in items.values() if isinstance(part, (dict, list)))
    return bool(items)


def document(service, version):
    """A discovery document."""
    text = discovery_cache.get_static_doc(service, version)
    if text is None:
        raise AssertionError(f"google-api-python-client has no document of {service} {version}")
    return json.loads(text)


def methods(described, resources=None, prefix=""):
    """All methods of a discovery document, by `instances.insert`."""
    found = {}
    for name, resource in (resources or described["resources"]).items():
        for method, what in resource.get("methods", {}).items():
            base = "/" + described["servicePath"]
            found[f"{prefix}{name}.{method}"] = {**what, "base": base, "schemas": described["schemas"]}
        if "resources" in resource:
            found.update(methods(described, resource["resources"], f"{prefix}{name}."))
    return found


def pattern(path):
    """A regular expression for the paths of a template."""
    parts = re.split(r"(\{[a-zA-Z0-9]+\})", path)
    return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))


def refusal_problems(status, headers, body):
    """What is wrong with an error in Google's envelope,
    `{"error": {"code": …, "message": …, "errors": [{"message": …, "domain": …, "reason": …}]}}`."""
    kind = headers.get("content-type", "")
    problems = [] if kind.lower().startswith("application/json") else [f"the error is {kind!r}, not JSON"]
    try:
        error = json.loads(body)["error"]
        errors = error["errors"]
        first = errors[0]
    except (ValueError, LookupError, TypeError):
        return [*problems, f"the error is not in Google's envelope: {body[:300]!r}"]
    if error.get("code") != status:
        problems.append(f"the error's code is {error.get('code')!r}, the answer's status {status}")
    if not error.get("message"):
        problems.append("the error has no message")
    problems += [
        f"the first of the errors has no {name}" for name in ("message", "domain", "reason") if not first.get(name)
    ]
    unknown = set(error) - {"code", "message", "errors", "status", "details"}
    if unknown:
        problems.append(f"the error has {', '.join(sorted(unknown))}")
    return problems
