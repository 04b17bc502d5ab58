//! Filling the sections of an answer from one zone.
//!
//! Answers are minimal: the records asked for, the SOA that a negative answer needs, and what a
//! referral needs. Chains of CNAME and DNAME are followed within the zone and no further, even
//! where another zone of this server goes on: resolvers trust no zone's answer for another's
//! names, and ask again.

use super::lookup::{Found, lookup};
use super::{Outcome, Transport};
use einhorn_core::model::{NameRecord, RrSetRef, Zone};
use einhorn_wire::edns::ExtendedError;
use einhorn_wire::message::{NameBuffer, Rcode};
use einhorn_wire::rdata::soa_numbers;
use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, RecordType};

/// CNAMEs and DNAMEs followed within one answer.
pub(super) const CHAIN_MAX: usize = 16;

/// Fills an answer from one zone.
pub(super) struct Filler<'z, 'w, 'b> {
    pub(super) zone: &'z Zone,
    pub(super) qtype: RecordType,
    pub(super) transport: Transport,
    pub(super) writer: &'w mut Writer<'b>,
    /// Names whose CNAME or DNAME is in the answer.
    followed: [Option<&'z NameRecord>; CHAIN_MAX],
}

impl<'z, 'w, 'b> Filler<'z, 'w, 'b> {
    pub(super) fn new(
        zone: &'z Zone,
        qtype: RecordType,
        transport: Transport,
        writer: &'w mut Writer<'b>,
    ) -> Self {
        Filler { zone, qtype, transport, writer, followed: [None; CHAIN_MAX] }
    }

    /// Answers for `name`, with `key` its canonical key, and goes on where aliases lead.
    pub(super) fn answer(&mut self, name: &[u8], key: &[u8]) -> Result<Outcome, NoRoom> {
        let first = lookup(self.zone, key, self.qtype);
        let Some(soa) = first.apex.and_then(|apex| apex.rrset(RecordType::SOA)) else {
            // A zone that is still to be transferred for the first time.
            return Ok(Outcome::error(Rcode::SERVFAIL, ExtendedError::NOT_READY));
        };
        self.writer.set_authoritative();
        if let Found::Delegation(cut) = first.found {
            self.writer.clear_authoritative();
            return self.referral(cut);
        }
        let mut found = first.found;
        let mut alias: Option<NameBuffer> = None;
        for hop in 0..CHAIN_MAX {
            let current = alias.as_ref().map_or(name, NameBuffer::as_slice);
            let next = match found {
                Found::Delegation(cut) => return self.referral(cut),
                Found::Nothing => return self.negative(soa, Rcode::NXDOMAIN),
                Found::Empty => return self.negative(soa, Rcode::NOERROR),
                Found::Redirection(node) => match self.redirection(current, node, hop)? {
                    None => return Ok(Outcome::of(Rcode::YXDOMAIN)),
                    // The CNAME made is what was asked for.
                    Some(_) if !self.follows() => return Ok(Outcome::of(Rcode::NOERROR)),
                    Some(next) => next,
                },
                Found::Records(node) => match self.alias(node) {
                    None => return self.records(current, node, soa),
                    // Seen before: a loop, which ends the chain.
                    Some(_) if self.is_followed(node) => return Ok(Outcome::of(Rcode::NOERROR)),
                    Some(set) => {
                        self.set(Section::Answer, current, set)?;
                        self.followed[hop] = Some(node);
                        match NameBuffer::from_wire(set.first()) {
                            Some(next) => next,
                            None => return Ok(Outcome::of(Rcode::SERVFAIL)),
                        }
                    }
                },
            };
            let is_back = next.as_slice().eq_ignore_ascii_case(name);
            if is_back || !next.is_at_or_below(self.zone.apex.as_wire()) {
                return Ok(Outcome::of(Rcode::NOERROR));
            }
            found = lookup(self.zone, next.canonical_key().as_ref(), self.qtype).found;
            alias = Some(next);
        }
        Ok(Outcome::of(Rcode::NOERROR))
    }

    fn is_followed(&self, node: &NameRecord) -> bool {
        self.followed.iter().flatten().any(|followed| std::ptr::eq(*followed, node))
    }

    /// Whether a CNAME is to be followed, not asked for.
    fn follows(&self) -> bool {
        !matches!(self.qtype, RecordType::CNAME | RecordType::ANY)
    }

