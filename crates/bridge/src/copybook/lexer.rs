//! Lines of a copybook → words with their places.
//!
//! In fixed form columns 1 to 6 and from 73 on are not looked at, and column 7 says what a line is
//! (ISO/IEC 1989:2014, 6.2); in free form a line is what it is. `*>` begins a comment in both.

use super::error::{Complaint, Place};

/// How the lines of a copybook are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceForm {
    /// Columns 8 to 72, as on cards.
    #[default]
    Fixed,
    /// Whole lines.
    Free,
}

/// The last column that counts in fixed form.
const LAST_COLUMN: usize = 72;
/// The column of the indicator in fixed form.
const INDICATOR_COLUMN: usize = 7;
/// A tab goes to the next multiple of this.
const TAB_WIDTH: usize = 8;

/// What a word is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name, a keyword, a number or a picture, in upper case.
    Word(String),
    /// A literal in quotation marks; its content is of no use here.
    Literal,
    /// The end of an entry.
    Period,
}

/// A word and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) place: Place,
}

/// Splits a copybook into words.
pub(super) fn split(text: &str, form: SourceForm) -> Result<Vec<Placed>, Complaint> {
    let mut form = form;
    let mut words = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        let characters = columns(line);
        if let Some(other) = directive(&characters) {
            form = other;
            continue;
        }
        let code = match form {
            SourceForm::Free => &characters[..],
            SourceForm::Fixed => match fixed(&characters, line_number)? {
                Some(code) => code,
                None => continue,
            },
        };
        let before = words.len();
        split_line(code, line_number, &mut words)?;
        if matches!(&words[before..], [only] if is_listing_control(&only.token)) {
            words.truncate(before);
        }
    }
    Ok(words)
}

/// A character and the column it stands in.
type Column = (usize, char);

fn columns(line: &str) -> Vec<Column> {
    let mut columns = Vec::with_capacity(line.len());
    let mut next = 1;
    for character in line.trim_end_matches(['\r', '\u{1a}', '\0']).chars() {
        if character == '\t' {
            let stop = (next - 1) / TAB_WIDTH * TAB_WIDTH + TAB_WIDTH + 1;
            columns.extend((next..stop).map(|column| (column, ' ')));
            next = stop;
        } else {
            columns.push((next, character));
            next += 1;
        }
    }
    columns
}

/// The part of a line in fixed form that counts; `None` for comments.
fn fixed(characters: &[Column], line: usize) -> Result<Option<&[Column]>, Complaint> {
    let Some((_, indicator)) = characters.get(INDICATOR_COLUMN - 1) else {
        return Ok(None);
    };
    match indicator {
        '*' | '/' | 'D' | 'd' => return Ok(None),
        ' ' => {}
        '-' => {
            let place = Place { line, column: INDICATOR_COLUMN };
            return Err(Complaint::new(place, "continued literals are not supported: shorten it"));
        }
        other => {
            let place = Place { line, column: INDICATOR_COLUMN };
            let message = format!(
                "column 7 holds {other:?}, which is no indicator: is this copybook in free form? \
                 Then say `copybook = \"free\"` in the layout"
            );
            return Err(Complaint::new(place, message));
        }
    }
    Ok(Some(&characters[INDICATOR_COLUMN..characters.len().min(LAST_COLUMN)]))
}

/// The form that a line like `>>SOURCE FORMAT IS FREE` changes to.
fn directive(characters: &[Column]) -> Option<SourceForm> {
    let text: String = characters.iter().map(|(_, character)| *character).collect();
    let text = text.trim().to_ascii_uppercase();
    let rest = text.strip_prefix(">>")?.trim_start().strip_prefix("SOURCE")?;
    if rest.contains("FREE") {
        Some(SourceForm::Free)
    } else {
        rest.contains("FIXED").then_some(SourceForm::Fixed)
    }
}

