//! Taking in a transfer: from the messages of an AXFR or IXFR answer (RFC 5936, RFC 1995) to what
//! they say, checked, and from that and the zone that is here to what must change.
//!
//! Without I/O. Signatures are the business of whoever reads the messages; nothing of an answer
//! may be used before its last message is verified.

mod plan;
#[cfg(test)]
mod tests;

pub use plan::{PlanError, Planned, plan};

use einhorn_wire::message::{Message, Opcode, ParseError, Rcode, Section};
use einhorn_wire::rdata::{self, serial_greater, soa_numbers};
use einhorn_wire::{Class, Name, Record, RecordType};

/// Octets of owner names and data in one transfer at most, over all its records.
pub const TRANSFER_OCTETS_MAX: usize = 2 << 30;
/// Differences in one incremental transfer at most.
pub const DIFFERENCES_MAX: usize = 65_536;

/// What an answer says, as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The copy that was asked for is as new as the primary's.
    UpToDate,
    /// All records of the zone, its SOA first and once.
    Whole(Vec<Record>),
    /// What changed, serial by serial.
    Differences(Vec<Difference>),
}

/// What changed from one serial to a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The serial before.
    pub from: u32,
    /// The SOA after.
    pub soa: Record,
    /// Records that are gone, without the SOA.
    pub deleted: Vec<Record>,
    /// Records that are new, without the SOA.
    pub added: Vec<Record>,
}

/// An answer that is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IncomingError {
    /// It is an error, such as REFUSED.
    #[error("the primary answered {0}")]
    Rcode(Rcode),
    /// Not an answer to this question.
    #[error("not an answer to what was asked")]
    Other,
    /// A message is not well formed.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It does not begin with the zone's SOA.
    #[error("a transfer begins with the SOA of the zone, this one with {0}")]
    Beginning(String),
    /// The zone changed while it was sent, or the answer is a mix of two.
    #[error("serial {found} where {expected} was to come")]
    Serial {
        /// What fits.
        expected: u32,
        /// What came.
        found: u32,
    },
    /// A record that no zone holds, or not this one.
    #[error("{0} does not belong into the zone")]
    Foreign(String),
    /// Records behind the end.
    #[error("records behind the last SOA")]
    Behind,
    /// More than one would ever take.
    #[error("larger than {} MiB, or more than {DIFFERENCES_MAX} differences", TRANSFER_OCTETS_MAX >> 20)]
    Large,
    /// It ended before its last SOA.
    #[error("it ended before its last SOA")]
    Short,
}

/// Where in the answer we are.
enum Stage {
    /// Before the first SOA.
    Nothing,
    /// Behind the first SOA.
    Begun,
    /// Within a whole zone.
    Whole(Vec<Record>),
    /// Within the deleted records of the last difference, or its added ones.
    Deleted(Vec<Difference>),
    Added(Vec<Difference>),
    Done(Content),
}

/// Puts the messages of one answer together.
pub struct Incoming {
    zone: Name,
    id: u16,
    /// The serial that was given in an IXFR question; `None` for AXFR.
    since: Option<u32>,
    /// The SOA that the answer began with.
    last: Option<Record>,
    stage: Stage,
    messages: usize,
    octets: usize,
}

impl Incoming {
    /// An answer to the question with this id: for what changed since a serial, or for the whole
    /// zone.
    pub fn new(zone: Name, id: u16, since: Option<u32>) -> Incoming {
        Incoming { zone, id, since, last: None, stage: Stage::Nothing, messages: 0, octets: 0 }
    }

    /// Takes the next message; true once the answer is complete.
    ///
    /// # Errors
    /// [`IncomingError`]; nothing of the answer is then to be used.
    pub fn message(&mut self, message: &Message<'_>) -> Result<bool, IncomingError> {
        self.check_header(message)?;
        self.messages += 1;
        for raw in message.section(Section::Answer) {
            let record = raw?.to_record(message.octets)?;
            self.octets += record.owner.as_wire().len() + record.rdata.len() + 10;
            if self.octets > TRANSFER_OCTETS_MAX {
                return Err(IncomingError::Large);
            }
            self.record(record)?;
        }
        Ok(matches!(self.stage, Stage::Done(_)))
    }

    fn check_header(&self, message: &Message<'_>) -> Result<(), IncomingError> {
        let header = message.header;
        if !header.is_response() || header.opcode() != Opcode::QUERY || header.id != self.id {
            return Err(IncomingError::Other);
        }
        if header.rcode() != Rcode::NOERROR {
            return Err(IncomingError::Rcode(header.rcode()));
        }
        let asked = if self.since.is_some() { RecordType::IXFR } else { RecordType::AXFR };
        // Later messages may leave the question out (RFC 5936 §2.2.1).
        match message.question() {
            Some(question) if question.name.to_name() != self.zone || question.rtype != asked => {
                Err(IncomingError::Other)
            }
            None if self.messages == 0 => Err(IncomingError::Other),
            _ => Ok(()),
        }
    }

