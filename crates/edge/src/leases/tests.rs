//! Files as servers write them, and what comes of them.

use super::*;
use proptest::prelude::*;

const DHCPD: &[u8] = b"# The format of this file is documented in the dhcpd.leases(5) manual page.
server-duid \"\\000\\001\";

lease 192.0.2.10 {
  starts 4 2026/01/01 00:00:00;
  ends 4 2026/01/01 01:00:00;
  binding state active;
  hardware ethernet 00:11:22:33:44:55;
  client-hostname \"Annas-iPhone\";
}
lease 192.0.2.11 {
  ends never;
  binding state active;
  hardware ethernet 00:11:22:33:44:56;
}
lease 192.0.2.10 {
  ends 4 2026/01/01 00:30:00;
  binding state free;
  client-hostname \"Annas-iPhone\";
}
";

const KEA4: &[u8] = b"address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state,user_context,pool_id
192.0.2.10,00:11:22:33:44:55,,3600,1000,1,0,0,annas-iphone,0,,0
192.0.2.11,00:11:22:33:44:56,,4294967295,900,1,0,0,ben.fleet.example.,0,,0
192.0.2.10,00:11:22:33:44:55,,0,1000,1,0,0,annas-iphone,0,,0
192.0.2.12,00:11:22:33:44:57,,3600,1000,1,0,0,,1,,0
";

const KEA6: &[u8] = b"address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source,pool_id
2001:db8::10,00:01,3600,1000,1,1800,0,7,128,0,0,annas-iphone,,0,,,,0
2001:db8:1::,00:01,3600,1000,1,1800,2,7,56,0,0,annas-iphone,,0,,,,0
";

fn zone() -> Name {
    "fleet.example.".parse().expect("a name")
}

fn lease(last: u8, host: &str, ends_seconds: Option<u64>, is_active: bool) -> Lease {
    Lease {
        address: [192, 0, 2, last].into(),
        host: Some(host.to_owned()),
        ends_seconds,
        is_active,
    }
}

fn said(table: &mut Table) -> Vec<(String, Vec<IpAddr>, Vec<IpAddr>)> {
    let mut all = Vec::new();
    while let Some(change) = table.next() {
        table.update(&change).expect("room");
        table.said(&change);
        all.push((change.host.to_string(), change.addresses, change.gone));
    }
    all
}

#[test]
fn files_of_both_servers_are_read() {
    let leases = dhcpd::Reader::default().push(DHCPD);
    // The last one of an address counts where several come together.
    assert_eq!(leases.len(), 2, "{leases:?}");
    assert_eq!(leases[0], lease(11, "192.0.2.11", None, true));
    assert_eq!(leases[1], lease(10, "Annas-iPhone", Some(1_767_227_400), false));
    let leases = kea::Reader::default().push(KEA4);
    assert_eq!(leases[0], lease(10, "annas-iphone", Some(1_000), true));
    assert_eq!(leases[1], lease(11, "ben.fleet.example.", None, true));
    assert_eq!(leases[2], lease(10, "annas-iphone", Some(1_000), false));
    assert!(!leases[3].is_active && leases[3].host.is_none());
    let leases = kea::Reader::default().push(KEA6);
    assert_eq!(leases.len(), 1, "prefixes are nobody's address");
    assert_eq!(leases[0].address, "2001:db8::10".parse::<IpAddr>().expect("an address"));
}

#[test]
fn a_host_has_what_its_leases_say() {
    let mut table = Table::new(zone(), 300);
    let address = |last: u8| IpAddr::from([192, 0, 2, last]);
    let anna = "anna.fleet.example.".to_owned();
    table.note(&lease(1, "Anna", Some(100), true), 0);
    table.note(&lease(2, "anna.elsewhere.example", Some(200), true), 0);
    table.note(&lease(3, "192.0.2.3", None, true), 0);
    assert_eq!(said(&mut table), [(anna.clone(), vec![address(1), address(2)], vec![])]);
    // A renewal changes nothing that anybody sees.
    table.note(&lease(1, "anna", Some(150), true), 0);
    assert_eq!(said(&mut table), []);
    assert_eq!(table.next_end(), Some(150));
    table.expire(150);
    assert_eq!(said(&mut table), [(anna.clone(), vec![address(2)], vec![address(1)])]);
    // The address goes to somebody else.
    table.note(&lease(2, "ben", Some(300), true), 160);
    let ben = ("ben.fleet.example.".to_owned(), vec![address(2)], vec![]);
    assert_eq!(said(&mut table), [(anna.clone(), vec![], vec![address(2)]), ben]);
    // One that ended while nobody looked, or while it was given back.
    table.note(&lease(9, "anna", Some(100), true), 170);
    assert_eq!(said(&mut table), [(anna, vec![], vec![address(9)])]);
}

#[test]
fn only_what_a_host_can_be_called_becomes_a_name() {
    let name = |called: &str| host_name(called, &zone()).map(|name| name.to_string());
    for (called, wanted) in [
        ("Anna", Some("anna.fleet.example.")),
        ("anna.lab.fleet.example.", Some("anna.lab.fleet.example.")),
        ("anna.local", Some("anna.fleet.example.")),
        ("fleet.example", Some("fleet.fleet.example.")),
        ("anna's phone", None),
        ("-anna", None),
        ("192.0.2.1", None),
        ("", None),
    ] {
        assert_eq!(name(called).as_deref(), wanted, "{called}");
    }
}

/// Makes what reads one kind of file.
type Make = fn() -> Box<dyn Read>;

proptest! {
    /// However a file comes in pieces, the same leases stand in the end.
    #[test]
    fn pieces_make_no_difference(cuts in proptest::collection::vec(0usize..600, 0..8)) {
        let readers: [(&[u8], Make); 3] = [
            (DHCPD, || Box::new(dhcpd::Reader::default())),
            (KEA4, || Box::new(kea::Reader::default())),
            (KEA6, || Box::new(kea::Reader::default())),
        ];
        for (octets, reader) in readers {
            let last = |leases: Vec<Lease>| -> BTreeMap<IpAddr, Lease> {
                leases.into_iter().map(|lease| (lease.address, lease)).collect()
            };
            let whole = last(reader().push(octets));
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % octets.len()).collect();
            cuts.extend([0, octets.len()]);
            cuts.sort_unstable();
            let mut reader = reader();
            let pieces = cuts.windows(2).flat_map(|cut| reader.push(&octets[cut[0]..cut[1]]));
            prop_assert_eq!(last(pieces.collect()), whole);
        }
    }
}
