//! `filter` of lists, in both grammars: comparisons joined by `AND` and `OR` (AIP-160), and the older
//! `FIELD eq EXPRESSION`, a regular expression that must match the whole field. One filter is of one
//! grammar.

use std::iter::Peekable;
use std::vec::IntoIter;

use regex_lite::Regex;
use serde_json::Value;

use crate::gcp::error::invalid;
use crate::refusal::Refusal;

/// A filter; an empty one lets everything through.
#[derive(Debug, Default)]
pub(crate) struct Filter(Option<Node>);

#[derive(Debug)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Not(Box<Node>),
    Is(Vec<String>, Test),
}

#[derive(Debug)]
enum Test {
    Compares(Compare, String),
    /// `:*`: the field is there.
    Present,
    /// `:`: it has this, or begins with it before a `*`.
    Has(String),
    Regex(Box<Regex>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Open,
    Close,
    Sign(&'static str),
    Text(String),
    Quoted(String),
}

impl Filter {
    /// # Errors
    /// `invalid` for a text that is no filter, or of both grammars.
    pub(crate) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let bad = |why: &str| invalid("filter", text, &format!("Invalid list filter expression: {why}."));
        let mut reader = Reader { words: words(text).map_err(bad)?.into_iter().peekable(), old: None };
        let node = reader.sequence().map_err(|why| bad(&why))?;
        match reader.words.next() {
            None => Ok(Self(Some(node))),
            Some(_) => Err(bad("a bracket closes that was not opened")),
        }
    }

    /// Whether an item is wanted, as the API shows it.
    pub(crate) fn matches(&self, item: &Value) -> bool {
        self.0.as_ref().is_none_or(|node| node.matches(item))
    }

    /// The one value that a field must have in all that match: for looking up at once what would be
    /// filtered out of everything.
    pub(crate) fn exact(&self, field: &str) -> Option<&str> {
        self.0.as_ref()?.exact(field)
    }
}

impl Node {
    fn matches(&self, item: &Value) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(|node| node.matches(item)),
            Self::Any(nodes) => nodes.iter().any(|node| node.matches(item)),
            Self::Not(node) => !node.matches(item),
            Self::Is(path, test) => {
                let mut found = Vec::new();
                gather(item, path, &mut found);
                test.holds(&found)
            }
        }
    }

    fn exact(&self, field: &str) -> Option<&str> {
        match self {
            Self::All(nodes) => nodes.iter().find_map(|node| node.exact(field)),
            Self::Any(nodes) if nodes.len() == 1 => nodes[0].exact(field),
            Self::Is(path, Test::Compares(Compare::Equal, value))
                if path.join(".") == field && !value.contains('*') =>
            {
                Some(value)
            }
            _ => None,
        }
    }
}

/// The values at a path; a list stands for each of its items.
fn gather<'v>(value: &'v Value, path: &[String], found: &mut Vec<&'v Value>) {
    match (value, path) {
        (Value::Array(items), _) => items.iter().for_each(|item| gather(item, path, found)),
        (_, []) => found.push(value),
        (Value::Object(members), [name, rest @ ..]) => {
            if let Some(member) = members.get(name) {
                gather(member, rest, found);
            }
        }
        _ => {}
    }
}

impl Test {
    fn holds(&self, found: &[&Value]) -> bool {
        let any = |test: &dyn Fn(&str) -> bool| found.iter().any(|value| test(&written(value)));
        match self {
            Self::Present => !found.is_empty(),
            Self::Has(wanted) => any(&|value| has(value, wanted)),
            Self::Regex(regex, wanted) => any(&|value| regex.is_match(value)) == *wanted,
            Self::Compares(Compare::NotEqual, wanted) => !any(&|value| equal(value, wanted)),
            Self::Compares(Compare::Equal, wanted) => any(&|value| equal(value, wanted)),
            Self::Compares(compare, wanted) => any(&|value| {
                let order = match (value.parse::<f64>(), wanted.parse::<f64>()) {
                    (Ok(value), Ok(wanted)) => value.total_cmp(&wanted),
                    _ => value.cmp(wanted.as_str()),
                };
                match compare {
                    Compare::Less => order.is_lt(),
                    Compare::LessOrEqual => order.is_le(),
                    Compare::Greater => order.is_gt(),
                    _ => order.is_ge(),
                }
            }),
        }
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `*` at either end stands for any characters.
fn equal(value: &str, wanted: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(_), Some(_)) => value.contains(wanted.trim_matches('*')),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => value == wanted,
    }
}

