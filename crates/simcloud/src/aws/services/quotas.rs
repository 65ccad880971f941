use serde_json::{Value, json};

use crate::aws::ACCOUNT;
use crate::aws::error::coded;
use crate::aws::page::Page;
use crate::kernel::Kernel;
use crate::refusal::Refusal;

/// Service Quotas `GetServiceQuota`: what the account may use in the region now.
pub(crate) fn get(kernel: &Kernel, region: &str, body: &Value) -> Result<Value, Refusal> {
    let quota = asked(body)?;
    Ok(json!({ "Quota": quota.told(region, quota.value(kernel, region)) }))
}

/// Service Quotas `GetAWSDefaultServiceQuota`: what a new account may use.
pub(crate) fn get_default(region: &str, body: &Value) -> Result<Value, Refusal> {
    let quota = asked(body)?;
    Ok(json!({ "Quota": quota.told(region, f64::from(quota.fresh)) }))
}

/// Service Quotas `ListServiceQuotas`.
pub(crate) fn list(kernel: &Kernel, region: &str, body: &Value) -> Result<Value, Refusal> {
    listed(body, |quota| quota.told(region, quota.value(kernel, region)))
}

/// Service Quotas `ListAWSDefaultServiceQuotas`.
pub(crate) fn list_defaults(region: &str, body: &Value) -> Result<Value, Refusal> {
    listed(body, |quota| quota.told(region, f64::from(quota.fresh)))
}

struct Quota {
    code: &'static str,
    name: &'static str,
    /// What the usage metric calls it; none for what does not count vCPUs.
    class: Option<&'static str>,
    /// What an account has from the start. Of spot and on-demand vCPUs: as reported by new accounts.
    fresh: u32,
}

impl Quota {
    /// The world's limit, faults included; of what the world does not limit, the default.
    fn value(&self, kernel: &Kernel, region: &str) -> f64 {
        let limit = kernel.quota(&format!("{region}/{}", self.code)).map(|(limit, _)| limit);
        f64::from(limit.unwrap_or(self.fresh))
    }

    fn told(&self, region: &str, value: f64) -> Value {
        let mut told = json!({
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": format!("arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{}", self.code),
            "QuotaCode": self.code,
            "QuotaName": self.name,
            "Value": value,
            "Unit": "None",
            "Adjustable": true,
            "GlobalQuota": false,
            "QuotaAppliedAtLevel": "ACCOUNT",
        });
        if let Some(class) = self.class {
            told["UsageMetric"] = json!({
                "MetricNamespace": "AWS/Usage",
                "MetricName": "ResourceCount",
                "MetricDimensions":
                    { "Class": class, "Resource": "vCPU", "Service": "EC2", "Type": "Resource" },
                "MetricStatisticRecommendation": "Maximum",
            });
        }
        told
    }
}

const fn quota(code: &'static str, name: &'static str, class: &'static str, fresh: u32) -> Quota {
    Quota { code, name, class: Some(class), fresh }
}

/// EC2's quotas on vCPUs and on Elastic IP addresses, by their codes.
const QUOTAS: &[Quota] = &[
    Quota { code: "L-0263D0A3", name: "EC2-VPC Elastic IPs", class: None, fresh: 5 },
    quota(
        "L-1216C47A",
        "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        "Standard/OnDemand",
        5,
    ),
    quota(
        "L-34B43A08",
        "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests",
        "Standard/Spot",
        5,
    ),
    quota("L-3819A6DF", "All G and VT Spot Instance Requests", "G/Spot", 0),
    quota("L-417A185B", "Running On-Demand P instances", "P/OnDemand", 0),
    quota("L-6B0D517C", "All Trn Spot Instance Requests", "Trn/Spot", 0),
    quota("L-6E869C2A", "Running On-Demand DL instances", "DL/OnDemand", 0),
    quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests", "P/Spot", 0),
    quota("L-74FC7D96", "Running On-Demand F instances", "F/OnDemand", 0),
    quota("L-85EED4F7", "All DL Spot Instance Requests", "DL/Spot", 0),
    quota("L-DB2E81BA", "Running On-Demand G and VT instances", "G/OnDemand", 0),
];

