//! The picture of a field: how many characters or digits, and where the decimal point is.

/// Octets that a field may have at most.
pub(super) const LENGTH_MAX: usize = 1 << 20;
/// Digits that a number may have at most, as in the standard (ISO/IEC 1989:2002).
pub const DIGITS_MAX: usize = 18;

/// What a picture describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Picture {
    /// Characters.
    Characters { length: usize },
    /// A number of `digits`, of which `scale` are after the decimal point.
    Number { digits: usize, scale: usize, signed: bool },
}

/// Reads a picture in upper case. The error says what is wrong and at which character, counted
/// from 0.
pub(super) fn parse(text: &str) -> Result<Picture, (usize, String)> {
    let mut length = 0_usize;
    let mut scale = 0_usize;
    let mut signed = false;
    let mut point = false;
    let mut number = true;
    let mut rest = text.char_indices().peekable();
    while let Some((at, symbol)) = rest.next() {
        let mut repeated = 1;
        if rest.next_if(|(_, next)| *next == '(').is_some() {
            let digits: String = std::iter::from_fn(|| rest.next_if(|(_, next)| *next != ')'))
                .map(|(_, digit)| digit)
                .collect();
            repeated = digits
                .parse()
                .ok()
                .filter(|count| (1..=LENGTH_MAX).contains(count))
                .ok_or((at, format!("({digits}) is no count between 1 and {LENGTH_MAX}")))?;
            if rest.next().is_none() {
                return Err((at, "the parenthesis is not closed".to_owned()));
            }
        }
        match symbol {
            '9' => {
                length += repeated;
                scale += if point { repeated } else { 0 };
            }
            'X' | 'A' => {
                number = false;
                length += repeated;
            }
            'S' if at == 0 && repeated == 1 => signed = true,
            'V' if !point && repeated == 1 => point = true,
            _ => return Err((at, unsupported(symbol))),
        }
        if length > LENGTH_MAX {
            return Err((at, format!("longer than {LENGTH_MAX} octets")));
        }
    }
    match (length, number) {
        (0, _) => Err((0, "this picture has no characters".to_owned())),
        (_, false) if signed || point => {
            Err((0, "S and V belong to numbers, X and A to text: use one or the other".to_owned()))
        }
        (_, false) => Ok(Picture::Characters { length }),
        (digits, true) if digits > DIGITS_MAX => {
            Err((0, format!("{digits} digits: at most {DIGITS_MAX} are supported")))
        }
        (digits, true) => Ok(Picture::Number { digits, scale, signed }),
    }
}

fn unsupported(symbol: char) -> String {
    match symbol {
        'N' | 'G' => format!("{symbol} is a character of two octets, which is not supported"),
        'P' => "P (scaling) is not supported: describe the stored digits with 9".to_owned(),
        'S' => "S may stand only once, and first".to_owned(),
        'V' => "V may stand only once".to_owned(),
        'Z' | '*' | '+' | '-' | ',' | '.' | '$' | 'B' | '0' | '/' | 'C' | 'D' | 'E' => {
            format!("{symbol} edits a number for print, which is not supported: describe it with X")
        }
        other => format!("{other:?} is no picture symbol"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_repetitions() {
        let number = |digits, scale, signed| Ok(Picture::Number { digits, scale, signed });
        assert_eq!(parse("X(8)"), Ok(Picture::Characters { length: 8 }));
        assert_eq!(parse("A(3)9(2)X"), Ok(Picture::Characters { length: 6 }));
        assert_eq!(parse("S9(5)V99"), number(7, 2, true));
        assert_eq!(parse("999"), number(3, 0, false));
        assert_eq!(parse("9(18)"), number(18, 0, false));
    }

    #[test]
    fn what_is_not_supported_is_refused_where_it_stands() {
        for (text, at, says) in [
            ("9(5)P", 4, "scaling"),
            ("ZZ9", 0, "print"),
            ("X(0)", 0, "no count"),
            ("9(19)", 0, "at most 18"),
            ("SX", 0, "belong to numbers"),
            ("S", 0, "no characters"),
            ("9S", 1, "first"),
            ("X(4", 0, "not closed"),
            ("N(4)", 0, "two octets"),
        ] {
            let (place, message) = parse(text).expect_err(text);
            assert_eq!(place, at, "{text}: {message}");
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
