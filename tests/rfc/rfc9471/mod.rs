//! RFC 9471: glue.

use crate::case::Case;

mod section_3_1;
mod section_3_2;

pub(crate) const SECTIONS: &[&[Case]] = &[section_3_1::CASES, section_3_2::CASES];
