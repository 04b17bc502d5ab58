//! Domain names of zone files (RFC 1035 §5.1), from text to wire form without a stop in between.

use super::scan::{Found, Token, fault, next_octet};
use crate::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

/// Appends the name that `token` means to `out`, completed with `origin` (wire form) when it has
/// no final dot; `@` is `origin` itself. Says whether it was written in full.
pub(super) fn append_name(token: &Token<'_>, origin: &[u8], out: &mut Vec<u8>) -> Found<bool> {
    if token.is_quoted {
        return fault(token.at, format!("expected a domain name, found {}", token.shown()));
    }
    match token.text {
        b"@" => {
            out.extend_from_slice(origin);
            return Ok(false);
        }
        b"." => {
            out.push(0);
            return Ok(true);
        }
        _ => {}
    }
    let start = out.len();
    let is_absolute = append_labels(token, out)?;
    if is_absolute {
        out.push(0);
    } else {
        out.extend_from_slice(origin);
    }
    if out.len() - start > NAME_OCTETS_MAX {
        let completed = if is_absolute { "" } else { ", completed with the origin" };
        return fault(
            token.at,
            format!(
                "the name {}{completed} is longer than {NAME_OCTETS_MAX} octets",
                token.shown()
            ),
        );
    }
    Ok(is_absolute)
}

/// Appends the labels without a root; says whether the text ends in a dot.
fn append_labels(token: &Token<'_>, out: &mut Vec<u8>) -> Found<bool> {
    let mut rest = token.text;
    loop {
        let label_text = rest;
        let length_at = out.len();
        out.push(0);
        let dot = loop {
            match rest {
                [] => break false,
                [b'.', tail @ ..] => {
                    rest = tail;
                    break true;
                }
                [b'\\', ..] => {
                    let Some((octet, tail)) = next_octet(rest) else { break false };
                    out.push(octet);
                    rest = tail;
                }
                [octet, tail @ ..] => {
                    out.push(*octet);
                    rest = tail;
                }
            }
        };
        let label_at = || token.at + (token.text.len() - label_text.len());
        match out.len() - length_at - 1 {
            0 => {
                return fault(label_at(), format!("an empty label in the name {}", token.shown()));
            }
            length @ 1..=LABEL_OCTETS_MAX => out[length_at] = length as u8,
            length => {
                let reason = format!("a label of {length} octets: {LABEL_OCTETS_MAX} is the most");
                return fault(label_at(), reason);
            }
        }
        if rest.is_empty() {
            return Ok(dot);
        }
    }
}

/// Whether the name `wire` is `ancestor` or lies below it, both in wire form.
pub(super) fn is_at_or_below(wire: &[u8], ancestor: &[u8]) -> bool {
    let Some(skip) = wire.len().checked_sub(ancestor.len()) else { return false };
    // The suffix must begin at a label, not in the middle of one.
    let mut at = 0;
    while at < skip {
        at += 1 + wire[at] as usize;
    }
    at == skip && wire[skip..].eq_ignore_ascii_case(ancestor)
}
