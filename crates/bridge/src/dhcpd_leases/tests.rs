//! Tests of the leases' codec.

use crate::codec::{Format, Options};
use crate::convert::convert;

const LEASES: &[u8] = b"# The format of this file is documented in the dhcpd.leases(5) manual page.\n\
authoring-byte-order little-endian;\n\
\n\
server-duid \"\\000\\001;}\";\n\
lease 192.0.2.1 {\n  starts 4 2020/01/02 03:04:05;\n  ends never;\n  binding state active;\n}\n\
lease 192.0.2.1 {\n  starts 4 2020/01/02 03:04:05;\n  ends 4 2020/01/02 04:04:05;\n  binding state active;\n  next binding state free;\n  hardware ethernet 00:11:22:33:44:55;\n  uid \"\\001\\021\\\"3;D}\";\n  client-hostname \"anna\";\n}\n\
lease 192.0.2.2 {\n  ends epoch 1577934245; # comment\n  binding state free;\n}\n\
lease 192.0.2.3 {\n  ends 4 2020/13/02 04:04:05;\n}\n\
lease 192.0.2.4 {\n  starts 4 2020/01/02 03:04:05;\n";

fn run(from: Format, to: Format, octets: &[u8]) -> (String, crate::report::Report) {
    let (octets, report) = convert(from, to, octets, &Options::default()).expect("accepted");
    (String::from_utf8(octets).expect("text"), report)
}

#[test]
fn leases_are_read_and_pass_through() {
    let (text, report) = run(Format::DhcpdLeases, Format::DhcpdLeases, LEASES);
    assert_eq!(text.as_bytes(), LEASES);
    let faults: Vec<_> = report.quarantined.iter().map(|e| (e.code.code(), e.line)).collect();
    assert_eq!(faults, [("bad-date", 23), ("bad-record", 26)]);
    assert_eq!((report.records, report.counts.quirks["superseded"]), (2, 1));
}

#[test]
fn active_leases_become_hosts() {
    let (text, report) = run(Format::DhcpdLeases, Format::EtcHosts, LEASES);
    assert_eq!(text, "192.0.2.1\tanna\n");
    assert_eq!(report.counts.losses["not-active"], 1);
    let lost = |field: &str| report.losses.iter().any(|loss| loss.field.name() == field);
    assert!(lost("hardware") && lost("expires") && lost("sidecar"), "{report}");
}

#[test]
fn a_changed_lease_is_written_with_all_it_says() {
    let (json, _) = run(Format::DhcpdLeases, Format::Json, LEASES);
    let edited = json.replace("00:11:22:33:44:55", "00:11:22:33:44:66");
    let edited = edited.replacen(
        "\"hardware\":\"ethernet 00:11:22:33:44:66\"",
        "\"hardware\":\"ethernet 00:11:22:33:44:77\"",
        1,
    );
    let (text, report) = run(Format::Json, Format::DhcpdLeases, edited.as_bytes());
    assert_eq!(report.counts.quirks["edited"], 1);
    for part in [
        "hardware ethernet 00:11:22:33:44:77;",
        "uid \"\\001\\021\\\"3;D}\";",
        "ends 4 2020/01/02 04:04:05;",
        "client-hostname \"anna\";",
        "next binding state free;",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
