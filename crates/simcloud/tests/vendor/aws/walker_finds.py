"""The walk itself: an answer that is as the model says passes, and each thing that is wrong is found."""

import botocore.session

import walker

MODEL = botocore.session.get_session().get_service_model("ec2")
GOOD = """<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><volumeSet><item>
<volumeId>vol-1</volumeId><size>8</size><status>in-use</status><availabilityZone>us-east-1a</availabilityZone>
<createTime>2026-01-01T00:00:00.000Z</createTime><volumeType>gp3</volumeType><encrypted>true</encrypted><attachmentSet/>
<tagSet><item><key>a</key><value/></item></tagSet></item></volumeSet></DescribeVolumesResponse>"""
# What is changed, into what, and a part of what the walk says to it.
WRONG = [
    ("<size>8</size>", "<size>8</size><colour>red</colour>", "colour is not a member of Volume"),
    ("<size>8</size>", "", "size of Volume is missing"),
    ("<size>8</size>", "<size>8</size><size>8</size>", "size is there more than once"),
    ("<size>8</size>", "<size>eight</size>", "'eight' is no integer"),
    ("<size>8</size>", "<size><gib>8</gib></size>", "elements in what is integer"),
    ("<size>8</size>", '<size unit="GiB">8</size>', "size has attributes"),
    ("<attachmentSet/>", "<attachmentSet>none</attachmentSet>", "the text 'none' where elements belong"),
    ("in-use", "used", "'used' is none of the values of VolumeState"),
    ("<encrypted>true<", "<encrypted>True<", "'True' is no boolean"),
    ("2026-01-01T00:00:00.000Z", "2026-01-01 00:00:00", "is no timestamp"),
    ("<tagSet><item>", "<tagSet><member>", "member in a list of item"),
    ("<value/>", "", "value of Tag is missing"),
    ("<requestId>r</requestId>", "", "there is no requestId"),
    ("doc/2016-11-15", "doc/2010-01-01", "DescribeVolumesResponse"),
]


def walked(text, status=200, kind="text/xml;charset=UTF-8"):
    """What the walk finds in an answer."""
    walk = walker.Walker()
    response = {"status_code": status, "headers": {"content-type": kind}, "body": text.encode()}
    walk.answer(operation_model=MODEL.operation_model("DescribeVolumes"), response_dict=response)
    return walk


def main():
    good = walked(GOOD)
    assert not good.problems and good.listed == {"DescribeVolumes"}, good.problems
    for before, after, said in WRONG:
        assert before in GOOD, before
        text = GOOD.replace(before, after)
        if after.endswith("<member>"):
            text = text.replace("</item></tagSet>", "</member></tagSet>")
        found = walked(text).problems
        assert any(said in problem for problem in found), f"{after or before}: {found}"
    assert walked(GOOD, kind="application/json").problems, "another content type"
    refusal = "<Response><Errors><Error><Code>A</Code><Message>b</Message></Error></Errors><RequestID>r</RequestID></Response>"
    assert not walked(refusal, 400).problems, "a good refusal"
    for wrong in (refusal.replace("RequestID", "RequestId"), refusal.replace("<Code>A</Code>", ""), "no"):
        assert walked(wrong, 400).problems, wrong
    odd = {shape: sorted(set(names.split()) - members(shape)) for shape, names in walker.ALWAYS.items()}
    assert not any(odd.values()), f"not in the model: {odd}"


def members(shape):
    """The elements of a shape."""
    return {member.serialization.get("name", name) for name, member in MODEL.shape_for(shape).members.items()}


main()
