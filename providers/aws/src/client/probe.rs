//! What a doctor asks: who calls, what time it is at AWS, and what the caller may do. Nothing here
//! changes anything: calls that could are sent with `DryRun`.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_ec2::types::{
    FleetLaunchTemplateConfigRequest, FleetLaunchTemplateSpecificationRequest, FleetType, InstanceType,
    IpPermission, RequestLaunchTemplateData, Tag, TargetCapacitySpecificationRequest,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use skyfleet_core::{Error, ErrorKind, Region, Result, Timestamp, TypeName};

use super::Client;
use super::fleet::filter;
use crate::config::Named;

/// The name under which errors of a doctor are known.
const DOCTOR: &str = "aws.doctor";

/// Names that nothing has: dry runs need some.
const NOBODY: &str = "skyfleet-doctor";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) account: String,
    pub(crate) arn: String,
}

/// One call that a fleet makes, asked about beforehand.
pub(crate) struct Probe<'a> {
    /// As IAM writes it: `ec2:CreateFleet`.
    pub(crate) action: &'static str,
    /// Whether the real call would change something: then this is a dry run.
    pub(crate) mutates: bool,
    pub(crate) ask: Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>,
}

/// Reads the time of the server off its answer.
#[derive(Clone, Debug, Default)]
struct ServerTime(Arc<Mutex<Option<Timestamp>>>);

