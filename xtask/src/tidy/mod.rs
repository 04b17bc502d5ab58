//! `cargo xtask tidy`: the project's own rules, which no general tool knows.
//!
//! Every rule is a pure function from text to findings, tested with a small bad example. It
//! only reports; it never changes a file.

mod arrows;
mod dependencies;
mod links;
mod scan;
mod sizes;
mod words;

use crate::workspace::Workspace;
use scan::Source;
use sizes::Allowances;
use std::fmt;

/// Where the sizes that are still allowed to be too large are listed.
const ALLOWANCES_PATH: &str = "xtask/tidy-allow.txt";

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1.
    line: usize,
    rule: &'static str,
    /// What to do about it.
    advice: String,
}

impl Finding {
    fn new(path: &str, line: usize, rule: &'static str, advice: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), line, rule, advice: advice.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// Checks the whole workspace.
pub(crate) fn run() -> Result<(), String> {
    let workspace = Workspace::load()?;
    let mut findings =
        arrows::check(&workspace.metadata, &|path| workspace.read(path).unwrap_or_default());
    findings.extend(dependencies::check("Cargo.toml", &workspace.read("Cargo.toml")?));

    let mut sources = Vec::new();
    for path in workspace.files("*.rs")? {
        sources.push(Source::new(&path, &workspace.read(&path)?));
    }
    let test_files = scan::out_of_line_tests(&sources);
    for source in &mut sources {
        source.mark_tests(&test_files);
    }
    let mut allowances = Allowances::parse(ALLOWANCES_PATH, &workspace.read(ALLOWANCES_PATH)?)?;
    for source in &sources {
        findings.extend(words::check(source));
        findings.extend(sizes::check(source, &mut allowances));
    }
    findings.extend(allowances.unused());

    for path in workspace.files("*.md")? {
        let read = |linked: &str| workspace.read(linked).ok();
        let exists = |linked: &str| workspace.root.join(linked).exists();
        findings.extend(links::check(&path, &workspace.read(&path)?, &exists, &read));
    }
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => Err(format!("tidy found {count} thing(s), listed above")),
    }
}
