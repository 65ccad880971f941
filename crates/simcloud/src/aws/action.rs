use crate::aws::error::coded;
use crate::aws::{
    Request, addresses, console, ending, fleet, fleet_actions, group_changes, groups, identity, images,
    instance_attributes, instance_status, instances, interfaces, keys, network, placement, regions,
    requirements, run, spot, spot_prices, spot_scores, tags, template_versions, templates, types, volumes,
};
use crate::refusal::Refusal;

/// Answers an action of the EC2 Query API.
pub(crate) type Action = fn(&Request<'_>) -> Result<String, Refusal>;

/// Where an action is answered; `None` for one that is not simulated.
pub(crate) fn find(action: &str) -> Option<Action> {
    ACTIONS.binary_search_by_key(&action, |(name, _)| name).ok().map(|at| ACTIONS[at].1)
}

/// The names of all, in their order.
pub(crate) fn names() -> Vec<&'static str> {
    ACTIONS.iter().map(|(name, _)| *name).collect()
}

/// Answers a request: with what EC2 says when there is no such action, if there is none.
pub(crate) fn answer(request: &Request<'_>) -> Result<String, Refusal> {
    match find(request.action) {
        Some(action) => action(request),
        None => {
            tracing::warn!(action = request.action, "this action of EC2 is not simulated");
            let message = format!("The action {} is not valid for this web service.", request.action);
            Err(coded(400, "InvalidAction", message))
        }
    }
}

/// The actions that are simulated, in the order of their names.
const ACTIONS: &[(&str, Action)] = &[
    ("AllocateAddress", addresses::allocate),
    ("AssociateAddress", addresses::associate),
    ("AttachVolume", volumes::attach),
    ("AuthorizeSecurityGroupEgress", group_changes::authorize_egress),
    ("AuthorizeSecurityGroupIngress", group_changes::authorize_ingress),
    ("CancelSpotInstanceRequests", spot::cancel),
    ("CreateFleet", fleet::create),
    ("CreateKeyPair", keys::create),
    ("CreateLaunchTemplate", templates::create),
    ("CreateLaunchTemplateVersion", template_versions::create),
    ("CreateNetworkInterface", interfaces::create),
    ("CreatePlacementGroup", placement::create),
    ("CreateSecurityGroup", groups::create),
    ("CreateTags", tags::create),
    ("CreateVolume", volumes::create),
    ("DeleteFleets", fleet_actions::delete),
    ("DeleteKeyPair", keys::delete),
    ("DeleteLaunchTemplate", templates::delete),
    ("DeleteLaunchTemplateVersions", template_versions::delete),
    ("DeleteNetworkInterface", interfaces::delete),
    ("DeletePlacementGroup", placement::delete),
    ("DeleteSecurityGroup", groups::delete),
    ("DeleteTags", tags::delete),
    ("DeleteVolume", volumes::delete),
    ("DescribeAccountAttributes", regions::describe_account),
    ("DescribeAddresses", addresses::describe),
    ("DescribeAvailabilityZones", regions::describe_zones),
    ("DescribeFleetHistory", fleet_actions::history),
    ("DescribeFleetInstances", fleet_actions::instances),
    ("DescribeFleets", fleet_actions::describe),
    ("DescribeImages", images::describe),
    ("DescribeInstanceAttribute", instance_attributes::describe),
    ("DescribeInstanceStatus", instance_status::describe),
    ("DescribeInstanceTypeOfferings", types::offerings),
    ("DescribeInstanceTypes", types::describe),
    ("DescribeInstances", instances::describe),
    ("DescribeKeyPairs", keys::describe),
    ("DescribeLaunchTemplateVersions", template_versions::describe),
    ("DescribeLaunchTemplates", templates::describe),
    ("DescribeNetworkInterfaces", interfaces::describe),
    ("DescribePlacementGroups", placement::describe),
    ("DescribeRegions", regions::describe_regions),
    ("DescribeSecurityGroups", groups::describe),
    ("DescribeSpotInstanceRequests", spot::describe),
    ("DescribeSpotPriceHistory", spot_prices::history),
    ("DescribeSubnets", network::describe_subnets),
    ("DescribeTags", tags::describe),
    ("DescribeVolumes", volumes::describe),
    ("DescribeVpcs", network::describe_vpcs),
    ("DetachVolume", volumes::detach),
    ("DisassociateAddress", addresses::disassociate),
    ("GetCallerIdentity", identity::caller),
    ("GetConsoleOutput", console::output),
    ("GetInstanceTypesFromInstanceRequirements", requirements::preview),
    ("GetSpotPlacementScores", spot_scores::scores),
    ("ImportKeyPair", keys::import),
    ("ModifyFleet", fleet_actions::modify),
    ("ModifyInstanceAttribute", instance_attributes::modify),
    ("ModifyLaunchTemplate", templates::modify),
    ("RebootInstances", ending::reboot),
    ("ReleaseAddress", addresses::release),
    ("RevokeSecurityGroupEgress", group_changes::revoke_egress),
    ("RevokeSecurityGroupIngress", group_changes::revoke_ingress),
    ("RunInstances", run::run),
    ("StartInstances", ending::start),
    ("StopInstances", ending::stop),
    ("TerminateInstances", ending::terminate),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_actions_are_in_the_order_in_which_they_are_looked_up() {
        assert!(ACTIONS.is_sorted_by_key(|(name, _)| name));
        assert!(find("NoSuchAction").is_none());
    }
}
