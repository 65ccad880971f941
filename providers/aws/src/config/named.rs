use std::fmt;

/// Something of the account, by its id or by a tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// `subnet-0a1b2c3d4e5f60718`. It lives in one region.
    Id(String),
    /// `key=value`: what carries this tag, in whichever region is asked.
    Tag {
        /// The tag's key.
        key: String,
        /// The tag's value.
        value: String,
    },
}

impl Named {
    /// Reads an id that begins with `prefix-`, or `key=value`.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub fn parse(text: &str, prefix: &str) -> Result<Self, String> {
        let text = text.trim();
        let wanted = || {
            format!("{text:?} is neither an id (\"{prefix}-0123456789abcdef0\") nor a tag (\"key=value\")")
        };
        if let Some((key, value)) = text.split_once('=') {
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty() || value.is_empty() {
                return Err(wanted());
            }
            return Ok(Self::Tag { key: key.to_owned(), value: value.to_owned() });
        }
        // Ids have 17 hexadecimal digits; those from before 2016 have 8.
        let digits = text.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
        let hex = |digits: &str| {
            digits.len() >= 8 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        match digits {
            Some(digits) if hex(digits) => Ok(Self::Id(text.to_owned())),
            _ => Err(wanted()),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => f.pad(id),
            Self::Tag { key, value } => f.pad(&format!("{key}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_tag_are_told_apart() {
        assert_eq!(Named::parse("sg-0a1b2c3d", "sg"), Ok(Named::Id("sg-0a1b2c3d".to_owned())));
        let tag = Named::parse("team = batch", "sg").unwrap();
        assert_eq!(tag, Named::Tag { key: "team".to_owned(), value: "batch".to_owned() });
        for text in ["", "sg-", "sg-xyz12345", "vpc-0a1b2c3d", "=x", "x=", "default"] {
            let wrong = Named::parse(text, "sg").unwrap_err();
            assert!(wrong.contains("sg-0123456789abcdef0") && wrong.contains("key=value"), "{text}: {wrong}");
        }
    }
}
