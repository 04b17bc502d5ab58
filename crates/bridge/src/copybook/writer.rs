//! Writes a file of records. It holds all of them until the end: they are sorted and counted, and
//! names that would collide are known only then.

use super::cell::Cell;
use super::host::{self, Host, sidecar};
use super::numeric::Overflow;
use super::plan::{Part, Plan};
use super::reader::{Class, classify, padded};
use super::tally::Tally;
use crate::codec::{Encode, Format, Refusal};
use crate::codes::LossCode;
use crate::held::declare_unrepresentable;
use crate::item::{Item, Output};
use crate::record::{FieldName, Kind, Record};
use crate::text::Text;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// An encoder.
pub(super) struct Writer {
    plan: Plan,
    rows: Vec<Row>,
    header: Option<Octets>,
    trailer: Option<Octets>,
    /// For sidecars that are only compared.
    scratch: Vec<(Text, Text)>,
}

/// Header and trailer to be written.
struct Ends {
    header: Option<Vec<u8>>,
    trailer: Option<Vec<u8>>,
}

/// The octets of a record.
enum Octets {
    /// As they were read, with their frame, while they say the same.
    Read { whole: Text, body: Range<usize> },
    /// The same, of a line without the spaces at its end.
    Padded { whole: Text, body: Vec<u8> },
    /// Without a frame.
    New(Vec<u8>),
}

impl Octets {
    /// Octets of a file, if they are one record of this layout.
    fn read(plan: &Plan, whole: Text) -> Option<Octets> {
        let frame = plan.framing.next(whole.octets(), plan.detail.length).ok()??;
        let body = whole.octets().get(frame.body.clone())?;
        if frame.length != whole.octets().len() {
            return None;
        }
        let padded = match padded(plan, body) {
            Cow::Borrowed(_) => None,
            Cow::Owned(body) => Some(body),
        };
        Some(match padded {
            None => Octets::Read { whole, body: frame.body },
            Some(body) => Octets::Padded { whole, body },
        })
    }

    /// The record without its frame.
    fn body(&self) -> &[u8] {
        match self {
            Octets::Read { whole, body } => &whole.octets()[body.clone()],
            Octets::Padded { body, .. } | Octets::New(body) => body,
        }
    }

    /// As they were read.
    fn whole(&self) -> Option<&Text> {
        match self {
            Octets::Read { whole, .. } | Octets::Padded { whole, .. } => Some(whole),
            Octets::New(_) => None,
        }
    }

    /// Puts a number into the record, which is a new one if it was another number.
    fn put(&mut self, cell: &Cell, number: i128) -> Result<(), Overflow> {
        let mut body = self.body().to_vec();
        cell.set_number(&mut body, number)?;
        if body != self.body() {
            *self = Octets::New(body);
        }
        Ok(())
    }
}

/// A detail to be written.
struct Row {
    name: Text,
    octets: Octets,
    /// Whether the name was cut.
    cut: bool,
    /// Whether it is a record that was understood.
    understood: bool,
    numbered: bool,
}

impl Writer {
    pub(super) fn new(plan: Plan) -> Writer {
        Writer { plan, rows: Vec::new(), header: None, trailer: None, scratch: Vec::new() }
    }

    fn refuse(&self, reason: &'static str) -> Refusal {
        Refusal::Write { format: self.plan.format.name(), reason }
    }

    fn record(&mut self, record: Box<Record>, out: &mut Output) {
        let name = record.key.name.clone();
        if record.key.kind != Kind::Host {
            let kind = record.key.kind.keyword();
            return out.lose(LossCode::KindNotHeld, &name, FieldName::Name, kind);
        }
        let Some(record) = self.as_read(record) else { return };
        let plan = &self.plan;
        for (what, value) in &record.sidecar {
            if !sidecar::ALL.iter().any(|own| own.as_bytes() == what.octets()) {
                let value = format!("{what}: {value}");
                out.lose(LossCode::SidecarNotHeld, &name, FieldName::Sidecar, value);
            }
        }
        declare_unrepresentable(&record, out);
        let (body, missing) = host::write(plan, &name, record.fields(), &record.sidecar);
        let of_name = |code| {
            missing.iter().any(|missing| missing.field == FieldName::Name && missing.code == code)
        };
        let cut = of_name(LossCode::Truncated);
        let named = !of_name(LossCode::ValueNotHeld) && !of_name(LossCode::NameNotHeld);
        for missing in &missing {
            let code = match (missing.field, missing.code) {
                (FieldName::Name, LossCode::ValueNotHeld) => LossCode::NameNotHeld,
                (_, code) => code,
            };
            out.lose(code, &name, missing.field, &missing.value);
        }
        if named {
            let numbered = Host::side(&record.sidecar, sidecar::NUMBER).is_some();
            let octets = Octets::New(body);
            self.rows.push(Row { name, octets, cut, understood: true, numbered });
        }
    }

