//! Inputs of an edge's targets.

use crate::{Anyhow, update, write};
use einhorn_edge::record::{Record, Taken};
use einhorn_wire::RecordType;
use einhorn_wire::edge::{EdgeOption, write_forwarded};
use einhorn_wire::edns::UpdateLease;
use einhorn_wire::{Class, Name};

const KEA4: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id\n192.0.2.10,00:11:22:33:44:55,,3600,1000,1,0,0,anna,0,,0\n192.0.2.10,00:11:22:33:44:55,,0,1000,1,0,0,anna,0,,0\n192.0.2.11,,,4294967295,900,1,0,0,,2,,0\n";
const KEA6: &str = "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id\n2001:db8::10,00:01,3600,1000,1,1800,0,7,128,0,0,anna,,0,,,,0\n2001:db8:1::,00:01,3600,1000,1,1800,2,7,56,0,0,anna,,0,,,,0\n";
const DHCPD: &str = "server-duid \"\\000;}\";\nlease 192.0.2.10 {\n  ends never;\n  binding state active;\n  client-hostname \"anna\";\n}\nlease 192.0.2.10 {\n  ends epoch 5;\n  binding state free;\n}\n";

pub(crate) fn all() -> Anyhow {
    write("edge_kea", "four", KEA4.as_bytes())?;
    write("edge_kea", "six", KEA6.as_bytes())?;
    write("edge_dhcpd", "leases", DHCPD.as_bytes())?;
    let device: Name = "phone.".parse()?;
    let message = update(&[], &[("host.fleet.example.", RecordType::A, Class::ANY, 0, &[])])?;
    let option = EdgeOption { sequence: 9, lowest: 7, age_seconds: 1, device: device.clone() };
    let lease = Some(UpdateLease { record_seconds: 3_600, key_seconds: Some(7_200) });
    let mut octets = Vec::new();
    write_forwarded(&message, 7, lease, &option, &mut octets);
    write("edge_option", "forwarded", &octets)?;
    write("dispatch", "edge", &octets)?;
    let (sequence, hash, until_seconds) = (9, [7; 32], 300);
    let message = message.into();
    let taken_ms = 1_000;
    let taken =
        Taken { sequence, lowest: 7, taken_ms, lease, hash, until_seconds, device, message };
    let mut octets = Vec::new();
    for record in [
        Record::Last { sequence: 8 },
        Record::Known { hash: [6; 32], until_seconds, rcode: 5 },
        Record::Taken(Box::new(taken)),
        Record::Promised { sequence },
    ] {
        record.write(&mut octets);
    }
    write("edge_queue", "promised", &octets)?;
    for record in [Record::Settled { sequence, rcode: 0 }, Record::Withdrawn { sequence }] {
        record.write(&mut octets);
    }
    write("edge_queue", "settled", &octets)
}
