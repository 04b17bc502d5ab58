//! The scale on which ages and counts are told: four steps for each doubling.

/// The level of a count, or of an age in milliseconds: 0..=254, never falling. 255 is kept for never.
pub fn level(value: u64) -> u8 {
    if value < 4 {
        return value as u8;
    }
    let doublings = value.ilog2();
    let quarters = (value >> (doublings - 2)) & 3;
    (u64::from(doublings - 1) * 4 + quarters).min(254) as u8
}

/// The smallest value with this level.
pub fn amount_of_level(level: u8) -> u64 {
    match level {
        0..4 => u64::from(level),
        _ => (4 + u64::from(level % 4)) << (level / 4 - 1).min(60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_never_fall_and_can_be_read_back() {
        let mut last = 0;
        for value in (0..2000).chain((11..64).map(|bits| 1 << bits)) {
            let found = level(value);
            assert!(found >= last, "{value} has {found}, after {last}");
            assert!(amount_of_level(found) <= value, "{value}");
            last = found;
        }
        for value in 0..200 {
            assert_eq!(level(amount_of_level(value)), value);
        }
    }
}
