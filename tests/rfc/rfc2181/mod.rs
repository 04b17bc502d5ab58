//! RFC 2181: clarifications.

use crate::case::Case;

mod section_5;
mod section_6_1;
mod section_9;
mod section_10_1;
mod section_10_2;
mod section_11;

pub(crate) const SECTIONS: &[&[Case]] = &[
    section_5::CASES,
    section_6_1::CASES,
    section_9::CASES,
    section_10_1::CASES,
    section_10_2::CASES,
    section_11::CASES,
];
