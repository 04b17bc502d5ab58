//! From a query and a snapshot to the octets of its answer (RFC 1034 §4.3.2).
//!
//! A pure function: no clock, no socket, no lock.

use einhorn_core::model::{NameRecord, RrSet, Zone, Zones};
use einhorn_wire::edns::{self, Edns, OPT_OCTETS, UDP_PAYLOAD_MIN, UDP_PAYLOAD_OURS};
use einhorn_wire::message::{Message, Opcode, Question, Rcode};
use einhorn_wire::rdata::{self, soa_numbers};
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, RecordType};

/// CNAMEs followed within one answer.
const CNAME_CHAIN_MAX: usize = 8;
/// Octets of the largest message over TCP (RFC 1035 §4.2.2).
pub const TCP_OCTETS_MAX: usize = 65_535;

/// How the answer will travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// In one datagram.
    Udp,
    /// In a stream.
    Tcp,
}

impl Transport {
    /// Octets that an answer may have.
    pub fn limit(self, edns: Option<Edns>) -> usize {
        match (self, edns) {
            (Transport::Tcp, _) => TCP_OCTETS_MAX,
            (Transport::Udp, None) => UDP_PAYLOAD_MIN.into(),
            (Transport::Udp, Some(edns)) => edns.udp_payload.min(UDP_PAYLOAD_OURS).into(),
        }
    }
}

/// Appends the answer to `query` to `buffer`. `reserve_octets` are left free at its end, for a
/// signature.
pub fn answer(
    zones: &Zones,
    query: &Message<'_>,
    transport: Transport,
    reserve_octets: usize,
    buffer: &mut Vec<u8>,
) {
    let edns = Edns::of(query);
    let mut writer = Writer::new(buffer, query.header.id, transport.limit(edns));
    writer.reserve(reserve_octets + if edns.is_some() { OPT_OCTETS } else { 0 });
    writer.set_response(Opcode::QUERY, query.header.recursion_desired());
    let rcode = match (query.header.counts[0], query.question()) {
        (1, Some(question)) => {
            // A question fits the smallest message there is.
            let echoed = writer.question(question.name.as_slice(), question.rtype, question.class);
            if edns.is_some_and(|edns| edns.version > 0) {
                Rcode::BADVERS
            } else if echoed.is_err() {
                Rcode::FORMERR
            } else {
                fill(zones, &question, &mut writer)
            }
        }
        _ => Rcode::FORMERR,
    };
    writer.set_rcode(rcode);
    if let Some(edns) = edns {
        writer.release(OPT_OCTETS);
        if edns::write(&mut writer, edns, rcode, None).is_err() {
            unreachable!("room for OPT was reserved");
        }
    }
}

/// Fills the sections; a full message is marked truncated.
fn fill(zones: &Zones, question: &Question, writer: &mut Writer<'_>) -> Rcode {
    let zone = zones.containing(question.name.canonical_key().as_ref());
    let Some(zone) = zone.filter(|_| question.class == Class::IN) else { return Rcode::REFUSED };
    if zone.soa().is_none() {
        // A followed zone that was never transferred.
        return Rcode::SERVFAIL;
    }
    match (Filler { zone, qtype: question.rtype, writer }).chain(question.name.to_name()) {
        Ok(rcode) => rcode,
        Err(NoRoom) => {
            writer.set_truncated();
            Rcode::NOERROR
        }
    }
}

struct Filler<'z, 'w, 'b> {
    zone: &'z Zone,
    qtype: RecordType,
    writer: &'w mut Writer<'b>,
}

