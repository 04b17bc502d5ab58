//! §2.3.4, size limits.

use crate::prelude::*;

cases![
    labels_of_63_octets,
    names_of_255_octets,
    names_of_127_labels,
    longer_names_are_format_errors,
    longer_labels_are_format_errors,
];

fn labels_of_63_octets(server: &Server) {
    let label = format!("l63{:060}", 0);
    let reply = server.ask(&format!("{label}.main.test. A"));
    reply.answers(&format!("{label}.main.test. 300 A 192.0.2.87"));
}

/// Labels of 63, 63, 63 and 51 octets below `long.test.`
fn longest() -> String {
    format!("{0}.{0}.{0}.{1}.long.test.", "x".repeat(63), "z".repeat(51))
}

fn names_of_255_octets(server: &Server) {
    let name = longest();
    server.ask(&format!("{name} A")).answers(&format!("{name} 300 A 192.0.2.160"));
    let reply = server.ask("tolong.long.test. A");
    reply.answers(&format!(
        "tolong.long.test. 300 CNAME {name}
         {name} 300 A 192.0.2.160"
    ));
}

fn names_of_127_labels(server: &Server) {
    let name = format!("{}long.test.", "a.".repeat(122));
    server.ask(&format!("{name} A")).answers(&format!("{name} 300 A 192.0.2.161"));
}

/// A message with this name in its question.
fn query_of(wire: &[u8]) -> Vec<u8> {
    let header = [0x12, 0x34, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&header[..], wire, &[0, 1, 0, 1]].concat()
}

fn longer_names_are_format_errors(server: &Server) {
    let mut wire = b"\x01a".repeat(128);
    wire.push(0);
    let query = query_of(&wire);
    assert!(server.is_silent(&query) || server.udp(&query).rcode == Rcode::FORMERR);
}

/// 64 to 191 in the length octet are no lengths (§4.1.4: "reserved for future use").
fn longer_labels_are_format_errors(server: &Server) {
    for length in [64, 128, 191] {
        let mut wire = vec![length];
        wire.extend(vec![b'a'; length.into()]);
        wire.push(0);
        let query = query_of(&wire);
        assert!(server.is_silent(&query) || server.udp(&query).rcode == Rcode::FORMERR);
    }
}
