//! Writing DNS messages with name compression, into a caller's buffer.
//!
//! A writer never exceeds its size limit: a record that does not fit leaves the message as it
//! was and says so, and the caller decides what truncation means.

use crate::message::{HEADER_OCTETS, Header, Opcode, Rcode};
use crate::rdata::{Field, layout_of};
use crate::record::{Class, RecordType};

/// Places of names remembered for compression per message; later names are still written, only
/// not pointed at.
const COMPRESSION_TARGETS_MAX: usize = 64;
/// Compression pointers have 14 bits (RFC 1035 §4.1.4).
const POINTER_OFFSET_MAX: usize = 0x3FFF;

/// The record did not fit; the message is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room left in the message")]
pub struct NoRoom;

/// A section of the message being written; sections are written in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Questions, or the zone of an UPDATE.
    Question = 0,
    /// Answers, or prerequisites.
    Answer = 1,
    /// Authority, or updates.
    Authority = 2,
    /// Additional data.
    Additional = 3,
}

/// Writes one message.
pub struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
    /// Where the message begins in the buffer.
    base: usize,
    limit: usize,
    targets: [u16; COMPRESSION_TARGETS_MAX],
    target_count: usize,
    /// Where the owner name that [`Writer::ordered_record`] wrote last lies.
    last_owner: Option<u16>,
}

impl<'b> Writer<'b> {
    /// Begins a message at the end of `buffer` that may take up to `limit` octets. All flags
    /// and counts are zero.
    pub fn new(buffer: &'b mut Vec<u8>, id: u16, limit: usize) -> Writer<'b> {
        let base = buffer.len();
        buffer.extend_from_slice(&id.to_be_bytes());
        buffer.extend_from_slice(&[0; HEADER_OCTETS - 2]);
        Writer {
            buffer,
            base,
            limit: limit.max(HEADER_OCTETS),
            targets: [0; _],
            target_count: 0,
            last_owner: None,
        }
    }

    /// Octets written so far.
    pub fn len(&self) -> usize {
        self.buffer.len() - self.base
    }

    /// Never true: a message has a header from the start.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Lowers the limit by what a later record (OPT, TSIG) needs.
    pub fn reserve(&mut self, octets: usize) {
        self.limit = self.limit.saturating_sub(octets).max(HEADER_OCTETS);
    }

    /// Octets that still fit.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.len())
    }

    /// Sets QR, the opcode, and the RD bit of the request.
    pub fn set_response(&mut self, opcode: Opcode, recursion_desired: bool) {
        self.set_flags(
            0x8000 | u16::from(opcode.0) << 11 | if recursion_desired { 0x0100 } else { 0 },
        );
    }

    /// Sets QR, and repeats what a response repeats of its request's flags: the opcode, RD, and
    /// a query's CD (RFC 4035 §3.1.6). AD and the bit that must be zero are never repeated.
    pub fn set_response_to(&mut self, request: &Header) {
        let repeated = if request.opcode() == Opcode::QUERY { 0x7910 } else { 0x7900 };
        self.set_flags(0x8000 | request.flags & repeated);
    }

    /// Sets QR=0 and the opcode.
    pub fn set_request(&mut self, opcode: Opcode) {
        self.set_flags(u16::from(opcode.0) << 11);
    }

    /// Sets AA.
    pub fn set_authoritative(&mut self) {
        self.buffer[self.base + 2] |= 0x04;
    }

    /// Clears AA.
    pub fn clear_authoritative(&mut self) {
        self.buffer[self.base + 2] &= !0x04;
    }

    /// Sets TC.
    pub fn set_truncated(&mut self) {
        self.buffer[self.base + 2] |= 0x02;
    }

    /// Sets the four low bits of the response code.
    pub fn set_rcode(&mut self, rcode: Rcode) {
        let octet = &mut self.buffer[self.base + 3];
        *octet = *octet & 0xF0 | (rcode.0 & 15) as u8;
    }

