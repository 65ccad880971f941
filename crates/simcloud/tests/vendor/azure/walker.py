"""Walks answers of Azure by the models of its own Python clients: no member that a model does not know, none missing
that it requires, every value of its type, and every refusal in Resource Manager's envelope."""

import datetime
import enum
import functools
import importlib
import json
import re
import sys
import types
import typing

from findings import Findings

# The clients whose models are used: the package, and the modules that read answers in it.
TYPED = (
    "azure.mgmt.compute",
    "azure.mgmt.computefleet",
    "azure.mgmt.computerecommender",
    "azure.mgmt.network",
    "azure.mgmt.resource.resources",
)
MAPPED = ("azure.mgmt.resourcegraph",)

# The models mark little as required that an answer always has. A resource (left) without one of these members
# (right) would break clients that read it. Where a resource is only named, it has its id alone.
ALWAYS = {
    "resources.ResourceGroup": "id name type location properties",
    "resources.Provider": "id namespace registrationState resourceTypes",
    "resources.GenericResourceExpanded": "id name type location",
    "network.VirtualNetwork": "id name type location properties",
    "network.Subnet": "id name properties",
    "network.NetworkSecurityGroup": "id name type location properties",
    "network.NetworkSecurityGroupPropertiesFormat": "securityRules defaultSecurityRules provisioningState",
    "network.SecurityRule": "id name properties",
    "network.NetworkInterface": "id name type location properties",
    "network.NetworkInterfacePropertiesFormat": "ipConfigurations provisioningState",
    "network.NetworkInterfaceIPConfiguration": "id name properties",
    "network.PublicIPAddress": "id name type location properties sku",
    "compute.Disk": "id name type location properties sku",
    "compute.DiskProperties": "provisioningState diskState diskSizeGB timeCreated",
    "compute.VirtualMachine": "id name type location properties",
    "compute.VirtualMachineProperties": "provisioningState vmId hardwareProfile storageProfile networkProfile "
    "timeCreated",
    "compute.VirtualMachineInstanceView": "statuses",
    "compute.InstanceViewStatus": "code level displayStatus",
    "compute.VirtualMachineScaleSet": "id name type location properties sku",
    "compute.VirtualMachineScaleSetProperties": "provisioningState orchestrationMode uniqueId",
    "compute.ResourceSku": "resourceType name family locations locationInfo capabilities restrictions",
    "compute.Usage": "unit currentValue limit name",
    "computefleet.Fleet": "id name type location properties",
    "computefleet.FleetProperties": "provisioningState uniqueId",
    "computefleet.VirtualMachine": "id name operationStatus",
    "computerecommender.ComputeDiagnosticBase": "id name type",
    "computerecommender.PlacementScore": "sku region score isQuotaAvailable",
}

# Lists of values that end years ago: there are more.
OPEN = {"VirtualMachineSizeTypes"}

# What a page of a list has.
PAGE = {"value", "nextLink"}
# How far an operation is: Azure documentation, "Track asynchronous Azure operations".
STATUS = {"id", "name", "status", "startTime", "endTime", "percentComplete", "properties", "error"}
WORDS = {"InProgress", "Succeeded", "Failed", "Canceled"}

ID = re.compile(r"/subscriptions/[^/]+/(resourceGroups/[^/]+(/providers/[^/]+(/[^/]+/[^/]+)+)?|providers/.+)")


