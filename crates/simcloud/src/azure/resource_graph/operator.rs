//! What is done with values: functions, and comparisons.

use std::cmp::Ordering;

use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Function {
    Lower,
    Upper,
    Text,
    Whole,
    Number,
    Truth,
    IsEmpty,
    IsNull,
    Join,
    Split,
    Length,
}

/// Kusto reference, "Scalar functions": the names, and how many arguments each takes.
pub(super) const FUNCTIONS: [(&str, Function, usize, usize); 14] = [
    ("tolower", Function::Lower, 1, 1),
    ("toupper", Function::Upper, 1, 1),
    ("tostring", Function::Text, 1, 1),
    ("toint", Function::Whole, 1, 1),
    ("tolong", Function::Whole, 1, 1),
    ("todouble", Function::Number, 1, 1),
    ("toreal", Function::Number, 1, 1),
    ("tobool", Function::Truth, 1, 1),
    ("isempty", Function::IsEmpty, 1, 1),
    ("isnull", Function::IsNull, 1, 1),
    ("strcat", Function::Join, 1, 64),
    ("split", Function::Split, 2, 2),
    ("array_length", Function::Length, 1, 1),
    ("strlen", Function::Length, 1, 1),
];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verb {
    Equals,
    Alike,
    Less,
    Greater,
    Contains(bool),
    Begins(bool),
    Ends(bool),
    Has(bool),
}

/// Kusto reference, "String operators". The flag says whether case matters; before each may stand `!`.
pub(super) const VERBS: [(&str, Verb); 8] = [
    ("contains", Verb::Contains(false)),
    ("contains_cs", Verb::Contains(true)),
    ("startswith", Verb::Begins(false)),
    ("startswith_cs", Verb::Begins(true)),
    ("endswith", Verb::Ends(false)),
    ("endswith_cs", Verb::Ends(true)),
    ("has", Verb::Has(false)),
    ("has_cs", Verb::Has(true)),
];

/// Nothing before all, then numbers by their size, then everything else as text: kinds apart, or
/// three values of two kinds could each come before the next one.
pub(super) fn order(left: &Value, right: &Value) -> Ordering {
    let kind = |value: &Value| match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        _ => 2,
    };
    kind(left).cmp(&kind(right)).then_with(|| match (left.as_f64(), right.as_f64()) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => text(left).cmp(&text(right)),
    })
}

/// A value as text: nothing is an empty one.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Bool(is) => Some(f64::from(u8::from(*is))),
        other => other.as_f64(),
    }
}

impl Function {
    pub(super) fn of(self, values: &[Value]) -> Value {
        let first = values.first().unwrap_or(&Value::Null);
        match self {
            Self::Lower => text(first).to_lowercase().into(),
            Self::Upper => text(first).to_uppercase().into(),
            Self::Text => text(first).into(),
            Self::Whole => number(first).map(|number| number as i64).into(),
            Self::Number => number(first).into(),
            Self::Truth => match text(first).to_lowercase().as_str() {
                "true" | "1" => true.into(),
                "false" | "0" => false.into(),
                _ => Value::Null,
            },
            Self::IsEmpty => text(first).is_empty().into(),
            Self::IsNull => first.is_null().into(),
            Self::Join => values.iter().map(text).collect::<String>().into(),
            Self::Split => {
                let (whole, by) = (text(first), text(&values[1]));
                if by.is_empty() { json!([whole]) } else { whole.split(by.as_str()).collect() }
            }
            Self::Length => match first {
                Value::Array(items) => items.len().into(),
                Value::String(text) => text.chars().count().into(),
                _ => Value::Null,
            },
        }
    }
}

impl Verb {
    pub(super) fn holds(self, left: &Value, right: &Value) -> bool {
        let numbers = left.as_f64().zip(right.as_f64());
        match self {
            Self::Equals => numbers.map_or_else(|| text(left) == text(right), |(left, right)| left == right),
            Self::Alike => text(left).to_lowercase() == text(right).to_lowercase(),
            Self::Less => order(left, right) == Ordering::Less,
            Self::Greater => order(left, right) == Ordering::Greater,
            Self::Contains(case) => texts(left, right, case, |own, wanted| own.contains(wanted)),
            Self::Begins(case) => texts(left, right, case, |own, wanted| own.starts_with(wanted)),
            Self::Ends(case) => texts(left, right, case, |own, wanted| own.ends_with(wanted)),
            // A whole word: letters and digits.
            Self::Has(case) => texts(left, right, case, |own, wanted| {
                let edge = |letter: Option<char>| letter.is_none_or(|letter| !letter.is_alphanumeric());
                own.match_indices(wanted).any(|(at, found)| {
                    edge(own[..at].chars().next_back()) && edge(own[at + found.len()..].chars().next())
                })
            }),
        }
    }
}

fn texts(left: &Value, right: &Value, case: bool, holds: impl Fn(&str, &str) -> bool) -> bool {
    let read = |value: &Value| if case { text(value) } else { text(value).to_lowercase() };
    holds(&read(left), &read(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_unlike_kinds_have_one_order() {
        let row = [Value::Null, json!(9), json!(10), json!("1x"), json!("9"), json!(true)];
        for pair in row.windows(2) {
            assert_eq!(order(&pair[0], &pair[1]), Ordering::Less, "{pair:?}");
        }
        assert!(row.is_sorted_by(|left, right| order(left, right) != Ordering::Greater));
        assert_eq!(order(&row[1], &row[3]), Ordering::Less, "a number is before any text");
    }
}
