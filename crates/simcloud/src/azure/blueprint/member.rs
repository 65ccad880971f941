//! Members of a body, each of the kind that it must be. One that is null is not there.

use serde_json::Value;

use crate::azure::error::invalid;
use crate::refusal::Refusal;

/// # Errors
/// `InvalidParameter` for what is no text.
pub(crate) fn text<'v>(of: &'v Value, name: &str) -> Result<Option<&'v str>, Refusal> {
    read(of, name, Value::as_str, "It must be a text.")
}

/// Azure takes it as a text, too: Apache Libcloud's driver writes it so.
///
/// # Errors
/// `InvalidParameter` for what is neither true nor false.
pub(crate) fn flag(of: &Value, name: &str) -> Result<Option<bool>, Refusal> {
    let flag = |value: &Value| match value.as_str().map(str::to_lowercase).as_deref() {
        None => value.as_bool(),
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(_) => None,
    };
    read(of, name, flag, "It must be true or false.")
}

/// Azure takes it as a text, too.
///
/// # Errors
/// `InvalidParameter` for what is no whole number, or too large.
pub(crate) fn whole(of: &Value, name: &str) -> Result<Option<u32>, Refusal> {
    let whole = |value: &Value| match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    read(of, name, whole, "It must be a whole number.")
}

/// # Errors
/// `InvalidParameter` for what is no list.
pub(crate) fn list<'v>(of: &'v Value, name: &str) -> Result<&'v [Value], Refusal> {
    let list = read(of, name, |value| value.as_array().map(Vec::as_slice), "It must be a list.")?;
    Ok(list.unwrap_or_default())
}

/// One of some words, whose case does not matter.
///
/// # Errors
/// `InvalidParameter` for another one.
pub(crate) fn word<T: Copy>(of: &Value, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Refusal> {
    let Some(text) = text(of, name)? else { return Ok(None) };
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| Some(*value)).ok_or_else(|| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        invalid(name, &format!("It must be one of {}, not '{text}'.", known.join(", ")))
    })
}

fn read<'v, T>(
    of: &'v Value,
    name: &str,
    read: impl FnOnce(&'v Value) -> Option<T>,
    wrong: &str,
) -> Result<Option<T>, Refusal> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| invalid(name, wrong)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_of_its_kind_or_not_there() {
        let body = json!({ "text": "Spot", "flag": true, "number": 7, "list": [1], "nothing": null });
        assert_eq!(text(&body, "text").unwrap(), Some("Spot"));
        assert_eq!((text(&body, "nothing").unwrap(), text(&json!(3), "text").unwrap()), (None, None));
        assert!(text(&body, "flag").is_err() && flag(&body, "number").is_err());
        assert_eq!((flag(&body, "flag").unwrap(), whole(&body, "number").unwrap()), (Some(true), Some(7)));
        let texts = json!({ "flag": "True", "number": "7" });
        assert_eq!((flag(&texts, "flag").unwrap(), whole(&texts, "number").unwrap()), (Some(true), Some(7)));
        assert!(whole(&json!({ "number": -1 }), "number").is_err());
        assert!(whole(&json!({ "number": 1_u64 << 40 }), "number").is_err());
        assert_eq!((list(&body, "list").unwrap().len(), list(&body, "none").unwrap().len()), (1, 0));
        assert_eq!(word(&body, "text", &[("Regular", 1), ("spot", 2)]).unwrap(), Some(2));
        assert!(word(&body, "text", &[("Regular", 1)]).is_err());
    }
}