fn has(value: &str, wanted: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(start) => value.starts_with(start),
        None => value.contains(wanted),
    }
}

const SIGNS: [&str; 7] = ["!=", "<=", ">=", "=", "<", ">", ":"];

fn words(text: &str) -> Result<Vec<Word>, &'static str> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let after_one = &rest[first.len_utf8()..];
        // The expression of `eq` may begin with a bracket or a sign, and have brackets of its own.
        let old = matches!(words.last(), Some(Word::Text(word)) if is_old(word));
        let sign = SIGNS.iter().find(|sign| !old && rest.starts_with(**sign));
        if let Some(sign) = sign {
            words.push(Word::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '"' || first == '\'' {
            let (inside, after) = quoted(after_one, first).ok_or("a quote is not closed")?;
            words.push(Word::Quoted(inside));
            rest = after;
        } else if !old && (first == '(' || first == ')') {
            words.push(if first == '(' { Word::Open } else { Word::Close });
            rest = after_one;
        } else {
            let end = if old { old_end(rest) } else { rest.find(ends).unwrap_or(rest.len()) };
            if end == 0 {
                return Err("something is missing");
            }
            words.push(Word::Text(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

fn is_old(word: &str) -> bool {
    matches!(word, "eq" | "ne")
}

fn ends(c: char) -> bool {
    c.is_whitespace() || "()=<>!:\"".contains(c)
}

/// Where an unquoted regular expression ends: at a space, or at a bracket that it did not open.
fn old_end(text: &str) -> usize {
    let mut open = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => open += 1,
            ')' if open == 0 => return at,
            ')' => open -= 1,
            c if c.is_whitespace() && open == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inside = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            // What is escaped is the quote or the backslash; `\b` is an expression's.
            '\\' => match chars.next()?.1 {
                next if next == quote || next == '\\' => inside.push(next),
                next => inside.extend(['\\', next]),
            },
            c if c == quote => return Some((inside, &text[at + quote.len_utf8()..])),
            c => inside.push(c),
        }
    }
    None
}

struct Reader {
    words: Peekable<IntoIter<Word>>,
    /// Whether the filter is of the older grammar, once a comparison has told.
    old: Option<bool>,
}

impl Reader {
    /// Factors joined by `AND` or by nothing. `OR` binds closer (AIP-160).
    fn sequence(&mut self) -> Result<Node, String> {
        let mut all = vec![self.factor()?];
        loop {
            match self.words.peek() {
                None | Some(Word::Close) => break,
                Some(Word::Text(word)) if word == "AND" => {
                    self.words.next();
                    all.push(self.factor()?);
                }
                Some(_) => all.push(self.factor()?),
            }
        }
        Ok(Node::All(all))
    }

    fn factor(&mut self) -> Result<Node, String> {
        let mut any = vec![self.term()?];
        while matches!(self.words.peek(), Some(Word::Text(word)) if word == "OR") {
            self.words.next();
            any.push(self.term()?);
        }
        Ok(Node::Any(any))
    }

    fn term(&mut self) -> Result<Node, String> {
        match self.words.next() {
            Some(Word::Text(word)) if word == "NOT" => Ok(Node::Not(Box::new(self.term()?))),
            Some(Word::Text(word)) if word.len() > 1 && word.starts_with('-') => {
                Ok(Node::Not(Box::new(self.comparison(&word[1..])?)))
            }
            Some(Word::Open) => {
                let inside = self.sequence()?;
                match self.words.next() {
                    Some(Word::Close) => Ok(inside),
                    _ => Err("a bracket is not closed".to_owned()),
                }
            }
            Some(Word::Text(field)) => self.comparison(&field),
            Some(word) => Err(format!("{word:?} is no field")),
            None => Err("a comparison is missing".to_owned()),
        }
    }

    fn comparison(&mut self, field: &str) -> Result<Node, String> {
        let path: Vec<String> = field.split('.').map(str::to_owned).collect();
        let sign = self.words.next();
        let old = matches!(&sign, Some(Word::Text(word)) if is_old(word));
        if self.old.replace(old).is_some_and(|before| before != old) {
            return Err("eq and ne are not mixed with other comparisons".to_owned());
        }
        let value = match self.words.next() {
            Some(Word::Text(text) | Word::Quoted(text)) => text,
            _ => return Err(format!("{field} is compared with nothing")),
        };
        let compares = |compare| Ok(Test::Compares(compare, value.clone()));
        let test = match sign {
            Some(Word::Text(word)) if old => Regex::new(&format!("^(?:{value})$"))
                .map(|regex| Test::Regex(Box::new(regex), word == "eq"))
                .map_err(|error| error.to_string()),
            Some(Word::Sign("=")) => compares(Compare::Equal),
            Some(Word::Sign("!=")) => compares(Compare::NotEqual),
            Some(Word::Sign("<")) => compares(Compare::Less),
            Some(Word::Sign("<=")) => compares(Compare::LessOrEqual),
            Some(Word::Sign(">")) => compares(Compare::Greater),
            Some(Word::Sign(">=")) => compares(Compare::GreaterOrEqual),
            Some(Word::Sign(":")) if value == "*" => Ok(Test::Present),
            Some(Word::Sign(":")) => Ok(Test::Has(value)),
            _ => Err(format!("{field} is not compared with anything")),
        }?;
        Ok(Node::Is(path, test))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_grammars_say_what_is_wanted() {
        let item = json!({
            "name": "run42-0007", "status": "RUNNING", "cpus": 4, "id": "77",
            "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/us-east1-b",
            "labels": { "fleet-run": "run42", "owner": "ada" },
            "tags": [{ "key": "a" }, { "key": "b" }],
            "scheduling": { "preemptible": true },
        });
        for (filter, matches) in [
            ("", true),
            ("name = run42-0007", true),
            ("name=\"run42-0007\"", true),
            ("name != run42-0007", false),
            ("labels.owner:*", true),
            ("labels.nobody:*", false),
            ("labels.owner=ada AND status=RUNNING", true),
            ("labels.owner=ada status=TERMINATED", false),
            ("(labels.owner=ada) (status=RUNNING)", true),
            ("status=STOPPING OR status=RUNNING", true),
            ("(status=STOPPING) OR (name=x)", false),
            ("status=RUNNING AND (name=x OR labels.owner=ada)", true),
            ("NOT status=RUNNING", false),
            ("-status=STOPPING", true),
            ("cpus>=4", true),
            ("cpus < 4", false),
            ("scheduling.preemptible = true", true),
            ("tags.key = b", true),
            ("name = run42-*", true),
            ("name : run42*", true),
            ("name eq run42-.*", true),
            ("name eq run42", false),
            ("name ne run42", true),
            ("(name eq run42-.*) (zone eq .*us-east1-b)", true),
            ("zone eq .*us-(east|west)1-b", true),
            ("labels.owner eq (ada|grace)", true),
            // As gcloud writes `name=run42`.
            (r#"name eq ".*\brun42\b.*""#, true),
            (r#"name eq ".*\brun\b.*""#, false),
            (r#"name eq ".*\brun42\-0007\b.*""#, true),
            (r#"name != "a\"b""#, true),
            ("(labels.owner eq (grace|joan)) (name eq .*)", false),
            ("nothing = 1", false),
            ("nothing != 1", true),
        ] {
            assert_eq!(Filter::parse(filter).unwrap().matches(&item), matches, "{filter}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for filter in [
            "name",
            "name =",
            "= x",
            "(name = x",
            "name = x)",
            "name = \"x",
            "name eq x AND a = b",
            "name eq (",
        ] {
            assert!(matches!(Filter::parse(filter), Err(Refusal::Coded { status: 400, .. })), "{filter}");
        }
    }

    #[test]
    fn one_value_that_all_must_have_is_told() {
        let filter = Filter::parse("labels.owner = ada AND (a=1 OR b=2)").unwrap();
        assert_eq!((filter.exact("labels.owner"), filter.exact("a")), (Some("ada"), None));
    }
}
