//! Relative links in Markdown lead somewhere: to a file that exists, and to a heading in it.
//!
//! It never follows a link out of the repository.

use super::Finding;

const RULE: &str = "link";

/// Checks one file. `exists` and `read` take paths relative to the root.
pub(super) fn check(
    path: &str,
    text: &str,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> Option<String>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in prose(text) {
        for target in targets(&content) {
            if let Some(advice) = objection(path, text, target, exists, read) {
                findings.push(Finding::new(path, line, RULE, advice));
            }
        }
    }
    findings
}

/// Why a link is broken, if it is.
fn objection(
    path: &str,
    text: &str,
    target: &str,
    exists: &dyn Fn(&str) -> bool,
    read: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let outside = target.contains("://") || target.starts_with("mailto:");
    if outside || target.is_empty() {
        return None;
    }
    let (file, heading) = target.split_once('#').unwrap_or((target, ""));
    let linked = if file.is_empty() { Some(path.to_owned()) } else { resolve(path, file) };
    let Some(linked) = linked.filter(|linked| exists(linked)) else {
        return Some(format!("`{target}` does not exist: correct the link, or add the file"));
    };
    if heading.is_empty() || !linked.ends_with(".md") {
        return None;
    }
    let other = if file.is_empty() { Some(text.to_owned()) } else { read(&linked) };
    let known = prose(&other.unwrap_or_default())
        .iter()
        .any(|(_, line)| anchor(line).as_deref() == Some(heading));
    (!known).then(|| format!("{linked} has no heading for `#{heading}`: correct the link"))
}

/// A path beside the file it is linked from; `None` if it leads out of the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// The lines outside of fenced code, numbered from 1, with inline code left out.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let fence = line.trim_start().starts_with("```") || line.trim_start().starts_with("~~~");
        fenced ^= fence;
        if !fenced && !fence {
            // A heading keeps the words of its code, which are part of its anchor.
            let heading = line.starts_with('#');
            let content =
                if heading { line.replace('`', "") } else { line.split('`').step_by(2).collect() };
            lines.push((at + 1, content));
        }
    }
    lines
}

/// The targets of `[text](target)` and `[label]: target`.
fn targets(line: &str) -> Vec<&str> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let definition = line
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .map(|(_, rest)| rest);
    inline.chain(definition.and_then(|rest| rest.split_whitespace().next())).collect()
}

/// The anchor that a heading gets.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?.trim();
    let kept = title
        .chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [usize; 0] = [];

    fn broken(text: &str) -> Vec<usize> {
        let exists = |path: &str| ["docs/a.md", "README.md", "docs"].contains(&path);
        let read = |_: &str| Some("# The `first` one!\n".to_owned());
        check("docs/a.md", text, &exists, &read).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn links_to_files_resolve() {
        assert_eq!(
            broken("[x](../README.md) [y](a.md) [z](/docs/) [w](https://a.example/b)"),
            NONE
        );
        assert_eq!(broken("fine\n[x](../missing.md)\n[y]: gone.md\n[z](../../out.md)"), [2, 3, 4]);
    }

    #[test]
    fn links_to_headings_resolve() {
        assert_eq!(broken("## Own part\n[x](#own-part) [y](../README.md#the-first-one)"), NONE);
        assert_eq!(broken("[x](#none)\n[y](../README.md#second)"), [1, 2]);
    }

    #[test]
    fn code_is_left_alone() {
        assert_eq!(broken("```\n[x](gone.md)\n```\n`[y](gone.md)`"), NONE);
    }
}
