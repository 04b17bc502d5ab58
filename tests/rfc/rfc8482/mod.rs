//! RFC 8482: minimal answers to ANY.

use crate::case::Case;

mod section_4;
mod section_4_1;

pub(crate) const SECTIONS: &[&[Case]] = &[section_4::CASES, section_4_1::CASES];
