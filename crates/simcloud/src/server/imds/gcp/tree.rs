//! The tree of the metadata: what is at a path, in text and in JSON.

use serde_json::{Map, Value};

/// A folder or a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    /// A number in JSON.
    Number(u64),
    /// A list in JSON, lines in text.
    Lines(Vec<String>),
    /// A list in JSON, and JSON in text: network tags.
    Written(Vec<String>),
    /// Always in JSON, and only where it is asked for itself: a token.
    Json(Value),
    Folder(Vec<(&'static str, Node)>),
    /// A folder of names that callers chose, which stay in JSON as they are.
    Named(Vec<(String, Node)>),
    /// A folder of numbers.
    List(Vec<Node>),
}

/// What is at a path, and whether a caller chose its name.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) node: &'a Node,
    pub(crate) named: bool,
}

/// What is at a path below a node; slashes at its ends mean nothing.
pub(crate) fn find<'a>(root: &'a Node, path: &str) -> Option<Found<'a>> {
    let mut found = Found { node: root, named: false };
    for name in path.split('/').filter(|name| !name.is_empty()) {
        found = match found.node {
            Node::Folder(nodes) => {
                let (_, node) = nodes.iter().find(|(known, _)| *known == name)?;
                Found { node, named: false }
            }
            Node::Named(nodes) => {
                let (_, node) = nodes.iter().find(|(known, _)| known == name)?;
                Found { node, named: true }
            }
            Node::List(nodes) => Found { node: nodes.get(name.parse::<usize>().ok()?)?, named: false },
            _ => return None,
        };
    }
    Some(found)
}

impl Node {
    pub(crate) fn is_folder(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::Named(_) | Self::List(_))
    }

    /// What is in a folder: a name each line, folders with a slash.
    pub(crate) fn listing(&self) -> String {
        self.names().into_iter().map(|name| name + "\n").collect()
    }

    pub(crate) fn listing_json(&self) -> String {
        Value::from(self.names()).to_string()
    }

    fn names(&self) -> Vec<String> {
        let named = |name: &str, node: &Self| match node.is_folder() {
            true => format!("{name}/"),
            false => name.to_owned(),
        };
        match self {
            Self::Folder(nodes) => nodes.iter().map(|(name, node)| named(name, node)).collect(),
            Self::Named(nodes) => nodes.iter().map(|(name, node)| named(name, node)).collect(),
            Self::List(nodes) => {
                (0..).zip(nodes).map(|(at, node): (usize, _)| named(&at.to_string(), node)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// In text; of a folder every value in it, with its path.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Lines(lines) => lines.iter().map(|line| format!("{line}\n")).collect(),
            Self::Written(texts) => Value::from(texts.as_slice()).to_string(),
            Self::Json(value) => value.to_string(),
            Self::Folder(_) | Self::Named(_) | Self::List(_) => {
                let mut lines = String::new();
                self.write("", &mut lines);
                lines
            }
        }
    }

    fn write(&self, path: &str, lines: &mut String) {
        let mut inside = |name: &str, node: &Self| {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            match node {
                Self::Json(_) => {}
                node if node.is_folder() => node.write(&path, lines),
                node => *lines += &format!("{path} {}\n", node.text().trim_end()),
            }
        };
        match self {
            Self::Folder(nodes) => nodes.iter().for_each(|(name, node)| inside(name, node)),
            Self::Named(nodes) => nodes.iter().for_each(|(name, node)| inside(name, node)),
            Self::List(nodes) => {
                (0..).zip(nodes).for_each(|(at, node): (usize, _)| inside(&at.to_string(), node))
            }
            _ => {}
        }
    }

    /// In JSON. `named`: a value whose name a caller chose is a text, whatever it looks like.
    pub(crate) fn json(&self, named: bool) -> Value {
        match self {
            Self::Number(number) if !named => (*number).into(),
            Self::Lines(lines) => lines.as_slice().into(),
            Self::Written(texts) => texts.as_slice().into(),
            Self::Json(value) => value.clone(),
            Self::Folder(nodes) => {
                let told = nodes.iter().filter(|(_, node)| !matches!(node, Self::Json(_)));
                told.map(|(name, node)| (camel(name), node.json(false))).collect::<Map<_, _>>().into()
            }
            Self::Named(nodes) => {
                nodes.iter().map(|(name, node)| (name.clone(), node.json(true))).collect::<Map<_, _>>().into()
            }
            Self::List(nodes) => nodes.iter().map(|node| node.json(false)).collect(),
            Self::Text(_) | Self::Number(_) => self.text().into(),
        }
    }
}

/// `network-interfaces` is `networkInterfaces` in JSON.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |camel, part| {
        let mut letters = part.chars();
        let capital = letters.next().map(|letter| letter.to_ascii_uppercase());
        camel + &capital.into_iter().chain(letters).collect::<String>()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree() -> Node {
        let interface = Node::Folder(vec![("ip", Node::Text("10.0.0.7".to_owned()))]);
        Node::Folder(vec![
            ("attributes", Node::Named(vec![("startup-script".to_owned(), Node::Text("true".to_owned()))])),
            ("id", Node::Number(7)),
            ("network-interfaces", Node::List(vec![interface])),
            ("scopes", Node::Lines(vec!["a".to_owned(), "b".to_owned()])),
            ("tags", Node::Written(vec!["web".to_owned()])),
            ("token", Node::Json(json!({ "expires_in": 1 }))),
        ])
    }

    #[test]
    fn a_folder_lists_what_is_in_it() {
        let tree = tree();
        assert_eq!(tree.listing(), "attributes/\nid\nnetwork-interfaces/\nscopes\ntags\ntoken\n");
        assert_eq!(find(&tree, "network-interfaces/").unwrap().node.listing(), "0/\n");
        assert_eq!(find(&tree, "/network-interfaces/0/ip").unwrap().node.text(), "10.0.0.7");
        assert!(find(&tree, "network-interfaces/1").is_none() && find(&tree, "id/x").is_none());
    }

    #[test]
    fn a_whole_folder_is_told_in_json_with_names_as_json_has_them() {
        let expected = json!({ "attributes": { "startup-script": "true" }, "id": 7,
            "networkInterfaces": [{ "ip": "10.0.0.7" }], "scopes": ["a", "b"], "tags": ["web"] });
        assert_eq!(tree().json(false), expected);
        let lines = tree().text();
        assert!(lines.contains("network-interfaces/0/ip 10.0.0.7\n") && !lines.contains("token"), "{lines}");
    }
}
