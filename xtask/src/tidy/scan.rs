//! Rust source taken apart just far enough for the rules: what is code, what is comment, what
//! is test.
//!
//! It relies on the code being formatted by rustfmt. It never judges.

use std::collections::HashSet;

/// One line of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The code, with the contents of strings and characters left out.
    pub(super) code: String,
    /// The comments.
    pub(super) comment: String,
    /// Whether the line belongs to a test.
    pub(super) test: bool,
}

/// A source file.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: String,
    /// The lines as they are.
    pub(super) raw: Vec<String>,
    /// The lines taken apart, as many.
    pub(super) lines: Vec<Line>,
}

impl Source {
    /// Takes a file apart.
    pub(super) fn new(path: &str, text: &str) -> Source {
        let raw: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut lines = split(text);
        lines.resize(raw.len(), Line::default());
        let mut source = Source { path: path.to_owned(), raw, lines };
        for (start, end) in source.test_modules() {
            source.lines[start..=end].iter_mut().for_each(|line| line.test = true);
        }
        source
    }

    /// Marks the whole file as test code if it lies in a folder of tests or is one of `files`,
    /// or below one of them.
    pub(super) fn mark_tests(&mut self, files: &HashSet<String>) {
        let stem = self.path.trim_end_matches(".rs");
        let in_tests = self.path.split('/').any(|part| part == "tests" || part == "benches");
        let module = stem.trim_end_matches("/mod");
        if in_tests
            || files.iter().any(|file| module == file || module.starts_with(&format!("{file}/")))
        {
            self.lines.iter_mut().for_each(|line| line.test = true);
        }
    }

    /// The last line of the item that begins at `start`: where its braces close, or its
    /// semicolon stands.
    pub(super) fn end_of_item(&self, start: usize) -> usize {
        let (mut depth, mut brackets) = (0_i32, 0_i32);
        for (at, line) in self.lines.iter().enumerate().skip(start) {
            for letter in line.code.chars() {
                match letter {
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets -= 1,
                    // Within brackets they are balanced, and may belong to a pattern.
                    '{' if brackets == 0 => depth += 1,
                    '}' if brackets == 0 => {
                        depth -= 1;
                        if depth <= 0 {
                            return at;
                        }
                    }
                    ';' if depth == 0 && brackets == 0 => return at,
                    _ => {}
                }
            }
        }
        self.lines.len().saturating_sub(1)
    }

    /// First and last line of what is compiled for tests alone.
    fn test_modules(&self) -> Vec<(usize, usize)> {
        let is_attribute = |line: &Line| {
            let code = line.code.trim_start();
            code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test,")
        };
        let starts =
            self.lines.iter().enumerate().filter(|(_, line)| is_attribute(line)).map(|(at, _)| at);
        starts.map(|start| (start, self.end_of_item(start + 1))).collect()
    }
}

/// The modules that are declared after `#[cfg(test)]` and have files of their own, as paths
/// without `.rs`.
pub(super) fn out_of_line_tests(sources: &[Source]) -> HashSet<String> {
    let mut files = HashSet::new();
    for source in sources {
        let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let base = match file {
            "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
            _ => source.path.trim_end_matches(".rs").to_owned(),
        };
        for line in source.lines.iter().filter(|line| line.test) {
            let declared =
                line.code.trim().strip_suffix(';').and_then(|code| code.rsplit_once("mod "));
            if let Some((_, name)) = declared {
                files.insert(format!("{base}/{}", name.trim()));
            }
        }
    }
    files
}

/// Where the splitting stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment { depth: usize },
    Text,
    RawText { hashes: usize },
}

/// Splits source into lines of code and comment.
fn split(text: &str) -> Vec<Line> {
    let letters: Vec<char> = text.chars().collect();
    let mut lines = vec![Line::default()];
    let (mut state, mut at) = (State::Code, 0);
    while let Some(&letter) = letters.get(at) {
        if letter == '\n' {
            lines.push(Line::default());
            if state == State::LineComment {
                state = State::Code;
            }
            at += 1;
            continue;
        }
        let rest = &letters[at..];
        let Some(line) = lines.last_mut() else { break };
        let (next, length) = match state {
            State::Code => step_in_code(rest, line),
            State::LineComment => {
                line.comment.push(letter);
                (state, 1)
            }
            State::BlockComment { depth } => step_in_comment(rest, depth, line),
            State::Text => match letter {
                // An escaped end of line is still an end of line.
                '\\' if rest.get(1) != Some(&'\n') => (state, 2),
                '"' => (close(line), 1),
                _ => (state, 1),
            },
            State::RawText { hashes } => match letter == '"' && hashes_after(rest, 1) >= hashes {
                true => (close(line), 1 + hashes),
                false => (state, 1),
            },
        };
        state = next;
        at += length;
    }
    lines
}

