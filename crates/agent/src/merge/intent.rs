//! Checks afterwards that a merge dropped nobody's intent. It knows nothing of the rules.
//!
//! An intent is what a side did to its base: which records it added, which it removed, whether it
//! left the key empty on purpose. A result honours a side if all that is so in it. The one excuse
//! is that the writer has taken it back: the same single identity wrote both sides, and the result
//! is what it wrote last, at this key and with what it put in its place at the name.

use super::{Key, Values};

/// The keys, by index, whose result drops an intent. `results` has no values where a person
/// decides, which drops nothing.
pub fn dropped(keys: &[Key], results: &[Option<Values>]) -> Vec<usize> {
    let lost_at_key = |at: usize| {
        let (Some(key), Some(Some(result))) = (keys.get(at), results.get(at)) else {
            return false;
        };
        let honoured = honours(key, &key.ours.values, result)
            && honours(key, &key.theirs.values, result)
            && !(result.is_empty() && neither_deleted(key))
            && !excluded(keys, results, at);
        !honoured && !taken_back(key, result)
    };
    (0..keys.len()).filter(|at| lost_at_key(*at)).collect()
}

/// Whether `result` has all that a side added and nothing that it removed.
fn honours(key: &Key, side: &Values, result: &Values) -> bool {
    let plain = |values: &Values| -> Values {
        let is_name = matches!(key.record_type.as_str(), "CNAME" | "NS" | "MX");
        let spelling = |value: &String| match is_name {
            true => value.trim_end_matches('.').to_ascii_lowercase(),
            false => value.clone(),
        };
        values.iter().map(spelling).collect()
    };
    if *side == key.base {
        return true;
    }
    let (base, wanted, result) = (plain(&key.base), plain(side), plain(result));
    if wanted.is_empty() {
        return result.is_empty();
    }
    let alone = key.record_type == "CNAME" && result != wanted;
    // A spelling alone changes no record, but says that the record is still wanted.
    wanted.difference(&base).all(|added| result.contains(added))
        && base.difference(&wanted).all(|removed| !result.contains(removed))
        && !(base == wanted && result.is_empty())
        && !alone
}

fn neither_deleted(key: &Key) -> bool {
    !key.ours.values.is_empty() && !key.theirs.values.is_empty()
}

/// Whether the result of a key cannot be served, for a CNAME beside it that came from the other
/// side (or the other way round).
fn excluded(keys: &[Key], results: &[Option<Values>], at: usize) -> bool {
    let key = &keys[at];
    let stands = |at: usize| results[at].as_ref().is_some_and(|values| !values.is_empty());
    if !stands(at) {
        return false;
    }
    keys.iter().enumerate().any(|(other_at, other)| {
        let one_is_cname = (other.record_type == "CNAME") != (key.record_type == "CNAME");
        let in_ours = !key.ours.values.is_empty() && !other.ours.values.is_empty();
        let in_theirs = !key.theirs.values.is_empty() && !other.theirs.values.is_empty();
        other.name.eq_ignore_ascii_case(&key.name)
            && one_is_cname
            && stands(other_at)
            && !in_ours
            && !in_theirs
    })
}

/// Whether the only writer of both sides left exactly this, later than the other version.
fn taken_back(key: &Key, result: &Values) -> bool {
    let mut writers = key.ours.authors.iter().chain(&key.theirs.authors);
    let Some(writer) = writers.next() else { return false };
    let (Some(ours), Some(theirs)) = (key.ours.sequence, key.theirs.sequence) else {
        return false;
    };
    let last = if ours > theirs { &key.ours } else { &key.theirs };
    let both_wrote = !key.ours.authors.is_empty() && !key.theirs.authors.is_empty();
    both_wrote && writers.all(|other| other == writer) && ours != theirs && last.values == *result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merge::Side;

    fn values(text: &str) -> Values {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn key(kind: &str, base: &str, ours: &str, theirs: &str, authors: [&str; 2]) -> Key {
        let side = |text, author: &str, at| Side {
            values: values(text),
            authors: [author.to_owned()].into(),
            sequence: Some(at),
        };
        Key {
            name: "n".into(),
            record_type: kind.into(),
            base: values(base),
            ours: side(ours, authors[0], 1),
            theirs: side(theirs, authors[1], 2),
        }
    }

    #[test]
    fn what_is_dropped_is_seen() {
        for (key, result, is_dropped) in [
            (key("A", "a", "b", "a c", ["x", "y"]), "b c", false),
            (key("A", "a", "b", "a c", ["x", "y"]), "a b c", true),
            (key("A", "a", "b", "a c", ["x", "y"]), "b", true),
            (key("A", "a", "", "b", ["x", "y"]), "b", true),
            (key("A", "a", "", "b", ["x", "y"]), "", true),
            (key("A", "a b", "a", "b", ["x", "y"]), "", true),
            (key("CNAME", "a", "b", "c", ["x", "y"]), "c", true),
            (key("CNAME", "a", "b", "c", ["x", "y"]), "b c", true),
            (key("CNAME", "a", "b", "c", ["x", "x"]), "c", false),
            (key("CNAME", "a", "b", "c", ["x", "x"]), "b", true),
            (key("CNAME", "a", "", "A.", ["x", "y"]), "", true),
        ] {
            let found = !dropped(std::slice::from_ref(&key), &[Some(values(result))]).is_empty();
            assert_eq!(found, is_dropped, "{key:?} merged to {result}");
        }
    }

    #[test]
    fn a_cname_beside_the_other_sides_records_drops_both() {
        let keys = [key("CNAME", "", "a", "", ["x", "y"]), key("A", "", "", "b", ["x", "y"])];
        assert_eq!(dropped(&keys, &[Some(values("a")), Some(values("b"))]), [0, 1]);
        assert_eq!(dropped(&keys, &[None, None]), [0usize; 0]);
    }
}