    /// The CNAME to follow at `node`.
    fn alias(&self, node: &'z NameRecord) -> Option<RrSetRef<'z>> {
        // NSEC and RRSIG stand beside a CNAME (RFC 4035 §2.5): they are asked for at this name.
        let beside = matches!(self.qtype, RecordType::NSEC | RecordType::RRSIG);
        node.rrset(RecordType::CNAME).filter(|_| self.follows() && !beside)
    }

    /// Writes the DNAME of `node` and the CNAME that it makes for `name`, with the same TTL
    /// (RFC 6672 §3.1). `None` if the new name would be too long.
    fn redirection(
        &mut self,
        name: &[u8],
        node: &'z NameRecord,
        hop: usize,
    ) -> Result<Option<NameBuffer>, NoRoom> {
        let Some(set) = node.rrset(RecordType::DNAME) else { return Ok(None) };
        if !self.is_followed(node) {
            self.set(Section::Answer, node.owner().as_wire(), set)?;
            self.followed[hop] = Some(node);
        }
        let target = NameBuffer::from_wire(set.first());
        let kept = name.len() - node.owner().as_wire().len();
        let next = target.and_then(|target| target.with_prefix(&name[..kept]));
        if let Some(next) = &next {
            let (owner, ttl) = (name, set.ttl);
            let (rtype, class, target) = (RecordType::CNAME, Class::IN, next.as_slice());
            self.writer.record(Section::Answer, owner, rtype, class, ttl, target)?;
        }
        Ok(next)
    }

    fn records(
        &mut self,
        owner: &[u8],
        node: &'z NameRecord,
        soa: RrSetRef<'z>,
    ) -> Result<Outcome, NoRoom> {
        let set = match (self.qtype, self.transport) {
            // Everything for those who have shown that they are where they say.
            (RecordType::ANY, transport) if transport.is_stream() => {
                for set in node.rrsets() {
                    self.set(Section::Answer, owner, set)?;
                }
                return Ok(Outcome::of(Rcode::NOERROR));
            }
            // One RRset, always the same (RFC 8482 §4.1): the one of the lowest type.
            (RecordType::ANY, _) => node.rrsets().min_by_key(|set| set.rtype),
            _ => node.rrset(self.qtype),
        };
        match set {
            Some(set) => {
                self.set(Section::Answer, owner, set)?;
                Ok(Outcome::of(Rcode::NOERROR))
            }
            None => self.negative(soa, Rcode::NOERROR),
        }
    }

    fn set(&mut self, section: Section, owner: &[u8], set: RrSetRef<'_>) -> Result<(), NoRoom> {
        self.writer.rrset(section, owner, set.rtype, set.ttl, set.rdatas())
    }

    /// The SOA, with the TTL that negative answers have (RFC 2308 §3, §5).
    fn negative(&mut self, soa: RrSetRef<'_>, rcode: Rcode) -> Result<Outcome, NoRoom> {
        let minimum = soa_numbers(soa.first()).map_or(0, |soa| soa.minimum);
        let (owner, ttl) = (self.zone.apex.as_wire(), soa.ttl.min(minimum));
        self.writer.rrset(Section::Authority, owner, soa.rtype, ttl, soa.rdatas())?;
        Ok(Outcome::of(rcode))
    }

    /// The delegation's NS records, all addresses of servers below it, without which it cannot be
    /// followed, and those of servers elsewhere in this zone as far as they fit (RFC 9471 §3).
    fn referral(&mut self, cut: &'z NameRecord) -> Result<Outcome, NoRoom> {
        let Some(servers) = cut.rrset(RecordType::NS) else {
            return Ok(Outcome::of(Rcode::SERVFAIL));
        };
        self.set(Section::Authority, cut.owner().as_wire(), servers)?;
        for below in [true, false] {
            for server in servers.rdatas().filter_map(NameBuffer::from_wire) {
                if server.is_at_or_below(cut.owner().as_wire()) != below {
                    continue;
                }
                match self.glue(&server) {
                    Err(NoRoom) if below => return Err(NoRoom),
                    _ => {}
                }
            }
        }
        Ok(Outcome::of(Rcode::NOERROR))
    }

    fn glue(&mut self, server: &NameBuffer) -> Result<(), NoRoom> {
        if !server.is_at_or_below(self.zone.apex.as_wire()) {
            return Ok(());
        }
        let Some(node) = self.zone.names.get(server.canonical_key().as_ref()) else {
            return Ok(());
        };
        for rtype in [RecordType::A, RecordType::AAAA] {
            if let Some(set) = node.rrset(rtype) {
                self.set(Section::Additional, server.as_slice(), set)?;
            }
        }
        Ok(())
    }

    /// The SOA alone: what IXFR over UDP is answered with, so that the client comes by TCP if it
    /// has an older one (RFC 1995 §4).
    pub(super) fn soa_alone(&mut self, key: &[u8]) -> Result<Outcome, NoRoom> {
        let apex = lookup(self.zone, key, RecordType::SOA).apex;
        let Some(soa) = apex.and_then(|apex| apex.rrset(RecordType::SOA)) else {
            return Ok(Outcome::error(Rcode::SERVFAIL, ExtendedError::NOT_READY));
        };
        self.writer.set_authoritative();
        self.set(Section::Answer, self.zone.apex.as_wire(), soa)?;
        Ok(Outcome::of(Rcode::NOERROR))
    }
}
