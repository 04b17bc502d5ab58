//! RFC 1035: implementation and specification.

use crate::case::Case;

mod section_2_3_3;
mod section_2_3_4;
mod section_4_1_1;
mod section_4_1_4;
mod section_4_2_1;
mod section_4_2_2;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_2_3_3::CASES,
    section_2_3_4::CASES,
    section_4_1_1::CASES,
    section_4_1_4::CASES,
    section_4_2_1::CASES,
    section_4_2_2::CASES,
];
