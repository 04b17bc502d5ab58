//! RFC 6672: DNAME.

use crate::case::Case;

mod section_2_2;
mod section_2_3;
mod section_2_4;
mod section_3_2;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_2_2::CASES,
    section_2_3::CASES,
    section_2_4::CASES,
    section_3_2::CASES,
];