class Walker(Findings):
    """What all walked answers together showed."""

    def __init__(self):
        super().__init__()
        # The models of which there was one.
        self.seen = set()
        # Whether the caller asked for less than everything.
        self._short = False
        for package in TYPED:
            self._tap_typed(package)
        for package in MAPPED:
            self._tap_mapped(package)

    def answer(self, verb, url, status, headers, body):
        """Looks at one answer as it came, whatever it is."""
        self._call = f"{verb} {url.partition('?')[0].partition('://')[2].partition('/')[2]}"
        self._short = "statusOnly" in url
        headers = {name.lower(): value for name, value in headers.items()}
        if "x-ms-request-id" not in headers and "/oauth2/" not in url and ".well-known" not in url:
            self._problem("", "the answer has no x-ms-request-id")
        if status in (201, 202) and "retry-after" not in headers:
            # A 201 may be the end of it.
            if "azure-asyncoperation" in headers or "location" in headers:
                self._problem("", "the answer does not say when to ask again")
        if body and not headers.get("content-type", "").startswith("application/json"):
            self._problem("", f"Content-Type is {headers.get('content-type')!r}")
        if status >= 400:
            if "/oauth2/" not in url and verb != "HEAD":
                self.problems += [f"{self._call}: {problem}" for problem in refusal_problems(body)]
            return
        if verb == "GET" and "/operations/" in url and body:
            self._status(json.loads(body))
        elif verb == "GET" and body:
            page = json.loads(body)
            if isinstance(page, dict) and isinstance(page.get("value"), list):
                for name in sorted(set(page) - PAGE):
                    self._problem("", f"{name} is not a member of a page")

    def _status(self, shown):
        for name in sorted(set(shown) - STATUS):
            self._problem("", f"{name} is not a member of an operation")
        if shown.get("status") not in WORDS:
            self._problem("", f"status {shown.get('status')!r} is none of {sorted(WORDS)}")
        if shown.get("status") == "Failed" and "error" not in shown:
            self._problem("", "it failed, and does not say why")
        if shown.get("status") != "InProgress" and "endTime" not in shown:
            self._problem("", "it is over, and does not say since when")

    def model(self, model, value, path=""):
        """Walks a value by a model of one of the clients."""
        self._value(model, value, path)

    def _tap_typed(self, package):
        operations = importlib.import_module(f"{package}.operations._operations")
        read = operations._deserialize

        @functools.wraps(read)
        def tapped(model, value, *rest, **more):
            self._value(model, value, "")
            return read(model, value, *rest, **more)

        operations._deserialize = tapped

    def _tap_mapped(self, package):
        serializer = importlib.import_module(f"{package}._utils.serialization")
        models = importlib.import_module(f"{package}.models")
        read = serializer.Deserializer.__call__

        @functools.wraps(read)
        def tapped(deserializer, target, response, *rest, **more):
            if hasattr(response, "http_response"):
                response = response.http_response
            if isinstance(target, str) and hasattr(models, target) and hasattr(response, "json"):
                self._mapped(models, target, json.loads(response.text()), "")
            return read(deserializer, target, response, *rest, **more)

        serializer.Deserializer.__call__ = tapped

    def _value(self, kind, value, path):
        origin, parts = typing.get_origin(kind), typing.get_args(kind)
        if value is None:
            if origin in (typing.Union, types.UnionType) and type(None) in parts:
                return
            self._problem(path, "it is null")
        elif origin in (typing.Union, types.UnionType):
            self._union([part for part in parts if part is not type(None)], value, path)
        elif origin is typing.Literal:
            if value not in parts:
                self._problem(path, f"{value!r} is not {parts[0]!r}")
        elif origin is list:
            if not isinstance(value, list):
                self._problem(path, f"{value!r} is no list")
                return
            for item in value:
                self._value(parts[0], item, f"{path}/")
        elif origin is dict:
            if not isinstance(value, dict):
                self._problem(path, f"{value!r} is no object")
                return
            for name, item in value.items():
                self._value(parts[1], item, f"{path}/{name}")
        elif is_model(kind):
            self._model(kind, value, path)
        else:
            self._plain(kind, value, path)

    def _union(self, kinds, value, path):
        named = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, enum.Enum)]
        if not named or any(kind.__name__ in OPEN for kind in named):
            self._value(kinds[0], value, path)
            return
        known = [member.value for kind in named for member in kind]
        if value not in known:
            self._problem(
                path, f"{value!r} is none of the values that the model lists: {', '.join(map(str, known[:12]))}"
            )

    def _model(self, model, value, path):
        if not isinstance(value, dict):
            self._problem(path, f"{value!r} is no {model.__name__}")
            return
        self.seen.add(model.__name__)
        known = members(model)
        for name in sorted(set(value) - set(known)):
            self._problem(path, f"{name} is not a member of {model.__name__}")
        for name, kind in known.items():
            if name in value:
                self._value(kind, value[name], f"{path}/{name}")
            elif not is_optional(kind):
                self._problem(path, f"{name} of {model.__name__} is missing")
        wanted = ALWAYS.get(f"{model.__module__.split('.')[-3]}.{model.__name__}", "").split()
        for name in [] if set(value) == {"id"} or self._short else wanted:
            if name not in value:
                self._problem(path, f"{name} of {model.__name__} is missing")
        self._identity(value, path)

    def _mapped(self, models, target, value, path):
        model = getattr(models, target)
        self.seen.add(target)
        known = {mapped["key"]: (mapped["type"], name) for name, mapped in model._attribute_map.items()}
        for name in sorted(set(value) - set(known)):
            self._problem(path, f"{name} is not a member of {target}")
        for name, (kind, own) in known.items():
            if name not in value:
                if model._validation.get(own, {}).get("required"):
                    self._problem(path, f"{name} of {target} is missing")
            elif kind in ("str", "int", "bool"):
                self._plain({"str": str, "int": int, "bool": bool}[kind], value[name], f"{path}/{name}")

    def _identity(self, value, path):
        """An id says where its resource is, and ends in its name."""
        known, name = value.get("id"), value.get("name")
        if not isinstance(known, str) or "provisioningState" not in str(value.get("properties")):
            return
        if not ID.fullmatch(known):
            self._problem(path, f"{known!r} is no id")
        elif isinstance(name, str) and known.rpartition("/")[2] != name:
            self._problem(path, f"{known!r} does not end in the name {name!r}")

    def _plain(self, kind, value, path):
        if not fits(kind, value):
            self._problem(path, f"{value!r} is no {getattr(kind, '__name__', kind)}")


