"""The services beside EC2, walked by their own models: prices, quotas, parameters, identity."""

import json

import sim


def prices():
    """The on-demand price of a type, as a program that shops around asks for it."""
    pricing = sim.client("pricing")
    wanted = {
        "regionCode": "us-east-1",
        "instanceType": "m7g.large",
        "operatingSystem": "Linux",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "tenancy": "Shared",
        "marketoption": "OnDemand",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    answer = pricing.get_products(ServiceCode="AmazonEC2", Filters=filters, FormatVersion="aws_v1", MaxResults=100)
    products = [json.loads(product) for product in answer["PriceList"]]
    sim.expect(len(products) == 1, f"one product fits, {len(products)} came")
    attributes = products[0]["product"]["attributes"]
    sim.expect(attributes["instanceType"] == "m7g.large" and attributes["regionCode"] == "us-east-1", f"{attributes}")
    (term,) = products[0]["terms"]["OnDemand"].values()
    (dimension,) = term["priceDimensions"].values()
    sim.expect(dimension["unit"] == "Hrs" and 0 < float(dimension["pricePerUnit"]["USD"]) < 1, f"{dimension}")
    pages = list(
        pricing.get_paginator("get_products").paginate(
            ServiceCode="AmazonEC2", Filters=filters[:1], PaginationConfig={"PageSize": 10}
        )
    )
    sim.expect(len(pages) > 1, "the products of a region came in one page of ten")
    sim.expect(all(len(page["PriceList"]) <= 10 for page in pages), "a page is longer than was asked for")


def quotas():
    """The spot quota, with its code, in vCPUs."""
    services = sim.client("service-quotas")
    quota = services.get_service_quota(ServiceCode="ec2", QuotaCode="L-34B43A08")["Quota"]
    sim.expect(quota["QuotaCode"] == "L-34B43A08" and quota["Value"] > 0, f"{quota}")
    sim.refused("NoSuchResourceException", services.get_service_quota, ServiceCode="ec2", QuotaCode="L-00000000")


def parameters():
    """The public name of an image, which must be an image."""
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    parameter = sim.client("ssm").get_parameter(Name=name)["Parameter"]
    sim.expect(parameter["Name"] == name, f"{parameter}")
    (image,) = sim.client("ec2").describe_images(ImageIds=[parameter["Value"]])["Images"]
    sim.expect(image["Architecture"] == "arm64", f"{image}")
    sim.refused("ParameterNotFound", sim.client("ssm").get_parameter, Name="/aws/service/no/such")


def identity():
    """Whose credentials these are."""
    who = sim.client("sts").get_caller_identity()
    sim.expect(who["Account"] == "123456789012" and who["Arn"].startswith("arn:aws:"), f"{who}")


prices()
quotas()
parameters()
identity()
sim.done(f"walked {', '.join(sorted(sim.WALK.answered))}")
