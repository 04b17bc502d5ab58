//! One detail record ↔ what it says of its host.

use super::cell::{Cell, Fault, decimal};
use super::form::{Said, Value};
use super::plan::{Mapped, Plan};
use crate::codes::{FaultCode, LossCode};
use crate::record::{Field, FieldName, Fields, Moment};
use crate::text::Text;

/// Names of sidecar entries.
pub(crate) mod sidecar {
    /// Octets that no field of hosts covers, in hexadecimal digits.
    pub(crate) const REST: &str = "rest";
    /// The number that stays with the host.
    pub(crate) const NUMBER: &str = "number";
    /// How often the record has changed.
    pub(crate) const REVISION: &str = "revision";
    /// What a card does: `A`, `C` or `D`.
    pub(crate) const ACTION: &str = "action";
    /// Fields that a card clears, separated by commas.
    pub(crate) const CLEAR: &str = "clear";
    /// The revision that a card was made from.
    pub(crate) const BASE_REVISION: &str = "base-revision";
    /// All of them.
    pub(crate) const ALL: [&str; 6] = [REST, NUMBER, REVISION, ACTION, CLEAR, BASE_REVISION];
}

/// What clears a field on a card.
const CLEARS: &str = "-";

/// What a record says of its host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Host {
    pub(crate) name: Option<Text>,
    pub(crate) fields: Fields,
    pub(crate) sidecar: Vec<(Text, Text)>,
}

impl Host {
    /// A part that only records like this have.
    pub(crate) fn side(sidecar: &[(Text, Text)], name: &str) -> Option<String> {
        side(sidecar, name).map(Text::to_string)
    }
}

fn side<'s>(sidecar: &'s [(Text, Text)], name: &str) -> Option<&'s Text> {
    let entry = sidecar.iter().find(|(other, _)| other.octets() == name.as_bytes());
    entry.map(|(_, value)| value)
}

/// What a detail says.
pub(crate) fn read(plan: &Plan, body: &[u8]) -> Result<Host, Fault> {
    let mut host = Host::default();
    let (mut name, mut sidecar) = (Text::default(), Vec::new());
    read_into(plan, body, (&mut name, &mut host.fields, &mut sidecar))?;
    host.name = (!name.is_empty()).then_some(name);
    host.sidecar = sidecar;
    Ok(host)
}

/// Reads what a detail says to where it is wanted; the name is empty if the detail has none.
pub(crate) fn read_into(
    plan: &Plan,
    body: &[u8],
    (name, fields, sidecar): (&mut Text, &mut Fields, &mut Vec<(Text, Text)>),
) -> Result<(), Fault> {
    let cleared = read_fields(plan, body, name, fields)?;
    read_sidecar(plan, body, &cleared, sidecar)
}

/// Reads name and fields; gives the fields that a card clears.
fn read_fields(
    plan: &Plan,
    body: &[u8],
    name: &mut Text,
    fields: &mut Fields,
) -> Result<Vec<&'static str>, Fault> {
    let mut cleared = Vec::new();
    for mapped in &plan.fields {
        if plan.cards.is_some() && mapped.host != FieldName::Name && is_clear(mapped, body)? {
            cleared.push(mapped.host.name());
            continue;
        }
        for cell in &mapped.cells {
            // Blank on a card is no change, whatever the field holds.
            if plan.cards.is_some() && cell.is_filled(body, plan.space) {
                continue;
            }
            if let Some(value) = mapped.coded.read(cell, body, &plan.calendar)? {
                store(name, fields, mapped.host, value);
            }
        }
    }
    Ok(cleared)
}

/// Reads the parts that only records like this have into `sidecar`, which is empty; false where
/// they cannot be read.
pub(crate) fn read_sidecar_alone(
    plan: &Plan,
    body: &[u8],
    sidecar: &mut Vec<(Text, Text)>,
) -> bool {
    if plan.cards.is_some() {
        // What cards clear is known only with their fields.
        let (mut name, mut fields) = (Text::default(), Fields::default());
        return read_into(plan, body, (&mut name, &mut fields, sidecar)).is_ok();
    }
    read_sidecar(plan, body, &[], sidecar).is_ok()
}

