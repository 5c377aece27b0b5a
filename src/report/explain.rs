//! What each finding means: docs/FINDINGS.md, entry by entry.

use std::sync::LazyLock;

use serde::Serialize;

/// The page that people read is the source.
const PAGE: &str = include_str!("../../docs/FINDINGS.md");

/// One kind of finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Stable id, such as `BOLT-017`.
    pub id: &'static str,
    /// A few words.
    pub title: &'static str,
    /// `error`, `warning`, `note`, or on what that depends.
    pub severity: &'static str,
    /// What is wrong.
    pub meaning: String,
    /// How it can look or come about.
    pub example: String,
    /// What happens when nothing is done.
    pub consequence: String,
    /// What to do.
    pub cure: String,
}

static ALL: LazyLock<Vec<Explanation>> = LazyLock::new(|| PAGE.split("\n## ").skip(1).filter_map(parse).collect());

/// All kinds of findings, in the order of the page.
pub fn all() -> &'static [Explanation] {
    &ALL
}

/// The kind with this id, in capitals or not.
pub fn find(id: &str) -> Option<&'static Explanation> {
    all().iter().find(|explanation| explanation.id.eq_ignore_ascii_case(id))
}

fn parse(section: &'static str) -> Option<Explanation> {
    let (head, body) = section.split_once('\n')?;
    let (id, title) = head.split_once(": ")?;
    let mut paragraphs = body.split("\n\n").map(str::trim).filter(|text| !text.is_empty());
    let severity = paragraphs.next()?.strip_prefix("Severity: ")?;
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let meaning = one_line(paragraphs.next()?);
    let mut part = |label: &str| Some(one_line(paragraphs.next()?.strip_prefix(label)?.strip_prefix(':')?));
    let (example, consequence, cure) = (part("Example")?, part("Consequence")?, part("Cure")?);
    Some(Explanation { id, title, severity, meaning, example, consequence, cure })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_section_of_the_page_is_whole_and_its_id_is_its_own() {
        let headings = PAGE.lines().filter(|line| line.starts_with("## ")).count();
        assert_eq!(all().len(), headings, "a section has another form");
        let mut ids: Vec<&str> = all().iter().map(|explanation| explanation.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), headings);
        for explanation in all() {
            let Explanation { id, severity, cure, .. } = explanation;
            let known = ["error", "warning", "note", "the worst"];
            assert!(known.iter().any(|word| severity.starts_with(word)), "{id}: {severity}");
            // What it refers to is there.
            for other in cure.split(|c: char| !c.is_alphanumeric() && c != '-').filter(|word| word.contains("-0")) {
                assert!(find(other).is_some(), "{id}: {other}");
            }
        }
        assert_eq!(find("bolt-017").unwrap().title, "keys are not in order");
        assert_eq!(find("BOLT-999"), None);
    }
}
