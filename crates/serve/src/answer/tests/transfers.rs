//! Whole zones.

use super::*;
use crate::transfer;

#[test]
fn a_transfer_has_everything_between_two_soas() {
    let zone = ZONES.get(&name("example.")).expect("zone");
    let octets = query("example.", "AXFR", None);
    let question = Message::parse(&octets).expect("query").question().expect("question");
    let mut all = Vec::new();
    transfer::messages(zone, &transfer::Content::Whole, 1, &question, 100, |message| {
        all.extend(
            Message::parse(&message[2..]).expect("message").records(Read::Answer).expect("records"),
        );
        true
    });
    assert_eq!(all.first(), all.last());
    // The first line is the TTL, the SOA comes twice; glue is there too.
    assert_eq!(all.len(), ZONE.lines().count() - 1 + 1);
    let apex = name("example.");
    let file = {
        let mut out = Vec::new();
        let records: Vec<_> = transfer::records(zone).collect();
        zonefile::write(&mut out, &apex, records.iter()).expect("written");
        out
    };
    let back = zonefile::load(Path::new("z"), &apex, &mut |_| Ok(file.clone())).expect("records");
    assert_eq!(back, all[..all.len() - 1]);
}
