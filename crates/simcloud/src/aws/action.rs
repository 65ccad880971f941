use crate::aws::error::coded;
use crate::aws::fleet::actions;
use crate::aws::groups::changes;
use crate::aws::instances::attributes;
use crate::aws::instances::console;
use crate::aws::instances::ending;
use crate::aws::instances::status;
use crate::aws::services::identity;
use crate::aws::spot::prices;
use crate::aws::spot::scores;
use crate::aws::templates::versions;
use crate::aws::types::requirements;
use crate::aws::{
    Request, addresses, fleet, groups, images, instances, interfaces, keys, network, placement, regions, run,
    spot, tags, templates, types, volumes,
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
    ("AuthorizeSecurityGroupEgress", changes::authorize_egress),
    ("AuthorizeSecurityGroupIngress", changes::authorize_ingress),
    ("CancelSpotInstanceRequests", spot::cancel),
    ("CreateFleet", fleet::create),
    ("CreateKeyPair", keys::create),
    ("CreateLaunchTemplate", templates::create),
    ("CreateLaunchTemplateVersion", versions::create),
    ("CreateNetworkInterface", interfaces::create),
    ("CreatePlacementGroup", placement::create),
    ("CreateSecurityGroup", groups::create),
    ("CreateTags", tags::create),
    ("CreateVolume", volumes::create),
    ("DeleteFleets", actions::delete),
    ("DeleteKeyPair", keys::delete),
    ("DeleteLaunchTemplate", templates::delete),
    ("DeleteLaunchTemplateVersions", versions::delete),
    ("DeleteNetworkInterface", interfaces::delete),
    ("DeletePlacementGroup", placement::delete),
    ("DeleteSecurityGroup", groups::delete),
    ("DeleteTags", tags::delete),
    ("DeleteVolume", volumes::delete),
    ("DescribeAccountAttributes", regions::describe_account),
    ("DescribeAddresses", addresses::describe),
    ("DescribeAvailabilityZones", regions::describe_zones),
    ("DescribeFleetHistory", actions::history),
    ("DescribeFleetInstances", actions::instances),
    ("DescribeFleets", actions::describe),
    ("DescribeImages", images::describe),
    ("DescribeInstanceAttribute", attributes::describe),
    ("DescribeInstanceStatus", status::describe),
    ("DescribeInstanceTypeOfferings", types::offerings),
    ("DescribeInstanceTypes", types::describe),
    ("DescribeInstances", instances::describe),
    ("DescribeKeyPairs", keys::describe),
    ("DescribeLaunchTemplateVersions", versions::describe),
    ("DescribeLaunchTemplates", templates::describe),
    ("DescribeNetworkInterfaces", interfaces::describe),
    ("DescribePlacementGroups", placement::describe),
    ("DescribeRegions", regions::describe_regions),
    ("DescribeSecurityGroups", groups::describe),
    ("DescribeSpotInstanceRequests", spot::describe),
    ("DescribeSpotPriceHistory", prices::history),
    ("DescribeSubnets", network::describe_subnets),
    ("DescribeTags", tags::describe),
    ("DescribeVolumes", volumes::describe),
    ("DescribeVpcs", network::describe_vpcs),
    ("DetachVolume", volumes::detach),
    ("DisassociateAddress", addresses::disassociate),
    ("GetCallerIdentity", identity::caller),
    ("GetConsoleOutput", console::output),
    ("GetInstanceTypesFromInstanceRequirements", requirements::preview),
    ("GetSpotPlacementScores", scores::scores),
    ("ImportKeyPair", keys::import),
    ("ModifyFleet", actions::modify),
    ("ModifyInstanceAttribute", attributes::modify),
    ("ModifyLaunchTemplate", templates::modify),
    ("RebootInstances", ending::reboot),
    ("ReleaseAddress", addresses::release),
    ("RevokeSecurityGroupEgress", changes::revoke_egress),
    ("RevokeSecurityGroupIngress", changes::revoke_ingress),
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
