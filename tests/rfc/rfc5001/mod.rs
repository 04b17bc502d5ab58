//! RFC 5001: name server identifier.

use crate::case::Case;

mod section_2_1;
mod section_2_2;

pub(crate) const SECTIONS: &[&[Case]] = &[section_2_1::CASES, section_2_2::CASES];
