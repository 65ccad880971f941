"""Walks answers by the vendor's own service model, as botocore carries it.

A client's parser passes over what it does not know and does not miss what is not there. This one
does neither: every element must be a member of the output shape, of its type, once, and known where
the model lists the values.
"""

import json
import re
from datetime import datetime
from xml.etree import ElementTree

from findings import Findings

EC2 = "http://ec2.amazonaws.com/doc/2016-11-15/"
STS = "https://sts.amazonaws.com/doc/2011-06-15/"

# EC2's model marks hardly any member of an answer as required. These are always there: a structure of
# the shape (left) without one of the elements (right) would break clients that index it.
ALWAYS = {
    "Region": "regionName regionEndpoint optInStatus",
    "AvailabilityZone": "zoneName zoneId zoneState zoneType optInStatus regionName groupName networkBorderGroup",
    "InstanceTypeInfo": "instanceType currentGeneration supportedUsageClasses bareMetal processorInfo vCpuInfo memoryInfo "
    "instanceStorageSupported networkInfo ebsInfo supportedRootDeviceTypes supportedVirtualizationTypes hypervisor",
    "ProcessorInfo": "supportedArchitectures manufacturer",
    "VCpuInfo": "defaultVCpus defaultCores defaultThreadsPerCore",
    "MemoryInfo": "sizeInMiB",
    "InstanceStorageInfo": "totalSizeInGB disks nvmeSupport",
    "GpuDeviceInfo": "name manufacturer count memoryInfo",
    "InstanceTypeOffering": "instanceType locationType location",
    "SpotPrice": "availabilityZone instanceType productDescription spotPrice timestamp",
    "SpotPlacementScore": "region score",
    "Image": "imageId imageState imageOwnerId isPublic architecture imageType name creationDate rootDeviceType rootDeviceName "
    "blockDeviceMapping virtualizationType hypervisor",
    "Vpc": "vpcId state cidrBlock isDefault ownerId",
    "Subnet": "subnetId vpcId state cidrBlock availabilityZone availabilityZoneId availableIpAddressCount defaultForAz "
    "mapPublicIpOnLaunch ownerId",
    "SecurityGroup": "groupId groupName groupDescription vpcId ownerId ipPermissions ipPermissionsEgress",
    "SecurityGroupRule": "securityGroupRuleId groupId isEgress ipProtocol",
    "KeyPair": "keyName keyPairId keyFingerprint keyMaterial",
    "KeyPairInfo": "keyName keyPairId keyFingerprint",
    "LaunchTemplate": "launchTemplateId launchTemplateName createTime createdBy defaultVersionNumber latestVersionNumber",
    "LaunchTemplateVersion": "launchTemplateId launchTemplateName versionNumber createTime createdBy defaultVersion "
    "launchTemplateData",
    "CreateFleetResult": "fleetId",
    "CreateFleetInstance": "launchTemplateAndOverrides lifecycle instanceIds instanceType",
    "CreateFleetError": "launchTemplateAndOverrides lifecycle errorCode errorMessage",
    "FleetData": "fleetId fleetState createTime type targetCapacitySpecification launchTemplateConfigs",
    "Reservation": "reservationId ownerId groupSet instancesSet",
    "Instance": "instanceId imageId instanceState amiLaunchIndex instanceType launchTime placement monitoring architecture "
    "rootDeviceType rootDeviceName virtualizationType blockDeviceMapping groupSet",
    "InstanceState": "code name",
    "InstanceStateChange": "instanceId currentState previousState",
    "InstanceStatus": "instanceId availabilityZone instanceState",
    "Placement": "availabilityZone tenancy",
    "SpotInstanceRequest": "spotInstanceRequestId state status type createTime launchSpecification productDescription",
    "SpotInstanceStatus": "code message updateTime",
    "CancelledSpotInstanceRequest": "spotInstanceRequestId state",
    "Volume": "volumeId size status availabilityZone createTime volumeType encrypted attachmentSet",
    "VolumeAttachment": "volumeId instanceId device status",
    "NetworkInterface": "networkInterfaceId subnetId vpcId availabilityZone status ownerId macAddress privateIpAddress groupSet",
    "Address": "publicIp allocationId domain",
    "AllocateAddressResult": "publicIp allocationId domain",
    "TagDescription": "resourceId resourceType key value",
    "Tag": "key value",
    "PlacementGroup": "groupName groupId strategy state",
    "GetConsoleOutputResult": "instanceId timestamp",
}

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Walker(Findings):
    """What all walked answers together showed."""

    def __init__(self):
        super().__init__()
        # The actions that answered, and those among them that answered with an item in a list.
        self.answered = set()
        self.listed = set()

    def watch(self, client):
        """Walks every answer that a client of boto3 gets from now on."""
        client.meta.events.register("before-parse", self.answer)

    def answer(self, operation_model, response_dict, **_):
        """Walks one answer, as botocore has it before it parses it."""
        status, body = response_dict["status_code"], response_dict["body"]
        self._call = operation_model.name
        kind = response_dict["headers"].get("content-type", "")
        protocol = operation_model.service_model.resolved_protocol
        wanted = "application/x-amz-json-1" if protocol == "json" else "text/xml"
        if not kind.startswith(wanted):
            self._problem("", f"Content-Type is {kind!r}, not {wanted}")
        if status >= 300:
            self._refusal(protocol, body)
            return
        self.answered.add(operation_model.name)
        if protocol == "json":
            if not response_dict["headers"].get("x-amzn-requestid"):
                self._problem("", "there is no x-amzn-RequestId header")
            if operation_model.output_shape is not None:
                self._json(operation_model.output_shape, json.loads(body), "")
        else:
            self._xml(operation_model, ElementTree.fromstring(body), protocol)

    # What is refused

    def _refusal(self, protocol, body):
        if protocol == "json":
            if "__type" not in json.loads(body):
                self._problem("", "the error has no __type")
        elif protocol == "ec2":
            for problem in refusal_problems(body):
                self._problem("", problem)

    # XML

    def _xml(self, operation_model, root, protocol):
        name, shape = operation_model.name, operation_model.output_shape
        space = EC2 if protocol == "ec2" else STS
        if root.tag != f"{{{space}}}{name}Response":
            self._problem("", f"the answer is a {root.tag}")
        for node in root.iter():
            if not node.tag.startswith(f"{{{space}}}"):
                self._problem("", f"{node.tag} is not in the namespace {space}")
            if node.attrib:
                self._problem("", f"{local(node)} has attributes")
        if protocol == "query":
            self._query(name, shape, root)
            return
        ids = [node for node in root if local(node) == "requestId"]
        if len(ids) != 1 or not ids[0].text:
            self._problem("", "there is no requestId, or more than one")
        members = [node for node in root if local(node) != "requestId"]
        if shape is not None:
            self._structure(shape, members, "", top=True)
        # EC2 says `<return>true</return>` where the model has no output at all.
        elif [(local(node), node.text) for node in members] not in ([], [("return", "true")]):
            self._problem("", f"the model has no output, the answer has {[local(node) for node in members]}")

    def _query(self, name, shape, root):
        parts = {local(node): node for node in root}
        if set(parts) != {f"{name}Result", "ResponseMetadata"}:
            self._problem("", f"the answer has {sorted(parts)}")
        if f"{name}Result" in parts:
            self._structure(shape, list(parts[f"{name}Result"]), "")

    def _structure(self, shape, nodes, path, top=False):
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        required = {shape.members[name].serialization.get("name", name) for name in shape.required_members}
        required.update(ALWAYS.get(shape.name, "").split())
        found = set()
        for node in nodes:
            name = local(node)
            if name in found:
                self._problem(path, f"{name} is there more than once")
            found.add(name)
            if name not in members:
                self._problem(path, f"{name} is not a member of {shape.name}")
                continue
            self._node(members[name], node, f"{path}/{name}", top)
        for name in sorted(required - found):
            self._problem(path, f"{name} of {shape.name} is missing")

    def _node(self, shape, node, path, top=False):
        if shape.type_name == "structure":
            self._no_text(node, path)
            self._structure(shape, list(node), path)
        elif shape.type_name == "list":
            self._no_text(node, path)
            item = shape.member.serialization.get("name", "member")
            for child in node:
                if local(child) != item:
                    self._problem(path, f"{local(child)} in a list of {item}")
                self._node(shape.member, child, f"{path}/{item}")
                if top:
                    self.listed.add(self._call)
        else:
            if len(node):
                self._problem(path, f"elements in what is {shape.type_name}")
            self._scalar(shape, node.text or "", path)

    def _no_text(self, node, path):
        if (node.text or "").strip():
            self._problem(path, f"the text {node.text!r} where elements belong")

    def _scalar(self, shape, text, path):
        kind = shape.type_name
        if kind == "boolean":
            fits = text in ("true", "false")
        elif kind in ("integer", "long"):
            fits = re.fullmatch(r"-?\d+", text) is not None
        elif kind in ("float", "double"):
            fits = re.fullmatch(r"-?\d+(\.\d+)?([eE][-+]?\d+)?", text) is not None
        elif kind == "timestamp":
            fits = TIME.fullmatch(text) is not None
        else:
            fits = True
        if not fits:
            self._problem(path, f"{text!r} is no {kind}")
        self._value(shape, text, path)

    def _value(self, shape, text, path):
        known = getattr(shape, "enum", None)
        if known and text not in known:
            self._problem(path, f"{text!r} is none of the values of {shape.name}: {', '.join(known[:12])}")

    # JSON

    def _json(self, shape, value, path):
        kind = shape.type_name
        if kind == "structure":
            if not isinstance(value, dict):
                self._problem(path, f"{value!r} is no structure")
                return
            members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
            for name in sorted(set(value) - set(members)):
                self._problem(path, f"{name} is not a member of {shape.name}")
            for name in sorted(set(shape.required_members) - set(value)):
                self._problem(path, f"{name} of {shape.name} is missing")
            for name in set(value) & set(members):
                self._json(members[name], value[name], f"{path}/{name}")
        elif kind == "list":
            if not isinstance(value, list):
                self._problem(path, f"{value!r} is no list")
                return
            for item in value:
                self._json(shape.member, item, f"{path}/item")
        elif kind == "map":
            for key, item in value.items():
                self._json(shape.value, item, f"{path}/{key}")
        else:
            fits = {
                "string": lambda: isinstance(value, str),
                "boolean": lambda: isinstance(value, bool),
                "timestamp": lambda: isinstance(value, (int, float)) and datetime.fromtimestamp(value) is not None,
            }.get(kind, lambda: isinstance(value, (int, float)) and not isinstance(value, bool))
            if not fits():
                self._problem(path, f"{value!r} is no {kind}")
            elif kind == "string":
                self._value(shape, value, path)


def local(node):
    """An element's name without its namespace."""
    return node.tag.rpartition("}")[2]


def refusal_problems(body):
    """What is wrong with an error in EC2's envelope,
    `<Response><Errors><Error><Code/><Message/></Error></Errors><RequestID/></Response>`."""
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        return [f"the error is not XML ({error}): {body[:200]!r}"]
    if root.tag != "Response" or [local(node) for node in root] != ["Errors", "RequestID"]:
        return [f"the error is not in EC2's envelope: {body[:300]!r}"]
    names = [[local(node) for node in error] for error in root.find("Errors")]
    problems = [] if names == [["Code", "Message"]] else [f"the error is not a Code and a Message: {names}"]
    return problems + [
        f"{path} of the error is empty" for path in ("Errors/Error/Code", "RequestID") if not root.findtext(path)
    ]
