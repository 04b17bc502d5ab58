//! RFC 4592: wildcards.

use crate::case::Case;

mod section_2_1_1;
mod section_2_1_2;
mod section_2_1_3;
mod section_2_2_1;
mod section_2_2_2;
mod section_2_2_3;
mod section_2_3;
mod section_3_3_1;
mod section_3_3_2;
mod section_3_3_3;
mod section_4_1;
mod section_4_2;
mod section_4_3;
mod section_4_4;
mod section_4_5;
mod section_4_6;
mod section_4_7;
mod section_4_9;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_2_1_1::CASES,
    section_2_1_2::CASES,
    section_2_1_3::CASES,
    section_2_2_1::CASES,
    section_2_2_2::CASES,
    section_2_2_3::CASES,
    section_2_3::CASES,
    section_3_3_1::CASES,
    section_3_3_2::CASES,
    section_3_3_3::CASES,
    section_4_1::CASES,
    section_4_2::CASES,
    section_4_3::CASES,
    section_4_4::CASES,
    section_4_5::CASES,
    section_4_6::CASES,
    section_4_7::CASES,
    section_4_9::CASES,
];
