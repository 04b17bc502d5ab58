//! What holds among the types of one name: a CNAME stands alone (RFC 1034, section 3.6.2), and a
//! name that one side removed as a whole is not edited by the other one unseen.

use super::{Conflict, Key, Later, Outcome, Rule, Values, merge_key};
use std::collections::BTreeMap;

/// Merges the keys of one case: one outcome each, in their order.
pub fn merge_case(keys: &[Key]) -> Vec<Outcome> {
    let mut outcomes: Vec<_> = keys.iter().map(merge_key).collect();
    let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        let name = key.name.trim_end_matches('.').to_ascii_lowercase();
        names.entry(name).or_default().push(at);
    }
    for group in names.values() {
        let of_name: Vec<_> = group.iter().map(|at| &keys[*at]).collect();
        let mut merged: Vec<_> = group.iter().map(|at| outcomes[*at].clone()).collect();
        merge_name(&of_name, &mut merged);
        for (at, outcome) in group.iter().zip(merged) {
            outcomes[*at] = outcome;
        }
    }
    outcomes
}

fn merge_name(keys: &[&Key], outcomes: &mut [Outcome]) {
    let twice = |at: usize| {
        keys.iter().enumerate().any(|(other, key)| {
            other != at && key.record_type == keys[at].record_type && *key != keys[at]
        })
    };
    for (at, outcome) in outcomes.iter_mut().enumerate() {
        if twice(at) {
            *outcome = Outcome::Escalated(Conflict::ListedTwice);
        }
    }
    if removed_whole(keys, |key| &key.ours.values, |key| &key.theirs.values)
        || removed_whole(keys, |key| &key.theirs.values, |key| &key.ours.values)
    {
        outcomes.fill(Outcome::Escalated(Conflict::DeleteAgainstEdit));
        return;
    }
    let kind_changed = changes_kind(keys);
    if !kind_changed && !mixes(keys, outcomes, true) {
        return;
    }
    match order_of_name(keys) {
        Some(later) => take_later(keys, outcomes, later),
        // What was exchanged is left to a person already; what else was settled must still go
        // together.
        None if kind_changed && !mixes(keys, outcomes, false) => {}
        None => outcomes.fill(Outcome::Escalated(Conflict::CnameBesideOthers)),
    }
}

/// Lets the later of one identity's two versions say which kind of name it is. What stands beside
/// that without harm stays.
fn take_later(keys: &[&Key], outcomes: &mut [Outcome], later: Later) {
    let is_cname = |key: &Key| key.record_type == "CNAME";
    let ends_as_cname = keys.iter().any(|key| is_cname(key) && !later.side(key).values.is_empty());
    for (key, outcome) in keys.iter().zip(outcomes) {
        let stands_in_the_way = ends_as_cname
            || is_cname(key)
            || *outcome == Outcome::Escalated(Conflict::DeleteAgainstEdit);
        if stands_in_the_way && *outcome != Outcome::Escalated(Conflict::ListedTwice) {
            let values = later.side(key).values.clone();
            *outcome = Outcome::Resolved(values, Rule::LaterOfOneIdentity);
        }
    }
}

/// Whether one side left nothing of what there was, while the other wrote something.
fn removed_whole(
    keys: &[&Key],
    remover: impl Fn(&Key) -> &Values,
    editor: impl Fn(&Key) -> &Values,
) -> bool {
    let had_any = keys.iter().any(|key| !key.base.is_empty());
    let left_nothing = keys.iter().all(|key| remover(key).is_empty());
    let edited = |key: &&&Key| !editor(key).is_empty() && *editor(key) != key.base;
    had_any && left_nothing && keys.iter().any(|key| edited(&key))
}

/// Whether what stands in the way is that one side exchanged a CNAME for other types or the other
/// way round, while the other side edited what was exchanged. That is an edit, not a deletion:
/// with the one, the other has to go.
fn changes_kind(keys: &[&Key]) -> bool {
    let exchanged = |key: &Key, side: fn(&Key) -> &Values| {
        let is_cname = key.record_type == "CNAME";
        let goes = !key.base.is_empty() && side(key).is_empty();
        let instead = |other: &&Key| {
            (other.record_type == "CNAME") != is_cname
                && other.base.is_empty()
                && !side(other).is_empty()
        };
        goes && keys.iter().any(instead)
    };
    keys.iter().any(|key| {
        merge_key(key) == Outcome::Escalated(Conflict::DeleteAgainstEdit)
            && (exchanged(key, |key| &key.ours.values) || exchanged(key, |key| &key.theirs.values))
    })
}

/// Whether the merge puts a CNAME beside other records where neither side did; with `or_open` also
/// where a person could.
fn mixes(keys: &[&Key], outcomes: &[Outcome], or_open: bool) -> bool {
    let stands = |at: usize| match &outcomes[at] {
        Outcome::Resolved(values, _) => !values.is_empty(),
        // Until a person decides, either version may come to stand.
        Outcome::Escalated(_) => or_open,
    };
    let together = |cname: &Key, other: &Key| {
        let in_side =
            |side: fn(&Key) -> &Values| !side(cname).is_empty() && !side(other).is_empty();
        in_side(|key| &key.ours.values) || in_side(|key| &key.theirs.values)
    };
    keys.iter().enumerate().any(|(at, cname)| {
        cname.record_type == "CNAME"
            && stands(at)
            && keys.iter().enumerate().any(|(other_at, other)| {
                other.record_type != "CNAME" && stands(other_at) && !together(cname, other)
            })
    })
}

/// Which side is later, if every key says the same.
fn order_of_name(keys: &[&Key]) -> Option<Later> {
    let first = keys.first()?.order_of_one_identity()?;
    let authors = &keys.first()?.ours.authors;
    keys.iter()
        .all(|key| key.order_of_one_identity() == Some(first) && key.ours.authors == *authors)
        .then_some(first)
}
