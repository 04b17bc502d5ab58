//! Tests of the zone files' codec.

use crate::codec::{Format, Options};
use crate::convert::convert;
use crate::report::Report;

const ZONE: &[u8] = b"$TTL 1h\n\
    $ORIGIN example.\n\
    @ IN SOA ns.example. root.example. 7 1 2 3 4 ; begin\n\
    \tNS ns\n\
    ns A 192.0.2.1\n\
    ; note\n\
    \x20  AAAA 2001:db8::1 ; same owner\n\
    host ( A 192.0.2.2\n  )\n\
    host HINFO \"VAX-11/780\" UNIX\n\
    www CNAME host\n\
    mail MX 10 host\n\
    bad A 192.0.2.300\n\
    far CNAME elsewhere.example.\n";

fn run(from: Format, to: Format, octets: &[u8]) -> (String, Report) {
    let origin = "example.".parse().expect("a name");
    let options = Options { origin, ..Options::default() };
    let (octets, report) = convert(from, to, octets, &options).expect("accepted");
    (String::from_utf8(octets).expect("text"), report)
}

#[test]
fn a_zone_passes_through_octet_by_octet() {
    let (text, report) = run(Format::Zone, Format::Zone, ZONE);
    assert_eq!(text.as_bytes(), ZONE);
    assert_eq!((report.records, report.quarantined.len(), report.generation), (5, 1, Some(7)));
    assert_eq!(report.quarantined[0].line, 13, "{:?}", report.quarantined);
    let (json, _) = run(Format::Zone, Format::Json, ZONE);
    let (again, _) = run(Format::Json, Format::Zone, json.as_bytes());
    assert_eq!(again.as_bytes(), ZONE);
}

#[test]
fn hosts_of_a_zone_become_a_host_table() {
    let (text, report) = run(Format::Zone, Format::HostsTxt, ZONE);
    let hosts: Vec<_> = text.lines().filter(|line| line.contains("192.0.2")).collect();
    let expected = [
        "HOST : 192.0.2.1 : ns.example : : : :",
        "HOST : 192.0.2.2 : host.example,www.example : VAX-11/780 : UNIX : :",
    ];
    assert_eq!(hosts, expected);
    assert_eq!(report.counts.losses["address-not-held"], 1, "{report}");
    assert!(report.losses.iter().any(|loss| loss.value == "3600 MX 10 host.example."), "{report}");
}

#[test]
fn a_host_table_becomes_a_zone_and_comes_back() {
    let table = b"NET : 10.0.0.0 : ARPANET :\n\
        HOST : 10.0.0.1, 10.0.0.2 : A,B,C : VAX : UNIX : TCP/FTP :\n\
        HOST : CHAOS 1 : D : : : :\n\
        HOST : 10.0.0.3 : C : : ITS : :\n";
    let (zone, report) = run(Format::HostsTxt, Format::Zone, table);
    let lost: Vec<_> =
        report.losses.iter().map(|loss| (loss.code.code(), &*loss.record, &*loss.value)).collect();
    let expected = [
        ("field-not-held", "A", "TCP/FTP"),
        ("name-collides", "A", "C"),
        ("address-not-held", "D", "CHAOS 1"),
        ("no-address", "D", "D"),
    ];
    assert_eq!(lost, expected);
    assert_eq!(report.records_written, 3);
    let (again, _) = run(Format::Zone, Format::HostsTxt, zone.as_bytes());
    let lines: Vec<_> = again.lines().filter(|line| line.contains("10.0.0")).collect();
    let expected = [
        "NET : 10.0.0.0 : ARPANET.example :",
        "HOST : 10.0.0.1, 10.0.0.2 : A.example,B.example : VAX : UNIX : :",
        "HOST : 10.0.0.3 : C.example : : ITS : :",
    ];
    assert_eq!(lines, expected, "{zone}");
}