    /// Takes a record whose octets say the same as it does; gives it back if they do not. Those
    /// that this layout has read are what the record says, but for the sidecar, which anybody may
    /// change; those of another layout would say something else, or nothing.
    fn as_read(&mut self, record: Box<Record>) -> Option<Box<Record>> {
        let plan = &self.plan;
        let own = record.raw().filter(|raw| raw.format == plan.format);
        let Some(raw) = own else { return Some(record) };
        let is_known = raw.layout == Some(plan.layout_id());
        let scratch = &mut self.scratch;
        let mut same = |body: &[u8]| {
            if is_known {
                scratch.clear();
                let is_read = host::read_sidecar_alone(plan, body, scratch);
                return is_read && *scratch == record.sidecar;
            }
            matches!(classify(plan, body), Some(Class::Detail))
                && host::read(plan, body).is_ok_and(|read| {
                    read.name.as_ref() == Some(&record.key.name)
                        && read.fields == *record.fields()
                        && read.sidecar == record.sidecar
                })
        };
        let frame = plan.framing.next(raw.octets.octets(), plan.detail.length);
        let Ok(Some(frame)) = frame else { return Some(record) };
        let body = raw.octets.octets().get(frame.body).unwrap_or_default();
        if !same(&padded(plan, body)) {
            return Some(record);
        }
        let name = record.key.name.clone();
        let whole = record.into_raw().map(|raw| raw.octets).unwrap_or_default();
        let octets = Octets::read(plan, whole);
        let row = |octets| Row { name, octets, cut: false, understood: true, numbered: true };
        self.rows.extend(octets.map(row));
        None
    }

    /// Leaves out records whose cut names another record has too.
    fn resolve(&mut self, out: &mut Output) {
        if self.plan.format == Format::Cards || !self.rows.iter().any(|row| row.cut) {
            return;
        }
        let Some(cell) = name_cell(&self.plan) else { return };
        let mut holders: HashMap<Text, usize> = HashMap::new();
        let key = |row: &Row| cell.text(row.octets.body()).unwrap_or_default().to_upper();
        for row in self.rows.iter().filter(|row| row.understood) {
            *holders.entry(key(row)).or_default() += 1;
        }
        self.rows.retain(|row| {
            let collides = row.understood && row.cut && holders.get(&key(row)) != Some(&1);
            if collides {
                let value = cell.text(row.octets.body()).unwrap_or_default();
                out.lose(LossCode::NameCollides, &row.name, FieldName::Name, value);
            }
            !collides
        });
    }

    /// Gives new hosts the next numbers.
    fn number(&mut self) -> Result<(), Refusal> {
        let Some(cell) = &self.plan.number else { return Ok(()) };
        let known = self.rows.iter().filter(|row| row.numbered);
        let mut last =
            known.filter_map(|row| cell.number(row.octets.body()).ok()).max().unwrap_or(0);
        for row in self.rows.iter_mut().filter(|row| !row.numbered) {
            last += 1;
            if row.octets.put(cell, last).is_err() {
                return Err(self.refuse("there are no numbers left for new hosts"));
            }
        }
        Ok(())
    }

    /// Puts the rows in order, and numbers them.
    fn order(&mut self) -> Result<(), Refusal> {
        if let Some(cell) = &self.plan.sorted_by {
            self.rows.sort_by(|one, other| {
                let (one, other) = (one.octets.body(), other.octets.body());
                cell.octets(one).cmp(&cell.octets(other))
            });
        }
        let Some((cell, step)) = &self.plan.sequence else { return Ok(()) };
        let ascends = |rows: &[Row]| {
            rows.windows(2).all(|pair| {
                match (cell.number(pair[0].octets.body()), cell.number(pair[1].octets.body())) {
                    (Ok(one), Ok(next)) => one < next,
                    _ => false,
                }
            })
        };
        if self.rows.iter().all(|row| row.octets.whole().is_some()) && ascends(&self.rows) {
            return Ok(());
        }
        let mut sequence = 0;
        for row in &mut self.rows {
            sequence += i128::from(*step);
            if row.octets.put(cell, sequence).is_err() {
                return Err(self.refuse("there are more records than sequence numbers"));
            }
        }
        Ok(())
    }

