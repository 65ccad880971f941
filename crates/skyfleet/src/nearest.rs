//! The nearest names to one that does not exist.

use std::collections::BTreeSet;

/// How many names are offered at most.
const OFFERED_MAX: usize = 3;

/// Up to how many names a person reads all of.
const KNOWN_MAX: usize = 12;

/// The known names that a mistyped one most likely means, nearest first; none when nothing is near.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = name.to_lowercase();
    let likeness = |known: &str| {
        let known = known.to_lowercase();
        // The first forgives a wrong end, the second a swapped or missing letter.
        let (start, edits) =
            (strsim::jaro_winkler(&wanted, &known), strsim::normalized_damerau_levenshtein(&wanted, &known));
        (start.max(edits + 0.15) * 1e6) as u32
    };
    let mut near: Vec<(u32, &str)> =
        known.into_iter().map(|k| (likeness(k), k)).filter(|(likeness, _)| *likeness >= 800_000).collect();
    near.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    near.dedup_by(|a, b| a.1 == b.1);
    near.truncate(OFFERED_MAX);
    near.into_iter().map(|(_, k)| k).collect()
}

/// `; did you mean "a" or "b"?`, or nothing when nothing is near.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near: Vec<String> = nearest(name, known).into_iter().map(|k| format!("{k:?}")).collect();
    match near.as_slice() {
        [] => String::new(),
        [one] => format!("; did you mean {one}?"),
        [rest @ .., last] => format!("; did you mean {} or {last}?", rest.join(", ")),
    }
}

/// As [`did_you_mean`]; where nothing is near and there are only a few names, all of them.
pub(crate) fn did_you_mean_or_known<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: BTreeSet<&str> = known.into_iter().collect();
    let near = did_you_mean(name, known.iter().copied());
    if near.is_empty() && (1..=KNOWN_MAX).contains(&known.len()) {
        return format!("; there are {}", Vec::from_iter(known).join(", "));
    }
    near
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_comes_first_and_far_ones_not_at_all() {
        assert_eq!(nearest("targt", ["min", "target", "targets"]), ["target", "targets"]);
        assert_eq!(nearest("asw", ["gcp", "aws"]), ["aws"]);
        assert!(nearest("xyz", ["min", "target"]).is_empty());
        assert_eq!(did_you_mean("M7G.large", ["m7g.large"]), "; did you mean \"m7g.large\"?");
        assert_eq!(did_you_mean("xyz", ["min"]), "");
        assert_eq!(did_you_mean_or_known("H100", ["T4", "L4", "T4"]), "; there are L4, T4");
    }
}
