use std::collections::BTreeMap;

/// A method of a REST API, and what answers it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method<A> {
    /// The name under which it is counted, throttled and made to fail: `instances.bulkInsert`,
    /// `virtualMachines.PUT`.
    pub(crate) id: &'static str,
    /// `GET`, `POST`.
    pub(crate) verb: &'static str,
    /// The template of its path: `compute/v1/projects/{project}/zones/{zone}/instances`. A parameter
    /// may end in a word of its own: `{project}:testIamPermissions`.
    pub(crate) path: &'static str,
    pub(crate) answer: A,
}

/// How a cloud compares the words of a path with those of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Matters,
    Ignored,
}

/// The values of a path's parameters, by name.
pub(crate) type Values = BTreeMap<&'static str, String>;

/// A method and the values of its parameters; `None` when no room has one for this path. `rooms` are
/// lists of methods.
pub(crate) fn find<A: Copy>(
    rooms: &[&[Method<A>]],
    verb: &str,
    path: &str,
    case: Case,
) -> Option<(Method<A>, Values)> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let all = rooms.iter().copied().flatten().filter(|method| method.verb == verb);
    // A word in a template goes before a parameter: `instances/bulkInsert` is no instance.
    let matched = all.filter_map(|method| Some((*method, values(method.path, &parts, case)?)));
    matched.min_by_key(|(_, values)| values.len())
}

/// The names of all, in order, each once.
pub(crate) fn names<A>(rooms: &[&[Method<A>]]) -> Vec<&'static str> {
    let mut names: Vec<&str> = rooms.iter().copied().flatten().map(|method| method.id).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn values(template: &'static str, parts: &[&str], case: Case) -> Option<Values> {
    let is = |word: &str, part: &str| match case {
        Case::Matters => word == part,
        Case::Ignored => word.eq_ignore_ascii_case(part),
    };
    let mut values = BTreeMap::new();
    let mut templates = template.split('/');
    for part in parts {
        let wanted = templates.next()?;
        let Some((name, end)) = wanted.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
            if !is(wanted, part) {
                return None;
            }
            continue;
        };
        let at = part.len().checked_sub(end.len()).filter(|at| part.is_char_boundary(*at))?;
        let (value, ending) = part.split_at(at);
        // A colon begins a word of its own, but in a name with a domain: `example.com:project`.
        let has_word = end.is_empty() && value.contains(':') && !value.contains('.');
        if value.is_empty() || !is(end, ending) || has_word {
            return None;
        }
        values.insert(name, value.to_owned());
    }
    templates.next().is_none().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: &[Method<u8>] = &[
        Method { id: "things.get", verb: "GET", path: "v1/{project}/things/{thing}", answer: 1 },
        Method { id: "things.bulk", verb: "GET", path: "v1/{project}/things/bulk", answer: 2 },
        Method { id: "projects.test", verb: "POST", path: "v1/projects/{project}:test", answer: 3 },
        Method { id: "projects.get", verb: "POST", path: "v1/projects/{project}", answer: 4 },
    ];

    fn found(verb: &str, path: &str, case: Case) -> Option<(u8, Vec<String>)> {
        find(&[METHODS], verb, path, case)
            .map(|(method, values)| (method.answer, values.into_values().collect()))
    }

    #[test]
    fn a_word_goes_before_a_parameter() {
        assert_eq!(
            found("GET", "/v1/p/things/t", Case::Matters),
            Some((1, vec!["p".to_owned(), "t".to_owned()]))
        );
        assert_eq!(found("GET", "/v1/p/things/bulk", Case::Matters), Some((2, vec!["p".to_owned()])));
        assert_eq!(found("PUT", "/v1/p/things/bulk", Case::Matters), None);
        assert_eq!(found("GET", "/v1/p/things", Case::Matters), None);
    }

    #[test]
    fn case_matters_where_the_cloud_says_so() {
        assert_eq!(found("GET", "/V1/p/Things/BULK", Case::Matters), None);
        assert_eq!(found("GET", "/V1/P/Things/BULK", Case::Ignored), Some((2, vec!["P".to_owned()])));
    }

    #[test]
    fn a_parameter_may_end_in_a_word() {
        assert_eq!(found("POST", "v1/projects/p:test", Case::Matters), Some((3, vec!["p".to_owned()])));
        assert_eq!(found("POST", "v1/projects/p:nothing", Case::Matters), None);
        assert_eq!(found("POST", "v1/projects/é", Case::Matters), Some((4, vec!["é".to_owned()])));
        let domain = found("POST", "v1/projects/example.com:p", Case::Matters);
        assert_eq!(domain, Some((4, vec!["example.com:p".to_owned()])));
    }
}
