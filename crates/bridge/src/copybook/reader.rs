//! Reads a file of records, as octets come.
//!
//! A fault of the file (lengths, order, totals) refuses it; a fault of a field quarantines its
//! record, which is counted all the same.

use super::frame::Frame;
use super::host;
use super::plan::Plan;
use super::tally::Tally;
use crate::codec::{Decode, Refusal};
use crate::codes::FaultCode;
use crate::item::{Between, Item, Quarantined, Sink, Source};
use crate::record::{Fields, HostId, Key, Kind, Place, Raw, Record};
use crate::text::Text;
use std::borrow::Cow;

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Header,
    Details,
    Ended,
}

/// A decoder.
pub(super) struct Reader {
    plan: Plan,
    source: String,
    waiting: Vec<u8>,
    /// Where the next record begins.
    place: Place,
    phase: Phase,
    generation: Option<i128>,
    tally: Tally,
}

/// What a record is.
pub(super) enum Class {
    Header,
    Detail,
    Trailer,
}

/// Which kind of record this is.
pub(super) fn classify(plan: &Plan, body: &[u8]) -> Option<Class> {
    let header = plan.header.as_ref();
    let trailer = plan.trailer.as_ref();
    if header.is_some_and(|header| header.is(body)) {
        Some(Class::Header)
    } else if trailer.is_some_and(|trailer| trailer.part.is(body)) {
        Some(Class::Trailer)
    } else {
        plan.detail.is(body).then_some(Class::Detail)
    }
}

/// The record as long as it should be: lines may leave spaces at their ends out.
pub(super) fn padded<'a>(plan: &Plan, body: &'a [u8]) -> Cow<'a, [u8]> {
    if plan.framing != super::layout::Framing::Lines || body.len() >= plan.detail.length {
        return Cow::Borrowed(body);
    }
    let mut padded = body.to_vec();
    let length = match classify(plan, body) {
        Some(Class::Header) => plan.header.as_ref().map(|header| header.length),
        Some(Class::Trailer) => plan.trailer.as_ref().map(|trailer| trailer.part.length),
        _ => None,
    };
    padded.resize(length.unwrap_or(plan.detail.length).max(body.len()), plan.space);
    Cow::Owned(padded)
}