/// Ends a string.
fn close(line: &mut Line) -> State {
    line.code.push('"');
    State::Code
}

fn step_in_comment(rest: &[char], depth: usize, line: &mut Line) -> (State, usize) {
    match rest {
        ['*', '/', ..] if depth == 1 => (State::Code, 2),
        ['*', '/', ..] => (State::BlockComment { depth: depth - 1 }, 2),
        ['/', '*', ..] => (State::BlockComment { depth: depth + 1 }, 2),
        _ => {
            line.comment.push(rest[0]);
            (State::BlockComment { depth }, 1)
        }
    }
}

fn step_in_code(rest: &[char], line: &mut Line) -> (State, usize) {
    let after_word = line.code.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    match rest {
        ['/', '/', ..] => (State::LineComment, 2),
        ['/', '*', ..] => (State::BlockComment { depth: 1 }, 2),
        ['"', ..] => {
            line.code.push('"');
            (State::Text, 1)
        }
        ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if !after_word || rest[0] != 'r' => {
            let start = if rest[0] == 'r' { 1 } else { 2 };
            let hashes = hashes_after(rest, start);
            // Otherwise it is a raw identifier, such as r#type.
            if rest.get(start + hashes) != Some(&'"') {
                line.code.push(rest[0]);
                return (State::Code, 1);
            }
            line.code.push('"');
            (State::RawText { hashes }, start + hashes + 1)
        }
        ['\'', '\\', ..] => {
            // An escaped character ends at the next quote but for the one it may escape.
            let length =
                rest.iter().skip(3).position(|letter| *letter == '\'').map_or(1, |end| end + 4);
            (State::Code, length)
        }
        ['\'', _, '\'', ..] => (State::Code, 3),
        _ => {
            line.code.push(rest[0]);
            (State::Code, 1)
        }
    }
}

fn hashes_after(letters: &[char], start: usize) -> usize {
    letters.iter().skip(start).take_while(|letter| **letter == '#').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_comments_and_characters_are_told_apart() {
        let text = "let a = \"// no { comment\"; // yes\n\
                    let b = r#\"a \" {\n}\"#; let c = ['{', '\\'', '\\u{7d}', b'}'];\n\
                    /* outer /* inner { */ still */ fn d<'a>(x: &'a str) {}\n";
        let lines = split(text);
        assert_eq!((&*lines[0].code, &*lines[0].comment), ("let a = \"\"; ", " yes"));
        assert_eq!(&*lines[1].code, "let b = \"");
        assert_eq!(&*lines[2].code, "\"; let c = [, , , b];");
        assert_eq!(&*lines[3].code, " fn d<'a>(x: &'a str) {}");
    }

    #[test]
    fn byte_strings_and_words_that_end_in_r_are_no_traps() {
        assert_eq!(
            split("let x = b\"\\\"{\"; for\"{\"; r#type")[0].code,
            "let x = b\"\"; for\"\"; r#type"
        );
        assert_eq!(split("br##\"{ \"# }\"##;")[0].code, "\"\";");
    }

    #[test]
    fn items_end_where_their_braces_close() {
        let source =
            Source::new("a.rs", "fn a() -> [u8; 3] {\n    b();\n}\nfn c(\n) -> u8;\nfn d() {}\n");
        assert_eq!(
            (source.end_of_item(0), source.end_of_item(3), source.end_of_item(5)),
            (2, 4, 5)
        );
    }

    #[test]
    fn braces_in_arguments_do_not_end_an_item() {
        let source =
            Source::new("a.rs", "fn a(S { b }: S) {\n    c(|| {\n        d();\n    });\n}\n");
        assert_eq!(source.end_of_item(0), 4);
    }

    #[test]
    fn test_code_is_known_inline_and_in_files_of_its_own() {
        let parent =
            Source::new("crates/x/src/y.rs", "fn a() {}\n#[cfg(test)]\nmod proofs;\nfn b() {}\n");
        let tests: Vec<bool> = parent.lines.iter().map(|line| line.test).collect();
        assert_eq!(tests, [false, true, true, false]);
        let files = out_of_line_tests(&[parent]);
        for path in
            ["crates/x/src/y/proofs.rs", "crates/x/src/y/proofs/more.rs", "crates/x/tests/z.rs"]
        {
            let mut source = Source::new(path, "fn c() {}\n");
            source.mark_tests(&files);
            assert!(source.lines[0].test, "{path}");
        }
    }
}
