use crate::aws::shape::{
    Member, choice, flag, list, moment, number, part, real, text, text_or_empty, texts, texts_each,
};

const RANGE: &[Member] = &[number("Min"), number("Max")];
const REAL_RANGE: &[Member] = &[real("Min"), real("Max")];
const INCLUDED: &[&str] = &["included", "required", "excluded"];
const ENABLED: &[&str] = &["disabled", "enabled"];

/// Disks, with the members of their volumes that not every structure has.
macro_rules! block_devices {
    ($($more:expr),*) => {
        list(
            "BlockDeviceMapping",
            "blockDeviceMappingSet",
            &[
                text("DeviceName"),
                text("VirtualName"),
                part(
                    "Ebs",
                    &[
                        flag("Encrypted"),
                        flag("DeleteOnTermination"),
                        number("Iops"),
                        text("KmsKeyId"),
                        text("SnapshotId"),
                        number("VolumeSize"),
                        choice("VolumeType", &["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"]),
                        number("Throughput"),
                        $($more,)*
                    ],
                ),
                text("NoDevice"),
            ],
        )
    };
}

/// The members of `RequestLaunchTemplateData` and `ResponseLaunchTemplateData`, EC2 service model.
pub(crate) const DATA: &[Member] = &[
    text("KernelId"),
    flag("EbsOptimized"),
    part("IamInstanceProfile", &[text("Arn"), text("Name")]),
    block_devices!(number("VolumeInitializationRate"), number("EbsCardIndex")),
    list(
        "NetworkInterface",
        "networkInterfaceSet",
        &[
            flag("AssociateCarrierIpAddress"),
            flag("AssociatePublicIpAddress"),
            flag("DeleteOnTermination"),
            text("Description"),
            number("DeviceIndex"),
            texts_each("SecurityGroupId", "groupSet", "groupId"),
            text("InterfaceType"),
            number("Ipv6AddressCount"),
            list("Ipv6Addresses", "ipv6AddressesSet", &[text("Ipv6Address")]),
            text("NetworkInterfaceId"),
            text("PrivateIpAddress"),
            list("PrivateIpAddresses", "privateIpAddressesSet", &[flag("Primary"), text("PrivateIpAddress")]),
            number("SecondaryPrivateIpAddressCount"),
            text("SubnetId"),
            number("NetworkCardIndex"),
            list("Ipv4Prefix", "ipv4PrefixSet", &[text("Ipv4Prefix")]),
            number("Ipv4PrefixCount"),
            list("Ipv6Prefix", "ipv6PrefixSet", &[text("Ipv6Prefix")]),
            number("Ipv6PrefixCount"),
            flag("PrimaryIpv6"),
            part(
                "EnaSrdSpecification",
                &[flag("EnaSrdEnabled"), part("EnaSrdUdpSpecification", &[flag("EnaSrdUdpEnabled")])],
            ),
            part(
                "ConnectionTrackingSpecification",
                &[number("TcpEstablishedTimeout"), number("UdpStreamTimeout"), number("UdpTimeout")],
            ),
            number("EnaQueueCount"),
        ],
    ),
    text("ImageId"),
    text("InstanceType"),
    text("KeyName"),
    part("Monitoring", &[flag("Enabled"), texts("MetricCategoryId", "metricCategoryIdSet")]),
    part("Placement", PLACEMENT),
    text("RamDiskId"),
    flag("DisableApiTermination"),
    choice("InstanceInitiatedShutdownBehavior", &["stop", "terminate"]),
    text("UserData"),
    list(
        "TagSpecification",
        "tagSpecificationSet",
        &[text("ResourceType"), list("Tag", "tagSet", &[text("Key"), text_or_empty("Value")])],
    ),
    list("ElasticGpuSpecification", "elasticGpuSpecificationSet", &[text("Type")]),
    list("ElasticInferenceAccelerator", "elasticInferenceAcceleratorSet", &[text("Type"), number("Count")]),
    texts("SecurityGroupId", "securityGroupIdSet"),
    texts("SecurityGroup", "securityGroupSet"),
    part(
        "InstanceMarketOptions",
        &[
            choice(
                "MarketType",
                &["spot", "capacity-block", "interruptible-capacity-reservation", "on-demand"],
            ),
            part(
                "SpotOptions",
                &[
                    text("MaxPrice"),
                    choice("SpotInstanceType", &["one-time", "persistent"]),
                    number("BlockDurationMinutes"),
                    moment("ValidUntil"),
                    choice("InstanceInterruptionBehavior", &["hibernate", "stop", "terminate"]),
                ],
            ),
        ],
    ),
    part("CreditSpecification", &[text("CpuCredits")]),
    part(
        "CpuOptions",
        &[
            number("CoreCount"),
            number("ThreadsPerCore"),
            choice("AmdSevSnp", &["enabled", "disabled"]),
            choice("NestedVirtualization", &["enabled", "disabled"]),
        ],
    ),
    part(
        "CapacityReservationSpecification",
        &[
            choice("CapacityReservationPreference", &["capacity-reservations-only", "open", "none"]),
            part(
                "CapacityReservationTarget",
                &[text("CapacityReservationId"), text("CapacityReservationResourceGroupArn")],
            ),
        ],
    ),
    list("LicenseSpecification", "licenseSet", &[text("LicenseConfigurationArn")]),
    part("HibernationOptions", &[flag("Configured")]),
    part(
        "MetadataOptions",
        &[
            choice("HttpTokens", &["optional", "required"]),
            number("HttpPutResponseHopLimit"),
            choice("HttpEndpoint", ENABLED),
            choice("HttpProtocolIpv6", ENABLED),
            choice("InstanceMetadataTags", ENABLED),
        ],
    ),
    part("EnclaveOptions", &[flag("Enabled")]),
    part("InstanceRequirements", REQUIREMENTS),
    part(
        "PrivateDnsNameOptions",
        &[
            choice("HostnameType", &["ip-name", "resource-name"]),
            flag("EnableResourceNameDnsARecord"),
            flag("EnableResourceNameDnsAAAARecord"),
        ],
    ),
    part("MaintenanceOptions", &[choice("AutoRecovery", &["default", "disabled"])]),
    flag("DisableApiStop"),
    part("Operator", &[text("Principal")]),
    part("NetworkPerformanceOptions", &[choice("BandwidthWeighting", &["default", "vpc-1", "ebs-1"])]),
    list(
        "SecondaryInterface",
        "secondaryInterfaceSet",
        &[
            flag("DeleteOnTermination"),
            number("DeviceIndex"),
            list("PrivateIpAddress", "privateIpAddressesSet", &[text("PrivateIpAddress")]),
            number("PrivateIpAddressCount"),
            text("SecondarySubnetId"),
            choice("InterfaceType", &["secondary"]),
            number("NetworkCardIndex"),
        ],
    ),
];