fn read_sidecar(
    plan: &Plan,
    body: &[u8],
    cleared: &[&str],
    sidecar: &mut Vec<(Text, Text)>,
) -> Result<(), Fault> {
    let mut put = |name: &str, value: Text| sidecar.push((name.into(), value));
    for (name, cell) in [(sidecar::NUMBER, &plan.number), (sidecar::REVISION, &plan.revision)] {
        if let Some(cell) = cell {
            put(name, decimal(cell.number(body)?));
        }
    }
    if let Some(cards) = &plan.cards {
        let action = cards.action.text(body)?;
        if !matches!(action.octets(), b"A" | b"C" | b"D") {
            let reason = format!("{:?} is no action: there are A, C and D", action.to_string());
            return Err(cards.action.fault(FaultCode::BadRecord, 0, reason));
        }
        put(sidecar::ACTION, action);
        if let Some(cell) = &cards.base_revision
            && !cell.is_filled(body, plan.space)
        {
            put(sidecar::BASE_REVISION, decimal(cell.number(body)?));
        }
        if !cleared.is_empty() {
            put(sidecar::CLEAR, cleared.join(",").into());
        }
    }
    let mut rest = ranges(plan, body.len());
    if rest.any(|(start, end)| body[start..end] != plan.detail.template[start..end]) {
        let mut digits = String::new();
        for (start, end) in ranges(plan, body.len()) {
            for octet in &body[start..end] {
                digits.push_str(&format!("{octet:02x}"));
            }
        }
        put(sidecar::REST, digits.into());
    }
    Ok(())
}

/// The octets that no field covers, in a record of this length.
fn ranges(plan: &Plan, length: usize) -> impl Iterator<Item = (usize, usize)> {
    let clamp = move |(start, end): &(usize, usize)| (*start.min(&length), *end.min(&length));
    plan.rest.iter().map(clamp)
}

/// Whether a card clears a field.
fn is_clear(mapped: &Mapped, body: &[u8]) -> Result<bool, Fault> {
    let Some(cell) = mapped.cells.first() else { return Ok(false) };
    let page = cell.coding.page;
    let Some([first, rest @ ..]) = cell.octets(body) else { return Ok(false) };
    Ok(page.character(*first) == '-' && rest.iter().all(|octet| *octet == page.space()))
}

/// Puts a value where it belongs: into a list, or where nothing is yet.
fn store(name: &mut Text, fields: &mut Fields, field: FieldName, value: Value) {
    fn push<T>(list: &mut Field<Vec<T>>, element: T) {
        match list {
            Field::Value(elements) => elements.push(element),
            _ => *list = Field::Value(vec![element]),
        }
    }
    fn set<T>(place: &mut Field<T>, value: T) {
        if place.is_unset() {
            *place = Field::Value(value);
        }
    }
    match (field, value) {
        (FieldName::Addresses, Value::Address(address)) => push(&mut fields.addresses, address),
        (FieldName::Nicknames, Value::Text(text)) => push(&mut fields.nicknames, text),
        (FieldName::Protocols, Value::Text(text)) => push(&mut fields.protocols, text),
        (FieldName::Others, Value::Text(text)) => push(&mut fields.others, text),
        (FieldName::Changed, Value::Moment(moment)) => set(&mut fields.changed, moment),
        (FieldName::Expires, Value::Moment(moment)) => set(&mut fields.expires, moment),
        (FieldName::Ttl, Value::Number(seconds)) => set(&mut fields.ttl_seconds, seconds),
        (FieldName::Name, Value::Text(text)) => *name = text,
        (FieldName::Machine, Value::Text(text)) => set(&mut fields.machine, text),
        (FieldName::System, Value::Text(text)) => set(&mut fields.system, text),
        (FieldName::Status, Value::Text(text)) => set(&mut fields.status, text),
        (FieldName::Hardware, Value::Text(text)) => set(&mut fields.hardware, text),
        (FieldName::Remark, Value::Text(text)) => set(&mut fields.remark, text),
        // The plan lets no other forms be in these fields.
        _ => {}
    }
}

