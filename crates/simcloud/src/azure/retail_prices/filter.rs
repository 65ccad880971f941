use serde_json::Value;

use crate::azure::error::coded;
use crate::refusal::Refusal;

/// What can be filtered by, and the member of an entry that is meant. Azure documentation, "Azure Retail
/// Prices overview", "API filters"; `priceType` is called `type` in the entries.
const FIELDS: [(&str, &str); 13] = [
    ("armregionname", "armRegionName"),
    ("location", "location"),
    ("meterid", "meterId"),
    ("metername", "meterName"),
    ("productid", "productId"),
    ("skuid", "skuId"),
    ("productname", "productName"),
    ("skuname", "skuName"),
    ("servicename", "serviceName"),
    ("serviceid", "serviceId"),
    ("servicefamily", "serviceFamily"),
    ("pricetype", "type"),
    ("armskuname", "armSkuName"),
];

/// How deep parentheses may lie in each other.
const DEPTH: usize = 32;

/// Whether `eastus` is `EastUS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    Matters,
    Ignored,
}

/// The `$filter` of the price list: OData's comparisons of texts.
#[derive(Debug)]
pub(super) struct Filter {
    term: Term,
    case: Case,
}

#[derive(Debug)]
enum Term {
    Is(&'static str, Verb, String),
    Not(Box<Term>),
    All(Vec<Term>),
    Any(Vec<Term>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Equals,
    Contains,
    Begins,
    Ends,
}

impl Filter {
    /// # Errors
    /// `BadRequest`, with what cannot be read.
    pub(super) fn parse(text: &str, case: Case) -> Result<Self, Refusal> {
        let wrong =
            |what: String| coded(400, "BadRequest", format!("Invalid OData parameters supplied: {what}"));
        let mut reader = Reader { words: words(text).map_err(wrong)?, at: 0, depth: 0 };
        let term = reader.any().map_err(wrong)?;
        match reader.next() {
            None => Ok(Self { term, case }),
            Some(word) => Err(wrong(format!("{word:?} is one too many"))),
        }
    }

    pub(super) fn takes(&self, item: &Value) -> bool {
        self.term.takes(item, self.case)
    }
}

impl Term {
    fn takes(&self, item: &Value, case: Case) -> bool {
        match self {
            Self::Is(member, verb, wanted) => {
                let own = item[*member].as_str().unwrap_or_default();
                match case {
                    Case::Matters => verb.holds(own, wanted),
                    Case::Ignored => verb.holds(&own.to_lowercase(), &wanted.to_lowercase()),
                }
            }
            Self::Not(term) => !term.takes(item, case),
            Self::All(terms) => terms.iter().all(|term| term.takes(item, case)),
            Self::Any(terms) => terms.iter().any(|term| term.takes(item, case)),
        }
    }
}

impl Verb {
    fn holds(self, own: &str, wanted: &str) -> bool {
        match self {
            Self::Equals => own == wanted,
            Self::Contains => own.contains(wanted),
            Self::Begins => own.starts_with(wanted),
            Self::Ends => own.ends_with(wanted),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// A name or an operator.
    Name(String),
    Text(String),
    Sign(char),
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            letter if letter.is_whitespace() => {}
            '(' | ')' | ',' => words.push(Word::Sign(letter)),
            '\'' => {
                let mut value = String::new();
                loop {
                    match letters.next() {
                        None => return Err(format!("the quote before {value:?} has no end")),
                        // A quote in a text is written twice.
                        Some('\'') if letters.next_if_eq(&'\'').is_none() => break,
                        Some(letter) => value.push(letter),
                    }
                }
                words.push(Word::Text(value));
            }
            letter if letter.is_ascii_alphabetic() => {
                let mut name = String::from(letter);
                while let Some(letter) = letters.next_if(|next| next.is_ascii_alphanumeric() || *next == '_')
                {
                    name.push(letter);
                }
                words.push(Word::Name(name));
            }
            other => return Err(format!("{other:?} has no meaning here")),
        }
    }
    Ok(words)
}

struct Reader {
    words: Vec<Word>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    /// Takes a name if it is the next word.
    fn has(&mut self, wanted: &str) -> bool {
        let has =
            matches!(self.words.get(self.at), Some(Word::Name(name)) if name.eq_ignore_ascii_case(wanted));
        self.at += usize::from(has);
        has
    }

    fn sign(&mut self, wanted: char) -> Result<(), String> {
        match self.next() {
            Some(Word::Sign(sign)) if sign == wanted => Ok(()),
            Some(other) => Err(format!("{other:?} stands where {wanted:?} should")),
            None => Err(format!("{wanted:?} is missing at the end")),
        }
    }

    fn any(&mut self) -> Result<Term, String> {
        let mut terms = vec![self.all()?];
        while self.has("or") {
            terms.push(self.all()?);
        }
        Ok(Term::Any(terms))
    }

    fn all(&mut self) -> Result<Term, String> {
        let mut terms = vec![self.one()?];
        while self.has("and") {
            terms.push(self.one()?);
        }
        Ok(Term::All(terms))
    }

    fn one(&mut self) -> Result<Term, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it is too deep".to_owned());
        }
        let term = self.shallow()?;
        self.depth -= 1;
        Ok(term)
    }

