//! Which method of the discovery document is answered where. Each room lists its own.

use std::collections::BTreeMap;

use crate::gcp::operation;
use crate::gcp::request::{Answer, Request};
use crate::refusal::Refusal;

/// A method: of Compute Engine, or of a small service beside it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    /// As the discovery document calls it: `instances.bulkInsert`.
    pub(crate) id: &'static str,
    /// `GET`, `POST`.
    pub(crate) verb: &'static str,
    /// `compute/v1/projects/{project}/zones/{zone}/instances/bulkInsert`.
    pub(crate) path: &'static str,
    pub(crate) answer: fn(&Request<'_>) -> Result<Answer, Refusal>,
}

/// Lists of methods, by room.
const ROOMS: &[&[Method]] = &[operation::METHODS];

/// A method and the values of its path's parameters; `None` for what is not simulated.
pub(crate) fn find(verb: &str, path: &str) -> Option<(Method, BTreeMap<&'static str, String>)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let all = ROOMS.iter().copied().flatten().filter(|method| method.verb == verb);
    // A word in a template goes before a parameter: `instances/bulkInsert` is no instance.
    let matched = all.filter_map(|method| Some((method, values(method.path, &parts)?)));
    matched.min_by_key(|(_, values)| values.len()).map(|(method, values)| (*method, values))
}

/// The names of all, in order.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = ROOMS.iter().copied().flatten().map(|method| method.id).collect();
    names.sort_unstable();
    names
}

/// The values of a template's parameters in a path; `None` when it does not match. A parameter may
/// end in a word of its own: `{project}:testIamPermissions`.
fn values(template: &'static str, parts: &[&str]) -> Option<BTreeMap<&'static str, String>> {
    let mut values = BTreeMap::new();
    let mut templates = template.split('/');
    for part in parts {
        let wanted = templates.next()?;
        match wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            Some((name, end)) => {
                let value = part.strip_suffix(end)?;
                if value.is_empty() || end.is_empty() && value.contains(':') && !value.contains('.') {
                    return None;
                }
                values.insert(name, value.to_owned());
            }
            None if wanted == *part => {}
            None => return None,
        }
    }
    templates.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_method_and_its_values() {
        let (method, values) = find("GET", "/compute/v1/projects/p/zones/z/operations/op-1").unwrap();
        assert_eq!(method.id, "zoneOperations.get");
        assert_eq!(
            (values["project"].as_str(), values["zone"].as_str(), values["operation"].as_str()),
            ("p", "z", "op-1")
        );
        assert!(find("PUT", "/compute/v1/projects/p/zones/z/operations/op-1").is_none());
        assert!(find("GET", "/compute/v1/projects/p/nothing").is_none());
    }

    #[test]
    fn a_parameter_may_end_in_a_word() {
        let parts = ["v1", "projects", "p:testIamPermissions"];
        assert_eq!(values("v1/projects/{project}:testIamPermissions", &parts).unwrap()["project"], "p");
        assert!(values("v1/projects/{project}", &parts).is_none());
        assert_eq!(
            values("v1/projects/{project}", &["v1", "projects", "example.com:p"]).unwrap()["project"],
            "example.com:p"
        );
    }

    #[test]
    fn no_method_is_listed_twice() {
        let names = names();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }
}
