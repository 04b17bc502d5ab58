//! RFC 9018: interoperable server cookies.

use crate::case::Case;

mod section_4;

pub(crate) const SECTIONS: &[&[Case]] = &[section_4::CASES];