impl Reader {
    pub(super) fn new(plan: Plan, source: &str) -> Reader {
        let phase = if plan.header.is_some() { Phase::Header } else { Phase::Details };
        Reader {
            plan,
            source: source.to_owned(),
            waiting: Vec::new(),
            place: Place { line: 1, offset: 0 },
            phase,
            generation: None,
            tally: Tally::default(),
        }
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Refusal> {
        let Place { line, offset } = self.place;
        Err(Refusal::Structure { line, offset, reason: reason.into() })
    }

    fn record(&mut self, octets: &[u8], frame: &Frame, sink: &mut dyn Sink) -> Result<(), Refusal> {
        let whole = &octets[..frame.length];
        let body = &octets[frame.body.clone()];
        if self.phase == Phase::Ended {
            return self.refuse("a record follows the trailer");
        }
        let body = &*padded(&self.plan, body);
        let class = classify(&self.plan, body);
        match class {
            Some(Class::Header) if self.phase == Phase::Header => self.header(body)?,
            Some(Class::Header) => return self.refuse("a second header"),
            _ if self.phase == Phase::Header => return self.refuse("the file has no header"),
            Some(Class::Trailer) => self.trailer(body)?,
            Some(Class::Detail) => return self.detail(body, whole, sink),
            None => {
                return self.refuse(format!(
                    "the record is neither header nor detail nor trailer; it begins with {}",
                    body.iter().take(8).map(|octet| format!("{octet:02X}")).collect::<String>()
                ));
            }
        }
        let format = self.plan.format;
        sink.item(Item::Between(Between {
            format,
            place: self.place,
            octets: whole.into(),
            is_part_of_record: false,
        }));
        Ok(())
    }

    fn header(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let Some(header) = &self.plan.header else { return Ok(()) };
        if let Some(reason) = header.length_fault(body) {
            return self.refuse(format!("header: {reason}"));
        }
        if let Some(cell) = &header.generation {
            match cell.number(body) {
                Ok(generation) => self.generation = Some(generation),
                Err(fault) => {
                    return self.refuse(format!("header: {}: {}", fault.field, fault.reason));
                }
            }
        }
        self.phase = Phase::Details;
        Ok(())
    }

    fn trailer(&mut self, body: &[u8]) -> Result<(), Refusal> {
        let Some(totals) = &self.plan.trailer else { return Ok(()) };
        let fault = totals.part.length_fault(body).map_or(Ok(()), Err);
        let compared =
            fault.and_then(|()| self.tally.compare(&self.plan, totals, body, self.generation));
        if let Err(reason) = compared {
            return self.refuse(reason);
        }
        self.phase = Phase::Ended;
        Ok(())
    }

    fn detail(&mut self, body: &[u8], whole: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
        if let Some(reason) = self.plan.detail.length_fault(body) {
            return self.refuse(reason);
        }
        if let Err(reason) = self.tally.add(&self.plan, body) {
            return self.refuse(reason);
        }
        let format = self.plan.format;
        let quarantined = |code, value: String, name| {
            Item::Quarantined(Box::new(Quarantined {
                format,
                place: self.place,
                octets: whole.into(),
                name,
                code,
                value: value.into(),
            }))
        };
        let raw = Raw { format, layout: Some(self.plan.layout_id()), octets: whole.into() };
        let key = Key { kind: Kind::Host, name: Text::default() };
        let (id, fields) = (HostId::default(), Fields::default());
        let mut record = Box::new(Record::read(id, key, self.place, fields, raw));
        let (key, fields, sidecar) = record.parts_mut();
        sink.item(match host::read_into(&self.plan, body, (&mut key.name, fields, sidecar)) {
            Err(fault) => {
                let offset = fault.at;
                let value = format!("{} at octet {offset}: {}", fault.field, fault.reason);
                quarantined(fault.code, value, name_of(&self.plan, body))
            }
            Ok(()) if key.name.is_empty() => {
                quarantined(FaultCode::NoName, "the name is blank".to_owned(), None)
            }
            Ok(()) => {
                record.id = HostId::first_seen(&self.source, &record.key);
                Item::Record(record)
            }
        });
        Ok(())
    }
}

/// The name in a record that has a fault elsewhere.
fn name_of(plan: &Plan, body: &[u8]) -> Option<Text> {
    let named = plan.fields.iter().find(|mapped| mapped.host == crate::record::FieldName::Name)?;
    named.cells.first()?.text(body).ok().filter(|name| !name.is_empty())
}

impl Decode for Reader {
    fn push(&mut self, octets: &[u8], sink: &mut dyn Sink) -> Result<(), Refusal> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.extend_from_slice(octets);
        let mut at = 0;
        loop {
            match self.plan.framing.next(&waiting[at..], self.plan.detail.length) {
                Err(reason) => return self.refuse(reason),
                Ok(None) => break,
                Ok(Some(frame)) => {
                    self.record(&waiting[at..], &frame, sink)?;
                    at += frame.length;
                    self.place.line += 1;
                    self.place.offset += frame.length as u64;
                }
            }
        }
        waiting.drain(..at);
        self.waiting = waiting;
        Ok(())
    }

    fn finish(&mut self, _: &mut dyn Sink) -> Result<Source, Refusal> {
        if !self.waiting.is_empty() {
            let octets = self.waiting.len();
            return self.refuse(format!("the file ends within a record, after {octets} octets"));
        }
        if self.place.offset == 0 {
            return self.refuse("the file is empty");
        }
        if self.plan.trailer.is_some() && self.phase != Phase::Ended {
            return self.refuse("the file has no trailer: it may have been cut off");
        }
        Ok(Source {
            generation: self.generation.and_then(|generation| generation.try_into().ok()),
            layout_sha256: Some(self.plan.layout_sha256),
        })
    }
}
