//! RFC 3597: unknown types.

use crate::case::Case;

mod section_3;
mod section_4;
mod section_5;

pub(crate) const SECTIONS: &[&[Case]] = &[section_3::CASES, section_4::CASES, section_5::CASES];
