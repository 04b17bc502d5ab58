//! Cutting a zone file into fields, in place (RFC 1035 §5.1).
//!
//! A [`Scanner`] walks over the octets once and hands out slices of them. It knows white space,
//! comments, parentheses, quotes and escapes, and nothing about records.

use std::fmt::Write;

/// How much of a field an error message repeats, in octets.
const SHOWN_OCTETS_MAX: usize = 40;

/// What is wrong, and where in the text.
#[derive(Debug)]
pub(super) struct Fault {
    /// Offset into the text, in octets.
    pub(super) at: usize,
    pub(super) reason: String,
}

/// Boxed, so that what is passed around when nothing is wrong stays small.
pub(super) type Found<T> = Result<T, Box<Fault>>;

pub(super) fn fault<T>(at: usize, reason: impl Into<String>) -> Found<T> {
    Err(Box::new(Fault { at, reason: reason.into() }))
}

/// Line and column of an offset, both from 1. A column is a character, where the text is UTF-8.
pub(super) fn place(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = 1 + before.iter().filter(|octet| **octet == b'\n').count();
    let start = before.iter().rposition(|octet| *octet == b'\n').map_or(0, |newline| newline + 1);
    let continues = |octet: &&u8| **octet & 0b1100_0000 == 0b1000_0000;
    let column = 1 + before[start..].iter().filter(|octet| !continues(octet)).count();
    (line, column)
}

/// One field of an entry, as written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    /// Where it begins, at the quote if it has one.
    pub(super) at: usize,
    /// What is written, without the quotes, escapes as they are; every escape is sound.
    pub(super) text: &'a [u8],
    pub(super) is_quoted: bool,
    /// Whether there is a backslash in it.
    pub(super) has_escapes: bool,
    /// Whether white space, or anything that counts as such, stands before it.
    pub(super) is_spaced: bool,
}

impl<'a> Token<'a> {
    /// Where `text` begins.
    pub(super) fn text_at(&self) -> usize {
        self.at + usize::from(self.is_quoted)
    }

    /// The text where it may have neither quotes nor escapes, as in numbers and addresses.
    pub(super) fn plain(&self) -> Option<&'a [u8]> {
        (!self.is_quoted && !self.has_escapes).then_some(self.text)
    }

    /// Whether this is the bare word `word`, in any case.
    pub(super) fn is_word(&self, word: &[u8]) -> bool {
        !self.is_quoted && self.text.eq_ignore_ascii_case(word)
    }

    /// Appends the octets that are meant (RFC 1035 §5.1, `\X` and `\DDD`).
    pub(super) fn append_octets(&self, out: &mut Vec<u8>) {
        if !self.has_escapes {
            out.extend_from_slice(self.text);
            return;
        }
        let mut rest = self.text;
        while let Some((octet, tail)) = next_octet(rest) {
            out.push(octet);
            rest = tail;
        }
    }

    /// The field for an error message: in its quotes or in backticks, and not longer than one can
    /// read.
    pub(super) fn shown(&self) -> String {
        let shown = shown(self.text);
        if self.is_quoted { format!("\"{}\"", shown.trim_matches('`')) } else { shown }
    }
}

