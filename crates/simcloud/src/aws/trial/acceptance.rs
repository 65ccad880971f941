//! What the EC2 face must do to be taken for EC2 by a fleet: launches, what they leave, and what
//! they are refused for.

use crate::aws::trial::bed::{Ec2, launched, numbered, run, text, texts};

/// An instant fleet over these types, in these zones.
fn fleet(kind: &str, count: u32, market: &str, pools: &[(&str, &str)]) -> String {
    let mut form = format!(
        "Action=CreateFleet&TargetCapacitySpecification.TotalTargetCapacity={count}\
         &TargetCapacitySpecification.DefaultTargetCapacityType={market}\
         &LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=fleet\
         &LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version=1"
    );
    if !kind.is_empty() {
        form += &format!("&Type={kind}");
    }
    for (i, (name, zone)) in pools.iter().enumerate() {
        let pool = format!("&LaunchTemplateConfigs.1.Overrides.{}", i + 1);
        form += &format!("{pool}.InstanceType={name}{pool}.AvailabilityZone={zone}");
    }
    form
}

const POOLS: &[(&str, &str)] = &[("m7g.large", "us-east-1a"), ("m6g.large", "us-east-1b")];

fn capacity(name: &str, zone: &str, available: u32) -> String {
    format!(
        "{{\"kind\":\"capacity\",\"cloud\":\"aws\",\"zone\":\"{zone}\",\"instance_type\":\"{name}\",\
         \"market\":\"all\",\"available\":{available}}}"
    )
}

#[test]
fn a_burst_of_a_thousand_instances_passes_and_twenty_more_after_ten_seconds() {
    let ec2 = Ec2::new();
    ec2.ask(&run(1_000));
    assert_eq!(ec2.refused(&run(1)), (503, "RequestLimitExceeded".to_owned()));
    ec2.advance(10);
    ec2.ask(&run(20));
    assert_eq!(ec2.refused(&run(1)), (503, "RequestLimitExceeded".to_owned()));
    let alive = ec2.alive();
    ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &alive));
    ec2.advance(60);
    ec2.end();
}

#[test]
fn the_sixth_run_instances_within_a_second_is_throttled_and_create_fleet_has_its_own_bucket() {
    let ec2 = Ec2::new();
    for _ in 0..5 {
        ec2.ask(&run(1));
    }
    assert_eq!(ec2.refused(&run(1)), (503, "RequestLimitExceeded".to_owned()));
    for _ in 0..50 {
        ec2.ask(&fleet("instant", 1, "on-demand", POOLS));
    }
    let one_more = ec2.refused(&fleet("instant", 1, "on-demand", POOLS));
    assert_eq!(one_more, (503, "RequestLimitExceeded".to_owned()));
    ec2.end();
}

#[test]
fn a_fleet_over_empty_pools_is_a_success_with_an_error_for_each() {
    let ec2 = Ec2::new();
    for (name, zone) in POOLS {
        ec2.fault(&capacity(name, zone, 0));
    }
    for market in ["spot", "on-demand"] {
        let answer = ec2.ask(&fleet("instant", 5, market, POOLS));
        assert_eq!(texts(&answer, "errorCode"), ["InsufficientInstanceCapacity"; 2]);
        assert_eq!(texts(&answer, "lifecycle"), [market; 2]);
        assert!(launched(&answer).is_empty() && answer.contains("<fleetInstanceSet/>"), "{answer}");
        let mut zones = texts(&answer, "availabilityZone");
        zones.sort();
        assert_eq!(zones, ["us-east-1a", "us-east-1b"]);
    }
    ec2.end();
}

