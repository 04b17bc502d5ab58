//! What is found about a target, in words.

use crate::sheet::Target;

/// Why a target is not judged.
pub(crate) const DISTURBED: &str = "disturbed by other work";

/// A target that is a ratio of two figures. `unjudged` says why it is neither reached nor
/// missed.
pub(crate) fn ratio_target(
    title: String,
    ours: Option<f64>,
    theirs: Option<f64>,
    is_reached: impl Fn(f64) -> bool,
    unjudged: Option<&str>,
) -> Target {
    let found = ours.zip(theirs).filter(|(_, theirs)| *theirs > 0.0);
    let found = found.map(|(ours, theirs)| ours / theirs);
    Target {
        title,
        found: found.map(|found| format!("{found:.2}")),
        verdict: match (found, unjudged) {
            (None, _) => "not measured".to_owned(),
            (_, Some(reason)) => format!("**not judged**: {reason}"),
            (Some(found), None) if is_reached(found) => "reached".to_owned(),
            _ => "**missed**".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_judged_only_on_sound_figures() {
        let verdict = |ours, theirs, unjudged| {
            ratio_target(String::new(), ours, theirs, |found| found <= 0.5, unjudged).verdict
        };
        assert_eq!(verdict(Some(1.0), Some(2.0), None), "reached");
        assert_eq!(verdict(Some(1.1), Some(2.0), None), "**missed**");
        assert_eq!(verdict(Some(1.0), None, None), "not measured");
        assert_eq!(verdict(Some(1.0), Some(0.0), None), "not measured");
        let disturbed = verdict(Some(1.0), Some(2.0), Some(DISTURBED));
        assert!(disturbed.starts_with("**not judged**"), "{disturbed}");
    }
}
