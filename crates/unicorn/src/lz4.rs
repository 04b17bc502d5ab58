//! Unpacks what `lz4 -l` writes, which is how Debian packs its kernels: the legacy frame of LZ4,
//! blocks after their lengths (lz4_Frame_format.md and lz4_Block_format.md of the LZ4 project).
//!
//! It never gives more than it is told to, and never fewer octets than there are.

/// The first octets.
pub const MAGIC: &[u8] = &[0x02, 0x21, 0x4c, 0x18];
/// The shortest match.
const MATCH_MIN: usize = 4;
/// A length of this in the token goes on in further octets.
const LENGTH_GOES_ON: usize = 15;

/// Unpacks a frame. A kernel's has four more octets at its end, the unpacked length.
///
/// # Errors
/// What is wrong with it, or that it gives more than `octets_max`.
pub fn unpack(packed: &[u8], octets_max: usize) -> Result<Vec<u8>, String> {
    let mut rest = packed.strip_prefix(MAGIC).ok_or("not a frame of LZ4 of the old kind")?;
    let mut unpacked = Vec::new();
    while let Some((length, blocks)) = rest.split_first_chunk::<4>() {
        if length == MAGIC {
            rest = blocks;
            continue;
        }
        let announced = u32::from_le_bytes(*length) as usize;
        if blocks.is_empty() {
            // The kernel's: it says how much has come.
            return match announced == unpacked.len() {
                true => Ok(unpacked),
                false => Err(format!("{} octets instead of {announced}", unpacked.len())),
            };
        }
        let (block, after) =
            blocks.split_at_checked(announced).ok_or("a block of LZ4 that ends too early")?;
        let block = Block { rest: block, begin: unpacked.len(), octets_max };
        block.unpack(&mut unpacked)?;
        rest = after;
    }
    match rest.is_empty() {
        true => Ok(unpacked),
        false => Err("octets behind the last block of LZ4".to_owned()),
    }
}

struct Block<'p> {
    rest: &'p [u8],
    /// Matches do not reach back beyond it.
    begin: usize,
    octets_max: usize,
}

impl Block<'_> {
    fn unpack(mut self, to: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let token = usize::from(self.octet()?);
            let length = self.length(token >> 4)?;
            let short = || "literals of LZ4 that end too early".to_owned();
            let (literals, rest) = self.rest.split_at_checked(length).ok_or_else(short)?;
            self.room(to.len(), length)?;
            to.extend(literals);
            self.rest = rest;
            // The last sequence is literals only.
            if rest.is_empty() {
                return Ok(());
            }
            let back = usize::from(u16::from_le_bytes([self.octet()?, self.octet()?]));
            let length = self.length(token & 0xf)? + MATCH_MIN;
            self.room(to.len(), length)?;
            let from = to.len().checked_sub(back).filter(|from| *from >= self.begin && back > 0);
            let from = from.ok_or_else(|| "a match of LZ4 before the begin".to_owned())?;
            copy_within(to, from, length);
        }
    }

    fn octet(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or("a block of LZ4 that ends too early")?;
        self.rest = rest;
        Ok(*first)
    }

    fn length(&mut self, first: usize) -> Result<usize, String> {
        let mut length = first;
        let mut goes_on = first == LENGTH_GOES_ON;
        while goes_on {
            let more = self.octet()?;
            length += usize::from(more);
            goes_on = more == u8::MAX;
        }
        Ok(length)
    }

    fn room(&self, taken: usize, wanted: usize) -> Result<(), String> {
        match taken + wanted <= self.octets_max {
            true => Ok(()),
            false => Err(format!("more than {} octets when unpacked", self.octets_max)),
        }
    }
}

/// Appends `length` octets that begin at `from`, which may overlap with what they become.
fn copy_within(to: &mut Vec<u8>, from: usize, length: usize) {
    let end = to.len() + length;
    while to.len() < end {
        let piece = (to.len() - from).min(end - to.len());
        to.extend_from_within(from..from + piece);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `abcabcabcabcx`: three literals, a match of nine, one literal.
    const BLOCK: [u8; 8] = [0x35, b'a', b'b', b'c', 3, 0, 0x10, b'x'];
    const TEXT: &[u8] = b"abcabcabcabcx";

    fn frame(block: &[u8]) -> Vec<u8> {
        [MAGIC, &(block.len() as u32).to_le_bytes(), block].concat()
    }

    #[test]
    fn matches_overlap_and_the_announced_length_is_compared() {
        let mut packed = frame(&BLOCK);
        assert_eq!(unpack(&packed, 100).as_deref(), Ok(TEXT));
        assert!(unpack(&packed, 12).is_err());
        packed.extend((TEXT.len() as u32).to_le_bytes());
        assert_eq!(unpack(&packed, 100).as_deref(), Ok(TEXT));
        *packed.last_mut().unwrap() = 1;
        assert!(unpack(&packed, 100).is_err());
        // Back to before the begin.
        assert!(unpack(&frame(&[0x15, b'a', 2, 0, 0x10, b'x']), 100).is_err());
        assert!(unpack(&frame(&[0x15, b'a', 0, 0, 0x10, b'x']), 100).is_err());
    }

    #[test]
    fn a_frame_that_was_cut_is_refused() {
        let packed = frame(&BLOCK);
        for length in 0..packed.len() {
            let outcome = unpack(&packed[..length], 100);
            assert!(outcome.is_err() || outcome == Ok(Vec::new()), "{length}");
        }
    }

    proptest! {
        #[test]
        fn literals_come_back(text in proptest::collection::vec(any::<u8>(), 0..1000)) {
            let mut block = vec![(text.len().min(15) as u8) << 4];
            if let Some(more) = text.len().checked_sub(15) {
                block.extend(vec![u8::MAX; more / 255]);
                block.push((more % 255) as u8);
            }
            block.extend(&text);
            prop_assert_eq!(unpack(&frame(&block), 1000), Ok(text));
        }

        #[test]
        fn no_octets_break_it(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
            let unpacked = unpack(&frame(&octets), 1000);
            prop_assert!(unpacked.map_or(0, |unpacked| unpacked.len()) <= 1000);
        }
    }
}
