//! What comes to an edge, and what one reads again.

use einhorn_edge::leases::{Lease, Read};
use einhorn_edge::record::{Kept, Record};
use einhorn_wire::Message;
use einhorn_wire::edge::{EdgeOption, without_additional, write_forwarded};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is sent on has the same sections and says what was said.
pub(crate) fn option(octets: &[u8]) {
    let Ok(message) = Message::parse(octets) else { return };
    let Ok(Some(option)) = EdgeOption::of(&message) else { return };
    let update = without_additional(&message);
    let mut sent = Vec::new();
    write_forwarded(&update, 7, None, &option, &mut sent);
    let Ok(again) = Message::parse(&sent) else { panic!("what is sent on is no message") };
    assert_eq!(EdgeOption::of(&again), Ok(Some(option)), "the option is another one");
    assert_eq!(without_additional(&again), update, "the update is another one");
    assert_eq!(again.header.counts[..3], message.header.counts[..3]);
}

/// What is read of a file comes to the same when it is written anew.
pub(crate) fn queue(octets: &[u8]) {
    let (kept, used) = Kept::read(octets);
    assert!(used <= octets.len());
    let mut written = Vec::new();
    kept.write(&mut written);
    assert_eq!(Kept::read(&written), (kept, written.len()), "another queue");
    if let Some((record, rest)) = Record::read(octets) {
        let mut written = Vec::new();
        record.write(&mut written);
        assert_eq!(Record::read(&written), Some((record, &[][..])));
        assert!(rest.len() < octets.len());
    }
}

/// The last lease of each address.
fn last(leases: Vec<Lease>) -> BTreeMap<IpAddr, Lease> {
    leases.into_iter().map(|lease| (lease.address, lease)).collect()
}

/// A file of whole lines says the same in two pieces as in one.
fn pieces(octets: &[u8], new: fn() -> Box<dyn Read>) {
    let whole = last(new().push(octets));
    let (mut reader, middle) = (new(), octets.len() / 2);
    let mut leases = reader.push(&octets[..middle]);
    leases.extend(reader.push(&octets[middle..]));
    assert_eq!(last(leases), whole, "other leases in pieces");
}

pub(crate) fn dhcpd(octets: &[u8]) {
    // Braces in odd places may be read otherwise in pieces; nothing else is promised there.
    drop(einhorn_edge::leases::dhcpd::Reader::default().push(octets));
}

pub(crate) fn kea(octets: &[u8]) {
    pieces(octets, || Box::new(einhorn_edge::leases::kea::Reader::default()));
}
