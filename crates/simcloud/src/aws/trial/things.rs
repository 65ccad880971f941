//! What goes with instances: tags, volumes, addresses, protection, stops.

use crate::aws::trial::bed::{Ec2, image, launched, numbered, run, text, texts};

#[test]
fn the_keys_of_aws_are_reserved_and_tags_need_what_they_are_for() {
    let ec2 = Ec2::new();
    let tag = |kind: &str, key: &str| {
        format!(
            "&TagSpecification.1.ResourceType={kind}&TagSpecification.1.Tag.1.Key={key}&TagSpecification.1.Tag.1.Value=v"
        )
    };
    for (kind, key) in [("instance", "aws:ec2:fleet-id"), ("spot-instances-request", "k"), ("vpc", "k")] {
        let code = ec2.refused(&format!("{}{}", run(1), tag(kind, key))).1;
        assert_eq!(code, "InvalidParameterValue", "{kind} {key}");
    }
    let ids = texts(&ec2.ask(&format!("{}{}", run(1), tag("volume", "k"))), "instanceId");
    ec2.advance(5);
    let (volume, request) = (ids[0].replacen("i-", "vol-", 1), "Action=CreateTags&Tag.1.Key=a&Tag.1.Value=b");
    ec2.ask(&numbered(request, "ResourceId", &[ids[0].clone(), volume.clone()]));
    assert_eq!(
        ec2.refused(&format!("{request}&ResourceId.1=i-0123456789abcdef0")).1,
        "InvalidInstanceID.NotFound"
    );
    let of_volume = format!("Action=DescribeTags&Filter.1.Name=resource-id&Filter.1.Value.1={volume}");
    assert_eq!(texts(&ec2.ask(&of_volume), "key"), ["a", "k"]);
    ec2.ask(&format!("Action=DeleteTags&ResourceId.1={volume}&Tag.1.Key=a&Tag.1.Value=other"));
    assert_eq!(texts(&ec2.ask(&of_volume), "key"), ["a", "k"], "the value is another one");
    ec2.ask(&format!("Action=DeleteTags&ResourceId.1={volume}&Tag.1.Key=a"));
    assert_eq!(texts(&ec2.ask(&of_volume), "key"), ["k"]);
    let by_tag = "Action=DescribeTags&Filter.1.Name=tag:a&Filter.1.Value.1=b";
    assert_eq!(texts(&ec2.ask(by_tag), "resourceId"), ids);
    ec2.end();
}

#[test]
fn a_volume_that_outlives_its_instance_costs_until_it_is_deleted() {
    let ec2 = Ec2::new();
    let kept = "&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false\
                &BlockDeviceMapping.1.Ebs.VolumeSize=20";
    let ids = texts(&ec2.ask(&format!("{}{kept}", run(1))), "instanceId");
    let volume = ids[0].replacen("i-", "vol-", 1);
    ec2.advance(30);
    assert_eq!(ec2.refused(&format!("Action=DeleteVolume&VolumeId={volume}")).1, "VolumeInUse");
    ec2.ask(&numbered("Action=TerminateInstances", "InstanceId", &ids));
    ec2.advance(120);
    let left = ec2.ask(&format!("Action=DescribeVolumes&VolumeId.1={volume}"));
    assert_eq!((text(&left, "status"), text(&left, "size")), ("available".to_owned(), "20".to_owned()));
    assert_eq!(ec2.face.world.ledger().live.len(), 1, "the volume; the automatic address is gone");
    ec2.ask(&format!("Action=DeleteVolume&VolumeId={volume}"));
    ec2.end();
}

#[test]
fn an_address_is_released_when_it_is_no_longer_in_use() {
    let ec2 = Ec2::new();
    let ids = texts(&ec2.ask(&run(1)), "instanceId");
    ec2.advance(30);
    let made = ec2.ask("Action=AllocateAddress&Domain=vpc");
    let (id, ip) = (text(&made, "allocationId"), text(&made, "publicIp"));
    let joined = ec2.ask(&format!("Action=AssociateAddress&AllocationId={id}&InstanceId={}", ids[0]));
    let told = ec2.ask(&numbered("Action=DescribeInstances", "InstanceId", &ids));
    assert_eq!(text(&told, "ipAddress"), ip);
    let release = format!("Action=ReleaseAddress&AllocationId={id}");
    assert_eq!(ec2.refused(&release).1, "InvalidIPAddress.InUse");
    ec2.ask(&format!("Action=DisassociateAddress&AssociationId={}", text(&joined, "associationId")));
    ec2.ask(&release);
    ec2.end();
}

