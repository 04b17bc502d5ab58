//! The merge of the fields of one record.

use super::{Conflict, Owner, Policy};
use crate::record::{Field, FieldName, Fields};
use crate::text::Text;

/// One field of three sides.
struct Three<'f, T> {
    name: FieldName,
    base: &'f Field<T>,
    ours: &'f Field<T>,
    theirs: &'f Field<T>,
}

/// How a field came out.
enum Merged<T> {
    Ours,
    Theirs,
    Both(T),
    Conflict(Conflict),
}

/// Merges all fields. Where `base` has no such record, an addition by both sides must be the same.
///
/// # Errors
/// The first conflict.
pub(super) fn merge(
    base: Option<&Fields>,
    ours: &Fields,
    theirs: &Fields,
    policy: &Policy,
) -> Result<Fields, Conflict> {
    if base.is_none() {
        return added_twice(ours, theirs, policy);
    }
    let none = Fields::default();
    let base = base.unwrap_or(&none);
    let mut merged = ours.clone();
    macro_rules! merge_fields {
        ($($kind:ident $field:ident $name:ident,)*) => {
            $(
                let three = Three {
                    name: FieldName::$name,
                    base: &base.$field,
                    ours: &ours.$field,
                    theirs: &theirs.$field,
                };
                match $kind(&three, policy) {
                    Merged::Ours => {}
                    Merged::Theirs => merged.$field = theirs.$field.clone(),
                    Merged::Both(value) => merged.$field = value,
                    Merged::Conflict(conflict) => return Err(conflict),
                }
            )*
        };
    }
    merge_fields! {
        set addresses Addresses,
        set nicknames Nicknames,
        set protocols Protocols,
        scalar machine Machine,
        scalar system System,
        scalar status Status,
        scalar hardware Hardware,
        scalar ttl_seconds Ttl,
        scalar changed Changed,
        scalar expires Expires,
        scalar remark Remark,
        set others Others,
    }
    Ok(merged)
}

/// What both sides added; what the source's format cannot hold comes from ours.
fn added_twice(ours: &Fields, theirs: &Fields, policy: &Policy) -> Result<Fields, Conflict> {
    macro_rules! compare {
        ($($field:ident $name:ident,)*) => {
            $(
                let name = FieldName::$name;
                if policy.format.holds(name)
                    && !matches!(theirs.$field, Field::Unrepresentable(_))
                    && ours.$field != theirs.$field
                {
                    return Err(Conflict::AddedTwice(name));
                }
            )*
        };
    }
    compare! {
        addresses Addresses, nicknames Nicknames, protocols Protocols, machine Machine,
        system System, status Status, hardware Hardware, ttl_seconds Ttl, changed Changed,
        expires Expires, remark Remark, others Others,
    }
    Ok(ours.clone())
}

/// Whether what the source says is the same as in `base`, as far as its format can hold it.
pub(super) fn unchanged(base: &Fields, side: &Fields, policy: &Policy) -> bool {
    if base == side {
        return true;
    }
    macro_rules! same {
        ($($field:ident $name:ident,)*) => {
            $((!policy.format.holds(FieldName::$name)
                || matches!(side.$field, Field::Unrepresentable(_))
                || base.$field == side.$field))&&*
        };
    }
    same! {
        addresses Addresses, nicknames Nicknames, protocols Protocols, machine Machine,
        system System, status Status, hardware Hardware, ttl_seconds Ttl, changed Changed,
        expires Expires, remark Remark, others Others,
    }
}

/// Cases that do not need to look into the value.
fn simple<T: PartialEq>(three: &Three<'_, T>, policy: &Policy) -> Option<Merged<Field<T>>> {
    let not_theirs = matches!(three.theirs, Field::Unrepresentable(_));
    if not_theirs || !policy.format.holds(three.name) || three.theirs == three.ours {
        return Some(Merged::Ours);
    }
    let (we_changed, they_changed) = (three.ours != three.base, three.theirs != three.base);
    let violated = match policy.owner(three.name) {
        Owner::Legacy => we_changed,
        Owner::Cluster => they_changed,
        Owner::Shared => false,
    };
    if violated {
        return Some(Merged::Conflict(Conflict::NotOwner(three.name)));
    }
    match (we_changed, they_changed) {
        (_, false) => Some(Merged::Ours),
        (false, true) => Some(Merged::Theirs),
        (true, true) => None,
    }
}

fn scalar<T: PartialEq>(three: &Three<'_, T>, policy: &Policy) -> Merged<Field<T>> {
    simple(three, policy).unwrap_or(Merged::Conflict(Conflict::BothChanged(three.name)))
}

/// Adds and removes of both sides, element by element; ours' order comes first.
fn set<T: PartialEq + Clone>(three: &Three<'_, Vec<T>>, policy: &Policy) -> Merged<Field<Vec<T>>> {
    if let Some(merged) = simple(three, policy) {
        return merged;
    }
    if matches!(three.ours, Field::Unrepresentable(_)) {
        return Merged::Conflict(Conflict::BothChanged(three.name));
    }
    let (base, ours, theirs) =
        (three.base.elements(), three.ours.elements(), three.theirs.elements());
    let kept = ours.iter().filter(|one| theirs.contains(one) || !base.contains(one));
    let mut merged: Vec<T> = kept.cloned().collect();
    for added in theirs.iter().filter(|one| !base.contains(one)) {
        if !merged.contains(added) {
            merged.push(added.clone());
        }
    }
    Merged::Both(Field::list(merged))
}

/// What a change in a delta file makes of the base: unset is no change, `-` clears.
pub(super) fn after_delta(base: &Fields, change: &Fields) -> Fields {
    let is_clear = |text: &Text| text.octets() == b"-";
    let text = |base: &Field<Text>, change: &Field<Text>| match change {
        Field::Unset => base.clone(),
        Field::Value(text) if is_clear(text) => Field::Unset,
        other => other.clone(),
    };
    let texts = |base: &Field<Vec<Text>>, change: &Field<Vec<Text>>| match change {
        Field::Unset => base.clone(),
        Field::Value(texts) if texts.len() == 1 && is_clear(&texts[0]) => Field::Unset,
        other => other.clone(),
    };
    fn other<T: Clone>(base: &Field<T>, change: &Field<T>) -> Field<T> {
        if change.is_unset() { base.clone() } else { change.clone() }
    }
    Fields {
        addresses: other(&base.addresses, &change.addresses),
        nicknames: texts(&base.nicknames, &change.nicknames),
        protocols: texts(&base.protocols, &change.protocols),
        machine: text(&base.machine, &change.machine),
        system: text(&base.system, &change.system),
        status: text(&base.status, &change.status),
        hardware: text(&base.hardware, &change.hardware),
        ttl_seconds: other(&base.ttl_seconds, &change.ttl_seconds),
        changed: other(&base.changed, &change.changed),
        expires: other(&base.expires, &change.expires),
        remark: text(&base.remark, &change.remark),
        others: texts(&base.others, &change.others),
    }
}
