/// The specification, as it is published.
pub(crate) const TEXT: &str = include_str!("../CONTRACT.md");

/// One numbered clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clause<'a> {
    /// `LAUNCH-3`.
    pub(crate) id: &'a str,
    /// The one sentence with its MUST.
    pub(crate) sentence: &'a str,
    /// Why it is demanded.
    pub(crate) reason: &'a str,
}

/// The clauses of CONTRACT.md in their order: a line `**LAUNCH-3** sentence` and below it a line
/// `Why: reason`. Each stands on one line, so that text search finds it whole.
pub(crate) fn clauses(text: &str) -> Vec<Clause<'_>> {
    let mut clauses = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((id, sentence)) = line.strip_prefix("**").and_then(|rest| rest.split_once("** ")) else {
            continue;
        };
        let reason = lines.next().and_then(|next| next.strip_prefix("Why: ")).unwrap_or_default();
        clauses.push(Clause { id, sentence, reason });
    }
    clauses
}

/// The sentence of a clause.
pub(crate) fn sentence(id: &str) -> &'static str {
    clauses(TEXT)
        .into_iter()
        .find(|clause| clause.id == id)
        .map_or("(no such clause in CONTRACT.md)", |clause| clause.sentence)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_clause_has_one_must_and_a_reason() {
        let clauses = clauses(TEXT);
        assert!(clauses.len() >= 40, "{} clauses", clauses.len());
        for Clause { id, sentence, reason } in clauses {
            assert_eq!(sentence.matches("MUST").count(), 1, "{id}: {sentence}");
            assert!(sentence.ends_with('.') && reason.ends_with('.'), "{id}: {sentence} {reason}");
        }
    }

    #[test]
    fn clauses_are_numbered_by_chapter_without_a_hole() {
        let chapters = ["SEARCH", "LAUNCH", "LIST", "PREEMPT", "TEARDOWN", "ERRORS", "LIMITS", "SECRETS"];
        let mut expected = (0, 0);
        for Clause { id, .. } in clauses(TEXT) {
            let (chapter, number) = id.split_once('-').unwrap();
            let chapter = chapters.iter().position(|c| *c == chapter).unwrap();
            expected = if chapter == expected.0 { (chapter, expected.1 + 1) } else { (expected.0 + 1, 1) };
            assert_eq!((chapter, number.parse().unwrap()), expected, "{id}");
        }
        assert_eq!(expected.0, chapters.len() - 1);
    }

    #[test]
    fn every_clause_has_a_case_and_every_case_a_clause() {
        let clauses: BTreeSet<_> = clauses(TEXT).into_iter().map(|clause| clause.id).collect();
        let cited: BTreeSet<_> = crate::cases().map(|case| case.clause).collect();
        let unproven: Vec<_> = clauses.difference(&cited).collect();
        assert!(unproven.is_empty(), "clauses without a case: {unproven:?}");
        let unfounded: Vec<_> = cited.difference(&clauses).collect();
        assert!(unfounded.is_empty(), "cases without a clause: {unfounded:?}");
    }

    #[test]
    fn case_names_are_unique() {
        let names: Vec<_> = crate::cases().map(|case| case.name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
}