    fn set_flags(&mut self, flags: u16) {
        self.buffer[self.base + 2..self.base + 4].copy_from_slice(&flags.to_be_bytes());
    }

    fn count(&mut self, section: Section) {
        let at = self.base + 4 + 2 * section as usize;
        let count = u16::from_be_bytes([self.buffer[at], self.buffer[at + 1]]).wrapping_add(1);
        self.buffer[at..at + 2].copy_from_slice(&count.to_be_bytes());
    }

    /// Adds a question.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn question(&mut self, name: &[u8], rtype: RecordType, class: Class) -> Result<(), NoRoom> {
        self.entry(Section::Question, |w| {
            w.name(name);
            w.buffer.extend_from_slice(&rtype.0.to_be_bytes());
            w.buffer.extend_from_slice(&class.0.to_be_bytes());
            Ok(())
        })
    }

    /// Adds a record; `owner` and the names in `rdata` are uncompressed wire form.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn record(
        &mut self,
        section: Section,
        owner: &[u8],
        rtype: RecordType,
        class: Class,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), NoRoom> {
        self.record_with(section, owner, rtype, class, ttl, |w| w.rdata(rtype, rdata))
    }

    /// As [`Writer::record`], for many records in order of their owner names: an owner is looked
    /// for only where the last one lies, so that the room for targets is left to what is above.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ordered_record(
        &mut self,
        section: Section,
        owner: &[u8],
        rtype: RecordType,
        ttl: u32,
        rdata: &[u8],
    ) -> Result<(), NoRoom> {
        self.entry(section, |w| {
            w.ordered_owner(owner);
            w.fixed(rtype, Class::IN, ttl, |w| w.rdata(rtype, rdata))
        })
    }

    fn ordered_owner(&mut self, owner: &[u8]) {
        if let Some(last) = self.last_owner.filter(|last| self.is_at(*last, owner)) {
            self.buffer.extend_from_slice(&(0xC000 | last).to_be_bytes());
            return;
        }
        let offset = self.len();
        self.last_owner = None;
        match owner {
            [0, ..] => self.buffer.push(0),
            _ => {
                let (label, parent) = owner.split_at(1 + owner[0] as usize);
                self.buffer.extend_from_slice(label);
                self.name(parent);
                self.last_owner = (offset <= POINTER_OFFSET_MAX).then_some(offset as u16);
            }
        }
    }

    /// Adds an OPT record (RFC 6891 §6.1.2) whose options `options` appends. It is always
    /// written: whoever gives the limit leaves room for it.
    pub(crate) fn opt(&mut self, class: Class, ttl: u32, options: impl FnOnce(&mut Vec<u8>)) {
        self.limit = usize::MAX;
        let (section, rtype) = (Section::Additional, RecordType::OPT);
        let written =
            self.record_with(section, &[0], rtype, class, ttl, |w| options(&mut *w.buffer));
        debug_assert!(written.is_ok(), "options have at most 65,535 octets");
    }

    fn record_with(
        &mut self,
        section: Section,
        owner: &[u8],
        rtype: RecordType,
        class: Class,
        ttl: u32,
        rdata: impl FnOnce(&mut Self),
    ) -> Result<(), NoRoom> {
        self.entry(section, |w| {
            w.name(owner);
            w.fixed(rtype, class, ttl, rdata)
        })
    }

    /// Writes what follows an owner name.
    fn fixed(
        &mut self,
        rtype: RecordType,
        class: Class,
        ttl: u32,
        rdata: impl FnOnce(&mut Self),
    ) -> Result<(), NoRoom> {
        self.buffer.extend_from_slice(&rtype.0.to_be_bytes());
        self.buffer.extend_from_slice(&class.0.to_be_bytes());
        self.buffer.extend_from_slice(&ttl.to_be_bytes());
        let length_at = self.buffer.len();
        self.buffer.extend_from_slice(&[0, 0]);
        rdata(self);
        let length = u16::try_from(self.buffer.len() - length_at - 2).map_err(|_| NoRoom)?;
        self.buffer[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Adds all records of an RRset, or none.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn rrset<'d>(
        &mut self,
        section: Section,
        owner: &[u8],
        rtype: RecordType,
        ttl: u32,
        rdatas: impl Iterator<Item = &'d [u8]>,
    ) -> Result<(), NoRoom> {
        let (length, targets) = (self.buffer.len(), self.target_count);
        let mut counts = [0; 8];
        counts.copy_from_slice(&self.buffer[self.base + 4..self.base + 12]);
        for rdata in rdatas {
            if self.record(section, owner, rtype, Class::IN, ttl, rdata).is_err() {
                self.buffer.truncate(length);
                self.target_count = targets;
                self.buffer[self.base + 4..self.base + 12].copy_from_slice(&counts);
                return Err(NoRoom);
            }
        }
        Ok(())
    }

    /// Runs `write`, counts what it wrote, or undoes it when it passes the limit.
    fn entry(
        &mut self,
        section: Section,
        write: impl FnOnce(&mut Self) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let (length, targets) = (self.buffer.len(), self.target_count);
        if write(self).is_err() || self.len() > self.limit {
            self.buffer.truncate(length);
            self.target_count = targets;
            self.last_owner = None;
            return Err(NoRoom);
        }
        self.count(section);
        Ok(())
    }

    fn rdata(&mut self, rtype: RecordType, rdata: &[u8]) {
        // An UPDATE's deletions have no data, whatever their type.
        let layout = layout_of(rtype).filter(|layout| layout.compressible && !rdata.is_empty());
        let Some(layout) = layout else {
            self.buffer.extend_from_slice(rdata);
            return;
        };
        let mut rest = rdata;
        for field in layout.fields {
            let taken = match *field {
                Field::Name => {
                    let taken = wire_name_length(rest);
                    self.name(&rest[..taken]);
                    rest = &rest[taken..];
                    continue;
                }
                Field::Octets(count) => count.min(rest.len()),
                Field::CharacterString | Field::Rest => rest.len(),
            };
            self.buffer.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
        }
    }

    /// Writes a name, as a pointer from the first suffix on that is in the message already.
    fn name(&mut self, name: &[u8]) {
        // The name being written is no target of its own suffixes: it has no end yet.
        let target_count = self.target_count;
        let mut at = 0;
        while name[at] != 0 {
            let suffix = &name[at..];
            if let Some(offset) = self.find(suffix, target_count) {
                self.buffer.extend_from_slice(&(0xC000 | offset).to_be_bytes());
                return;
            }
            let offset = self.len();
            if offset <= POINTER_OFFSET_MAX && self.target_count < COMPRESSION_TARGETS_MAX {
                self.targets[self.target_count] = offset as u16;
                self.target_count += 1;
            }
            let label = &suffix[..1 + suffix[0] as usize];
            self.buffer.extend_from_slice(label);
            at += label.len();
        }
        self.buffer.push(0);
    }

    /// The offset of a name equal to `suffix`, to the letter, so that case survives, among the
    /// first `target_count` targets.
    fn find(&self, suffix: &[u8], target_count: usize) -> Option<u16> {
        self.targets[..target_count].iter().copied().find(|target| self.is_at(*target, suffix))
    }

    /// Whether the name at that offset is `name`, to the letter.
    fn is_at(&self, offset: u16, name: &[u8]) -> bool {
        let message = &self.buffer[self.base..];
        let mut at = usize::from(offset);
        // Most names lie there in one piece.
        if message[at..].starts_with(name) {
            return true;
        }
        let mut rest = name;
        loop {
            match message[at] {
                pointer @ 0xC0.. => {
                    at = (pointer as usize & 0x3F) << 8 | message[at + 1] as usize;
                }
                0 => return rest[0] == 0,
                length => {
                    let label = &message[at..at + 1 + length as usize];
                    if !rest.starts_with(label) {
                        return false;
                    }
                    at += label.len();
                    rest = &rest[label.len()..];
                }
            }
        }
    }
}

