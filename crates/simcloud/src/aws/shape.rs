//! Structures that a caller gives and gets back as they were: launch templates and what they hold.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::aws::error::invalid;
use crate::aws::query::Node;
use crate::refusal::Refusal;

/// One member of a structure: what a request calls it, what an answer calls it, and what it is.
#[derive(Debug)]
pub(crate) struct Member {
    takes: &'static str,
    /// Of lists; everything else is called by its name in lower camel case.
    tells: Option<&'static str>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text,
    /// There even when nothing was given: the value of a tag.
    TextOrEmpty,
    Choice(&'static [&'static str]),
    Number,
    Real,
    Flag,
    Moment,
    Part(&'static [Member]),
    /// With the name that each has in answers.
    Texts(&'static str),
    List(&'static [Member]),
}

/// What answers call a member of a list, but for few lists.
const ITEM: &str = "item";

const fn scalar(takes: &'static str, kind: Kind) -> Member {
    Member { takes, tells: None, kind }
}

pub(crate) const fn text(takes: &'static str) -> Member {
    scalar(takes, Kind::Text)
}

pub(crate) const fn text_or_empty(takes: &'static str) -> Member {
    scalar(takes, Kind::TextOrEmpty)
}

pub(crate) const fn choice(takes: &'static str, of: &'static [&'static str]) -> Member {
    scalar(takes, Kind::Choice(of))
}

pub(crate) const fn number(takes: &'static str) -> Member {
    scalar(takes, Kind::Number)
}

pub(crate) const fn real(takes: &'static str) -> Member {
    scalar(takes, Kind::Real)
}

pub(crate) const fn flag(takes: &'static str) -> Member {
    scalar(takes, Kind::Flag)
}

pub(crate) const fn moment(takes: &'static str) -> Member {
    scalar(takes, Kind::Moment)
}

pub(crate) const fn part(takes: &'static str, members: &'static [Member]) -> Member {
    scalar(takes, Kind::Part(members))
}

pub(crate) const fn texts(takes: &'static str, tells: &'static str) -> Member {
    texts_each(takes, tells, ITEM)
}

/// Texts that are not called `item`, as in `<groupSet><groupId>…</groupId></groupSet>`.
pub(crate) const fn texts_each(takes: &'static str, tells: &'static str, each: &'static str) -> Member {
    Member { takes, tells: Some(tells), kind: Kind::Texts(each) }
}

pub(crate) const fn list(takes: &'static str, tells: &'static str, members: &'static [Member]) -> Member {
    Member { takes, tells: Some(tells), kind: Kind::List(members) }
}

impl Member {
    fn told(&self) -> String {
        match self.tells {
            Some(tells) => tells.to_owned(),
            None => self.takes[..1].to_lowercase() + &self.takes[1..],
        }
    }
}

/// A structure as it was given, in the order of the model and by the names of answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given(Vec<(String, Value)>);

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Part(Given),
    /// With the name that each has in answers.
    List(&'static str, Vec<Value>),
}

impl Given {
    /// Reads the members that the model has.
    ///
    /// # Errors
    /// `InvalidParameterValue` for a value that is not of its member's kind.
    pub(crate) fn read(node: &Node<'_>, members: &[Member]) -> Result<Self, Refusal> {
        let mut given = Vec::new();
        for member in members {
            if let Some(value) = read(node, member)? {
                given.push((member.told(), value));
            }
        }
        Ok(Self(given))
    }

    /// A structure of texts, by the names of answers.
    pub(crate) fn of(members: &[(&str, &str)]) -> Self {
        let text = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::Text((*text).to_owned()));
        Self(members.iter().map(text).collect())
    }

    /// These members, and those of another structure that are not among them.
    pub(crate) fn over(mut self, below: &Self) -> Self {
        for (name, value) in &below.0 {
            if self.get(name).is_none() {
                self.0.push((name.clone(), value.clone()));
            }
        }
        self
    }

    /// The same with another text for a member.
    pub(crate) fn with_text(&self, name: &str, text: &str) -> Self {
        let mut changed = self.clone();
        for (_, value) in changed.0.iter_mut().filter(|(member, _)| member == name) {
            *value = Value::Text(text.to_owned());
        }
        changed
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// A scalar member.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            Value::Part(_) | Value::List(..) => None,
        }
    }

    pub(crate) fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.text(name).map(|text| text == "true")
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text(name)?.parse().ok()
    }

    /// A structure inside.
    pub(crate) fn part(&self, name: &str) -> Option<&Self> {
        match self.get(name)? {
            Value::Part(part) => Some(part),
            Value::Text(_) | Value::List(..) => None,
        }
    }

    /// A list of structures inside.
    pub(crate) fn list(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.items(name).iter().filter_map(|item| match item {
            Value::Part(part) => Some(part),
            Value::Text(_) | Value::List(..) => None,
        })
    }

    /// A list of texts inside.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let texts = self.items(name).iter().filter_map(|item| match item {
            Value::Text(text) => Some(text.clone()),
            Value::Part(_) | Value::List(..) => None,
        });
        texts.collect()
    }

    fn items(&self, name: &str) -> &[Value] {
        match self.get(name) {
            Some(Value::List(_, items)) => items,
            _ => &[],
        }
    }
}

