//! The merge of one name and type.

use super::{Conflict, Key, Outcome, Rule, Values};

/// Merges one key by itself. What other types stand at the name is seen to by
/// [`super::merge_case`].
pub fn merge_key(key: &Key) -> Outcome {
    let (ours, theirs) = (&key.ours.values, &key.theirs.values);
    if ours == theirs {
        return Outcome::Resolved(ours.clone(), Rule::Same);
    }
    if !key.theirs_changed() {
        return Outcome::Resolved(ours.clone(), Rule::OneSide);
    }
    if !key.ours_changed() {
        return Outcome::Resolved(theirs.clone(), Rule::OneSide);
    }
    // A respelling is an edit too: somebody still cares for the record.
    if ours.is_empty() || theirs.is_empty() {
        return Outcome::Escalated(Conflict::DeleteAgainstEdit);
    }
    if let Some(same) = same_in_other_spelling(key) {
        return Outcome::Resolved(same, Rule::Same);
    }
    let conflict = match semantics(&key.record_type) {
        Semantics::Scalar => Conflict::TwoValues,
        Semantics::Set { answers_as_one } => match merge_sets(key, answers_as_one) {
            Ok(values) => return Outcome::Resolved(values, Rule::SetUnion),
            Err(conflict) => conflict,
        },
    };
    match key.order_of_one_identity() {
        Some(later) => Outcome::Resolved(later.side(key).values.clone(), Rule::LaterOfOneIdentity),
        None => Outcome::Escalated(conflict),
    }
}

enum Semantics {
    /// One value.
    Scalar,
    /// Values that stand beside each other. `answers_as_one`: a client takes any of them, so
    /// that a set replaced as a whole is a statement about the whole.
    Set { answers_as_one: bool },
}

/// Types that are not known are scalars, which is the careful choice.
fn semantics(record_type: &str) -> Semantics {
    match record_type {
        "A" | "AAAA" | "NS" | "MX" => Semantics::Set { answers_as_one: true },
        "TXT" => Semantics::Set { answers_as_one: false },
        _ => Semantics::Scalar,
    }
}

fn merge_sets(key: &Key, answers_as_one: bool) -> Result<Values, Conflict> {
    let plain_set = |values: &Values| plain(&key.record_type, values);
    let base = plain_set(&key.base);
    let (ours, theirs) = (plain_set(&key.ours.values), plain_set(&key.theirs.values));
    let replaced = |side: &Values| base.is_disjoint(side);
    let contained = ours.is_subset(&theirs) || theirs.is_subset(&ours);
    if answers_as_one && replaced(&ours) && replaced(&theirs) && !contained {
        return Err(Conflict::WholeSetReplaced);
    }
    let keeps = |value: &&String| ours.contains(*value) && theirs.contains(*value);
    let merged: Values = base
        .iter()
        .filter(keeps)
        .chain(ours.difference(&base))
        .chain(theirs.difference(&base))
        .cloned()
        .collect();
    if merged.is_empty() {
        return Err(Conflict::NothingLeft);
    }
    let several = |values: &Values, prefix: &str| {
        values.iter().filter(|value| is_policy(value, prefix)).count() > 1
    };
    for prefix in POLICIES {
        if several(&merged, prefix) && !several(&ours, prefix) && !several(&theirs, prefix) {
            return Err(Conflict::TwoValues);
        }
    }
    // As somebody spelt them: we, else they.
    let mut spelt = Values::new();
    let mut done = Values::new();
    for value in key.ours.values.iter().chain(&key.theirs.values) {
        let plain_value = plain_one(&key.record_type, value);
        if merged.contains(&plain_value) && done.insert(plain_value) {
            spelt.insert(value.clone());
        }
    }
    Ok(spelt)
}

/// Texts of which a name can have only one: SPF (RFC 7208, section 3.2), DMARC (RFC 7489,
/// section 6.6.3), DKIM keys (RFC 6376, section 3.6.2.2), MTA-STS (RFC 8461, section 3.1) and TLS
/// reports (RFC 8460, section 3).
const POLICIES: [&str; 5] = ["v=spf1", "v=dmarc1", "v=dkim1", "v=stsv1", "v=tlsrptv1"];

