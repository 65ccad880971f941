//! The events that EventBridge puts into a queue: the only way in which a client outside the
//! machine hears that EC2 advises to leave it.

use serde::Deserialize;
use skyfleet_core::{InstanceId, Timestamp};

/// One event about an instance (EC2 user guide, "EC2 instance rebalance recommendations" and
/// "Spot Instance interruption notices").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) instance: InstanceId,
    pub(super) at: Timestamp,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "detail-type")]
    kind: String,
    time: Timestamp,
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "instance-id")]
    instance: String,
}

/// Reads a message. Interruption warnings are no news: the spot requests say the same, and say it
/// again after a crash.
pub(super) fn advice(body: &str) -> Option<Advice> {
    let event: Event = serde_json::from_str(body).ok()?;
    let is_advice = event.kind == "EC2 Instance Rebalance Recommendation";
    is_advice.then(|| Advice { instance: event.detail.instance.into(), at: event.time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_recommendation_is_advice() {
        let event = |kind: &str| {
            format!(
                r#"{{"version":"0","id":"1","detail-type":"{kind}","source":"aws.ec2","account":"123456789012",
                "time":"2026-09-18T08:20:00Z","region":"us-east-1","resources":["arn:aws:ec2:us-east-1b:instance/i-0a1"],
                "detail":{{"instance-id":"i-0a1"}}}}"#
            )
        };
        let read = advice(&event("EC2 Instance Rebalance Recommendation")).unwrap();
        assert_eq!(
            (read.instance.as_str(), read.at.to_string()),
            ("i-0a1", "2026-09-18T08:20:00Z".to_owned())
        );
        assert_eq!(advice(&event("EC2 Spot Instance Interruption Warning")), None);
        assert_eq!(advice("no event"), None);
    }
}
