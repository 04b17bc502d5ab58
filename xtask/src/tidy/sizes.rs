//! Files and functions stay small, held by a ratchet.
//!
//! What is too large already is listed with its exact size and may only shrink; nothing is ever
//! added to the list silently, because the list is part of the change.

use super::Finding;
use super::scan::Source;
use std::collections::BTreeMap;

/// Lines of a file: what a person can read in one sitting.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function: about a screen.
const FUNCTION_LINES_MAX: usize = 70;

const RULE: &str = "size";
/// Words that may stand before `fn`.
const QUALIFIERS: [&str; 6] = ["pub", "const", "async", "unsafe", "extern", "default"];

/// One line of the list.
#[derive(Debug)]
struct Allowance {
    lines_max: usize,
    /// Where it stands in the list.
    line: usize,
    used: bool,
}

/// The list of what may be too large: `PATH LINES` for a file, `PATH::FUNCTION LINES` for a
/// function.
#[derive(Debug)]
pub(super) struct Allowances {
    path: String,
    entries: BTreeMap<String, Allowance>,
}

impl Allowances {
    /// Reads the list.
    pub(super) fn parse(path: &str, text: &str) -> Result<Allowances, String> {
        let mut entries = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default().trim();
            if content.is_empty() {
                continue;
            }
            let parsed = content
                .rsplit_once(' ')
                .and_then(|(what, lines)| Some((what.trim(), lines.parse().ok()?)));
            let (what, lines_max) = parsed.ok_or_else(|| {
                format!("{path}:{}: expected PATH LINES or PATH::FUNCTION LINES", at + 1)
            })?;
            entries.insert(what.to_owned(), Allowance { lines_max, line: at + 1, used: false });
        }
        Ok(Allowances { path: path.to_owned(), entries })
    }

    /// A finding if `what` is too large, or smaller than its entry says.
    fn judge(
        &mut self,
        source: &Source,
        line: usize,
        what: &str,
        lines: usize,
        limit: usize,
    ) -> Option<Finding> {
        if lines <= limit {
            return None;
        }
        let Some(entry) = self.entries.get_mut(what) else {
            let advice = format!(
                "{what} has {lines} lines, {limit} are allowed: split it where its subject changes"
            );
            return Some(Finding::new(&source.path, line, RULE, advice));
        };
        entry.used = true;
        if lines > entry.lines_max {
            let advice = format!(
                "{what} has grown from {} to {lines} lines: it may only shrink",
                entry.lines_max
            );
            return Some(Finding::new(&source.path, line, RULE, advice));
        }
        (lines < entry.lines_max).then(|| {
            Finding::new(
                &self.path,
                entry.line,
                RULE,
                format!("{what} has shrunk: lower its entry to {lines}"),
            )
        })
    }

    /// Entries that nothing needs any more.
    pub(super) fn unused(&self) -> Vec<Finding> {
        let unused = self.entries.iter().filter(|(_, entry)| !entry.used);
        unused
            .map(|(what, entry)| {
                Finding::new(
                    &self.path,
                    entry.line,
                    RULE,
                    format!("{what} is small enough now: remove its entry"),
                )
            })
            .collect()
    }
}

/// Checks a file and its functions.
pub(super) fn check(source: &Source, allowances: &mut Allowances) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines = source.raw.len();
    findings.extend(allowances.judge(source, lines.max(1), &source.path, lines, FILE_LINES_MAX));
    for (start, line) in source.lines.iter().enumerate() {
        if let Some(name) = function_name(&line.code) {
            let length = source.end_of_item(start) - start + 1;
            let what = format!("{}::{name}", source.path);
            findings.extend(allowances.judge(source, start + 1, &what, length, FUNCTION_LINES_MAX));
        }
    }
    findings
}

/// The name of the function whose definition begins on this line.
fn function_name(code: &str) -> Option<&str> {
    let (before, after) = code.split_once("fn ")?;
    let is_qualifier = |word: &str| {
        // `pub(crate)`, and the emptied string of `extern "C"`.
        let word = word.split('(').next().unwrap_or_default();
        QUALIFIERS.contains(&word) || word == "\"\""
    };
    if !before.replace("pub(in ", "pub(").split_whitespace().all(is_qualifier) {
        return None;
    }
    let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (end > 0).then(|| &after[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_function(lines: usize) -> Source {
        let body = "    work();\n".repeat(lines - 2);
        Source::new(
            "crates/x/src/a.rs",
            &format!("//! A.\npub(crate) async fn long() {{\n{body}}}\n"),
        )
    }

    fn check_with(source: &Source, list: &str) -> Vec<Finding> {
        let mut allowances = Allowances::parse("list", list).expect("a list");
        let mut findings = check(source, &mut allowances);
        findings.extend(allowances.unused());
        findings
    }

    #[test]
    fn large_functions_and_files_are_found() {
        assert_eq!(check_with(&long_function(70), ""), []);
        let found = check_with(&long_function(71), "");
        assert_eq!((found.len(), found[0].line), (1, 2));
        let file = Source::new("a.rs", &"// a line\n".repeat(501));
        assert_eq!(check_with(&file, "").len(), 1);
    }

    #[test]
    fn the_ratchet_only_turns_one_way() {
        let entry = |lines: usize| format!("# why\ncrates/x/src/a.rs::long {lines}\n");
        assert_eq!(check_with(&long_function(80), &entry(80)), []);
        assert!(check_with(&long_function(81), &entry(80))[0].advice.contains("may only shrink"));
        assert!(
            check_with(&long_function(79), &entry(80))[0].advice.contains("lower its entry to 79")
        );
        let stale = check_with(&long_function(70), &entry(80));
        assert!(stale[0].advice.contains("remove its entry"));
        assert_eq!((&*stale[0].path, stale[0].line), ("list", 2));
        assert!(Allowances::parse("list", "a.rs many").is_err());
    }

    #[test]
    fn definitions_are_told_from_types_and_words() {
        assert_eq!(
            function_name("    pub(in crate::a) const unsafe fn run<T>(x: T) {"),
            Some("run")
        );
        assert_eq!(function_name("    extern \"\" fn call() {"), Some("call"));
        assert_eq!(function_name("    check: fn (u8) -> u8,"), None);
        assert_eq!(function_name("let x: Box<dyn Fn()> = a;"), None);
    }
}
