//! RFC 2308: negative caching.

use crate::case::Case;

mod section_2_1;
mod section_2_2;
mod section_3;
mod section_5;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_2_1::CASES,
    section_2_2::CASES,
    section_3::CASES,
    section_5::CASES,
];
