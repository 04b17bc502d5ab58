//! `$GENERATE`: rows of records from a template, with the meaning that BIND gives it.

use super::scan::{Found, Scanner, Token, decimal, fault, shown};
use std::io::Write;

/// How many records `$GENERATE` may make in one load, so that a slip of the pen ends.
pub const GENERATED_RECORDS_MAX: u64 = 4_194_304;
/// Most digits that a number may be filled up to.
const WIDTH_MAX: u64 = 255;
const NUMBER_MAX: u64 = i32::MAX as u64;

/// The numbers to go through.
pub(super) struct Generate {
    start: u64,
    stop: u64,
    step: u64,
}

impl Generate {
    /// `START-STOP` or `START-STOP/STEP`.
    pub(super) fn range(token: &Token<'_>) -> Found<Generate> {
        let parts = || {
            let text = token.plain()?;
            let dash = text.iter().position(|octet| *octet == b'-')?;
            let (range, step) = match text.iter().position(|octet| *octet == b'/') {
                Some(slash) => {
                    (text.get(dash + 1..slash)?, decimal(&text[slash + 1..], NUMBER_MAX)?)
                }
                None => (&text[dash + 1..], 1),
            };
            let start = decimal(&text[..dash], NUMBER_MAX)?;
            Some(Generate { start, stop: decimal(range, NUMBER_MAX)?, step })
        };
        match parts() {
            Some(range) if range.start <= range.stop && range.step > 0 => Ok(range),
            _ => fault(
                token.at,
                format!(
                    "expected a range START-STOP or START-STOP/STEP that goes up, found {}",
                    token.shown()
                ),
            ),
        }
    }

    /// How many records it makes.
    pub(super) fn count(&self) -> u64 {
        (self.stop - self.start) / self.step + 1
    }

    pub(super) fn values(&self) -> impl Iterator<Item = i64> + use<> {
        let (start, step) = (self.start as i64, self.step as i64);
        (0..self.count() as i64).map(move |index| start + index * step)
    }
}

/// A piece of a template.
enum Piece {
    Literal(Vec<u8>),
    Number { offset: i64, width: usize, base: Base },
}

/// How a number is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Decimal,
    Octal,
    Hex,
    UpperHex,
    /// Hexadecimal digits from the last to the first with dots between, as in `ip6.arpa`.
    Nibbles,
    UpperNibbles,
}

/// A field in which `$` stands for the number.
pub(super) struct Template {
    at: usize,
    pieces: Vec<Piece>,
    /// The field as it is for one number.
    expanded: Vec<u8>,
}

impl Template {
    /// Takes the field apart. Quotes only hold its parts together: what is between them is what
    /// the record gets, without its own quotes.
    pub(super) fn new(token: &Token<'_>) -> Found<Template> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = token.text;
        loop {
            rest = match rest {
                [] => break,
                [b'$', b'$', tail @ ..] => {
                    literal.push(b'$');
                    tail
                }
                [b'$', tail @ ..] => {
                    let at = token.text_at() + token.text.len() - rest.len();
                    let (number, tail) = number(tail, at)?;
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    pieces.push(number);
                    tail
                }
                [b'\\', b'"', tail @ ..] if token.is_quoted => {
                    literal.push(b'"');
                    tail
                }
                // Other escapes mean something to what reads the expansion.
                [b'\\', octet, tail @ ..] => {
                    literal.extend_from_slice(&[b'\\', *octet]);
                    tail
                }
                [octet, tail @ ..] => {
                    literal.push(*octet);
                    tail
                }
            };
        }
        pieces.push(Piece::Literal(literal));
        Ok(Template { at: token.at, pieces, expanded: Vec::new() })
    }

    /// Has `read` read the field as it is for `value`.
    pub(super) fn expand(
        &mut self,
        value: i64,
        read: &mut dyn FnMut(&mut Scanner<'_>) -> Found<()>,
    ) -> Found<()> {
        self.expanded.clear();
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => self.expanded.extend_from_slice(literal),
                Piece::Number { offset, width, base } => {
                    let number = value + offset;
                    if number < 0 && *base != Base::Decimal {
                        let reason = format!("the number {value}{offset:+} is below 0");
                        return fault(self.at, reason);
                    }
                    append_number(number, *width, *base, &mut self.expanded);
                }
            }
        }
        read(&mut Scanner::new(&self.expanded)).map_err(|mut fault| {
            fault.at = self.at;
            let expanded = shown(&self.expanded);
            fault.reason = format!("{} (in {expanded}, made for {value})", fault.reason);
            fault
        })
    }
}

/// The number behind a `$`, with `{OFFSET,WIDTH,BASE}` if it is there, and what follows.
fn number(text: &[u8], at: usize) -> Found<(Piece, &[u8])> {
    let plain = Piece::Number { offset: 0, width: 0, base: Base::Decimal };
    let Some(inside) = text.strip_prefix(b"{") else { return Ok((plain, text)) };
    let piece = || {
        let end = inside.iter().position(|octet| *octet == b'}')?;
        let mut parts = inside[..end].split(|octet| *octet == b',');
        let offset = parts.next()?;
        let (sign, digits) = match offset {
            [b'-', digits @ ..] => (-1, digits),
            [b'+', digits @ ..] => (1, digits),
            digits => (1, digits),
        };
        let offset = sign * decimal(digits, NUMBER_MAX)? as i64;
        let width = parts.next().map_or(Some(0), |digits| decimal(digits, WIDTH_MAX))? as usize;
        let base = match parts.next() {
            None | Some(b"d") => Base::Decimal,
            Some(b"o") => Base::Octal,
            Some(b"x") => Base::Hex,
            Some(b"X") => Base::UpperHex,
            Some(b"n") => Base::Nibbles,
            Some(b"N") => Base::UpperNibbles,
            Some(_) => return None,
        };
        let done = parts.next().is_none();
        done.then_some((Piece::Number { offset, width, base }, &inside[end + 1..]))
    };
    let wanted = "${OFFSET,WIDTH,BASE}, with a width up to 255 and a base of d, o, x, X, n or N";
    piece().map_or_else(|| fault(at, format!("expected {wanted}")), Ok)
}

fn append_number(number: i64, width: usize, base: Base, out: &mut Vec<u8>) {
    // A vector takes everything.
    let _ = match base {
        Base::Decimal => write!(out, "{number:0width$}"),
        Base::Octal => write!(out, "{number:0width$o}"),
        Base::Hex => write!(out, "{number:0width$x}"),
        Base::UpperHex => write!(out, "{number:0width$X}"),
        Base::Nibbles | Base::UpperNibbles => {
            append_nibbles(number, width, base == Base::UpperNibbles, out);
            Ok(())
        }
    };
}

/// The width counts the dots too, so an even one ends in a dot.
fn append_nibbles(mut number: i64, width: usize, upper: bool, out: &mut Vec<u8>) {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    let end = out.len() + width;
    loop {
        out.push(digits[(number & 15) as usize]);
        number >>= 4;
        if number == 0 && out.len() >= end {
            return;
        }
        out.push(b'.');
        if number == 0 && out.len() >= end {
            return;
        }
    }
}
