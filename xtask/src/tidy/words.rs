//! Words that must not occur: notes to oneself, sleeping tests, tests ignored without a reason,
//! printing libraries, files without a purpose.
//!
//! It looks at code and comments, never into strings.

use super::Finding;
use super::scan::Source;

/// Notes to oneself. Work that is left belongs in the list of issues, where it is seen.
const NOTES: [&str; 3] = ["TODO", "FIXME", "XXX"];
/// Macros that stand for code that does not exist.
const HOLES: [&str; 2] = ["todo!", "unimplemented!"];
/// Sleeping in a test makes it slow and still flaky.
const SLEEPS: [&str; 2] = ["thread::sleep", "time::sleep"];
/// What only the command line may do.
const PRINTS: [&str; 2] = ["println!", "print!"];
/// The crate that is the command line; the tools beside `crates/` are others.
const COMMAND_LINE: &str = "crates/einhorn/";

/// Checks one file.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |line: usize, rule, advice: &str| {
        findings.push(Finding::new(&source.path, line, rule, advice))
    };
    if !source.raw.first().is_some_and(|line| line.starts_with("//!")) {
        found(1, "purpose", "begin the file with `//!`: what it is for, and what it must never do");
    }
    let library = source.path.starts_with("crates/") && !source.path.starts_with(COMMAND_LINE);
    for (at, line) in source.lines.iter().enumerate() {
        let code = |words: &[&str]| words.iter().any(|word| contains_word(&line.code, word));
        if code(&HOLES)
            || NOTES
                .iter()
                .any(|note| contains_word(&line.comment, note) || contains_word(&line.code, note))
        {
            found(at + 1, "unfinished", "finish it, or open an issue and remove the note");
        }
        if line.test && code(&SLEEPS) {
            found(
                at + 1,
                "sleeping test",
                "wait for a condition with a time limit, or drive a simulated clock",
            );
        }
        if line.code.trim_start().starts_with("#[ignore") && !has_reason(&source.raw[at]) {
            found(at + 1, "ignored test", "write `#[ignore = \"why, and what runs it\"]`");
        }
        if library && !line.test && code(&PRINTS) {
            found(
                at + 1,
                "printing library",
                "return the text, or use `tracing`: only the command line prints",
            );
        }
    }
    findings
}

/// Whether `text` contains `word` with no letters, digits or `_` around it.
fn contains_word(text: &str, word: &str) -> bool {
    let part_of_word = |letter: char| letter.is_alphanumeric() || letter == '_';
    text.match_indices(word).any(|(at, _)| {
        let after = &text[at + word.len()..];
        !text[..at].ends_with(part_of_word)
            && (word.ends_with('!') || !after.starts_with(part_of_word))
    })
}

fn has_reason(attribute: &str) -> bool {
    attribute
        .split_once("#[ignore = \"")
        .is_some_and(|(_, reason)| !reason.trim_start().starts_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        let mut source = Source::new(path, text);
        source.mark_tests(&std::collections::HashSet::new());
        check(&source).into_iter().map(|finding| (finding.line, finding.rule)).collect()
    }

    #[test]
    fn files_begin_with_their_purpose() {
        assert_eq!(rules("a.rs", "fn a() {}\n"), [(1, "purpose")]);
        assert_eq!(rules("a.rs", ""), [(1, "purpose")]);
        assert_eq!(rules("a.rs", "//! A.\nfn a() {}\n"), []);
    }

    #[test]
    fn notes_and_holes_are_found_but_not_in_strings() {
        let text = "//! A.\n// TODO: later\nfn a() { todo!() }\nconst B: &str = \"TODO\";\nconst XXXL: u8 = 0; // FIXMEs\n";
        assert_eq!(rules("a.rs", text), [(2, "unfinished"), (3, "unfinished")]);
    }

    #[test]
    fn tests_do_not_sleep() {
        let text = "//! A.\nfn a() { std::thread::sleep(b); }\n#[cfg(test)]\nmod tests {\n    fn c() { tokio::time::sleep(d); }\n}\n";
        assert_eq!(rules("a.rs", text), [(5, "sleeping test")]);
        assert_eq!(
            rules("crates/x/tests/a.rs", "//! A.\nfn a() { thread::sleep(b); }\n"),
            [(2, "sleeping test")]
        );
    }

    #[test]
    fn ignoring_needs_a_reason() {
        let text = "//! A.\n#[ignore]\nfn a() {}\n#[ignore = \"takes minutes\"]\nfn b() {}\n#[ignore = \"\"]\nfn c() {}\n";
        assert_eq!(rules("a.rs", text), [(2, "ignored test"), (6, "ignored test")]);
    }

    #[test]
    fn libraries_do_not_print() {
        let text =
            "//! A.\n/// println!(\"example\")\nfn a() { println!(\"b\"); eprintln!(\"c\"); }\n";
        assert_eq!(rules("crates/store/src/a.rs", text), [(3, "printing library")]);
        assert_eq!(rules("crates/einhorn/src/a.rs", text), []);
        assert_eq!(rules("xtask/src/a.rs", text), []);
    }
}