fn asked(body: &Value) -> Result<&'static Quota, Refusal> {
    check_service(body)?;
    let code = body["QuotaCode"].as_str().unwrap_or_default();
    let quota = QUOTAS.iter().find(|quota| quota.code == code);
    quota.ok_or_else(|| no_such("The request failed because the specified service quota does not exist."))
}

fn listed(body: &Value, told: impl Fn(&Quota) -> Value) -> Result<Value, Refusal> {
    check_service(body)?;
    let illegal = |message: &str| coded(400, "IllegalArgumentException", message);
    let most = match body["MaxResults"].as_u64() {
        None => 100,
        Some(most @ 1..=100) => most as usize,
        Some(_) => return Err(illegal("MaxResults must be a number from 1 to 100.")),
    };
    let from = match body["NextToken"].as_str().filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => Page::after(token)
            .ok_or_else(|| coded(400, "InvalidPaginationTokenException", "Invalid token was provided."))?,
    };
    let code = body["QuotaCode"].as_str();
    let wanted = QUOTAS.iter().filter(|quota| code.is_none_or(|code| quota.code == code));
    let (page, next) = Page { from, most }.cut(wanted);
    let mut answer = json!({ "Quotas": page.into_iter().map(told).collect::<Vec<_>>() });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

fn check_service(body: &Value) -> Result<(), Refusal> {
    match body["ServiceCode"].as_str() {
        Some("ec2") => Ok(()),
        _ => Err(no_such("The request failed because the specified service does not exist.")),
    }
}

fn no_such(message: &str) -> Refusal {
    coded(400, "NoSuchResourceException", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, Cloud};

    #[test]
    fn every_quota_of_the_catalogue_has_a_name() {
        for id in Catalog::of(Cloud::Aws).quotas().keys() {
            let code = id.as_str().split_once('/').unwrap().1;
            assert!(QUOTAS.iter().any(|quota| quota.code == code), "{code}");
        }
    }

    #[test]
    fn a_quota_follows_the_world() {
        let trial = crate::aws::trial::Trial::new();
        let ask = |operation: &str, body: Value| {
            let target = format!("ServiceQuotasV20190624.{operation}");
            crate::aws::services::answer_json(&trial.face, &target, "us-east-1", body.to_string().as_bytes())
        };
        let one = json!({ "ServiceCode": "ec2", "QuotaCode": "L-34B43A08" });
        let value =
            |operation: &str| ask(operation, one.clone()).unwrap()["Quota"]["Value"].as_f64().unwrap();
        assert_eq!((value("GetServiceQuota"), value("GetAWSDefaultServiceQuota")), (20_000.0, 5.0));
        let fault = r#"{"kind":"quota","cloud":"aws","region":"us-east-1","name":"L-34B43A08","limit":64}"#;
        trial.face.world.inject(serde_json::from_str(fault).unwrap()).unwrap();
        assert_eq!(value("GetServiceQuota"), 64.0);
        let first = ask("ListServiceQuotas", json!({ "ServiceCode": "ec2", "MaxResults": 10 })).unwrap();
        let next = json!({ "ServiceCode": "ec2", "MaxResults": 10, "NextToken": first["NextToken"] });
        let second = ask("ListServiceQuotas", next).unwrap();
        let count = |page: &Value| page["Quotas"].as_array().unwrap().len();
        assert_eq!((count(&first), count(&second)), (10, QUOTAS.len() - 10));
        for wrong in [json!({ "ServiceCode": "ec2", "QuotaCode": "L-0" }), json!({ "ServiceCode": "s3" })] {
            let refusal = ask("GetServiceQuota", wrong).unwrap_err();
            assert!(matches!(refusal, Refusal::Coded { code, .. } if code == "NoSuchResourceException"));
        }
    }
}