/// The members of `FleetLaunchTemplateOverridesRequest` that its answers have too.
pub(crate) const OVERRIDE: &[Member] = &[
    text("InstanceType"),
    text("MaxPrice"),
    text("SubnetId"),
    text("AvailabilityZone"),
    real("WeightedCapacity"),
    real("Priority"),
    part("Placement", PLACEMENT),
    part("InstanceRequirements", REQUIREMENTS),
    text("ImageId"),
    block_devices!(),
    text("AvailabilityZoneId"),
];

const PLACEMENT: &[Member] = &[
    text("AvailabilityZone"),
    text("AvailabilityZoneId"),
    text("Affinity"),
    text("GroupName"),
    text("HostId"),
    choice("Tenancy", &["default", "dedicated", "host"]),
    text("SpreadDomain"),
    text("HostResourceGroupArn"),
    number("PartitionNumber"),
    text("GroupId"),
];

/// The attributes of types: `InstanceRequirementsRequest`.
pub(crate) const REQUIREMENTS: &[Member] = &[
    part("VCpuCount", RANGE),
    part("MemoryMiB", RANGE),
    texts("CpuManufacturer", "cpuManufacturerSet"),
    part("MemoryGiBPerVCpu", REAL_RANGE),
    texts("ExcludedInstanceType", "excludedInstanceTypeSet"),
    texts("InstanceGeneration", "instanceGenerationSet"),
    number("SpotMaxPricePercentageOverLowestPrice"),
    number("OnDemandMaxPricePercentageOverLowestPrice"),
    choice("BareMetal", INCLUDED),
    choice("BurstablePerformance", INCLUDED),
    flag("RequireHibernateSupport"),
    part("NetworkInterfaceCount", RANGE),
    choice("LocalStorage", INCLUDED),
    texts("LocalStorageType", "localStorageTypeSet"),
    part("TotalLocalStorageGB", REAL_RANGE),
    part("BaselineEbsBandwidthMbps", RANGE),
    texts("AcceleratorType", "acceleratorTypeSet"),
    part("AcceleratorCount", RANGE),
    texts("AcceleratorManufacturer", "acceleratorManufacturerSet"),
    texts("AcceleratorName", "acceleratorNameSet"),
    part("AcceleratorTotalMemoryMiB", RANGE),
    part("NetworkBandwidthGbps", REAL_RANGE),
    texts("AllowedInstanceType", "allowedInstanceTypeSet"),
    number("MaxSpotPriceAsPercentageOfOptimalOnDemandPrice"),
    part(
        "BaselinePerformanceFactors",
        &[part("Cpu", &[list("Reference", "referenceSet", &[text("InstanceFamily")])])],
    ),
    flag("RequireEncryptionInTransit"),
];