#[test]
fn below_its_minimum_a_fleet_launches_nothing() {
    let ec2 = Ec2::new();
    ec2.fault(&capacity("m7g.large", "us-east-1a", 3));
    let wanted = fleet("instant", 5, "spot", &POOLS[..1]);
    let least =
        |n: u32| format!("{wanted}&SpotOptions.MinTargetCapacity={n}&SpotOptions.SingleInstanceType=true");
    let answer = ec2.ask(&least(4));
    assert!(launched(&answer).is_empty(), "{answer}");
    assert_eq!(texts(&answer, "errorCode"), ["InsufficientInstanceCapacity"]);
    assert!(ec2.face.world.ledger().live.is_empty());
    assert_eq!(launched(&ec2.ask(&least(3))).len(), 3);
    let alone = ec2.refused(&format!("{wanted}&SpotOptions.MinTargetCapacity=3"));
    assert_eq!(alone, (400, "InvalidParameterCombination".to_owned()));
    ec2.end();
}

#[test]
fn a_fleet_without_a_type_maintains_its_instances_until_it_is_deleted() {
    let ec2 = Ec2::new();
    let answer = ec2.ask(&fleet("", 4, "spot", POOLS));
    assert!(launched(&answer).is_empty(), "{answer}");
    let id = text(&answer, "fleetId");
    ec2.advance(60);
    let first = ec2.alive();
    assert_eq!(first.len(), 4);
    ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &first[..2]));
    // The fleet looks after its instances whenever somebody looks at EC2.
    assert!(ec2.alive().len() < 4);
    ec2.advance(3);
    let second = ec2.alive();
    assert_eq!(second.len(), 4, "what was killed came back");
    assert!(!second.contains(&first[0]) && second.contains(&first[2]));
    assert!(!ec2.face.world.ledger().blocking.is_empty(), "a fleet that launches by itself is left behind");
    let active = ec2.ask(&format!("Action=DescribeFleetInstances&FleetId={id}"));
    assert_eq!(texts(&active, "instanceId").len(), 4);

    ec2.ask(&format!(
        "Action=ModifyFleet&FleetId={id}&TargetCapacitySpecification.TotalTargetCapacity=1\
         &TargetCapacitySpecification.DefaultTargetCapacityType=spot"
    ));
    assert_eq!(ec2.alive().len(), 1);
    let deleted = ec2.ask(&format!("Action=DeleteFleets&FleetId.1={id}&TerminateInstances=true"));
    assert_eq!(text(&deleted, "currentFleetState"), "deleted_terminating");
    ec2.advance(300);
    assert!(ec2.alive().is_empty(), "a deleted fleet launches nothing");
    let described = ec2.ask(&format!("Action=DescribeFleets&FleetId.1={id}"));
    assert_eq!(text(&described, "fleetState"), "deleted");
    ec2.end();
    ec2.advance(2 * 24 * 3_600);
    assert_eq!(ec2.refused(&format!("Action=DescribeFleets&FleetId.1={id}")).1, "InvalidFleetId.NotFound");
}

#[test]
fn a_fleet_of_type_request_launches_once() {
    let ec2 = Ec2::new();
    ec2.ask(&fleet("request", 2, "on-demand", POOLS));
    ec2.advance(60);
    let first = ec2.alive();
    assert_eq!(first.len(), 2);
    ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &first));
    ec2.advance(300);
    assert!(ec2.alive().is_empty());
    let fleets = ec2.ask("Action=DescribeFleets");
    ec2.ask(&format!("Action=DeleteFleets&FleetId.1={}&TerminateInstances=true", text(&fleets, "fleetId")));
    ec2.end();
}

#[test]
fn a_client_token_buys_once() {
    let ec2 = Ec2::new();
    for form in [run(2), fleet("instant", 2, "spot", POOLS)] {
        let form = format!("{form}&ClientToken=once");
        let ids = |answer: &str| {
            let mut ids = texts(answer, "instanceId");
            ids.extend(launched(answer));
            ids
        };
        let first = ec2.ask(&form);
        assert_eq!(ids(&first).len(), 2);
        assert_eq!(ids(&ec2.ask(&form)), ids(&first));
        let other = ec2.refused(&form.replace("m7g.large", "m6g.large"));
        assert_eq!(other, (400, "IdempotentParameterMismatch".to_owned()));
        ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &ids(&first)));
        ec2.advance(120);
        assert_eq!(ec2.refused(&form), (400, "IdempotentInstanceTerminated".to_owned()));
    }
    ec2.end();
}

