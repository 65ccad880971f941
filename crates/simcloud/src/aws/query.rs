use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::aws::error::{invalid, missing};
use crate::refusal::Refusal;

/// The parameters of one request, as they came.
#[derive(Debug, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads a form body or the query part of a URL.
    pub(crate) fn parse(form: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(form).map(|(key, value)| (key.into_owned(), value.into_owned())).collect(),
        )
    }

    /// All of them.
    pub(crate) fn root(&self) -> Node<'_> {
        Node { query: self, prefix: String::new() }
    }

    /// A digest of what was asked, to tell a repetition from another request under one token.
    pub(crate) fn digest(&self) -> u64 {
        let transport = |key: &str| key.starts_with("X-Amz-") || matches!(key, "Signature" | "Timestamp");
        let asked = self.0.iter().filter(|(key, _)| !transport(key));
        let text: Vec<u8> =
            asked.flat_map(|(key, value)| [key.as_bytes(), b"=", value.as_bytes(), b"&"].concat()).collect();
        crate::seed::digest(&[&text])
    }
}

/// A structure among the parameters: `TagSpecification.1` of `TagSpecification.1.Tag.2.Key`.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    query: &'a Query,
    prefix: String,
}

impl<'a> Node<'a> {
    fn key(&self, name: &str) -> String {
        match self.prefix.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.prefix),
        }
    }

    /// The structure's own name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.prefix
    }

    /// The value at this very place: a member of a list of texts.
    pub(crate) fn value(&self) -> &'a str {
        self.query.0.get(&self.prefix).map_or("", String::as_str)
    }

    /// A text; an empty one counts as absent, as EC2 takes it.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.query.0.get(&self.key(name)).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A text that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&'a str, Refusal> {
        self.text(name).ok_or_else(|| missing(&self.key(name)))
    }

    /// A yes or no.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.text(name) {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => Err(invalid(&self.key(name), text, "true or false")),
        }
    }

    /// A number in a range.
    pub(crate) fn number<T: FromStr + PartialOrd + Display>(
        &self,
        name: &str,
        range: RangeInclusive<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| range.contains(number));
        let expected = || format!("a number from {} to {}", range.start(), range.end());
        number.map(Some).ok_or_else(|| invalid(&self.key(name), text, &expected()))
    }

    /// A moment, as EC2 writes them: `2026-01-01T00:00:00Z`.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<skyfleet_core::Timestamp>, Refusal> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| invalid(&self.key(name), text, "a time such as 2026-01-01T00:00:00Z"))
    }

    /// A structure below this one, whether anything is in it or not.
    pub(crate) fn node(&self, name: &str) -> Node<'a> {
        Node { query: self.query, prefix: self.key(name) }
    }

    /// Whether anything is at this place or below it.
    pub(crate) fn is_given(&self) -> bool {
        let below = format!("{}.", self.prefix);
        self.query.0.contains_key(&self.prefix)
            || self.query.0.range(below.clone()..).next().is_some_and(|(key, _)| key.starts_with(&below))
    }

    /// The members of a list, in their order: `InstanceId.1`, `InstanceId.2`.
    pub(crate) fn list(&self, name: &str) -> Vec<Node<'a>> {
        let below = format!("{}.", self.key(name));
        let keys = self.query.0.range(below.clone()..).take_while(|(key, _)| key.starts_with(&below));
        let numbers: BTreeSet<u32> = keys
            .filter_map(|(key, _)| {
                key[below.len()..].split('.').next().and_then(|number| number.parse().ok())
            })
            .collect();
        numbers.into_iter().map(|n| Node { query: self.query, prefix: format!("{below}{n}") }).collect()
    }

    /// The texts of a list.
    pub(crate) fn texts(&self, name: &str) -> Vec<&'a str> {
        self.list(name).iter().map(Node::value).filter(|text| !text.is_empty()).collect()
    }

    /// The tags of a list `Tag`.
    pub(crate) fn tags(&self) -> Result<BTreeMap<String, String>, Refusal> {
        let read = |tag: Node<'a>| {
            let (key, value) = (tag.required("Key")?, tag.text("Value").unwrap_or_default());
            match (key.chars().count(), value.chars().count()) {
                (1..=127, 0..=256) => Ok((key.to_owned(), value.to_owned())),
                _ => Err(invalid(
                    &tag.key("Key"),
                    key,
                    "a key of at most 127 and a value of at most 256 characters",
                )),
            }
        };
        self.list("Tag").into_iter().map(read).collect()
    }

    /// The tags that a request sets at creation, of one type of resource (`instance`, `volume`).
    pub(crate) fn tags_of(&self, resource_type: &str) -> Result<BTreeMap<String, String>, Refusal> {
        let mut tags = BTreeMap::new();
        for specification in self.list("TagSpecification") {
            if specification.required("ResourceType")? == resource_type {
                tags.extend(specification.tags()?);
            }
        }
        Ok(tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_in_the_order_of_their_numbers() {
        let query =
            Query::parse(b"InstanceId.2=i-b&InstanceId.10=i-c&InstanceId.1=i-a&DryRun=True&MaxResults=5");
        assert_eq!(query.root().texts("InstanceId"), ["i-a", "i-b", "i-c"]);
        assert_eq!(query.root().flag("DryRun"), Ok(Some(true)));
        assert_eq!(query.root().number("MaxResults", 5..=1_000), Ok(Some(5)));
        assert!(query.root().number("MaxResults", 6..=1_000).is_err());
    }

    #[test]
    fn tags_are_read_for_the_type_they_are_meant_for() {
        let query = Query::parse(
            b"TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=1\
              &TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=b",
        );
        assert_eq!(query.root().tags_of("instance").unwrap(), BTreeMap::from([("a".into(), "1".into())]));
        assert_eq!(query.root().tags_of("volume").unwrap(), BTreeMap::from([("b".into(), String::new())]));
        assert!(query.root().node("TagSpecification").is_given() && !query.root().node("Filter").is_given());
    }
}