def is_model(kind):
    """Whether it is a model, and not a plain type."""
    return isinstance(kind, type) and any(base.__name__ == "_MyMutableMapping" for base in kind.__mro__)


def is_optional(kind):
    """Whether a member may be left out."""
    return type(None) in typing.get_args(kind)


@functools.cache
def members(model):
    """The members of a model, by the names that they have in answers, with their types."""
    # What the model knows of its members it finds out when one is made.
    model.__new__(model)
    package = sys.modules[model.__module__.rpartition(".")[0]]
    known = {}
    for base in reversed(model.__mro__):
        names = {**vars(sys.modules[base.__module__]), "_models": package}
        for name, kind in vars(base).get("__annotations__", {}).items():
            field = model._attr_to_rest_field.get(name)
            if field is None:
                continue
            known[field._rest_name] = eval(kind, names) if isinstance(kind, str) else resolved(kind, names)
    return known


def resolved(kind, names):
    """A type whose parts may be names in quotes."""
    if isinstance(kind, typing.ForwardRef):
        return eval(kind.__forward_arg__, names)
    if isinstance(kind, str):
        return eval(kind, names)
    parts = typing.get_args(kind)
    if not parts or typing.get_origin(kind) is typing.Literal:
        return kind
    found = tuple(resolved(part, names) for part in parts)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return typing.Union[found]
    return origin[found]


def fits(kind, value):
    """Whether a value of JSON is of a type."""
    if kind in (typing.Any, object) or not isinstance(kind, type):
        return True
    if kind is bool:
        return isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if issubclass(kind, datetime.datetime):
        return isinstance(value, str) and is_time(value)
    if kind in (str, datetime.timedelta, bytes):
        return isinstance(value, str)
    if issubclass(kind, enum.Enum):
        return value in [member.value for member in kind]
    return True


def is_time(text):
    """A time of RFC 3339."""
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[-+]\d\d:\d\d)", text) is not None


def refusal_problems(body):
    """What is wrong with an error in Resource Manager's envelope,
    `{"error": {"code": …, "message": …, "details": [{"code": …, "message": …}]}}`."""
    try:
        envelope = json.loads(body)
        error = envelope["error"]
        code, message = error["code"], error["message"]
    except (ValueError, LookupError, TypeError):
        return [f"the error is not in Resource Manager's envelope: {body[:300]!r}"]
    problems = [f"the envelope has {name}" for name in sorted(set(envelope) - {"error"})]
    problems += [f"the error has {name}" for name in sorted(set(error) - {"code", "message", "target", "details"})]
    if not code or not message:
        problems.append("the error has no code or no message")
    for detail in error.get("details", []):
        if not detail.get("code") or not detail.get("message"):
            problems.append(f"a detail has no code or no message: {detail}")
    return problems