fn read(node: &Node<'_>, member: &Member) -> Result<Option<Value>, Refusal> {
    let name = member.takes;
    let wrong = |text: &str, expected: &str| invalid(node.node(name).name(), text, expected);
    let text = |check: &dyn Fn(&str) -> Result<String, Refusal>| {
        node.text(name).map(|text| check(text).map(Value::Text)).transpose()
    };
    match member.kind {
        Kind::Text => text(&|text| Ok(text.to_owned())),
        Kind::TextOrEmpty => Ok(Some(Value::Text(node.text(name).unwrap_or_default().to_owned()))),
        Kind::Choice(of) => text(&|text| match of.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(wrong(text, &format!("one of {}", of.join(", ")))),
        }),
        Kind::Number => text(&|text| {
            text.parse::<i64>().map(|number| number.to_string()).map_err(|_| wrong(text, "a whole number"))
        }),
        Kind::Real => text(&|text| match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(text.to_owned()),
            _ => Err(wrong(text, "a number")),
        }),
        Kind::Flag => Ok(node.flag(name)?.map(|flag| Value::Text(flag.to_string()))),
        Kind::Moment => Ok(node.moment(name)?.map(|moment| Value::Text(moment.to_string()))),
        Kind::Part(members) => {
            let inner = node.node(name);
            inner.is_given().then(|| Given::read(&inner, members).map(Value::Part)).transpose()
        }
        Kind::Texts(each) => {
            let items: Vec<Value> =
                node.texts(name).into_iter().map(|text| Value::Text(text.to_owned())).collect();
            Ok((!items.is_empty()).then_some(Value::List(each, items)))
        }
        Kind::List(members) => {
            let items = node.list(name);
            let items: Vec<Value> = items
                .iter()
                .map(|item| Given::read(item, members).map(Value::Part))
                .collect::<Result<_, _>>()?;
            Ok((!items.is_empty()).then_some(Value::List(ITEM, items)))
        }
    }
}

impl Serialize for Given {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        let mut map = output.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match value {
                Value::List(each, items) => map.serialize_entry(name, &ListOf(each, items))?,
                value => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => output.serialize_str(text),
            Self::Part(part) => part.serialize(output),
            Self::List(each, items) => ListOf(each, items).serialize(output),
        }
    }
}

/// `<item>…</item><item>…</item>`.
struct ListOf<'a>(&'static str, &'a [Value]);

impl Serialize for ListOf<'_> {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        struct Elements<'a>(&'a [Value]);
        impl Serialize for Elements<'_> {
            fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
                let mut seq = output.serialize_seq(Some(self.0.len()))?;
                for value in self.0 {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
        }
        let mut map = output.serialize_map(Some(1))?;
        map.serialize_entry(self.0, &Elements(self.1))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::query::Query;

    const MEMBERS: &[Member] = &[
        text("ImageId"),
        choice("Tenancy", &["default", "host"]),
        part("Monitoring", &[flag("Enabled")]),
        list("Tag", "tagSet", &[text("Key"), text_or_empty("Value")]),
        texts("SecurityGroupId", "securityGroupIdSet"),
        texts_each("Group", "groupSet", "groupId"),
    ];

    fn given(form: &str) -> Result<Given, Refusal> {
        Given::read(&Query::parse(form.as_bytes()).root(), MEMBERS)
    }

    #[test]
    fn what_was_given_is_told_as_it_was() {
        let given = given(
            "ImageId=ami-1&Monitoring.Enabled=TRUE&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b\
             &SecurityGroupId.1=sg-1&SecurityGroupId.2=sg-2&Group.1=sg-3&Unknown=x",
        )
        .unwrap();
        let xml = quick_xml::se::to_string_with_root("data", &given).unwrap();
        assert_eq!(
            xml,
            "<data><imageId>ami-1</imageId><monitoring><enabled>true</enabled></monitoring>\
             <tagSet><item><key>a</key><value>1</value></item><item><key>b</key><value/></item></tagSet>\
             <securityGroupIdSet><item>sg-1</item><item>sg-2</item></securityGroupIdSet>\
             <groupSet><groupId>sg-3</groupId></groupSet></data>"
        );
        assert_eq!(given.texts("securityGroupIdSet"), ["sg-1", "sg-2"]);
        assert_eq!(given.part("monitoring").and_then(|part| part.flag("enabled")), Some(true));
    }

    #[test]
    fn a_value_of_another_kind_is_refused_by_its_name() {
        for (form, part) in [("Tenancy=mine", "Tenancy"), ("Monitoring.Enabled=maybe", "Monitoring.Enabled")]
        {
            match given(form) {
                Err(Refusal::Coded { code, message, .. }) => {
                    assert!(code == "InvalidParameterValue" && message.contains(part), "{message}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_later_structure_replaces_the_members_that_it_has() {
        let below = given("ImageId=ami-1&Tenancy=host").unwrap();
        let merged = given("ImageId=ami-2").unwrap().over(&below);
        assert_eq!((merged.text("imageId"), merged.text("tenancy")), (Some("ami-2"), Some("host")));
    }
}
