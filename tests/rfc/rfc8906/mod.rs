//! RFC 8906: a common failure of name servers to communicate.

use crate::case::Case;

mod section_8_1;
mod section_8_2;

pub(crate) const SECTIONS: &[&[Case]] = &[section_8_1::CASES, section_8_2::CASES];
