//! RFC 7766: TCP.

use crate::case::Case;

mod section_8;
mod section_6;
mod section_5;

pub(crate) const SECTIONS: &[&[Case]] = &[section_8::CASES, section_6::CASES, section_5::CASES];
