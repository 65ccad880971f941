use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::aws::error::coded;
use crate::aws::query::Node;
use crate::refusal::Refusal;

/// What a list can be filtered by.
pub(crate) trait Filtered {
    /// What an item says to the filter of this name, one value or several; `None` when the item
    /// has nothing there.
    fn values(&self, filter: &str) -> Option<Vec<Cow<'_, str>>>;

    /// The item's tags, for `tag:KEY`, `tag-key` and `tag-value`: none, of what cannot have any.
    fn tags(&self) -> &BTreeMap<String, String> {
        const { &BTreeMap::new() }
    }
}

/// The filters of a request: an item must match each of them in one of its values. `*` stands for
/// any characters and `?` for one, a backslash before either for itself.
#[derive(Debug, Default)]
pub(crate) struct Filters<'a>(Vec<(&'a str, Wanted<'a>)>);

/// The values of one filter: the ids of a list of thousands are looked up, not compared one by one.
#[derive(Debug, Default)]
struct Wanted<'a> {
    plain: BTreeSet<&'a str>,
    patterns: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    fn of(values: impl Iterator<Item = &'a str>) -> Self {
        let (patterns, plain): (BTreeSet<&str>, BTreeSet<&str>) =
            values.partition(|value| value.contains(['*', '?', '\\']));
        Self { plain, patterns: patterns.into_iter().collect() }
    }

    fn matches(&self, text: &str) -> bool {
        self.plain.contains(text) || self.patterns.iter().any(|pattern| wildcard(pattern, text))
    }
}

impl<'a> Filters<'a> {
    /// Reads `Filter.N.Name` and `Filter.N.Value.M`; `known` are the names that the action has,
    /// beside those of tags.
    ///
    /// # Errors
    /// EC2's `InvalidParameterValue` for a filter that the action does not have.
    pub(crate) fn read(request: &Node<'a>, known: &[&str]) -> Result<Self, Refusal> {
        let read = |filter: &Node<'a>| {
            let name = filter.required("Name")?;
            let tags = name.starts_with("tag:") || matches!(name, "tag-key" | "tag-value");
            if !tags && !known.contains(&name) {
                return Err(coded(400, "InvalidParameterValue", format!("The filter '{name}' is invalid")));
            }
            Ok((name, Wanted::of(filter.list("Value").iter().map(Node::value))))
        };
        request.list("Filter").iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one plain value that a filter asks for, without wildcards: for looking up at once what
    /// would be filtered out of everything.
    pub(crate) fn exact(&self, name: &str) -> Option<&'a str> {
        let (_, wanted) = self.0.iter().find(|(filter, _)| *filter == name)?;
        let is_one = wanted.plain.len() == 1 && wanted.patterns.is_empty();
        wanted.plain.first().copied().filter(|_| is_one)
    }

    pub(crate) fn matches(&self, item: &impl Filtered) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let any = |value: &str| wanted.matches(value);
            match (*name, name.strip_prefix("tag:")) {
                (_, Some(key)) => item.tags().get(key).is_some_and(|value| any(value)),
                ("tag-key", _) => item.tags().keys().any(|key| any(key)),
                ("tag-value", _) => item.tags().values().any(|value| any(value)),
                _ => item.values(name).is_some_and(|values| values.iter().any(|value| any(value))),
            }
        })
    }
}

/// Whether a text matches a pattern.
pub(crate) fn wildcard(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and how much of the text it has swallowed.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            Some('\\') if pattern.get(p + 1) == Some(&text[t]) => {
                (p, t) = (p + 2, t + 1);
                continue;
            }
            Some(c) if *c != '\\' && *c == text[t] => {
                (p, t) = (p + 1, t + 1);
                continue;
            }
            _ => {}
        }
        let Some((at, swallowed)) = star else { return false };
        star = Some((at, swallowed + 1));
        (p, t) = (at + 1, swallowed + 1);
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_are_ec2s() {
        for (pattern, text, matches) in [
            ("m7g.large", "m7g.large", true),
            ("m7g.*", "m7g.large", true),
            ("*g.lar?e", "m7g.large", true),
            ("m7g", "m7g.large", false),
            ("*", "", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            (r"\*amazon\?\\", r"*amazon?\", true),
            (r"\*", "x", false),
        ] {
            assert_eq!(wildcard(pattern, text), matches, "{pattern} {text}");
        }
    }
}
