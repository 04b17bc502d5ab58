//! RFC 8914: extended DNS errors.

use crate::case::Case;

mod section_2;

pub(crate) const SECTIONS: &[&[Case]] = &[section_2::CASES];
