//! RFC 5936: zone transfer.

use crate::case::Case;

mod section_2_2;
mod section_2_2_1;
mod section_2_2_2;
mod section_3;
mod section_4;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_2_2::CASES,
    section_2_2_1::CASES,
    section_2_2_2::CASES,
    section_3::CASES,
    section_4::CASES,
];