impl Intercept for ServerTime {
    fn name(&self) -> &'static str {
        "ServerTime"
    }

    fn read_after_transmit(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(http_date);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date;
        Ok(())
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

macro_rules! dry {
    ($client:expr, $region:expr, $probes:ident, $action:literal, $request:expr) => {
        $probes.push(Probe {
            action: $action,
            mutates: true,
            ask: Box::pin(async move {
                let call = Box::pin($request.dry_run(true).send());
                proven($client.send(DOCTOR, $region, call).await)
            }),
        })
    };
}

macro_rules! read {
    ($client:expr, $region:expr, $probes:ident, $action:literal, $request:expr) => {
        $probes.push(Probe {
            action: $action,
            mutates: false,
            ask: Box::pin(async move {
                let call = Box::pin($request.send());
                $client.send(DOCTOR, $region, call).await.map(drop)
            }),
        })
    };
}

/// A dry run is never a success: EC2 says `DryRunOperation` when the call would have been one.
fn proven<T>(answer: Result<T>) -> Result<()> {
    match answer {
        Err(error) if error.fact("code") == Some("DryRunOperation") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(Error::new(
            ErrorKind::Unexpected,
            "the endpoint does not know DryRun: what answers there is not EC2, and the call may have been made",
        )),
    }
}

impl Client {
    /// Who calls, and what time it is at AWS as its answer says it, also when it refuses to say who.
    pub(crate) async fn caller(&self) -> (Result<Caller>, Option<Timestamp>) {
        let time = ServerTime::default();
        let caller = self.identity(time.clone()).await;
        let at = *time.0.lock().unwrap_or_else(PoisonError::into_inner);
        (caller, at)
    }

    async fn identity(&self, time: ServerTime) -> Result<Caller> {
        let home = self.home().await?;
        let sts = aws_sdk_sts::Client::new(self.sdk().await?);
        let call = Box::pin(sts.get_caller_identity().customize().interceptor(time).send());
        let answer = self.send(DOCTOR, &home, call).await?;
        Ok(Caller {
            account: answer.account().unwrap_or_default().to_owned(),
            arn: answer.arn().unwrap_or_default().to_owned(),
        })
    }

    /// The network that a fleet would use in a region: the one of the settings, or the default one.
    pub(crate) async fn network(&self, region: &Region) -> Result<Option<String>> {
        let ec2 = self.ec2(region).await?;
        let request = ec2.describe_vpcs();
        let request = match &self.settings().vpc {
            None => request.filters(filter("is-default", ["true"])),
            Some(Named::Id(id)) => request.filters(filter("vpc-id", [id.as_str()])),
            Some(Named::Tag { key, value }) => {
                request.filters(filter(format!("tag:{key}"), [value.as_str()]))
            }
        };
        let answer = self.send(DOCTOR, region, Box::pin(request.send())).await?;
        Ok(answer.vpcs().first().and_then(|vpc| vpc.vpc_id()).map(str::to_owned))
    }

    /// Some image that there is: EC2 looks at it before it looks at the permission to use it.
    async fn some_image(&self, region: &Region) -> Result<Option<String>> {
        if let Some(Named::Id(id)) = &self.settings().image {
            return Ok(Some(id.clone()));
        }
        let ec2 = self.ec2(region).await?;
        let request = ec2
            .describe_images()
            .owners("amazon")
            .filters(filter("name", ["al2023-ami-2023*", "*debian-12*"]))
            .filters(filter("state", ["available"]))
            .max_results(5);
        let answer = self.send(DOCTOR, region, Box::pin(request.send())).await?;
        Ok(answer.images().first().and_then(|image| image.image_id()).map(str::to_owned))
    }

    /// Every call that a fleet makes, about which nothing but the permission matters.
    pub(crate) async fn probes<'a>(&'a self, region: &'a Region, kind: &TypeName) -> Result<Vec<Probe<'a>>> {
        let ec2 = self.ec2(region).await?;
        let image = self.some_image(region).await.ok().flatten();
        let image = image.unwrap_or_else(|| "ami-00000000000000000".to_owned());
        let kind = InstanceType::from(kind.as_str());
        let mut probes: Vec<Probe<'a>> = Vec::new();
        self.read_probes(region, &ec2, &mut probes);
        self.launch_probes(region, &ec2, image, kind, &mut probes);
        self.end_probes(region, &ec2, &mut probes);
        Ok(probes)
    }

    fn read_probes<'a>(&'a self, region: &'a Region, ec2: &aws_sdk_ec2::Client, probes: &mut Vec<Probe<'a>>) {
        let r = region;
        let all = || ec2.clone();
        let (a, b, c, d) = (all(), all(), all(), all());
        read!(self, r, probes, "ec2:DescribeRegions", a.describe_regions());
        read!(self, r, probes, "ec2:DescribeAvailabilityZones", b.describe_availability_zones());
        read!(self, r, probes, "ec2:DescribeInstanceTypes", c.describe_instance_types().max_results(5));
        read!(
            self,
            r,
            probes,
            "ec2:DescribeInstanceTypeOfferings",
            d.describe_instance_type_offerings().max_results(5)
        );
        let (a, b, c, d) = (all(), all(), all(), all());
        read!(
            self,
            r,
            probes,
            "ec2:DescribeSpotPriceHistory",
            a.describe_spot_price_history().max_results(5)
        );
        read!(self, r, probes, "ec2:DescribeImages", b.describe_images().owners("self").max_results(5));
        read!(self, r, probes, "ec2:DescribeInstances", c.describe_instances().max_results(5));
        read!(self, r, probes, "ec2:DescribeVpcs", d.describe_vpcs().max_results(5));
        let (a, b, c, d) = (all(), all(), all(), all());
        read!(self, r, probes, "ec2:DescribeSubnets", a.describe_subnets().max_results(5));
        read!(self, r, probes, "ec2:DescribeSecurityGroups", b.describe_security_groups().max_results(5));
        read!(self, r, probes, "ec2:DescribeLaunchTemplates", c.describe_launch_templates().max_results(5));
        read!(
            self,
            r,
            probes,
            "ec2:DescribeSpotInstanceRequests",
            d.describe_spot_instance_requests().max_results(5)
        );
        let (a, b, c, d) = (all(), all(), all(), all());
        read!(self, r, probes, "ec2:DescribeVolumes", a.describe_volumes().max_results(5));
        read!(
            self,
            r,
            probes,
            "ec2:DescribeNetworkInterfaces",
            b.describe_network_interfaces().max_results(5)
        );
        read!(self, r, probes, "ec2:DescribeAddresses", c.describe_addresses());
        read!(self, r, probes, "ec2:DescribeFleets", d.describe_fleets().max_results(5));
        let (a, b, c, d) = (all(), all(), all(), all());
        read!(self, r, probes, "ec2:DescribeTags", d.describe_tags().max_results(5));
        read!(self, r, probes, "ec2:DescribeKeyPairs", a.describe_key_pairs());
        read!(self, r, probes, "ec2:DescribePlacementGroups", b.describe_placement_groups());
        // A dry run: the real question would use up one of the few that an account has in a day.
        let scores = c
            .get_spot_placement_scores()
            .instance_types("m7g.large")
            .region_names(region.as_str())
            .target_capacity(1);
        dry!(self, r, probes, "ec2:GetSpotPlacementScores", scores);
        if let Some(scores) = probes.last_mut() {
            scores.mutates = false;
        }
        probes.push(Probe {
            action: "servicequotas:GetServiceQuota",
            mutates: false,
            ask: Box::pin(async move { self.quota(region, "L-1216C47A").await.map(drop) }),
        });
        probes.push(Probe {
            action: "pricing:GetProducts",
            mutates: false,
            ask: Box::pin(self.price_sample()),
        });
    }

    fn launch_probes<'a>(
        &'a self,
        region: &'a Region,
        ec2: &aws_sdk_ec2::Client,
        image: String,
        kind: InstanceType,
        probes: &mut Vec<Probe<'a>>,
    ) {
        let r = region;
        let all = || ec2.clone();
        let (a, b, c, d) = (all(), all(), all(), all());
        let group = a.create_security_group().group_name(NOBODY).description("a dry run");
        dry!(self, r, probes, "ec2:CreateSecurityGroup", group);
        let rule = IpPermission::builder().ip_protocol("tcp").from_port(22).to_port(22).build();
        let rules =
            b.authorize_security_group_ingress().group_id("sg-00000000000000000").ip_permissions(rule);
        dry!(self, r, probes, "ec2:AuthorizeSecurityGroupIngress", rules);
        let data = RequestLaunchTemplateData::builder().instance_type(kind.clone()).build();
        let template = c.create_launch_template().launch_template_name(NOBODY).launch_template_data(data);
        dry!(self, r, probes, "ec2:CreateLaunchTemplate", template);
        let specification = FleetLaunchTemplateSpecificationRequest::builder()
            .launch_template_name(NOBODY)
            .version("1")
            .build();
        let templates =
            FleetLaunchTemplateConfigRequest::builder().launch_template_specification(specification).build();
        let target = TargetCapacitySpecificationRequest::builder().total_target_capacity(1).build();
        let fleet = d
            .create_fleet()
            .r#type(FleetType::Instant)
            .launch_template_configs(templates)
            .target_capacity_specification(target);
        dry!(self, r, probes, "ec2:CreateFleet", fleet);
        let (a, b) = (all(), all());
        let run = a.run_instances().image_id(image).instance_type(kind).min_count(1).max_count(1);
        dry!(self, r, probes, "ec2:RunInstances", run);
        let tag = Tag::builder().key(NOBODY).value("dry-run").build();
        dry!(self, r, probes, "ec2:CreateTags", b.create_tags().resources("i-00000000000000000").tags(tag));
    }

    fn end_probes<'a>(&'a self, region: &'a Region, ec2: &aws_sdk_ec2::Client, probes: &mut Vec<Probe<'a>>) {
        let r = region;
        let all = || ec2.clone();
        let (a, b, c, d) = (all(), all(), all(), all());
        let instances = a.terminate_instances().instance_ids("i-00000000000000000");
        dry!(self, r, probes, "ec2:TerminateInstances", instances);
        let requests = b.cancel_spot_instance_requests().spot_instance_request_ids("sir-00000000");
        dry!(self, r, probes, "ec2:CancelSpotInstanceRequests", requests);
        let fleets = c.delete_fleets().fleet_ids("fleet-00000000-0000-0000-0000-000000000000");
        dry!(self, r, probes, "ec2:DeleteFleets", fleets.terminate_instances(true));
        let volume = d.delete_volume().volume_id("vol-00000000000000000");
        dry!(self, r, probes, "ec2:DeleteVolume", volume);
        let (a, b, c) = (all(), all(), all());
        let interface = a.delete_network_interface().network_interface_id("eni-00000000000000000");
        dry!(self, r, probes, "ec2:DeleteNetworkInterface", interface);
        let address = b.release_address().allocation_id("eipalloc-00000000000000000");
        dry!(self, r, probes, "ec2:ReleaseAddress", address);
        let group = c.delete_security_group().group_id("sg-00000000000000000");
        dry!(self, r, probes, "ec2:DeleteSecurityGroup", group);
        let (a, b, c) = (all(), all(), all());
        let template = a.delete_launch_template().launch_template_name(NOBODY);
        dry!(self, r, probes, "ec2:DeleteLaunchTemplate", template);
        dry!(self, r, probes, "ec2:DeleteKeyPair", b.delete_key_pair().key_name(NOBODY));
        let placement = c.delete_placement_group().group_name(NOBODY);
        dry!(self, r, probes, "ec2:DeletePlacementGroup", placement);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let at = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(at.to_string(), "1994-11-06T08:49:37Z");
        assert_eq!(http_date("yesterday"), None);
    }

    #[test]
    fn a_dry_run_is_proven_by_its_own_code_alone() {
        let refused = |code: &str| Error::new(ErrorKind::PermissionDenied, "no").with("code", code);
        assert!(proven::<()>(Err(refused("DryRunOperation"))).is_ok());
        let missing = proven::<()>(Err(refused("UnauthorizedOperation"))).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::PermissionDenied);
        assert_eq!(proven(Ok(())).unwrap_err().kind(), ErrorKind::Unexpected);
    }
}