/// `text` for an error message.
pub(super) fn shown(text: &[u8]) -> String {
    let mut shown = "`".to_owned();
    for character in String::from_utf8_lossy(&text[..text.len().min(SHOWN_OCTETS_MAX)]).chars() {
        if character.is_control() {
            let _ = write!(shown, "{}", character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.push_str(if text.len() > SHOWN_OCTETS_MAX { "…`" } else { "`" });
    shown
}

/// The first octet that `text` means, and what follows. The escapes in `text` are sound, since the
/// scanner has seen them.
pub(super) fn next_octet(text: &[u8]) -> Option<(u8, &[u8])> {
    match text {
        [] => None,
        [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] => {
            let value = [a, b, c].iter().fold(0u16, |sum, d| sum * 10 + u16::from(*d - b'0'));
            Some((value as u8, rest))
        }
        [b'\\', octet, rest @ ..] => Some((*octet, rest)),
        [octet, rest @ ..] => Some((*octet, rest)),
    }
}

const ENDS: u8 = 1;
const BACKSLASH: u8 = 2;

/// What an octet does to an unquoted field.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let ends = b" \t\r\n;()\"";
    let mut i = 0;
    while i < ends.len() {
        kinds[ends[i] as usize] = ENDS;
        i += 1;
    }
    kinds[b'\\' as usize] = BACKSLASH;
    kinds
};

/// Walks over a text.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// Parentheses open.
    depth: usize,
    /// Where the outermost of them is.
    opened_at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8]) -> Scanner<'a> {
        Scanner { text, at: 0, depth: 0, opened_at: 0 }
    }

    /// Offset of what is read next.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The octet at which the scanner stands.
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next field of the entry; `None` at its end, before the line feed.
    pub(super) fn token(&mut self) -> Found<Option<Token<'a>>> {
        let before = self.at;
        // Mostly there is one blank, and then the field.
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
        loop {
            let Some(&octet) = self.text.get(self.at) else {
                if self.depth > 0 {
                    return fault(self.opened_at, "this parenthesis is never closed");
                }
                return Ok(None);
            };
            match octet {
                b' ' | b'\t' => self.at += 1,
                b'\n' if self.depth == 0 => return Ok(None),
                b'\n' => self.at += 1,
                b'\r' if self.text.get(self.at + 1) == Some(&b'\n') => self.at += 1,
                b'\r' => return fault(self.at, "a carriage return without a line feed after it"),
                b';' => self.skip_comment(),
                b'(' => {
                    if self.depth == 0 {
                        self.opened_at = self.at;
                    }
                    self.depth += 1;
                    self.at += 1;
                }
                b')' => {
                    let Some(depth) = self.depth.checked_sub(1) else {
                        return fault(self.at, "a closing parenthesis without an opening one");
                    };
                    self.depth = depth;
                    self.at += 1;
                }
                b'"' => return self.quoted(before).map(Some),
                _ => return self.unquoted(before).map(Some),
            }
        }
    }

    fn skip_comment(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|octet| *octet == b'\n').unwrap_or(rest.len());
    }

    #[inline]
    fn unquoted(&mut self, before: usize) -> Found<Token<'a>> {
        let start = self.at;
        let mut has_escapes = false;
        while let Some(&octet) = self.text.get(self.at) {
            match KINDS[octet as usize] {
                0 => self.at += 1,
                BACKSLASH => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => break,
            }
        }
        let text = &self.text[start..self.at];
        let is_spaced = start > before;
        Ok(Token { at: start, text, is_quoted: false, has_escapes, is_spaced })
    }

    fn quoted(&mut self, before: usize) -> Found<Token<'a>> {
        let start = self.at;
        let mut has_escapes = false;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                Some(b'\n') | None => {
                    return fault(start, "this quote is not closed before the end of the line");
                }
                Some(_) => self.at += 1,
            }
        }
        let text = &self.text[start + 1..self.at];
        self.at += 1;
        Ok(Token { at: start, text, is_quoted: true, has_escapes, is_spaced: start > before })
    }

    /// Passes a backslash and what belongs to it.
    fn escape(&mut self) -> Found<()> {
        let broken = |at| {
            fault(
                at,
                "a broken escape: after a backslash goes one character, or three digits up to 255",
            )
        };
        match &self.text[self.at + 1..] {
            [] | [b'\n', ..] | [b'\r', b'\n', ..] => broken(self.at),
            rest @ [b'0'..=b'9', ..] => {
                let number = rest.get(..3).and_then(|digits| decimal(digits, 255));
                if number.is_none() {
                    return broken(self.at);
                }
                self.at += 4;
                Ok(())
            }
            _ => {
                self.at += 2;
                Ok(())
            }
        }
    }

    /// The next field, which must be there; `wanted` says what it is.
    pub(super) fn require(&mut self, wanted: &str) -> Found<Token<'a>> {
        match self.token()? {
            Some(token) => Ok(token),
            None => fault(self.at, format!("expected {wanted}, found the end of the entry")),
        }
    }

    /// Ends an entry: nothing may be left of it. Stands on the next line afterwards.
    pub(super) fn end_entry(&mut self) -> Found<()> {
        if let Some(token) = self.token()? {
            let mut reason = format!("{} is one field too many", token.shown());
            if self.depth > 0 {
                let (line, column) = place(self.text, self.opened_at);
                let _ = write!(reason, "; the parenthesis of {line}:{column} is still open");
            }
            return fault(token.at, reason);
        }
        self.at = (self.at + 1).min(self.text.len());
        Ok(())
    }
}

/// A decimal number of digits only, up to `max`.
pub(super) fn decimal(digits: &[u8], max: u64) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut number = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (number <= max).then_some(number)
}

/// Longest time that a record may be kept: 31 bits (RFC 2181 §8), in seconds.
pub(super) const TTL_SECONDS_MAX: u64 = i32::MAX as u64;

/// A time in seconds: digits, or digits with units from weeks to seconds as in `1W2D` and
/// `1h30m`, as BIND writes them. `None` when it is neither, or above 32 bits.
pub(super) fn period(text: &[u8]) -> Option<u32> {
    if let Some(seconds) = decimal(text, u64::from(u32::MAX)) {
        return Some(seconds as u32);
    }
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.iter().position(|octet| !octet.is_ascii_digit())?;
        let unit_seconds = match rest[digits].to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        let count = decimal(&rest[..digits], u64::from(u32::MAX))?;
        total = total.checked_add(count.checked_mul(unit_seconds)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| u32::try_from(total).ok()).flatten()
}
