//! RFC 8482: minimal answers to ANY.

use crate::case::Case;

mod section_4;

pub(crate) const SECTIONS: &[&[Case]] = &[section_4::CASES];