/// Octets of the uncompressed name at the start of `wire`, at most all of it.
fn wire_name_length(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&length) = wire.get(at).filter(|length| **length != 0) {
        at += 1 + length as usize;
    }
    (at + 1).min(wire.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Message, Section as Read};
    use crate::name::Name;

    #[test]
    fn records_in_order_share_their_owners_and_what_is_above() {
        let name = |text: &str| text.parse::<Name>().expect("name");
        let owners: Vec<Name> = (0..200)
            .flat_map(|i| [name(&format!("h{i}.example.")), name(&format!("H{i}.a.example."))])
            .collect();
        let mut buffer = vec![7, 7];
        let mut writer = Writer::new(&mut buffer, 7, 65_535);
        for owner in &owners {
            for rtype in [RecordType::A, RecordType(65_280)] {
                let section = Section::Answer;
                writer.ordered_record(section, owner.as_wire(), rtype, 60, &[1; 4]).expect("room");
            }
        }
        let each = |owner: &Name| 1 + owner.as_wire()[0] as usize + 2 + 2 + 2 * 14;
        let names: usize = owners.iter().map(each).sum();
        assert!(buffer.len() < 12 + names + 30, "{} octets", buffer.len());
        let message = Message::parse(&buffer[2..]).expect("a message");
        let records = message.records(Read::Answer).expect("records");
        for (record, owner) in records.iter().zip(owners.iter().flat_map(|owner| [owner, owner])) {
            assert_eq!(record.owner.as_wire(), owner.as_wire());
        }
        assert_eq!(records.len(), 2 * owners.len());
    }

    #[test]
    fn compresses_and_reads_back() {
        let name: Name = "a.b.example.".parse().expect("name");
        let mx =
            [&[0, 10][..], "mail.b.example.".parse::<Name>().expect("name").as_wire()].concat();
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, 7, 512);
        writer.question(name.as_wire(), RecordType::MX, Class::IN).expect("room");
        for _ in 0..2 {
            writer
                .record(Section::Answer, name.as_wire(), RecordType::MX, Class::IN, 60, &mx)
                .expect("room");
        }
        assert_eq!(buffer.len(), 12 + 17 + (12 + 2 + 7) + (12 + 2 + 2));
        let message = Message::parse(&buffer).expect("a message");
        let records = message.records(Read::Answer).expect("records");
        assert_eq!(records.len(), 2);
        assert!(records.iter().all(|r| r.owner == name && *r.rdata == mx[..]));
    }

    #[test]
    fn a_name_may_repeat_its_labels() {
        let name: Name = "a.a.b.a.a.b.example.".parse().expect("name");
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, 7, 512);
        writer.question(name.as_wire(), RecordType::A, Class::IN).expect("room");
        writer
            .record(Section::Answer, name.as_wire(), RecordType::A, Class::IN, 60, &[192, 0, 2, 1])
            .expect("room");
        let message = Message::parse(&buffer).expect("a message");
        assert_eq!(message.question().expect("a question").name.to_name(), name);
        assert_eq!(message.records(Read::Answer).expect("records")[0].owner, name);
    }

    #[test]
    fn a_deletion_has_no_data() {
        let name: Name = "a.example.".parse().expect("name");
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, 7, 512);
        writer
            .record(Section::Authority, name.as_wire(), RecordType::MX, Class::ANY, 0, &[])
            .expect("room");
        let message = Message::parse(&buffer).expect("a message");
        assert!(message.records(Read::Authority).expect("records")[0].rdata.is_empty());
    }

    #[test]
    fn a_record_that_does_not_fit_leaves_no_trace() {
        let mut buffer = Vec::new();
        let mut writer = Writer::new(&mut buffer, 7, 12 + 10);
        assert_eq!(
            writer.record(Section::Answer, &[0], RecordType::A, Class::IN, 0, &[1, 2, 3, 4]),
            Err(NoRoom)
        );
        assert_eq!(writer.len(), 12);
        assert_eq!(buffer[6..8], [0, 0]);
    }
}
