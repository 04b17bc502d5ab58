//! RFC 1995: incremental zone transfer.

use crate::case::Case;

mod section_2;

pub(crate) const SECTIONS: &[&[Case]] = &[section_2::CASES];