/// One value of a field; those of lists are numbered from 0.
fn value<'h>(name: &'h Text, fields: &'h Fields, field: FieldName, at: usize) -> Option<Said<'h>> {
    let text = |field: &'h Field<Text>| field.value().map(Said::Text);
    let texts = |field: &'h Field<Vec<Text>>| field.elements().get(at).map(Said::Text);
    match field {
        FieldName::Addresses => fields.addresses.elements().get(at).map(Said::Address),
        FieldName::Nicknames => texts(&fields.nicknames),
        FieldName::Protocols => texts(&fields.protocols),
        FieldName::Others => texts(&fields.others),
        _ if at > 0 => None,
        FieldName::Name => Some(Said::Text(name)),
        FieldName::Machine => text(&fields.machine),
        FieldName::System => text(&fields.system),
        FieldName::Status => text(&fields.status),
        FieldName::Hardware => text(&fields.hardware),
        FieldName::Remark => text(&fields.remark),
        FieldName::Ttl => fields.ttl_seconds.value().copied().map(Said::Number),
        FieldName::Changed => fields.changed.value().copied().map(Said::Moment),
        FieldName::Expires => fields.expires.value().copied().map(Said::Moment),
        FieldName::Sidecar => None,
    }
}

/// The values of a field, in order.
fn values<'h>(
    name: &'h Text,
    fields: &'h Fields,
    field: FieldName,
) -> impl Iterator<Item = Said<'h>> {
    (0..).map_while(move |at| value(name, fields, field, at))
}

/// Something of a host that its record does not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) code: LossCode,
    pub(crate) field: FieldName,
    pub(crate) value: String,
}

/// The record that says all that it can of a host, and what it cannot say.
pub(crate) fn write(
    plan: &Plan,
    name: &Text,
    fields: &Fields,
    sidecar: &[(Text, Text)],
) -> (Vec<u8>, Vec<Missing>) {
    let mut body = plan.detail.template.clone();
    let mut missing = Vec::new();
    put_rest(plan, &mut body, sidecar);
    for (name, cell) in [(sidecar::NUMBER, &plan.number), (sidecar::REVISION, &plan.revision)] {
        if let (Some(cell), Some(value)) = (cell, side(sidecar, name)) {
            put_number(cell, &mut body, value, &mut missing);
        }
    }
    let cleared = side(sidecar, sidecar::CLEAR).map(Text::lossy).unwrap_or_default();
    let is_card = plan.cards.is_some();
    let mut filled = 0;
    for field in FieldName::ALL {
        let cells = plan.fields.iter().filter(|mapped| mapped.host == field);
        let mut cells =
            cells.flat_map(|mapped| mapped.cells.iter().map(move |cell| (mapped, cell)));
        if is_card && cleared.split(',').any(|cleared| cleared == field.name()) {
            if let (Some((_, cell)), Ok(dash)) = (cells.next(), plan_page(plan).encode(CLEARS)) {
                cells.for_each(|(_, cell)| cell.fill(&mut body, plan.space));
                cell.set_octets(&mut body, &dash);
            }
            continue;
        }
        for value in values(name, fields, field) {
            // A value that cannot be here leaves its place to the next.
            let lost = match cells.next() {
                None if plan.fields.iter().any(|mapped| mapped.host == field) => {
                    Some(LossCode::ValueNotHeld)
                }
                None => Some(LossCode::FieldNotHeld),
                Some((mapped, cell)) => {
                    let written = mapped.coded.write(cell, &mut body, Some(value), &plan.calendar);
                    if !matches!(written, Err(code) if code != LossCode::Truncated) {
                        filled = filled.max(cell.offset + cell.length);
                    }
                    written.err().inspect(|code| {
                        if *code != LossCode::Truncated {
                            // Writing nothing always succeeds.
                            let _ = mapped.coded.write(cell, &mut body, None, &plan.calendar);
                        }
                    })
                }
            };
            missing.extend(lost.map(|code| Missing { code, field, value: said(value) }));
        }
        for (mapped, cell) in cells {
            if is_card {
                cell.fill(&mut body, plan.space);
            } else {
                // As above.
                let _ = mapped.coded.write(cell, &mut body, None, &plan.calendar);
            }
        }
    }
    finish_card(plan, &mut body, sidecar, &mut missing);
    shorten(plan, &mut body, filled, sidecar);
    check(plan, &body, name, fields, &mut missing);
    (body, missing)
}

