//! RFC 6891: EDNS(0).

use crate::case::Case;

mod section_6_1_1;
mod section_6_1_2;
mod section_6_1_3;
mod section_6_1_4;
mod section_6_2_3;
mod section_6_2_5;
mod section_7;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_6_1_1::CASES,
    section_6_1_2::CASES,
    section_6_1_3::CASES,
    section_6_1_4::CASES,
    section_6_2_3::CASES,
    section_6_2_5::CASES,
    section_7::CASES,
];
