use serde_json::{Value, json};

use super::operator::{FUNCTIONS, Function, VERBS, Verb};
use super::words::{Reader, Word};

/// How deep an expression may lie in others.
const DEPTH: usize = 64;

/// Something that is computed of a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Column(String),
    Value(Value),
    /// A member of an object, or an item of a list.
    Part(Box<Self>, Key),
    Call(Function, Vec<Self>),
    Compare(Verb, Box<Self>, Box<Self>),
    /// Among these; `true` for without regard to case.
    Among(Box<Self>, Vec<Self>, bool),
    Not(Box<Self>),
    All(Vec<Self>),
    Any(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Key {
    Name(String),
    At(usize),
}

impl Expression {
    /// # Errors
    /// What cannot be read, or is not simulated.
    pub(super) fn read(reader: &mut Reader) -> Result<Self, String> {
        any(reader, 0)
    }

    /// The columns that it is made of.
    pub(super) fn columns<'e>(&'e self, found: &mut Vec<&'e str>) {
        match self {
            Self::Column(name) => found.push(name),
            Self::Value(_) => {}
            Self::Part(of, _) | Self::Not(of) => of.columns(found),
            Self::Compare(_, left, right) => [left, right].into_iter().for_each(|side| side.columns(found)),
            Self::Among(of, all, _) => [&**of].into_iter().chain(all).for_each(|one| one.columns(found)),
            Self::Call(_, all) | Self::All(all) | Self::Any(all) => {
                all.iter().for_each(|one| one.columns(found))
            }
        }
    }

    /// What Kusto calls a column that nobody named: `sku_name` of `tostring(sku.name)`.
    pub(super) fn title(&self) -> Option<String> {
        match self {
            Self::Column(name) => Some(name.clone()),
            Self::Part(of, Key::Name(name)) => Some(format!("{}_{name}", of.title()?)),
            Self::Part(of, Key::At(at)) => Some(format!("{}_{at}", of.title()?)),
            Self::Call(_, all) => all.first()?.title(),
            _ => None,
        }
    }

    /// Its value in a row; `column` finds the value of a column.
    pub(super) fn of<'v>(&self, column: &impl Fn(&str) -> &'v Value) -> Value {
        match self {
            Self::Column(name) => column(name).clone(),
            Self::Value(value) => value.clone(),
            Self::Part(of, key) => part(of.of(column), key),
            Self::Call(function, all) => {
                let values: Vec<Value> = all.iter().map(|one| one.of(column)).collect();
                function.of(&values)
            }
            Self::Compare(verb, left, right) => verb.holds(&left.of(column), &right.of(column)).into(),
            Self::Among(of, all, alike) => {
                let (own, verb) = (of.of(column), if *alike { Verb::Alike } else { Verb::Equals });
                all.iter().any(|one| verb.holds(&own, &one.of(column))).into()
            }
            Self::Not(of) => (!is_true(&of.of(column))).into(),
            Self::All(all) => all.iter().all(|one| is_true(&one.of(column))).into(),
            Self::Any(all) => all.iter().any(|one| is_true(&one.of(column))).into(),
        }
    }
}

pub(super) fn is_true(value: &Value) -> bool {
    *value == Value::Bool(true)
}

fn any(reader: &mut Reader, depth: usize) -> Result<Expression, String> {
    let mut all = vec![every(reader, depth)?];
    while reader.takes_name("or") {
        all.push(every(reader, depth)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Expression::Any(all) })
}

fn every(reader: &mut Reader, depth: usize) -> Result<Expression, String> {
    let mut all = vec![comparison(reader, depth)?];
    while reader.takes_name("and") {
        all.push(comparison(reader, depth)?);
    }
    Ok(if all.len() == 1 { all.remove(0) } else { Expression::All(all) })
}

fn comparison(reader: &mut Reader, depth: usize) -> Result<Expression, String> {
    if depth > DEPTH {
        return Err("an expression is too deep".to_owned());
    }
    let left = single(reader, depth)?;
    let (verb, turned) = match reader.peek() {
        Some(Word::Sign("==")) => (Verb::Equals, false),
        Some(Word::Sign("!=")) => (Verb::Equals, true),
        Some(Word::Sign("=~")) => (Verb::Alike, false),
        Some(Word::Sign("!~")) => (Verb::Alike, true),
        Some(Word::Sign("<")) => (Verb::Less, false),
        Some(Word::Sign(">=")) => (Verb::Less, true),
        Some(Word::Sign(">")) => (Verb::Greater, false),
        Some(Word::Sign("<=")) => (Verb::Greater, true),
        Some(Word::Name(name)) => {
            let (plain, turned) = name.strip_prefix('!').map_or((&**name, false), |plain| (plain, true));
            if let "in" | "in~" = plain {
                let alike = plain == "in~";
                reader.next();
                reader.sign("(")?;
                let among = Expression::Among(Box::new(left), list(reader, depth)?, alike);
                return Ok(if turned { Expression::Not(Box::new(among)) } else { among });
            }
            match VERBS.iter().find(|(known, _)| *known == plain) {
                Some((_, verb)) => (*verb, turned),
                None => return Ok(left),
            }
        }
        _ => return Ok(left),
    };
    reader.next();
    let compared = Expression::Compare(verb, Box::new(left), Box::new(single(reader, depth)?));
    Ok(if turned { Expression::Not(Box::new(compared)) } else { compared })
}