/// Statements that only lay out a listing.
fn is_listing_control(token: &Token) -> bool {
    matches!(token, Token::Word(word) if matches!(&word[..], "EJECT" | "SKIP1" | "SKIP2" | "SKIP3"))
}

fn split_line(code: &[Column], line: usize, words: &mut Vec<Placed>) -> Result<(), Complaint> {
    let character = |at: usize| code.get(at).map(|(_, character)| *character);
    let mut at = 0;
    while let Some(first) = character(at) {
        let place = Place { line, column: code[at].0 };
        if first.is_whitespace() || matches!(first, ',' | ';') {
            at += 1;
            continue;
        }
        if first == '*' && character(at + 1) == Some('>') {
            return Ok(());
        }
        if first == '.' {
            words.push(Placed { token: Token::Period, place });
            at += 1;
            continue;
        }
        let start = at;
        let mut literal = false;
        while let Some(next) = character(at).filter(|next| !next.is_whitespace()) {
            if matches!(next, '"' | '\'') {
                at = after_literal(code, at)
                    .ok_or_else(|| Complaint::new(place, "this literal is not closed"))?;
                literal = true;
                break;
            }
            at += 1;
        }
        if literal {
            words.push(Placed { token: Token::Literal, place });
            continue;
        }
        let word: String = code[start..at].iter().map(|(_, character)| *character).collect();
        push_word(&word, place, words);
    }
    Ok(())
}

/// A word, and the period that may end it.
fn push_word(word: &str, place: Place, words: &mut Vec<Placed>) {
    let bare = word.trim_end_matches([',', ';']);
    let (bare, ends) = match bare.strip_suffix('.') {
        Some(bare) => (bare, true),
        None => (bare, false),
    };
    words.push(Placed { token: Token::Word(bare.to_uppercase()), place });
    if ends {
        let column = place.column + bare.chars().count();
        words.push(Placed { token: Token::Period, place: Place { column, ..place } });
    }
}

/// The place after a literal whose first quotation mark is at `at`; a doubled mark stands for one.
fn after_literal(code: &[Column], at: usize) -> Option<usize> {
    let mark = code[at].1;
    let mut at = at + 1;
    loop {
        let character = code.get(at)?.1;
        at += 1;
        if character == mark {
            if code.get(at).map(|(_, character)| *character) != Some(mark) {
                return Some(at);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str, form: SourceForm) -> Vec<String> {
        let words = split(text, form).unwrap_or_else(|complaint| panic!("{complaint:?}"));
        words
            .into_iter()
            .map(|placed| match placed.token {
                Token::Word(word) => word,
                Token::Literal => "'".to_owned(),
                Token::Period => ".".to_owned(),
            })
            .collect()
    }

    #[test]
    fn columns_outside_and_comments_do_not_count() {
        let text = "000100* a comment\n\
                    000200 01  host.                                                        X0000001\n\
                    000300     05 name pic x(8) value 'it''s'.  *> the name\n\
                    000400/\n\
                           EJECT\n\
                    \n";
        let expected = ["01", "HOST", ".", "05", "NAME", "PIC", "X(8)", "VALUE", "'", "."];
        assert_eq!(words(text, SourceForm::Fixed), expected);
    }

    #[test]
    fn a_directive_changes_the_form() {
        let text = "      >>SOURCE FORMAT IS FREE\n01 A PIC 9.\n";
        assert_eq!(words(text, SourceForm::Fixed), ["01", "A", "PIC", "9", "."]);
    }

    #[test]
    fn places_are_those_in_the_file() {
        let complaint = split("       01 A VALUE 'open.\n", SourceForm::Fixed).expect_err("open");
        assert_eq!(complaint.place, Place { line: 1, column: 19 });
        let complaint = split("01 HOST.\n", SourceForm::Fixed).expect_err("free");
        assert_eq!(complaint.place, Place { line: 1, column: 7 });
        assert!(complaint.message.contains("free form"), "{}", complaint.message);
    }
}