    fn shallow(&mut self) -> Result<Term, String> {
        if self.has("not") {
            return Ok(Term::Not(Box::new(self.one()?)));
        }
        match self.next() {
            Some(Word::Sign('(')) => {
                let term = self.any()?;
                self.sign(')')?;
                Ok(term)
            }
            Some(Word::Name(name)) => match name.to_ascii_lowercase().as_str() {
                "contains" => self.function(Verb::Contains),
                "startswith" => self.function(Verb::Begins),
                "endswith" => self.function(Verb::Ends),
                _ => {
                    let member = field(&name)?;
                    let equals = self.has("eq");
                    if !equals && !self.has("ne") {
                        return Err(format!("{name} can be compared by eq and ne alone"));
                    }
                    let is = Term::Is(member, Verb::Equals, self.text()?);
                    Ok(if equals { is } else { Term::Not(Box::new(is)) })
                }
            },
            Some(other) => Err(format!("{other:?} is no comparison")),
            None => Err("it ends too early".to_owned()),
        }
    }

    /// `contains(meterName, 'Spot')`.
    fn function(&mut self, verb: Verb) -> Result<Term, String> {
        self.sign('(')?;
        let Some(Word::Name(name)) = self.next() else {
            return Err("a function must name a field first".to_owned());
        };
        let member = field(&name)?;
        self.sign(',')?;
        let wanted = self.text()?;
        self.sign(')')?;
        Ok(Term::Is(member, verb, wanted))
    }

    fn text(&mut self) -> Result<String, String> {
        match self.next() {
            Some(Word::Text(text)) => Ok(text),
            other => Err(format!("{other:?} is no text in quotes")),
        }
    }
}

fn field(name: &str) -> Result<&'static str, String> {
    let found = FIELDS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, member)| *member).ok_or_else(|| format!("there is no field {name} to filter by"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comparisons_are_read_as_odata_has_them() {
        let item = json!({ "armRegionName": "eastus", "type": "Consumption", "meterName": "D2s v5 Spot",
            "productName": "O'Hara" });
        for (text, takes) in [
            ("armRegionName eq 'eastus'", true),
            ("armRegionName eq 'EastUS'", false),
            ("armregionname ne 'eastus'", false),
            ("priceType eq 'Consumption' and contains(meterName, 'Spot')", true),
            ("contains(meterName,'spot') or startswith(meterName,'D2s')", true),
            ("not (contains(meterName,'Spot') or endswith(meterName,'Low Priority'))", false),
            ("armRegionName eq 'x' or armRegionName eq 'eastus' and priceType eq 'Reservation'", false),
            ("productName eq 'O''Hara'", true),
        ] {
            assert_eq!(Filter::parse(text, Case::Matters).unwrap().takes(&item), takes, "{text}");
        }
        assert!(Filter::parse("armRegionName eq 'EastUS'", Case::Ignored).unwrap().takes(&item));
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let deep = format!("{}armRegionName eq 'x'{}", "(".repeat(99), ")".repeat(99));
        for text in [
            "",
            "armRegionName",
            "armRegionName eq",
            "armRegionName eq eastus",
            "armRegionName gt 'a'",
            "armRegionName eq 'a",
            "colour eq 'red'",
            "contains(meterName)",
            "(armRegionName eq 'a'",
            "armRegionName eq 'a' 'b'",
            "retailPrice lt 1",
            "a;b",
            &deep,
        ] {
            assert!(Filter::parse(text, Case::Matters).is_err(), "{text}");
        }
    }
}