#[test]
fn a_protected_instance_keeps_its_zone_alive() {
    let ec2 = Ec2::new();
    let placed = |zone: &str| format!("{}&Placement.AvailabilityZone=us-east-1{zone}", run(1));
    let ids: Vec<String> = [placed("a") + "&DisableApiTermination=true", placed("a"), placed("b")]
        .iter()
        .map(|form| text(&ec2.ask(form), "instanceId"))
        .collect();
    ec2.advance(30);
    let terminate = numbered("Action=TerminateInstances", "InstanceId", &ids);
    assert_eq!(ec2.refused(&terminate).1, "OperationNotPermitted");
    let mut alive = ec2.alive();
    alive.sort();
    let mut kept = ids[..2].to_vec();
    kept.sort();
    assert_eq!(alive, kept);
    ec2.ask(&format!(
        "Action=ModifyInstanceAttribute&InstanceId={}&DisableApiTermination.Value=false",
        ids[0]
    ));
    ec2.ask(&terminate);
    ec2.end();
}

#[test]
fn on_demand_stops_and_starts_and_one_time_spot_does_not() {
    let ec2 = Ec2::new();
    let ids = texts(&ec2.ask(&run(1)), "instanceId");
    let spot = texts(&ec2.ask(&format!("{}&InstanceMarketOptions.MarketType=spot", run(1))), "instanceId");
    ec2.advance(60);
    let state = || {
        let all = format!("Action=DescribeInstances&InstanceId.1={}", ids[0]);
        text(&ec2.ask(&all), "name")
    };
    assert_eq!(ec2.refused(&numbered("Action=StopInstances", "InstanceId", &spot)).1, "UnsupportedOperation");
    let stopped = ec2.ask(&numbered("Action=StopInstances", "InstanceId", &ids));
    assert_eq!(texts(&stopped, "name"), ["stopping", "running"]);
    ec2.advance(120);
    assert_eq!(state(), "stopped");
    ec2.ask(&numbered("Action=StartInstances", "InstanceId", &ids));
    assert_eq!(state(), "pending");
    ec2.advance(60);
    assert_eq!(state(), "running");
    ec2.end();
}

#[test]
fn instant_fleets_are_deleted_with_their_instances_only() {
    let ec2 = Ec2::new();
    let answer = ec2.ask(
        "Action=CreateFleet&Type=instant&TargetCapacitySpecification.TotalTargetCapacity=2\
         &LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateName=fleet\
         &LaunchTemplateConfigs.1.Overrides.1.InstanceType=m7g.large",
    );
    let fleet = text(&answer, "fleetId");
    assert_eq!(launched(&answer).len(), 2);
    let delete = format!("Action=DeleteFleets&FleetId.1={fleet}&TerminateInstances");
    assert_eq!(ec2.refused(&format!("{delete}=false")).1, "NoTerminateInstancesNotSupported");
    assert_eq!(
        ec2.refused(&format!("Action=DescribeFleetInstances&FleetId={fleet}")).1,
        "UnsupportedOperation"
    );
    assert!(!ec2.ask("Action=DescribeFleets").contains(&fleet), "an instant fleet is told by its id only");
    ec2.advance(5);
    let own = ec2.ask(&format!(
        "Action=DescribeInstances&Filter.1.Name=tag:aws:ec2:fleet-id&Filter.1.Value.1={fleet}"
    ));
    assert_eq!(texts(&own, "instanceId").len(), 2);
    let deleted = ec2.ask(&format!("{delete}=true"));
    assert_eq!(text(&deleted, "previousFleetState"), "active");
    assert!(ec2.alive().is_empty());
    ec2.end();
}

#[test]
fn user_data_come_back_as_they_were_given() {
    let ec2 = Ec2::new();
    let id = text(&ec2.ask(&format!("{}&UserData=IyEvYmluL3NoCg%3D%3D", run(1))), "instanceId");
    let told = ec2.ask(&format!("Action=DescribeInstanceAttribute&InstanceId={id}&Attribute=userData"));
    assert_eq!(text(&told, "value"), "IyEvYmluL3NoCg==");
    assert_eq!(ec2.refused(&format!("{}&UserData=%21", run(1))).1, "InvalidUserData.Malformed");
    assert_eq!(ec2.refused(&format!("{}&UserData=%2F%2F8%3D", run(1))).1, "InvalidUserData.Malformed");
    assert_eq!(ec2.refused(&run(1).replace(&image(), "ami-0123456789abcdef0")).1, "InvalidAMIID.NotFound");
    ec2.end();
}