    /// What the answer says.
    ///
    /// # Errors
    /// [`IncomingError::Short`] before [`Incoming::message`] said that it is complete.
    pub fn finish(self) -> Result<Content, IncomingError> {
        match self.stage {
            Stage::Done(content) => Ok(content),
            _ => Err(IncomingError::Short),
        }
    }

    fn record(&mut self, record: Record) -> Result<(), IncomingError> {
        let record = self.sound(record)?;
        let serial = serial(&record);
        self.stage = match std::mem::replace(&mut self.stage, Stage::Nothing) {
            Stage::Nothing => self.first(record, serial)?,
            Stage::Begun => match (serial, self.since) {
                (Some(serial), Some(since)) if serial == since => {
                    Stage::Deleted(vec![Difference::from_serial(serial, record)])
                }
                // A whole zone, also as the answer to an incremental question (RFC 1995 §4).
                _ => self.of_whole(self.last.iter().cloned().collect(), record, serial)?,
            },
            Stage::Whole(records) => self.of_whole(records, record, serial)?,
            Stage::Deleted(mut all) => match (serial, all.last_mut()) {
                (Some(serial), Some(last)) => {
                    if !serial_greater(serial, last.from) {
                        let expected = last.from.wrapping_add(1);
                        return Err(IncomingError::Serial { expected, found: serial });
                    }
                    last.soa = record;
                    Stage::Added(all)
                }
                (_, last) => {
                    last.into_iter().for_each(|last| last.deleted.push(record.clone()));
                    Stage::Deleted(all)
                }
            },
            Stage::Added(all) => self.of_added(all, record, serial)?,
            Stage::Done(_) => return Err(IncomingError::Behind),
        };
        Ok(())
    }

    fn first(&mut self, record: Record, serial: Option<u32>) -> Result<Stage, IncomingError> {
        let Some(serial) = serial else {
            return Err(IncomingError::Beginning(describe(&record)));
        };
        self.last = Some(record);
        Ok(match self.since {
            // One SOA that is not newer is the whole answer (RFC 1995 §2).
            Some(since) if !serial_greater(serial, since) => Stage::Done(Content::UpToDate),
            _ => Stage::Begun,
        })
    }

    fn of_whole(
        &self,
        mut records: Vec<Record>,
        record: Record,
        serial: Option<u32>,
    ) -> Result<Stage, IncomingError> {
        match (serial, &self.last) {
            (Some(_), Some(last)) if same(&record, last) => {
                Ok(Stage::Done(Content::Whole(records)))
            }
            (Some(found), _) => {
                let expected = self.last.as_ref().and_then(self::serial).unwrap_or(0);
                Err(IncomingError::Serial { expected, found })
            }
            (None, _) => {
                records.push(record);
                Ok(Stage::Whole(records))
            }
        }
    }

    fn of_added(
        &self,
        mut all: Vec<Difference>,
        record: Record,
        serial: Option<u32>,
    ) -> Result<Stage, IncomingError> {
        let Some(last) = all.last_mut() else { return Err(IncomingError::Short) };
        let Some(found) = serial else {
            last.added.push(record);
            return Ok(Stage::Added(all));
        };
        let expected = soa_numbers(&last.soa.rdata).map_or(0, |soa| soa.serial);
        if found != expected {
            return Err(IncomingError::Serial { expected, found });
        }
        if self.last.as_ref().is_some_and(|last| same(&record, last)) {
            return Ok(Stage::Done(Content::Differences(all)));
        }
        if all.len() >= DIFFERENCES_MAX {
            return Err(IncomingError::Large);
        }
        all.push(Difference::from_serial(found, record));
        Ok(Stage::Deleted(all))
    }

    /// The record as a zone holds it.
    fn sound(&self, record: Record) -> Result<Record, IncomingError> {
        let Record { rtype, class, ttl, .. } = record;
        let is_stray_soa = rtype == RecordType::SOA && record.owner != self.zone;
        let has_no_data = record.rdata.is_empty() && rdata::decode(rtype, &[], 0, 0).is_err();
        if class != Class::IN
            || rtype.is_meta()
            || is_stray_soa
            || has_no_data
            || !record.owner.is_at_or_below(&self.zone)
        {
            return Err(IncomingError::Foreign(describe(&record)));
        }
        // A TTL with the highest bit set counts as 0 (RFC 2181 §8).
        Ok(Record { ttl: if ttl > i32::MAX as u32 { 0 } else { ttl }, ..record })
    }
}

impl Difference {
    /// A difference whose end is not known yet.
    fn from_serial(from: u32, soa: Record) -> Difference {
        Difference { from, soa, deleted: Vec::new(), added: Vec::new() }
    }
}

/// The serial, if this is an SOA; one elsewhere than at the apex was refused before.
fn serial(record: &Record) -> Option<u32> {
    Some(soa_numbers(&record.rdata).filter(|_| record.rtype == RecordType::SOA)?.serial)
}

fn same(a: &Record, b: &Record) -> bool {
    a.rtype == b.rtype && rdata::same(a.rtype, &a.rdata, &b.rdata)
}

fn describe(record: &Record) -> String {
    format!("{} {} {}", record.owner, record.class, record.rtype)
}