    /// Header and trailer of what is written. The generation is one more than that of the file
    /// that was read, unless nothing has changed.
    fn ends(&self, tally: &Tally) -> Result<Ends, Refusal> {
        let plan = &self.plan;
        let template = |part: &Part| part.template.clone();
        let read = |end: &Option<Octets>| end.as_ref().map(|end| end.body().to_vec());
        let mut header = read(&self.header).or_else(|| plan.header.as_ref().map(template));
        let totals = plan.trailer.as_ref();
        let mut trailer =
            read(&self.trailer).or_else(|| totals.map(|totals| template(&totals.part)));
        if let (Some(totals), Some(body)) = (totals, &mut trailer) {
            if let Some((cell, counts)) = &totals.count {
                let count = tally.count(plan, *counts);
                let set = put(cell, body, count);
                set.map_err(|_| self.refuse("the trailer's count has too few digits"))?;
            }
            if let Some((total, _)) = &totals.hash {
                let hash = tally.hash(total);
                let hash = hash.map_err(|_| self.refuse("the hash total cannot be known"))?;
                let set = put(total, body, hash);
                set.map_err(|_| self.refuse("the hash total has a sign, but its field has none"))?;
            }
        }
        let same = self.header.is_some() == plan.header.is_some()
            && read(&self.trailer) == trailer
            && self.rows.iter().all(|row| row.octets.whole().is_some());
        if !same {
            let cell = plan.header.as_ref().and_then(|part| part.generation.as_ref());
            let before = cell.zip(self.header.as_ref()).map(|(cell, end)| cell.number(end.body()));
            let generation = before.and_then(Result::ok).unwrap_or(0) + 1;
            let trailing = totals.and_then(|totals| totals.part.generation.as_ref());
            for (cell, body) in [(cell, &mut header), (trailing, &mut trailer)] {
                if let (Some(cell), Some(body)) = (cell, body) {
                    let set = cell.set_number(body, generation);
                    set.map_err(|_| self.refuse("there is no generation left"))?;
                }
            }
        }
        Ok(Ends { header, trailer })
    }
}

/// Writes a number where it is not there yet: the same number may have other octets, with a sign
/// that another program prefers.
fn put(cell: &Cell, body: &mut [u8], number: i128) -> Result<(), Overflow> {
    if cell.number(body) == Ok(number) { Ok(()) } else { cell.set_number(body, number) }
}

fn name_cell(plan: &Plan) -> Option<&Cell> {
    plan.fields.iter().find(|mapped| mapped.host == FieldName::Name)?.cells.first()
}

impl Encode for Writer {
    fn push(&mut self, item: Item, out: &mut Output) -> Result<(), Refusal> {
        let own = |format: Format, octets: &Text| {
            let is_own = format == self.plan.format;
            let octets = is_own.then(|| Octets::read(&self.plan, octets.clone()))??;
            classify(&self.plan, octets.body()).map(|class| (class, octets))
        };
        match &item {
            Item::Between(between) => match own(between.format, &between.octets) {
                Some((Class::Header, octets)) => self.header = Some(octets),
                Some((Class::Trailer, octets)) => self.trailer = Some(octets),
                _ => out.lose_foreign(&item),
            },
            Item::Quarantined(entry) => match own(entry.format, &entry.octets) {
                Some((Class::Detail, octets)) => self.rows.push(Row {
                    name: entry.name.clone().unwrap_or_default(),
                    octets,
                    cut: false,
                    understood: false,
                    numbered: true,
                }),
                _ => out.lose_foreign(&item),
            },
            Item::Record(_) => {}
        }
        if let Item::Record(record) = item {
            self.record(record, out);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<(), Refusal> {
        self.resolve(out);
        self.number()?;
        self.order()?;
        let mut tally = Tally::default();
        for row in &self.rows {
            // What is out of order here was so in the file that was read, which refused it.
            let _ = tally.add(&self.plan, row.octets.body());
        }
        let Ends { header, trailer } = self.ends(&tally)?;
        let framing = self.plan.framing;
        let write = |body: &[u8], octets: &mut Vec<u8>| {
            framing.write(body, octets).map_err(|reason| self.refuse(reason))
        };
        let write_end =
            |body: Option<Vec<u8>>, read: &Option<Octets>, octets: &mut Vec<u8>| match (body, read)
            {
                (Some(body), Some(end)) if end.body() == body => {
                    octets.extend_from_slice(end.whole().map_or(&[], Text::octets));
                    Ok(())
                }
                (Some(body), _) => write(&body, octets),
                (None, _) => Ok(()),
            };
        write_end(header, &self.header, &mut out.octets)?;
        for row in &self.rows {
            match row.octets.whole() {
                Some(whole) => out.octets.extend_from_slice(whole.octets()),
                None => write(row.octets.body(), &mut out.octets)?,
            }
            out.records_written += u64::from(row.understood);
        }
        write_end(trailer, &self.trailer, &mut out.octets)
    }
}
