//! One detail record ↔ what it says of its host.

use super::cell::{Cell, Fault};
use super::form::Value;
use super::plan::{Mapped, Plan};
use crate::codes::{FaultCode, LossCode};
use crate::record::{Address, Field, FieldName, Fields, Moment};
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
        let entry = sidecar.iter().find(|(other, _)| other.octets() == name.as_bytes());
        entry.map(|(_, value)| value.to_string())
    }

    fn put(&mut self, name: &str, value: impl ToString) {
        self.sidecar.push((name.into(), value.to_string().into()));
    }
}

/// What a detail says.
pub(crate) fn read(plan: &Plan, body: &[u8]) -> Result<Host, Fault> {
    let mut host = Host::default();
    let mut cleared = Vec::new();
    for mapped in &plan.fields {
        let mut values = Vec::new();
        if plan.cards.is_some() && mapped.host != FieldName::Name && is_clear(mapped, body)? {
            cleared.push(mapped.host.name());
            continue;
        }
        for cell in &mapped.cells {
            // Blank on a card is no change, whatever the field holds.
            if plan.cards.is_some() && cell.is_filled(body, plan.space) {
                continue;
            }
            values.extend(mapped.coded.read(cell, body, &plan.calendar)?);
        }
        store(&mut host, mapped.host, values);
    }
    for (name, cell) in [(sidecar::NUMBER, &plan.number), (sidecar::REVISION, &plan.revision)] {
        if let Some(cell) = cell {
            host.put(name, cell.number(body)?);
        }
    }
    if let Some(cards) = &plan.cards {
        let action = cards.action.text(body)?;
        if !matches!(&action[..], "A" | "C" | "D") {
            let reason = format!("{action:?} is no action: there are A, C and D");
            return Err(cards.action.fault(FaultCode::BadRecord, 0, reason));
        }
        host.put(sidecar::ACTION, action);
        if let Some(cell) = &cards.base_revision
            && !cell.is_filled(body, plan.space)
        {
            host.put(sidecar::BASE_REVISION, cell.number(body)?);
        }
        if !cleared.is_empty() {
            host.put(sidecar::CLEAR, cleared.join(","));
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
        host.put(sidecar::REST, digits);
    }
    Ok(host)
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

/// Puts values where they belong; a field that is mapped twice takes the values of both.
fn store(host: &mut Host, field: FieldName, values: Vec<Value>) {
    fn extend<T>(list: &mut Field<Vec<T>>, more: impl IntoIterator<Item = T>) {
        let mut elements = match std::mem::take(list) {
            Field::Value(elements) => elements,
            _ => Vec::new(),
        };
        elements.extend(more);
        *list = Field::list(elements);
    }
    let texts = |values: Vec<Value>| {
        values.into_iter().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })
    };
    let moment = |values: &[Value]| match values.first() {
        Some(Value::Moment(moment)) => Field::Value(*moment),
        _ => Field::Unset,
    };
    let fields = &mut host.fields;
    let text = match field {
        FieldName::Addresses => {
            let addresses = values.into_iter().filter_map(|value| match value {
                Value::Address(address) => Some(address),
                _ => None,
            });
            return extend(&mut fields.addresses, addresses);
        }
        FieldName::Nicknames => return extend(&mut fields.nicknames, texts(values)),
        FieldName::Protocols => return extend(&mut fields.protocols, texts(values)),
        FieldName::Others => return extend(&mut fields.others, texts(values)),
        FieldName::Changed => return fields.changed = moment(&values),
        FieldName::Expires => return fields.expires = moment(&values),
        FieldName::Ttl => {
            if let Some(Value::Number(seconds)) = values.first() {
                fields.ttl_seconds = Field::Value(*seconds);
            }
            return;
        }
        FieldName::Name => return host.name = texts(values).next(),
        FieldName::Sidecar => return,
        FieldName::Machine => &mut fields.machine,
        FieldName::System => &mut fields.system,
        FieldName::Status => &mut fields.status,
        FieldName::Hardware => &mut fields.hardware,
        FieldName::Remark => &mut fields.remark,
    };
    *text = texts(values).next().map_or(Field::Unset, Field::Value);
}

