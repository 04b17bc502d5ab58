//! RFC 7873: cookies.

use crate::case::Case;

mod section_5_2;
mod section_5_4;

pub(crate) const SECTIONS: &[&[Case]] = &[section_5_2::CASES, section_5_4::CASES];
