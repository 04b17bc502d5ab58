//! A whole zone in order: for transfers (AXFR, RFC 5936) and for zone files.

use einhorn_core::model::{RrSetRef, Zone};
use einhorn_wire::message::{Opcode, Question};
use einhorn_wire::writer::{Section, Writer};
use einhorn_wire::{Class, NameRef, Record, RecordType};

/// Octets of a transfer's messages. Pointers reach 16 KiB, so longer ones compress worse.
const MESSAGE_OCTETS_MAX: usize = 16_384;

/// All RRsets of the zone: the SOA first, then canonical order.
pub fn rrsets(zone: &Zone) -> impl Iterator<Item = (NameRef<'_>, RrSetRef<'_>)> {
    let all = zone.names.iter().flat_map(|record| record.rrsets().map(|set| (record.owner(), set)));
    let soa = zone.rrset(&zone.apex, RecordType::SOA).map(|soa| (zone.apex.borrowed(), soa));
    soa.into_iter().chain(all.filter(|(_, set)| set.rtype != RecordType::SOA))
}

/// All records of the zone: the SOA first, then canonical order.
pub fn records(zone: &Zone) -> impl Iterator<Item = Record> {
    rrsets(zone).flat_map(|(owner, set)| {
        set.rdatas().map(move |rdata| Record {
            owner: owner.to_name(),
            rtype: set.rtype,
            class: Class::IN,
            ttl: set.ttl,
            rdata: rdata.into(),
        })
    })
}

/// Writes the messages of an AXFR of `zone`: its records with the SOA first and last (RFC 5936
/// §2.2). `send` gets each message and may add a signature of up to `reserve_octets`; a `false`
/// from it ends the transfer.
pub fn axfr(
    zone: &Zone,
    id: u16,
    question: &Question,
    reserve_octets: usize,
    mut send: impl FnMut(Vec<u8>) -> bool,
) {
    let soa = zone.rrset(&zone.apex, RecordType::SOA).map(|soa| (zone.apex.borrowed(), soa));
    let all = rrsets(zone)
        .chain(soa)
        .flat_map(|(owner, set)| set.rdatas().map(move |rdata| (owner, set, rdata)));
    let mut all = all.peekable();
    let mut first = true;
    while all.peek().is_some() {
        // A record that alone is longer than our usual message gets one for itself.
        let longest =
            all.peek().map_or(0, |(owner, _, rdata)| owner.as_wire().len() + rdata.len() + 300);
        let mut message = Vec::with_capacity(MESSAGE_OCTETS_MAX + 300);
        let limit = MESSAGE_OCTETS_MAX.max(longest + reserve_octets).min(usize::from(u16::MAX));
        let mut writer = Writer::new(&mut message, id, limit);
        writer.reserve(reserve_octets);
        writer.set_response(Opcode::QUERY, false);
        writer.set_authoritative();
        if first
            && writer.question(question.name.as_slice(), question.rtype, question.class).is_err()
        {
            return;
        }
        first = false;
        let mut written = 0;
        while let Some((owner, set, rdata)) = all.peek() {
            let record = writer.record(
                Section::Answer,
                owner.as_wire(),
                set.rtype,
                Class::IN,
                set.ttl,
                rdata,
            );
            if record.is_err() {
                break;
            }
            written += 1;
            all.next();
        }
        // Records that fit no message are refused when they come in.
        if written == 0 || !send(message) {
            return;
        }
    }
}