#[test]
fn a_new_instance_is_unknown_by_its_id_for_a_moment_and_never_an_error_by_its_tag() {
    let ec2 = Ec2::new();
    let answer = ec2.ask(&format!(
        "{}&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v",
        run(40)
    ));
    let ids = texts(&answer, "instanceId");
    let by_id = numbered("Action=DescribeInstances", "InstanceId", &ids);
    assert_eq!(ec2.refused(&by_id), (400, "InvalidInstanceID.NotFound".to_owned()));
    let by_tag = "Action=DescribeInstances&Filter.1.Name=tag:k&Filter.1.Value.1=v";
    assert!(texts(&ec2.ask(by_tag), "instanceId").len() < 40);
    ec2.advance(3);
    assert_eq!(texts(&ec2.ask(&by_id), "instanceId").len(), 40);
    assert_eq!(texts(&ec2.ask(by_tag), "instanceId").len(), 40);
    assert_eq!(
        ec2.refused("Action=DescribeInstances&InstanceId.1=i-nonsense").1,
        "InvalidInstanceID.Malformed"
    );
    ec2.end();
}

#[test]
fn the_spot_request_tells_of_an_interruption_two_minutes_before_the_instance_does() {
    let ec2 = Ec2::new();
    let ids = launched(&ec2.ask(&format!(
        "{}&TagSpecification.1.ResourceType=spot-instances-request\
         &TagSpecification.1.Tag.1.Key=k&TagSpecification.1.Tag.1.Value=v",
        fleet("instant", 2, "spot", &POOLS[..1])
    )));
    ec2.advance(60);
    let by_tag = "Action=DescribeSpotInstanceRequests&Filter.1.Name=tag:k&Filter.1.Value.1=v";
    assert_eq!(texts(&ec2.ask(by_tag), "code"), ["fulfilled"; 2]);
    ec2.fault(&format!("{{\"kind\":\"preempt\",\"cloud\":\"aws\",\"instance_id\":\"{}\"}}", ids[0]));
    let noticed = format!(
        "{by_tag}&Filter.2.Name=status-code&Filter.2.Value.1=instance-terminated-*\
         &Filter.3.Name=state&Filter.3.Value.1=closed"
    );
    let state = || {
        let answer = ec2.ask(&format!("Action=DescribeInstances&InstanceId.1={}", ids[0]));
        (text(&answer, "name"), answer)
    };
    let request = ec2.ask(&noticed);
    assert_eq!(texts(&request, "instanceId"), [ids[0].clone()]);
    assert_eq!(text(&request, "code"), "instance-terminated-no-capacity");
    assert_eq!(state().0, "running");
    ec2.advance(119);
    assert_eq!(state().0, "running");
    ec2.advance(2);
    let (name, answer) = state();
    assert_eq!(
        (name.as_str(), texts(&answer, "code")[1].as_str()),
        ("shutting-down", "Server.SpotInstanceTermination")
    );
    ec2.advance(2 * 3_600);
    let by_id = format!("Action=DescribeInstances&InstanceId.1={}", ids[0]);
    assert_eq!(ec2.refused(&by_id).1, "InvalidInstanceID.NotFound", "an instance fades after an hour");
    assert_eq!(texts(&ec2.ask(&noticed), "instanceId").len(), 1, "its request after four");
    ec2.advance(3 * 3_600);
    assert!(texts(&ec2.ask(&noticed), "instanceId").is_empty());
    ec2.end();
}

