//! For how long an HTTP cache may keep a DNS response (RFC 8484 §5.1).

use einhorn_wire::RecordType;
use einhorn_wire::message::{Message, Opcode, Rcode, Section};
use einhorn_wire::rdata::soa_numbers;

/// The smallest TTL of the response, in seconds; of a negative one also what its SOA says
/// (RFC 2308 §5). 0 for what is not to be kept: failures, and responses to anything but queries.
pub(super) fn freshness_seconds(response: &[u8]) -> u32 {
    let Ok(message) = Message::parse(response) else { return 0 };
    let may_be_kept = matches!(message.header.rcode(), Rcode::NOERROR | Rcode::NXDOMAIN)
        && message.header.opcode() == Opcode::QUERY;
    if !may_be_kept {
        return 0;
    }
    let mut smallest = None;
    for section in [Section::Answer, Section::Authority] {
        for record in message.section(section) {
            let Ok(raw) = record else { return 0 };
            let mut seconds = raw.ttl;
            if raw.rtype == RecordType::SOA
                && let Ok(record) = raw.to_record(message.octets)
                && let Some(soa) = soa_numbers(&record.rdata)
            {
                seconds = seconds.min(soa.minimum);
            }
            smallest = Some(smallest.map_or(seconds, |smallest: u32| smallest.min(seconds)));
        }
    }
    smallest.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use einhorn_wire::writer::{Section as Write, Writer};
    use einhorn_wire::{Class, Name};

    fn response(rcode: Rcode, ttls: &[u32], negative: Option<(u32, u32)>) -> Vec<u8> {
        let name: Name = "host.example.".parse().expect("a name");
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 0, 512);
        writer.set_response(Opcode::QUERY, false);
        writer.set_rcode(rcode);
        for ttl in ttls {
            let (owner, rdata) = (name.as_wire(), [192, 0, 2, 1]);
            let (section, rtype) = (Write::Answer, RecordType::A);
            writer.record(section, owner, rtype, Class::IN, *ttl, &rdata).expect("room");
        }
        if let Some((ttl, minimum)) = negative {
            let numbers = [1, 2, 3, 4, minimum].map(u32::to_be_bytes).concat();
            let rdata = [&[0, 0][..], &numbers].concat();
            let (section, rtype) = (Write::Authority, RecordType::SOA);
            writer.record(section, name.as_wire(), rtype, Class::IN, ttl, &rdata).expect("room");
        }
        octets
    }

    #[test]
    fn the_smallest_counts() {
        let fresh = |rcode, ttls: &[u32], soa| freshness_seconds(&response(rcode, ttls, soa));
        assert_eq!(fresh(Rcode::NOERROR, &[300, 60, 90], None), 60);
        assert_eq!(fresh(Rcode::NXDOMAIN, &[], Some((3_600, 30))), 30);
        assert_eq!(fresh(Rcode::NOERROR, &[], Some((20, 30))), 20);
        assert_eq!(fresh(Rcode::NXDOMAIN, &[10], Some((3_600, 30))), 10, "an alias to nothing");
        assert_eq!(fresh(Rcode::NOERROR, &[0], None), 0);
        assert_eq!(fresh(Rcode::NOERROR, &[], None), 0);
        assert_eq!(fresh(Rcode::REFUSED, &[300], None), 0);
        let mut update = response(Rcode::NOERROR, &[300], None);
        update[2] |= Opcode::UPDATE.0 << 3;
        assert_eq!(freshness_seconds(&update), 0);
        assert_eq!(freshness_seconds(b"no message"), 0);
    }
}