/// The values of a field, in order.
fn values(name: &Text, fields: &Fields, field: FieldName) -> Vec<Value> {
    fn list<T: Clone>(field: &Field<Vec<T>>, make: fn(T) -> Value) -> Vec<Value> {
        field.elements().iter().cloned().map(make).collect()
    }
    fn one<T: Clone>(field: &Field<T>, make: fn(T) -> Value) -> Vec<Value> {
        field.value().cloned().map(make).into_iter().collect()
    }
    match field {
        FieldName::Name => vec![Value::Text(name.clone())],
        FieldName::Addresses => list::<Address>(&fields.addresses, Value::Address),
        FieldName::Nicknames => list(&fields.nicknames, Value::Text),
        FieldName::Protocols => list(&fields.protocols, Value::Text),
        FieldName::Others => list(&fields.others, Value::Text),
        FieldName::Machine => one(&fields.machine, Value::Text),
        FieldName::System => one(&fields.system, Value::Text),
        FieldName::Status => one(&fields.status, Value::Text),
        FieldName::Hardware => one(&fields.hardware, Value::Text),
        FieldName::Remark => one(&fields.remark, Value::Text),
        FieldName::Ttl => one(&fields.ttl_seconds, Value::Number),
        FieldName::Changed => one::<Moment>(&fields.changed, Value::Moment),
        FieldName::Expires => one::<Moment>(&fields.expires, Value::Moment),
        FieldName::Sidecar => Vec::new(),
    }
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
        if let (Some(cell), Some(value)) = (cell, Host::side(sidecar, name)) {
            put_number(cell, &mut body, &value, &mut missing);
        }
    }
    let cleared = Host::side(sidecar, sidecar::CLEAR).unwrap_or_default();
    let is_card = plan.cards.is_some();
    let mut filled = 0;
    for field in FieldName::ALL {
        let values = values(name, fields, field);
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
        for value in &values {
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

fn said(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Address(address) => address.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Moment(Moment::Never) => "never".to_owned(),
        Value::Moment(Moment::At(seconds)) => seconds.to_string(),
    }
}

fn put_rest(plan: &Plan, body: &mut [u8], sidecar: &[(Text, Text)]) {
    let digits = Host::side(sidecar, sidecar::REST).unwrap_or_default();
    let mut octets = digits
        .as_bytes()
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

fn put_number(cell: &Cell, body: &mut [u8], value: &str, missing: &mut Vec<Missing>) {
    let number = value.parse::<i128>();
    if number.is_err() || number.is_ok_and(|number| cell.set_number(body, number).is_err()) {
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
        match Host::side(sidecar, sidecar::BASE_REVISION) {
            Some(value) => put_number(cell, body, &value, missing),
            None => cell.fill(body, plan.space),
        }
    }
}

/// Cuts a table of variable length behind its last element that says something.
fn shorten(plan: &Plan, body: &mut Vec<u8>, filled: usize, sidecar: &[(Text, Text)]) {
    let Some(table) = &plan.detail.table else { return };
    let rest_octets = Host::side(sidecar, sidecar::REST).map_or(0, |rest| rest.len() / 2);
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
    let read = match read(plan, body) {
        Ok(read) => read,
        Err(fault) => {
            let value = format!("{}: {}", fault.field, fault.reason);
            let field = FieldName::Name;
            return missing.push(Missing { code: LossCode::NameNotHeld, field, value });
        }
    };
    let read_name = read.name.unwrap_or_default();
    for field in FieldName::ALL {
        let wanted = values(name, fields, field);
        let declared = missing.iter().any(|missing| missing.field == field);
        if declared || wanted == values(&read_name, &read.fields, field) {
            continue;
        }
        let code = match field {
            FieldName::Name => LossCode::NameNotHeld,
            _ => LossCode::ValueNotHeld,
        };
        let value: Vec<String> = wanted.iter().map(said).collect();
        let value = if value.is_empty() { "not set".to_owned() } else { value.join(", ") };
        missing.push(Missing { code, field, value });
    }
}
