//! What is at a path of a document, in JSON and in text.

use serde_json::Value;

use crate::server::imds::azure::Told;

/// What is below `path` of a document. Azure documentation, "Azure Instance Metadata Service for
/// virtual machines", response format: folders are JSON unless text is asked for, and leaves must be
/// asked for in text.
pub(crate) fn find(document: &Value, path: &str, format: Option<&str>) -> Told {
    let text = match format {
        None => false,
        Some(format) if format.eq_ignore_ascii_case("json") => false,
        Some(format) if format.eq_ignore_ascii_case("text") => true,
        Some(_) => return Told::bad("The format is invalid: json or text"),
    };
    let mut found = document;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let below = match found {
            Value::Object(members) => {
                members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, below)| below)
            }
            Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        match below {
            Some(below) => found = below,
            None => return Told::missing(),
        }
    }
    match (found, text) {
        (Value::Object(_) | Value::Array(_), false) => Told::Json(found.clone()),
        (Value::Object(members), true) => listed(members.iter().map(|(name, below)| (name.clone(), below))),
        (Value::Array(items), true) => {
            listed(items.iter().enumerate().map(|(index, below)| (index.to_string(), below)))
        }
        (Value::String(leaf), true) => Told::Text(leaf.clone()),
        (leaf, true) => Told::Text(leaf.to_string()),
        (_, false) => Told::bad("A leaf must be asked for with format=text"),
    }
}

/// The names in a folder, one each line: those of folders with a slash.
fn listed<'v>(below: impl Iterator<Item = (String, &'v Value)>) -> Told {
    let line = |(name, below): (String, &Value)| match below {
        Value::Object(_) | Value::Array(_) => format!("{name}/"),
        _ => name,
    };
    Told::Text(below.map(line).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn folders_are_json_and_leaves_are_text() {
        let document = json!({ "compute": { "name": "vm", "disks": [{ "lun": 0 }] } });
        let ask = |path, format| match find(&document, path, format) {
            Told::Json(value) => value.to_string(),
            Told::Text(text) => text,
            Told::No(status, _) => status.as_u16().to_string(),
        };
        assert_eq!(ask("compute/name", Some("text")), "vm");
        assert_eq!(ask("COMPUTE/Name/", Some("TEXT")), "vm");
        assert_eq!(ask("compute/disks/0/lun", Some("text")), "0");
        assert_eq!(ask("compute/name", None), "400");
        assert_eq!(ask("compute/disks", None), r#"[{"lun":0}]"#);
        assert_eq!(ask("", Some("text")), "compute/");
        assert_eq!(ask("compute", Some("text")).split('\n').collect::<Vec<_>>(), ["disks/", "name"]);
        assert_eq!(ask("compute/disks", Some("text")), "0/");
        for path in ["compute/none", "compute/disks/1", "compute/name/x"] {
            assert_eq!(ask(path, Some("text")), "404", "{path}");
        }
        assert_eq!(ask("compute", Some("xml")), "400");
    }
}
