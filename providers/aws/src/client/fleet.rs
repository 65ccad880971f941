//! What launching asks AWS: networks and images, groups and templates, fleets and instances.

use std::collections::BTreeMap;

use aws_sdk_ec2::operation::create_fleet::CreateFleetOutput;
use aws_sdk_ec2::operation::create_fleet::builders::CreateFleetInputBuilder;
use aws_sdk_ec2::types::{
    Filter, Image, Instance, IpPermission, LaunchTemplate, RequestLaunchTemplateData, ResourceType,
    SecurityGroup, Subnet,
};
use skyfleet_core::{Error, ErrorKind, Region, Result};

use super::Client;
use super::pages::Pages;
use crate::convert;

/// The most that EC2 gives in one page of most lists (EC2's service model).
const PAGE: i32 = 1_000;
/// The most values that a filter takes (EC2 developer guide, "List and filter using the API").
pub(crate) const FILTER_MAX: usize = 200;

/// A filter: the name and what it lets through.
pub(crate) fn filter(name: impl Into<String>, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

impl Client {
    /// The instances that pass all filters, from all pages, dead ones too while EC2 knows them.
    pub(crate) async fn instances(
        &self,
        operation: &'static str,
        region: &Region,
        filters: Vec<Filter>,
        mut take: impl FnMut(Instance),
    ) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let request = ec2.describe_instances().set_filters(Some(filters)).max_results(PAGE);
        let ask = |token| request.clone().set_next_token(token).send();
        let mut pages = Pages::new(self, operation, region);
        pages
            .all(ask, |page| {
                let reservations = page.reservations.unwrap_or_default().into_iter();
                reservations
                    .flat_map(|reservation| reservation.instances.unwrap_or_default())
                    .for_each(&mut take);
                page.next_token
            })
            .await
    }

    /// The networks that pass a filter.
    pub(crate) async fn vpcs(&self, region: &Region, which: Filter) -> Result<Vec<String>> {
        let ec2 = self.ec2(region).await?;
        let answer = self.send("aws.prepare", region, ec2.describe_vpcs().filters(which).send()).await?;
        Ok(answer.vpcs().iter().filter_map(|vpc| vpc.vpc_id()).map(str::to_owned).collect())
    }

    /// The subnets that pass a filter.
    pub(crate) async fn subnets(&self, region: &Region, which: Filter) -> Result<Vec<Subnet>> {
        let ec2 = self.ec2(region).await?;
        let answer = self.send("aws.prepare", region, ec2.describe_subnets().filters(which).send()).await?;
        Ok(answer.subnets.unwrap_or_default())
    }

    /// The images that pass a filter and can be launched.
    pub(crate) async fn images(&self, region: &Region, which: Filter) -> Result<Vec<Image>> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.describe_images().filters(which).filters(filter("state", ["available"]));
        Ok(self.send("aws.prepare", region, ask.send()).await?.images.unwrap_or_default())
    }

    /// The security groups that pass all filters.
    pub(crate) async fn groups(&self, region: &Region, which: Vec<Filter>) -> Result<Vec<SecurityGroup>> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.describe_security_groups().set_filters(Some(which));
        Ok(self.send("aws.prepare", region, ask.send()).await?.security_groups.unwrap_or_default())
    }

    /// Makes a security group in a network, the default one if none is named.
    pub(crate) async fn create_group(
        &self,
        region: &Region,
        name: &str,
        vpc: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<String> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2
            .create_security_group()
            .group_name(name)
            .description("Made by skyfleet for one fleet, deleted with it")
            .set_vpc_id(vpc.map(str::to_owned))
            .tag_specifications(convert::tagged(ResourceType::SecurityGroup, tags));
        let answer = self.send("aws.prepare", region, ask.send()).await?;
        answer.group_id.ok_or_else(|| nameless("security group").with("region", region))
    }

    /// Lets traffic into a group.
    pub(crate) async fn allow(&self, region: &Region, group: &str, rules: Vec<IpPermission>) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.authorize_security_group_ingress().group_id(group).set_ip_permissions(Some(rules));
        self.send("aws.prepare", region, ask.send()).await.map(drop)
    }

    /// The launch template of a name.
    pub(crate) async fn template(&self, region: &Region, name: &str) -> Result<Option<LaunchTemplate>> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.describe_launch_templates().filters(filter("launch-template-name", [name]));
        let answer = self.send("aws.prepare", region, ask.send()).await?;
        Ok(answer.launch_templates.unwrap_or_default().into_iter().next())
    }

    /// Makes a launch template.
    pub(crate) async fn create_template(
        &self,
        region: &Region,
        name: &str,
        data: RequestLaunchTemplateData,
        tags: &BTreeMap<String, String>,
    ) -> Result<String> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2
            .create_launch_template()
            .launch_template_name(name)
            .launch_template_data(data)
            .tag_specifications(convert::tagged(ResourceType::LaunchTemplate, tags));
        let answer = self.send("aws.prepare", region, ask.send()).await?;
        let id = answer.launch_template.and_then(|template| template.launch_template_id);
        id.ok_or_else(|| nameless("launch template").with("region", region))
    }

    /// Puts tags on something, in place of those with the same keys.
    pub(crate) async fn tag(&self, region: &Region, id: &str, tags: &BTreeMap<String, String>) -> Result<()> {
        let ec2 = self.ec2(region).await?;
        let ask = ec2.create_tags().resources(id).set_tags(Some(convert::tags(tags)));
        self.send("aws.prepare", region, ask.send()).await.map(drop)
    }

    /// Buys instances: one call.
    pub(crate) async fn create_fleet(
        &self,
        region: &Region,
        fleet: CreateFleetInputBuilder,
    ) -> Result<CreateFleetOutput> {
        let ec2 = self.ec2(region).await?;
        self.send("aws.launch", region, fleet.send_with(&ec2)).await
    }
}

fn nameless(what: &str) -> Error {
    Error::new(ErrorKind::Unexpected, format!("EC2 made a {what} and did not say its id")).at("aws.prepare")
}