/// What follows an opening parenthesis, up to the closing one.
fn list(reader: &mut Reader, depth: usize) -> Result<Vec<Expression>, String> {
    let mut all = Vec::new();
    if reader.takes(")") {
        return Ok(all);
    }
    loop {
        all.push(any(reader, depth + 1)?);
        if reader.takes(")") {
            return Ok(all);
        }
        reader.sign(",")?;
    }
}

fn single(reader: &mut Reader, depth: usize) -> Result<Expression, String> {
    let found = reader.found();
    let mut one = match reader.next() {
        Some(Word::Text(text)) => Expression::Value(text.into()),
        Some(Word::Whole(number)) => Expression::Value(number.into()),
        Some(Word::Decimal(number)) => Expression::Value(json!(number)),
        Some(Word::Sign("-")) => match reader.next() {
            Some(Word::Whole(number)) => Expression::Value((-number).into()),
            Some(Word::Decimal(number)) => Expression::Value(json!(-number)),
            _ => return Err("a number should stand behind '-'".to_owned()),
        },
        Some(Word::Sign("(")) => {
            let one = any(reader, depth + 1)?;
            reader.sign(")")?;
            one
        }
        Some(Word::Name(name)) => match name.as_str() {
            "true" => Expression::Value(true.into()),
            "false" => Expression::Value(false.into()),
            "and" | "or" => return Err(format!("an expression should stand where {found} is")),
            _ if reader.takes("(") => call(&name, list(reader, depth)?)?,
            _ => Expression::Column(name),
        },
        _ => return Err(format!("an expression should stand where {found} is")),
    };
    for _ in 0..DEPTH {
        let key = if reader.takes(".") {
            Key::Name(reader.name()?)
        } else if reader.takes("[") {
            let key = match reader.next() {
                Some(Word::Text(name)) => Key::Name(name),
                Some(Word::Whole(at)) => Key::At(usize::try_from(at).unwrap_or(usize::MAX)),
                _ => return Err("a text or a number should stand in brackets".to_owned()),
            };
            reader.sign("]")?;
            key
        } else {
            return Ok(one);
        };
        one = Expression::Part(Box::new(one), key);
    }
    Err("a part of a part is too deep".to_owned())
}

fn call(name: &str, mut all: Vec<Expression>) -> Result<Expression, String> {
    let (plain, turned) = match name {
        "isnotempty" => ("isempty", true),
        "isnotnull" => ("isnull", true),
        _ => (name, false),
    };
    if plain == "not" && all.len() == 1 {
        return Ok(Expression::Not(Box::new(all.remove(0))));
    }
    let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(known, ..)| *known == plain) else {
        return Err(format!("the function {name}() is not simulated"));
    };
    if !(*least..=*most).contains(&all.len()) {
        return Err(format!("{name}() takes another number of arguments than {}", all.len()));
    }
    let called = Expression::Call(*function, all);
    Ok(if turned { Expression::Not(Box::new(called)) } else { called })
}

fn part(of: Value, key: &Key) -> Value {
    match (of, key) {
        (Value::Object(mut members), Key::Name(name)) => members.remove(name).unwrap_or_default(),
        (Value::Array(mut items), Key::At(at)) if *at < items.len() => items.swap_remove(*at),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Value {
        let row =
            json!({ "name": "Web-01", "n": 7, "tags": { "a b": "x" }, "list": [{ "p": 1.5 }], "none": null });
        let mut reader = Reader::new(text).unwrap();
        let read = Expression::read(&mut reader).unwrap();
        assert_eq!(reader.peek(), None, "{text}");
        read.of(&|name| &row[name])
    }

    #[test]
    fn comparisons_hold_as_kusto_has_them() {
        for (text, holds) in [
            ("name == 'web-01'", false),
            ("name =~ 'web-01'", true),
            ("name !~ 'web-01' or n == 7", true),
            ("name contains 'WEB' and name !contains 'x'", true),
            ("name contains_cs 'WEB'", false),
            ("name has '01' and not(name has '0')", true),
            ("name startswith 'w' and name endswith '1' and name !endswith_cs 'A'", true),
            ("n > 6.5 and n <= 7 and n < 10", true),
            ("tags['a b'] in ('y', 'x')", true),
            ("name in ('web-01')", false),
            ("name in~ ('web-01') and name !in~ ('a', 'b')", true),
            ("isempty(tags.other) and isnull(none) and isnotempty(name)", true),
            ("tags.other != 'x'", true),
            ("(n == 1 or n == 7) and n != -7", true),
        ] {
            assert_eq!(of(text), json!(holds), "{text}");
        }
    }

    #[test]
    fn parts_and_functions_give_values() {
        for (text, value) in [
            ("list[0].p", json!(1.5)),
            ("list[9].p", Value::Null),
            ("todouble('2.5')", json!(2.5)),
            ("toint(list[0].p)", json!(1)),
            ("strcat(tolower(name), '/', n)", json!("web-01/7")),
            ("split(name, '-')[1]", json!("01")),
            ("array_length(list)", json!(1)),
            ("tostring(tags)", json!(r#"{"a b":"x"}"#)),
        ] {
            assert_eq!(of(text), value, "{text}");
        }
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        let deep = format!("{}n{}", "(".repeat(200), ")".repeat(200));
        let parts = format!("n{}", ".n".repeat(100_000));
        for text in [
            "",
            "and",
            "n ==",
            "n == and",
            "f(n)",
            "tolower()",
            "list[",
            "list[n]",
            "-'a'",
            "(n",
            &deep,
            &parts,
        ] {
            let read = Reader::new(text).and_then(|mut reader| Expression::read(&mut reader));
            assert!(read.is_err(), "{text}");
        }
    }
}