fn is_policy(value: &str, prefix: &str) -> bool {
    let text = value.trim_start_matches('"');
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// Our values, if theirs are the same in another spelling.
fn same_in_other_spelling(key: &Key) -> Option<Values> {
    let plain_set = |values: &Values| plain(&key.record_type, values);
    let same = plain_set(&key.ours.values) == plain_set(&key.theirs.values);
    same.then(|| key.ours.values.clone())
}

fn plain(record_type: &str, values: &Values) -> Values {
    values.iter().map(|value| plain_one(record_type, value)).collect()
}

/// One spelling for all of the same record: names in other letters, or with a final dot, are the
/// same (RFC 4343, section 2).
fn plain_one(record_type: &str, value: &str) -> String {
    match record_type {
        "CNAME" | "NS" | "MX" => value.trim_end_matches('.').to_ascii_lowercase(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::Side;

    fn values(text: &str) -> Values {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// Versions as words; authors as letters; the sequence is the second number.
    fn key(kind: &str, base: &str, ours: (&str, &str, i64), theirs: (&str, &str, i64)) -> Key {
        let side = |(text, authors, sequence): (&str, &str, i64)| Side {
            values: values(text),
            authors: authors.chars().map(String::from).collect(),
            sequence: Some(sequence),
        };
        Key {
            name: "n".into(),
            record_type: kind.into(),
            base: values(base),
            ours: side(ours),
            theirs: side(theirs),
        }
    }

    #[test]
    fn sets_take_what_both_sides_did() {
        let merged = merge_key(&key("TXT", "a b", ("a c", "x", 1), ("b d", "y", 2)));
        assert_eq!(merged, Outcome::Resolved(values("c d"), Rule::SetUnion));
        let merged = merge_key(&key("A", "a b", ("b", "x", 1), ("a b d", "y", 2)));
        assert_eq!(merged, Outcome::Resolved(values("b d"), Rule::SetUnion));
    }

    #[test]
    fn what_cannot_stand_together_goes_to_a_person() {
        for (key, conflict) in [
            (key("A", "a", ("", "x", 1), ("b", "x", 2)), Conflict::DeleteAgainstEdit),
            (key("CNAME", "a.", ("", "x", 1), ("a", "x", 2)), Conflict::DeleteAgainstEdit),
            (key("CNAME", "a", ("b", "x", 1), ("c", "y", 2)), Conflict::TwoValues),
            (key("CNAME", "a", ("b", "x", 1), ("c", "xy", 2)), Conflict::TwoValues),
            (key("CNAME", "a", ("b", "x", 2), ("c", "x", 2)), Conflict::TwoValues),
            (key("A", "a", ("b", "x", 1), ("c", "y", 2)), Conflict::WholeSetReplaced),
            (key("MX", "a b", ("a", "x", 1), ("b", "y", 2)), Conflict::NothingLeft),
            (key("TXT", "a", ("a v=spf1", "x", 1), ("a V=SPF1b", "y", 2)), Conflict::TwoValues),
            (key("SOA", "a", ("b", "x", 1), ("c", "y", 2)), Conflict::TwoValues),
        ] {
            assert_eq!(merge_key(&key), Outcome::Escalated(conflict), "{key:?}");
        }
    }

    #[test]
    fn one_identity_is_ordered_and_spellings_are_the_same() {
        for (kind, rule) in [("A", Rule::LaterOfOneIdentity), ("CNAME", Rule::LaterOfOneIdentity)] {
            let merged = merge_key(&key(kind, "a", ("b", "x", 2), ("c", "x", 1)));
            assert_eq!(merged, Outcome::Resolved(values("b"), rule));
        }
        let merged = merge_key(&key("CNAME", "a", ("b.example.", "x", 2), ("B.example", "y", 1)));
        assert_eq!(merged, Outcome::Resolved(values("b.example."), Rule::Same));
    }
}
