//! Frames: how octets are cut into messages. Pure.
//!
//! ```text
//! length  u32 big-endian: octets that follow the kind, at most 16 MiB
//! kind    u8: 0 alive, 1 data, 2 close, 3 welcome
//! octets  of data what the sender gave; of close the reason, UTF-8; else none
//! ```

use crate::FRAME_OCTETS_MAX;

/// Octets before a frame's content.
pub const HEADER_OCTETS: usize = 5;
/// Octets of the longest reason.
pub const REASON_OCTETS_MAX: usize = 1024;

const ALIVE: u8 = 0;
const DATA: u8 = 1;
const CLOSE: u8 = 2;
const WELCOME: u8 = 3;

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Nothing, but somebody is there.
    Alive,
    /// What the caller gave.
    Data(&'a [u8]),
    /// The connection ends, and why.
    Close(&'a str),
    /// The connection is accepted.
    Welcome,
}

/// Why octets are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The kind is unknown.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// Longer than frames of its kind may be.
    #[error("a frame of {length} octets, which is too long for its kind {kind}")]
    TooLong {
        /// What the header says.
        length: u32,
        /// The kind.
        kind: u8,
    },
    /// The reason of a close is not UTF-8.
    #[error("a reason that is not text")]
    NotText,
}

impl<'a> Frame<'a> {
    /// Reads a frame at the beginning of `octets`, and says how long it is; `None` if more octets
    /// are needed.
    ///
    /// # Errors
    /// [`FrameError`], as soon as the header shows it.
    pub fn parse(octets: &'a [u8]) -> Result<Option<(Frame<'a>, usize)>, FrameError> {
        let Some((header, rest)) = octets.split_first_chunk::<HEADER_OCTETS>() else {
            return Ok(None);
        };
        let [a, b, c, d, kind] = *header;
        let length = u32::from_be_bytes([a, b, c, d]);
        let octets_max = match kind {
            DATA => FRAME_OCTETS_MAX,
            CLOSE => REASON_OCTETS_MAX,
            ALIVE | WELCOME => 0,
            _ => return Err(FrameError::Kind(kind)),
        };
        let octets_count = length as usize;
        if octets_count > octets_max {
            return Err(FrameError::TooLong { length, kind });
        }
        let Some(content) = rest.get(..octets_count) else { return Ok(None) };
        let frame = match kind {
            DATA => Frame::Data(content),
            CLOSE => Frame::Close(std::str::from_utf8(content).map_err(|_| FrameError::NotText)?),
            WELCOME => Frame::Welcome,
            _ => Frame::Alive,
        };
        Ok(Some((frame, HEADER_OCTETS + octets_count)))
    }

    /// Appends the frame's octets. Data longer than [`FRAME_OCTETS_MAX`] is the caller's mistake,
    /// which the other side refuses; a reason is cut.
    pub fn write(&self, to: &mut Vec<u8>) {
        let (kind, content) = match self {
            Frame::Alive => (ALIVE, &[][..]),
            Frame::Data(octets) => (DATA, *octets),
            Frame::Close(reason) => {
                let mut end = reason.len().min(REASON_OCTETS_MAX);
                while !reason.is_char_boundary(end) {
                    end -= 1;
                }
                (CLOSE, &reason.as_bytes()[..end])
            }
            Frame::Welcome => (WELCOME, &[][..]),
        };
        to.extend_from_slice(&header(kind, content.len()));
        to.extend_from_slice(content);
    }
}

/// The header of a data frame whose content is written apart.
pub(crate) fn header_of_data(octets_count: usize) -> [u8; HEADER_OCTETS] {
    header(DATA, octets_count)
}

fn header(kind: u8, octets_count: usize) -> [u8; HEADER_OCTETS] {
    let [a, b, c, d] = u32::try_from(octets_count).unwrap_or(u32::MAX).to_be_bytes();
    [a, b, c, d, kind]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn headers_that_promise_too_much_are_refused_at_once() {
        assert_eq!(Frame::parse(&[0, 0, 0, 0, 9]), Err(FrameError::Kind(9)));
        assert_eq!(Frame::parse(&[0, 0, 0, 1, 0]), Err(FrameError::TooLong { length: 1, kind: 0 }));
        let length = FRAME_OCTETS_MAX as u32;
        let mut header = [0, 0, 0, 0, DATA];
        header[..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(Frame::parse(&header), Ok(None));
        header[..4].copy_from_slice(&(length + 1).to_be_bytes());
        let error = FrameError::TooLong { length: length + 1, kind: DATA };
        assert_eq!(Frame::parse(&header), Err(error));
        assert_eq!(Frame::parse(&[0, 0, 0, 1, 2, 0xff]), Err(FrameError::NotText));
    }

    #[test]
    fn reasons_are_cut_between_letters() {
        let reason = format!("x{}", "ä".repeat(REASON_OCTETS_MAX));
        let mut octets = Vec::new();
        Frame::Close(&reason).write(&mut octets);
        let Ok(Some((Frame::Close(cut), _))) = Frame::parse(&octets) else { panic!("{octets:?}") };
        assert_eq!(cut, &reason[..REASON_OCTETS_MAX - 1]);
    }

    proptest! {
        #[test]
        fn frames_come_back_however_they_are_cut(data: Vec<u8>, reason in ".{0,40}", rest: Vec<u8>) {
            for frame in [Frame::Alive, Frame::Data(&data), Frame::Close(&reason), Frame::Welcome] {
                let mut octets = Vec::new();
                frame.write(&mut octets);
                let length = octets.len();
                for end in 0..length {
                    prop_assert_eq!(Frame::parse(&octets[..end]), Ok(None));
                }
                octets.extend_from_slice(&rest);
                prop_assert_eq!(Frame::parse(&octets), Ok(Some((frame, length))));
            }
        }
    }
}
