//! What encoders have in common: raw octets, and fields that the format has no place for.

use crate::codec::Format;
use crate::codes::LossCode;
use crate::item::{Item, Output};
use crate::record::{Field, FieldName, Fields, Kind, Moment, Record};
use std::fmt::Display;
use std::net::IpAddr;

/// Writes an item of the encoder's own format as it was read, or gives back the record that has
/// to be written anew. Anything else is declared.
pub(crate) fn pass_through(format: Format, item: Item, out: &mut Output) -> Option<Box<Record>> {
    match item {
        Item::Record(record) => match record.raw_for(format) {
            Some(octets) => {
                out.octets.extend_from_slice(octets);
                out.records_written += 1;
                None
            }
            None => Some(record),
        },
        Item::Quarantined(entry) if entry.format == format => {
            out.octets.extend_from_slice(entry.octets.octets());
            None
        }
        Item::Between(between) if between.format == format => {
            out.octets.extend_from_slice(between.octets.octets());
            None
        }
        other => {
            out.lose_foreign(&other);
            None
        }
    }
}

/// Declares the fields for which the format has no place.
pub(crate) fn declare_unheld(format: Format, record: &Record, out: &mut Output) {
    each_set(record.fields(), |field, code, text| match code {
        Some(code) => out.lose(code, &record.key.name, field, ""),
        None if !format.holds(field) => {
            out.lose(LossCode::FieldNotHeld, &record.key.name, field, text());
        }
        None => {}
    });
    if !format.holds(FieldName::Sidecar) {
        for (name, value) in &record.sidecar {
            let value = format!("{name}={value}");
            out.lose(LossCode::SidecarNotHeld, &record.key.name, FieldName::Sidecar, value);
        }
    }
}

/// Takes each field that is set: why it has no value, if it has none, and how to make it text for
/// people, which most callers never need.
fn each_set(
    fields: &Fields,
    mut take: impl FnMut(FieldName, Option<LossCode>, &dyn Fn() -> String),
) {
    fn show<T>(
        field: &Field<T>,
        name: FieldName,
        text: impl Fn(&T) -> String,
        take: &mut impl FnMut(FieldName, Option<LossCode>, &dyn Fn() -> String),
    ) {
        match field {
            Field::Unset => {}
            Field::Value(value) => take(name, None, &|| text(value)),
            Field::Unrepresentable(code) => take(name, Some(*code), &String::new),
        }
    }
    fn joined<T: Display>(elements: &[T]) -> String {
        elements.iter().map(T::to_string).collect::<Vec<_>>().join(",")
    }
    let take = &mut take;
    show(&fields.addresses, FieldName::Addresses, |elements| joined(elements), take);
    show(&fields.nicknames, FieldName::Nicknames, |elements| joined(elements), take);
    show(&fields.protocols, FieldName::Protocols, |elements| joined(elements), take);
    show(&fields.machine, FieldName::Machine, ToString::to_string, take);
    show(&fields.system, FieldName::System, ToString::to_string, take);
    show(&fields.status, FieldName::Status, ToString::to_string, take);
    show(&fields.hardware, FieldName::Hardware, ToString::to_string, take);
    show(&fields.ttl_seconds, FieldName::Ttl, ToString::to_string, take);
    show(&fields.changed, FieldName::Changed, moment, take);
    show(&fields.expires, FieldName::Expires, moment, take);
    show(&fields.remark, FieldName::Remark, ToString::to_string, take);
    show(&fields.others, FieldName::Others, |elements| joined(elements), take);
}

/// The fields that are set, as text for people; or why there is no value.
pub(crate) fn shown(fields: &Fields) -> Vec<(FieldName, Result<String, LossCode>)> {
    let mut shown = Vec::new();
    each_set(fields, |field, code, text| {
        shown.push((field, code.map_or_else(|| Ok(text()), Err)));
    });
    shown
}

/// Declares the fields whose values could not be read.
pub(crate) fn declare_unrepresentable(record: &Record, out: &mut Output) {
    each_set(record.fields(), |field, code, _| {
        if let Some(code) = code {
            out.lose(code, &record.key.name, field, "");
        }
    });
}

/// A point in time as text.
pub(crate) fn moment(moment: &Moment) -> String {
    match moment {
        Moment::Never => "never".to_owned(),
        Moment::At(seconds) => jiff::Timestamp::from_second(*seconds)
            .map_or_else(|_| format!("@{seconds}"), |time| time.to_string()),
    }
}

/// Binding states of leases under which nobody has the address (dhcpd.leases(5)).
const NOT_ACTIVE: [&str; 7] =
    ["free", "expired", "released", "abandoned", "reset", "backup", "bootp"];

/// Whether somebody has the address of a lease; true for everything that is no lease.
pub(crate) fn is_active(fields: &Fields) -> bool {
    let status = fields.status.value();
    !status.is_some_and(|s| NOT_ACTIVE.iter().any(|state| s.octets() == state.as_bytes()))
}

/// Whether the record is a host that a list of hosts can have; if not, that is declared. A gateway
/// becomes a host, and that is declared too, except where the format knows gateways.
pub(crate) fn is_host(format: Format, record: &Record, out: &mut Output) -> bool {
    let name = &record.key.name;
    if !is_active(record.fields()) {
        out.lose(LossCode::NotActive, name, FieldName::Status, record_address(record));
        return false;
    }
    if is_address(name.octets()) {
        out.lose(LossCode::NameNotHeld, name, FieldName::Name, name);
        return false;
    }
    match record.key.kind {
        Kind::Host => {}
        _ if format == Format::HostsTxt => {}
        Kind::Gateway if format == Format::Rfc606 => {}
        Kind::Gateway => out.lose(LossCode::ValueNotHeld, name, FieldName::Name, "GATEWAY"),
        kind @ (Kind::Net | Kind::Domain) => {
            out.lose(LossCode::KindNotHeld, name, FieldName::Name, kind.keyword());
            return false;
        }
    }
    true
}

/// Whether a name is an address in truth, as that of a lease without a name.
pub(crate) fn is_address(name: &[u8]) -> bool {
    let parsed = std::str::from_utf8(name).ok().and_then(|name| name.parse::<IpAddr>().ok());
    parsed.is_some()
}

fn record_address(record: &Record) -> String {
    record.fields().addresses.elements().first().map(ToString::to_string).unwrap_or_default()
}
