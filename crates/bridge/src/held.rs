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
    for (field, value) in shown(record.fields()) {
        match value {
            Err(code) => out.lose(code, &record.key.name, field, ""),
            Ok(value) if !format.holds(field) => {
                out.lose(LossCode::FieldNotHeld, &record.key.name, field, value);
            }
            Ok(_) => {}
        }
    }
    if !format.holds(FieldName::Sidecar) {
        for (name, value) in &record.sidecar {
            let value = format!("{name}={value}");
            out.lose(LossCode::SidecarNotHeld, &record.key.name, FieldName::Sidecar, value);
        }
    }
}

/// The fields that are set, as text for people; or why there is no value.
pub(crate) fn shown(fields: &Fields) -> Vec<(FieldName, Result<String, LossCode>)> {
    let mut shown = Vec::new();
    let mut add = |name, field: Result<Option<String>, LossCode>| match field {
        Ok(None) => {}
        Ok(Some(value)) => shown.push((name, Ok(value))),
        Err(code) => shown.push((name, Err(code))),
    };
    add(FieldName::Addresses, list(&fields.addresses));
    add(FieldName::Nicknames, list(&fields.nicknames));
    add(FieldName::Protocols, list(&fields.protocols));
    add(FieldName::Machine, one(&fields.machine, ToString::to_string));
    add(FieldName::System, one(&fields.system, ToString::to_string));
    add(FieldName::Status, one(&fields.status, ToString::to_string));
    add(FieldName::Hardware, one(&fields.hardware, ToString::to_string));
    add(FieldName::Ttl, one(&fields.ttl_seconds, ToString::to_string));
    add(FieldName::Changed, one(&fields.changed, moment));
    add(FieldName::Expires, one(&fields.expires, moment));
    add(FieldName::Remark, one(&fields.remark, ToString::to_string));
    add(FieldName::Others, list(&fields.others));
    shown
}

fn one<T>(field: &Field<T>, show: impl Fn(&T) -> String) -> Result<Option<String>, LossCode> {
    match field {
        Field::Unset => Ok(None),
        Field::Value(value) => Ok(Some(show(value))),
        Field::Unrepresentable(code) => Err(*code),
    }
}

fn list<T: Display>(field: &Field<Vec<T>>) -> Result<Option<String>, LossCode> {
    one(field, |elements| elements.iter().map(T::to_string).collect::<Vec<_>>().join(","))
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
