//! Where the entries of a zone file begin and end, so that each can be kept as it was written.

use std::ops::Range;

/// What a logical line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// Empty, or a comment.
    Blank,
    /// `$` and a word, and what comes after it.
    Directive(Vec<&'t [u8]>),
    /// A record with its owner, as written.
    Owner(&'t [u8]),
    /// A record of the owner before.
    SameOwner,
}

/// The logical lines of a zone file, with where they are. They cover the file.
pub(super) fn split(text: &[u8]) -> Vec<(Range<usize>, Line<'_>)> {
    let (mut lines, mut begin) = (Vec::new(), 0);
    while begin < text.len() {
        let end = end_of(text, begin);
        lines.push((begin..end, line(&text[begin..end])));
        begin = end;
    }
    lines
}

/// Where the logical line ends: at a line end outside parentheses, quotes and comments.
fn end_of(text: &[u8], begin: usize) -> usize {
    let (mut depth, mut is_quoted, mut is_comment) = (0u32, false, false);
    let mut at = begin;
    while let Some(octet) = text.get(at) {
        at += 1;
        match octet {
            b'\n' if depth == 0 || is_quoted => return at,
            b'\n' => is_comment = false,
            _ if is_comment => {}
            b'\\' => at += usize::from(text.get(at).is_some_and(|octet| *octet != b'\n')),
            b'"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            b';' => is_comment = true,
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

fn line(text: &[u8]) -> Line<'_> {
    let content = text.split(|octet| *octet == b';').next().unwrap_or_default();
    let mut words = content.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    match (words.next(), text.first()) {
        (None, _) => Line::Blank,
        (Some(_), Some(b' ' | b'\t' | b'\r')) => Line::SameOwner,
        (Some(word @ [b'$', ..]), _) => Line::Directive([word].into_iter().chain(words).collect()),
        (Some(word), _) => Line::Owner(word),
    }
}
