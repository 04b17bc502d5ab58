//! RFC 4343: case insensitivity.

use crate::case::Case;

mod section_3;
mod section_4;

pub(crate) const SECTIONS: &[&[Case]] = &[section_3::CASES, section_4::CASES];
