//! RFC 1034: concepts.

use crate::case::Case;

mod section_3_6_2;
mod section_4_2_1;
mod section_4_3_2;

pub(crate) const SECTIONS: &[&[Case]] =
    &[section_3_6_2::CASES, section_4_2_1::CASES, section_4_3_2::CASES];