fn plan_page(plan: &Plan) -> crate::ebcdic::CodePage {
    plan.fields[0].cells[0].coding.page
}

fn said(value: Said<'_>) -> String {
    match value {
        Said::Text(text) => text.to_string(),
        Said::Address(address) => address.to_string(),
        Said::Number(number) => number.to_string(),
        Said::Moment(Moment::Never) => "never".to_owned(),
        Said::Moment(Moment::At(seconds)) => seconds.to_string(),
    }
}

fn put_rest(plan: &Plan, body: &mut [u8], sidecar: &[(Text, Text)]) {
    let Some(digits) = side(sidecar, sidecar::REST) else { return };
    let mut octets = digits
        .octets()
        .chunks_exact(2)
        .map_while(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    for (start, end) in ranges(plan, body.len()) {
        for place in &mut body[start..end] {
            match octets.next() {
                Some(octet) => *place = octet,
                None => return,
            }
        }
    }
}

fn put_number(cell: &Cell, body: &mut [u8], value: &Text, missing: &mut Vec<Missing>) {
    // Few numbers have more than 64 bits, and reading such is slow.
    let read = |text: &str| text.parse().map(i64::into).or_else(|_| text.parse::<i128>()).ok();
    let number = std::str::from_utf8(value.octets()).ok().and_then(read);
    if number.is_none_or(|number| cell.set_number(body, number).is_err()) {
        let value = format!("{} {value}", cell.name);
        missing.push(Missing { code: LossCode::ValueNotHeld, field: FieldName::Sidecar, value });
    }
}

/// Writes what only cards have.
fn finish_card(plan: &Plan, body: &mut [u8], sidecar: &[(Text, Text)], missing: &mut Vec<Missing>) {
    let Some(cards) = &plan.cards else { return };
    let action = Host::side(sidecar, sidecar::ACTION).unwrap_or_else(|| "A".to_owned());
    let action = plan_page(plan).encode(&action).unwrap_or_default();
    cards.action.set_octets(body, &action);
    if let Some(cell) = &cards.base_revision {
        match side(sidecar, sidecar::BASE_REVISION) {
            Some(value) => put_number(cell, body, value, missing),
            None => cell.fill(body, plan.space),
        }
    }
}

/// Cuts a table of variable length behind its last element that says something.
fn shorten(plan: &Plan, body: &mut Vec<u8>, filled: usize, sidecar: &[(Text, Text)]) {
    let Some(table) = &plan.detail.table else { return };
    let rest_octets = side(sidecar, sidecar::REST).map_or(0, |rest| rest.octets().len() / 2);
    let holds = |elements: usize| {
        let length = table.start + elements * table.stride;
        let covered: usize = ranges(plan, length).map(|(start, end)| end - start).sum();
        length >= filled && covered >= rest_octets
    };
    let (min, max) = table.count;
    let elements = (min..max).find(|elements| holds(*elements)).unwrap_or(max);
    body.truncate(table.start + elements * table.stride);
    // The plan saw that the largest count fits.
    table.count_cell.set_number(body, elements as i128).unwrap_or_default();
}

/// Reads what was written, and declares what differs and was not declared yet.
fn check(plan: &Plan, body: &[u8], name: &Text, fields: &Fields, missing: &mut Vec<Missing>) {
    let (mut read_name, mut read) = (Text::default(), Fields::default());
    if let Err(fault) = read_fields(plan, body, &mut read_name, &mut read) {
        let value = format!("{}: {}", fault.field, fault.reason);
        let field = FieldName::Name;
        return missing.push(Missing { code: LossCode::NameNotHeld, field, value });
    }
    if read_name == *name && read == *fields {
        return;
    }
    for field in FieldName::ALL {
        let declared = missing.iter().any(|missing| missing.field == field);
        if declared || values(name, fields, field).eq(values(&read_name, &read, field)) {
            continue;
        }
        let code = match field {
            FieldName::Name => LossCode::NameNotHeld,
            _ => LossCode::ValueNotHeld,
        };
        let value: Vec<String> = values(name, fields, field).map(said).collect();
        let value = if value.is_empty() { "not set".to_owned() } else { value.join(", ") };
        missing.push(Missing { code, field, value });
    }
}