/// What a zone has for a name.
enum Found<'z> {
    /// Records, owned by the name asked for or by a wildcard that covers it.
    Records(&'z NameRecord),
    /// The name exists without records.
    Empty,
    /// The name does not exist.
    Nothing,
    /// It is, or is below, a name that is delegated.
    Delegation(&'z NameRecord),
}

impl<'z> Filler<'z, '_, '_> {
    /// Answers for `name`, and goes on where a CNAME leads as long as it stays in the zone.
    fn chain(&mut self, name: Name) -> Result<Rcode, NoRoom> {
        let mut name = name;
        for hop in 0..=CNAME_CHAIN_MAX {
            if hop == 0 {
                self.writer.set_authoritative();
            }
            match self.find(&name) {
                Found::Delegation(cut) => {
                    if hop == 0 {
                        self.writer.clear_authoritative();
                    }
                    return self.referral(cut);
                }
                Found::Nothing => return self.negative(Rcode::NXDOMAIN),
                Found::Empty => return self.negative(Rcode::NOERROR),
                Found::Records(record) => {
                    let alias = record.rrset(RecordType::CNAME);
                    match alias
                        .filter(|_| !matches!(self.qtype, RecordType::CNAME | RecordType::ANY))
                    {
                        None => return self.records(&name, record),
                        Some(alias) => {
                            self.rrset(Section::Answer, name.as_wire(), alias)?;
                            let target = alias
                                .rdatas()
                                .next()
                                .and_then(|data| rdata::target(alias.rtype, data));
                            match target.filter(|target| target.is_at_or_below(&self.zone.apex)) {
                                Some(target) => name = target,
                                None => return Ok(Rcode::NOERROR),
                            }
                        }
                    }
                }
            }
        }
        Ok(Rcode::NOERROR)
    }

    fn find(&self, name: &Name) -> Found<'z> {
        let zone = self.zone;
        let key = name.canonical_key();
        let key = key.as_ref();
        let mut cut: Option<&'z NameRecord> = None;
        let is_cut = |record: &NameRecord| {
            record.rrset(RecordType::NS).is_some() && record.owner != zone.apex
        };
        let found = zone.names.descend(key, |record| {
            if cut.is_none() && is_cut(record) {
                cut = Some(record);
            }
        });
        if let Some(cut) = cut {
            return Found::Delegation(cut);
        }
        match found.value.map(|record| &**record).filter(|record| !record.rrsets.is_empty()) {
            // DS lives on the parent's side (RFC 4035 §3.1.4.1).
            Some(record) if is_cut(record) && self.qtype != RecordType::DS => {
                Found::Delegation(record)
            }
            Some(record) => Found::Records(record),
            None if found.exists => Found::Empty,
            None => {
                // The closest encloser ends where the last matching label does (RFC 4592 §3.3.1).
                let end = key[..found.matched]
                    .iter()
                    .rposition(|octet| *octet == 0)
                    .map_or(0, |at| at + 1);
                let mut wildcard = key[..end].to_vec();
                wildcard.extend_from_slice(b"*\0");
                match zone.names.get(&wildcard).map(|record| &**record) {
                    Some(record) if !record.rrsets.is_empty() => Found::Records(record),
                    _ => Found::Nothing,
                }
            }
        }
    }

    fn records(&mut self, name: &Name, record: &NameRecord) -> Result<Rcode, NoRoom> {
        if self.qtype == RecordType::ANY {
            for set in &record.rrsets {
                self.rrset(Section::Answer, name.as_wire(), set)?;
            }
            return Ok(Rcode::NOERROR);
        }
        match record.rrset(self.qtype) {
            Some(set) => self.rrset(Section::Answer, name.as_wire(), set).map(|()| Rcode::NOERROR),
            None => self.negative(Rcode::NOERROR),
        }
    }

    fn rrset(&mut self, section: Section, owner: &[u8], set: &RrSet) -> Result<(), NoRoom> {
        self.writer.rrset(section, owner, set.rtype, set.ttl, set.rdatas())
    }

    /// The SOA, with the TTL that negative answers have (RFC 2308 §3, §5).
    fn negative(&mut self, rcode: Rcode) -> Result<Rcode, NoRoom> {
        if let Some(soa) = self.zone.rrset(&self.zone.apex, RecordType::SOA) {
            let minimum = soa.rdatas().next().and_then(soa_numbers).map_or(0, |soa| soa.minimum);
            let owner = self.zone.apex.as_wire();
            self.writer.rrset(
                Section::Authority,
                owner,
                soa.rtype,
                soa.ttl.min(minimum),
                soa.rdatas(),
            )?;
        }
        Ok(rcode)
    }

    /// The delegation's NS records, and the addresses of those below the zone (RFC 9471).
    fn referral(&mut self, cut: &NameRecord) -> Result<Rcode, NoRoom> {
        let Some(ns) = cut.rrset(RecordType::NS) else { return Ok(Rcode::SERVFAIL) };
        self.rrset(Section::Authority, cut.owner.as_wire(), ns)?;
        for target in ns.rdatas().filter_map(|data| rdata::target(ns.rtype, data)) {
            let Some(glue) = self.zone.name(&target) else { continue };
            for rtype in [RecordType::A, RecordType::AAAA] {
                if let Some(set) = glue.rrset(rtype) {
                    self.rrset(Section::Additional, target.as_wire(), set)?;
                }
            }
        }
        Ok(Rcode::NOERROR)
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
