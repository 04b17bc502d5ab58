//! RFC 1996: NOTIFY.

use crate::case::Case;

mod section_3;

pub(crate) const SECTIONS: &[&[Case]] = &[section_3::CASES];