#[test]
fn a_security_group_stays_until_the_interfaces_of_its_instances_are_gone() {
    let ec2 = Ec2::new();
    let made = ec2.ask("Action=CreateSecurityGroup&GroupName=own&GroupDescription=own");
    let group = text(&made, "groupId");
    let ids = texts(&ec2.ask(&format!("{}&SecurityGroupId.1={group}", run(1))), "instanceId");
    ec2.advance(60);
    ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &ids));
    let interfaces =
        format!("Action=DescribeNetworkInterfaces&Filter.1.Name=group-id&Filter.1.Value.1={group}");
    assert_eq!(texts(&ec2.ask(&interfaces), "macAddress").len(), 1);
    let delete = format!("Action=DeleteSecurityGroup&GroupId={group}");
    assert_eq!(ec2.refused(&delete), (400, "DependencyViolation".to_owned()));
    ec2.advance(100);
    assert!(texts(&ec2.ask(&interfaces), "macAddress").is_empty());
    ec2.ask(&delete);
    let by_id = numbered("Action=DescribeInstances", "InstanceId", &ids);
    assert_eq!(text(&ec2.ask(&by_id), "name"), "terminated");
    ec2.advance(3_600);
    assert_eq!(ec2.refused(&by_id).1, "InvalidInstanceID.NotFound");
    ec2.end();
}

#[test]
fn pages_follow_each_other_to_the_end_and_wrong_sizes_are_refused() {
    let ec2 = Ec2::new();
    let ids = texts(&ec2.ask(&run(23)), "instanceId");
    ec2.ask(&fleet("instant", 4, "spot", POOLS));
    ec2.advance(3);
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let mut form = "Action=DescribeInstances&MaxResults=5".to_owned();
        if !token.is_empty() {
            form += &format!("&NextToken={}", token.replace('=', "%3D"));
        }
        let answer = ec2.ask(&form);
        seen.extend(texts(&answer, "instanceId"));
        match texts(&answer, "nextToken").pop().filter(|token| !token.is_empty()) {
            Some(next) => token = next,
            None => break,
        }
    }
    assert_eq!(seen.len(), 27);
    assert_eq!(seen[..23], ids[..]);
    for form in ["MaxResults=4", "MaxResults=1001"] {
        assert_eq!(ec2.refused(&format!("Action=DescribeInstances&{form}")).1, "InvalidParameterValue");
    }
    let both = format!("Action=DescribeInstances&MaxResults=5&InstanceId.1={}", ids[0]);
    assert_eq!(ec2.refused(&both).1, "InvalidParameterCombination");
    ec2.end();
}

#[test]
fn capacity_quota_price_and_throttle_are_told_apart() {
    let ec2 = Ec2::new();
    let quota = |name: &str, limit: u32| {
        format!(
            "{{\"kind\":\"quota\",\"cloud\":\"aws\",\"region\":\"us-east-1\",\"name\":\"{name}\",\"limit\":{limit}}}"
        )
    };
    ec2.fault(&quota("L-34B43A08", 4));
    ec2.fault(&quota("L-1216C47A", 4));
    let spot = ec2.ask(&fleet("instant", 3, "spot", &POOLS[..1]));
    assert_eq!(
        (texts(&spot, "errorCode"), launched(&spot).len()),
        (vec!["MaxSpotInstanceCountExceeded".to_owned()], 2)
    );
    let on_demand = ec2.ask(&fleet("instant", 3, "on-demand", &POOLS[..1]));
    assert_eq!(
        (texts(&on_demand, "errorCode"), launched(&on_demand).len()),
        (vec!["VcpuLimitExceeded".to_owned()], 2)
    );
    assert_eq!(ec2.refused(&run(1)), (400, "VcpuLimitExceeded".to_owned()));
    ec2.fault(&quota("L-34B43A08", 100));
    let cheap = format!(
        "{}&LaunchTemplateConfigs.1.Overrides.1.MaxPrice=0.0011",
        fleet("instant", 1, "spot", &POOLS[..1])
    );
    assert_eq!(texts(&ec2.ask(&cheap), "errorCode"), ["SpotMaxPriceTooLow"]);
    ec2.fault(&quota("L-1216C47A", 100));
    ec2.fault(&capacity("m7g.large", "us-east-1a", 0));
    let placed = format!("{}&Placement.AvailabilityZone=us-east-1a", run(1));
    assert_eq!(ec2.refused(&placed), (500, "InsufficientInstanceCapacity".to_owned()));
    assert_eq!(texts(&ec2.ask(&run(1)), "instanceId").len(), 1, "elsewhere there is room");
    ec2.end();
}
