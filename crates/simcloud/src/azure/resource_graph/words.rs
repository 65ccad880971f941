/// A word of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A name, or an operator that is written as one: `in~`, `!contains`, `project-away`.
    Name(String),
    Text(String),
    Whole(i64),
    Decimal(f64),
    /// `|`, `==`, `=~`, `(`.
    Sign(&'static str),
}

/// The longer ones before those that they begin with.
const SIGNS: [&str; 18] =
    ["==", "=~", "!=", "!~", "<=", ">=", "<", ">", "=", "|", "(", ")", "[", "]", ",", ".", "-", ";"];

/// # Errors
/// What stands where no word can.
fn words(query: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '/' if rest.starts_with("//") => {
                rest = rest.split_once('\n').map_or("", |(_, after)| after).trim_start();
                continue;
            }
            '\'' | '"' => text(rest)?,
            '@' if rest[1..].starts_with(['\'', '"']) => verbatim(&rest[1..])?,
            first if first.is_ascii_digit() => number(rest)?,
            first if first.is_ascii_alphabetic() || first == '_' => name(rest, 0),
            '!' if rest[1..].starts_with(|next: char| next.is_ascii_alphabetic()) => name(rest, 1),
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign.ok_or_else(|| format!("{first:?} has no meaning here"))?;
                (Word::Sign(sign), &rest[sign.len()..])
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

/// A name whose first `skip` letters are taken as they are. A hyphen belongs to it when a letter follows.
fn name(rest: &str, skip: usize) -> (Word, &str) {
    let bytes = rest.as_bytes();
    let mut end = skip;
    while let Some(byte) = bytes.get(end) {
        let hyphen = *byte == b'-' && bytes.get(end + 1).is_some_and(u8::is_ascii_alphabetic);
        if !(byte.is_ascii_alphanumeric() || *byte == b'_' || hyphen) {
            break;
        }
        end += 1;
    }
    // `in~` and `!in~`.
    let tilde =
        bytes.get(end) == Some(&b'~') && rest[..end].trim_start_matches('!').eq_ignore_ascii_case("in");
    end += usize::from(tilde);
    (Word::Name(rest[..end].to_owned()), &rest[end..])
}

fn number(rest: &str) -> Result<(Word, &str), String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut end = digits(rest);
    let decimals = rest[end..].strip_prefix('.').map_or(0, digits);
    if decimals > 0 {
        end += 1 + decimals;
    }
    let (text, after) = rest.split_at(end);
    let word = match decimals {
        0 => text.parse().map(Word::Whole).map_err(|_| format!("{text} is too big"))?,
        _ => text.parse().map(Word::Decimal).map_err(|_| format!("{text} is no number"))?,
    };
    Ok((word, after))
}

/// A text in quotes, with `\` before what would end it.
fn text(rest: &str) -> Result<(Word, &str), String> {
    let mut letters = rest.char_indices();
    let quote = letters.next().map(|(_, quote)| quote);
    let mut value = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            letter if Some(letter) == quote => return Ok((Word::Text(value), &rest[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, letter @ ('\\' | '\'' | '"'))) => value.push(letter),
                _ => return Err(format!("the text {value:?} has a backslash before nothing that needs one")),
            },
            letter => value.push(letter),
        }
    }
    Err(format!("the quote before {value:?} has no end"))
}

/// `@'…'`: a backslash is one, and a quote is written twice.
fn verbatim(rest: &str) -> Result<(Word, &str), String> {
    let quote = &rest[..1];
    let mut value = String::new();
    let mut after = &rest[1..];
    loop {
        let (part, next) =
            after.split_once(quote).ok_or_else(|| format!("the quote before {after:?} has no end"))?;
        value.push_str(part);
        let Some(more) = next.strip_prefix(quote) else { return Ok((Word::Text(value), next)) };
        value.push_str(quote);
        after = more;
    }
}

/// Reads words one by one.
pub(super) struct Reader {
    words: Vec<Word>,
    at: usize,
}

impl Reader {
    /// # Errors
    /// Those of [`words`].
    pub(super) fn new(query: &str) -> Result<Self, String> {
        Ok(Self { words: words(query)?, at: 0 })
    }

    pub(super) fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    pub(super) fn next(&mut self) -> Option<Word> {
        let word = self.words.get(self.at).cloned();
        self.at += 1;
        word
    }

    /// Takes a sign if it is the next word.
    pub(super) fn takes(&mut self, wanted: &str) -> bool {
        let takes = matches!(self.peek(), Some(Word::Sign(sign)) if *sign == wanted);
        self.at += usize::from(takes);
        takes
    }

    /// Takes a name if it is the next word.
    pub(super) fn takes_name(&mut self, wanted: &str) -> bool {
        let takes = matches!(self.peek(), Some(Word::Name(name)) if name == wanted);
        self.at += usize::from(takes);
        takes
    }

    /// # Errors
    /// When the next word is another one.
    pub(super) fn sign(&mut self, wanted: &str) -> Result<(), String> {
        match self.takes(wanted) {
            true => Ok(()),
            false => Err(format!("'{wanted}' should stand where {} is", self.found())),
        }
    }

    /// # Errors
    /// When the next word is no name.
    pub(super) fn name(&mut self) -> Result<String, String> {
        let found = self.found();
        match self.next() {
            Some(Word::Name(name)) => Ok(name),
            _ => Err(format!("a name should stand where {found} is")),
        }
    }

    /// The next word, for messages.
    pub(super) fn found(&self) -> String {
        match self.peek() {
            None => "the end".to_owned(),
            Some(Word::Name(name)) => format!("'{name}'"),
            Some(Word::Text(text)) => format!("{text:?}"),
            Some(Word::Whole(number)) => number.to_string(),
            Some(Word::Decimal(number)) => number.to_string(),
            Some(Word::Sign(sign)) => format!("'{sign}'"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_cut_into_words() {
        let name = |name: &str| Word::Name(name.to_owned());
        let text = |text: &str| Word::Text(text.to_owned());
        assert_eq!(
            words("T | where a.b['c-d'] in~ (\"x\\\"\", @'y''z\\') // why\n| project-away e, f = 1.5, g!=-2")
                .unwrap(),
            [
                name("T"),
                Word::Sign("|"),
                name("where"),
                name("a"),
                Word::Sign("."),
                name("b"),
                Word::Sign("["),
                text("c-d"),
                Word::Sign("]"),
                name("in~"),
                Word::Sign("("),
                text("x\""),
                Word::Sign(","),
                text("y'z\\"),
                Word::Sign(")"),
                Word::Sign("|"),
                name("project-away"),
                name("e"),
                Word::Sign(","),
                name("f"),
                Word::Sign("="),
                Word::Decimal(1.5),
                Word::Sign(","),
                name("g"),
                Word::Sign("!="),
                Word::Sign("-"),
                Word::Whole(2),
            ]
        );
        assert_eq!(words("a !contains 'b'").unwrap()[1], name("!contains"));
        assert_eq!(words("  // nothing").unwrap(), []);
    }

    #[test]
    fn what_is_no_word_is_told() {
        for query in ["'a", "@'a", "a ? b", "99999999999999999999", "'\\q'", "é", "!", "'a\\"] {
            assert!(words(query).is_err(), "{query}");
        }
    }
}
