//! RFC 4035: DNSSEC protocol.

use crate::case::Case;

mod section_3_1_4_1;

pub(crate) const SECTIONS: &[&[Case]] = &[section_3_1_4_1::CASES];
