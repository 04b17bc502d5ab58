//! Every dependency of the workspace has its reason beside it.
//!
//! It judges whether there is a comment, never whether it is a good one.

use super::Finding;

const RULE: &str = "dependency reason";
const SECTION: &str = "[workspace.dependencies]";
/// A shorter comment is no reason.
const REASON_LETTERS_MIN: usize = 4;

/// Checks the text of the root manifest.
pub(super) fn check(path: &str, manifest: &str) -> Vec<Finding> {
    let mut inside = false;
    let mut findings = Vec::new();
    for (at, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == SECTION;
            continue;
        }
        let Some((name, rest)) =
            line.split_once('=').filter(|_| inside && !line.trim_start().starts_with('#'))
        else {
            continue;
        };
        // The project's own crates say what they are for in their own documentation.
        let own = rest.trim_start().starts_with("{ path =");
        let letters = comment(rest).chars().filter(|letter| letter.is_alphabetic()).count();
        if !own && letters < REASON_LETTERS_MIN {
            let advice =
                format!("say in a comment on the same line why `{}` is needed", name.trim());
            findings.push(Finding::new(path, at + 1, RULE, advice));
        }
    }
    findings
}

/// What follows the first `#` outside of quotes.
fn comment(text: &str) -> &str {
    let mut quoted = false;
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '#' if !quoted => return &text[at + 1..],
            _ => {}
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dependency_needs_a_reason() {
        let manifest = "[package]\nname = \"x\"\n[workspace.dependencies]\n\
                        own = { path = \"own\" }\n\
                        good = \"1\" # reads config files\n\
                        bad = { version = \"1\", features = [\"#notes\"] }\n\
                        worse = \"1\" # -\n\
                        [other]\nfree = \"1\"\n";
        let lines: Vec<usize> =
            check("Cargo.toml", manifest).iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [6, 7]);
    }
}
