use std::collections::BTreeMap;

use serde::Serialize;

use crate::refusal::Refusal;

/// The namespace of EC2's answers.
pub(crate) const NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// A list as EC2 writes it: `<reservationSet><item>…</item></reservationSet>`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Items<T> {
    pub(crate) item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

impl<T> FromIterator<T> for Items<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self { item: items.into_iter().collect() }
    }
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// Tags as a list.
pub(crate) fn tag_set(tags: &BTreeMap<String, String>) -> Items<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

/// The answer of actions that only say that it is done.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Done {
    #[serde(rename = "return")]
    pub(crate) done: bool,
}

/// The answer to an action: `<ActionResponse xmlns="…"><requestId>…</requestId>…</ActionResponse>`.
pub(crate) fn response(action: &str, request_id: &str, body: &impl Serialize) -> Result<String, Refusal> {
    let root = format!("{action}Response");
    let inner = quick_xml::se::to_string_with_root(&root, body)
        .map_err(|error| Refusal::State { message: format!("the answer cannot be written: {error}") })?;
    let inner =
        inner.strip_prefix(&format!("<{root}>")).and_then(|rest| rest.strip_suffix(&format!("</{root}>")));
    Ok(envelope(action, request_id, inner.unwrap_or_default().to_owned()))
}

/// The same, around a body that is XML already. A long body with room to grow stays where it is.
pub(crate) fn envelope(action: &str, request_id: &str, mut body: String) -> String {
    let head = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{NAMESPACE}\"><requestId>{request_id}</requestId>"
    );
    body.insert_str(0, &head);
    body.push_str(&format!("</{action}Response>"));
    body
}

/// EC2's error envelope.
pub(crate) fn error(code: &str, message: &str, request_id: &str) -> String {
    let (code, message) = (quick_xml::escape::escape(code), quick_xml::escape::escape(message));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors><RequestID>{request_id}</RequestID></Response>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        zone_set: Items<Zone>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_token: Option<String>,
        ready: bool,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Zone {
        zone_name: String,
    }

    #[test]
    fn an_answer_has_ec2s_shape() {
        let zones = ["a", "<b>"].map(|zone| Zone { zone_name: zone.to_owned() });
        let answer = Answer { zone_set: zones.into_iter().collect(), next_token: None, ready: true };
        let text = response("DescribeZones", "r-1", &answer).unwrap();
        assert!(text.ends_with(
            "<DescribeZonesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId>\
             <zoneSet><item><zoneName>a</zoneName></item><item><zoneName>&lt;b&gt;</zoneName></item></zoneSet>\
             <ready>true</ready></DescribeZonesResponse>"
        ), "{text}");
        let empty =
            response("X", "r-2", &Answer { zone_set: Items::default(), next_token: None, ready: false })
                .unwrap();
        assert!(
            empty.contains("<zoneSet/><ready>false</ready>") || empty.contains("<zoneSet></zoneSet>"),
            "{empty}"
        );
    }
}
