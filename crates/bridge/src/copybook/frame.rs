//! Octets of a file → records, and back: fixed length, with lengths before them, or lines.

use super::layout::Framing;
use std::ops::Range;

/// A record of a line sequential file is not longer than this, in octets.
const LINE_MAX: usize = 1 << 20;
/// Octets of the length before a record.
const LENGTH_OCTETS: usize = 4;

/// A record in its frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Octets of the record with its frame.
    pub(super) length: usize,
    /// Where the record itself is.
    pub(super) body: Range<usize>,
}

impl Framing {
    /// The first record of `octets`, if all of it is there. `length` is the length of records of
    /// fixed length.
    pub(super) fn next(self, octets: &[u8], length: usize) -> Result<Option<Frame>, String> {
        let there = |frame: Frame| (frame.length <= octets.len()).then_some(frame);
        let own = match self {
            Framing::Fixed => return Ok(there(Frame { length, body: 0..length })),
            Framing::Lines => {
                let Some(end) = octets.iter().position(|octet| *octet == b'\n') else {
                    return if octets.len() > LINE_MAX {
                        Err(format!("a line of more than {LINE_MAX} octets"))
                    } else {
                        Ok(None)
                    };
                };
                return Ok(Some(Frame { length: end + 1, body: 0..end }));
            }
            Framing::Rdw => LENGTH_OCTETS,
            Framing::Gnucobol => 0,
        };
        let Some([high, low, zeros @ ..]) = octets.first_chunk::<LENGTH_OCTETS>() else {
            return Ok(None);
        };
        let said = usize::from(u16::from_be_bytes([*high, *low]));
        if *zeros != [0, 0] {
            let zeros = u16::from_be_bytes(*zeros);
            return Err(format!(
                "the octets after the length are {zeros:04X}, not 0000: a segment of a spanned \
                 record, or not a file of records with their lengths"
            ));
        }
        let Some(body) = said.checked_sub(own).filter(|body| *body > 0) else {
            return Err(format!("a record cannot have the length {said}"));
        };
        let end = LENGTH_OCTETS + body;
        Ok(there(Frame { length: end, body: LENGTH_OCTETS..end }))
    }

    /// Writes a record with its frame.
    pub(super) fn write(self, body: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        let own = match self {
            Framing::Fixed => None,
            Framing::Lines => {
                let length = body.iter().rposition(|octet| *octet != b' ').map_or(0, |at| at + 1);
                if body.contains(&b'\n') {
                    return Err("a line cannot hold a line end");
                }
                out.extend_from_slice(&body[..length]);
                out.push(b'\n');
                return Ok(());
            }
            Framing::Rdw => Some(LENGTH_OCTETS),
            Framing::Gnucobol => Some(0),
        };
        if let Some(own) = own {
            let length = u16::try_from(body.len() + own);
            let length = length.map_err(|_| "a record is longer than 65535 octets")?;
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        }
        out.extend_from_slice(body);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_ibm_count_themselves_and_those_of_gnucobol_do_not() {
        for (framing, file) in [
            (Framing::Rdw, &b"\0\x07\0\0abc\0\x05\0\0d"[..]),
            (Framing::Gnucobol, b"\0\x03\0\0abc\0\x01\0\0d"),
            (Framing::Lines, b"abc\nd\n"),
        ] {
            let first = framing.next(file, 0).expect("a frame").expect("all of it");
            assert_eq!(&file[first.body], b"abc", "{framing:?}");
            let rest = &file[first.length..];
            let second = framing.next(rest, 0).expect("a frame").expect("all of it");
            assert_eq!((&rest[second.body], second.length), (&b"d"[..], rest.len()));
            let mut out = Vec::new();
            framing.write(b"abc", &mut out).expect("fits");
            framing.write(b"d", &mut out).expect("fits");
            assert_eq!(out, file);
            assert_eq!(framing.next(&file[..3], 0), Ok(None));
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        assert!(Framing::Rdw.next(b"\0\x03\0\0abc", 0).is_err());
        assert!(Framing::Rdw.next(b"\0\x04\0\0", 0).is_err());
        assert!(Framing::Gnucobol.next(b"\0\0\0\0", 0).is_err());
        let spanned = Framing::Rdw.next(b"\0\x08\x01\0abcd", 0).expect_err("spanned");
        assert!(spanned.contains("0100"), "{spanned}");
        assert!(Framing::Rdw.write(&[0; 70_000], &mut Vec::new()).is_err());
        assert!(Framing::Lines.write(b"a\nb", &mut Vec::new()).is_err());
    }
}
