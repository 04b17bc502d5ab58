//! Files of host records.

use einhorn_bridge::codec::{Format, Options};
use einhorn_bridge::convert::convert;
use einhorn_bridge::hostname_server::{Question, Shown, View};
use einhorn_bridge::record::{Address, Kind};
use einhorn_bridge::report::Report;
use einhorn_bridge::text::Text;
use std::ops::ControlFlow;

fn run(from: Format, to: Format, octets: &[u8]) -> Option<(Vec<u8>, Report)> {
    convert(from, to, octets, &Options::default()).ok()
}

/// Whatever the file is, it comes back octet by octet, from JSON too; and what is written in
/// another format can be read there.
fn file(format: Format, octets: &[u8]) {
    let Some((same, report)) = run(format, format, octets) else {
        panic!("{} refuses a file", format.name())
    };
    assert_eq!(same, octets, "{} changes a file", format.name());
    assert_eq!(report.losses, [], "{} loses something of its own", format.name());
    for quirk in &report.quirks {
        assert!(quirk.offset <= octets.len() as u64 && quirk.line > 0, "{quirk:?}");
    }
    let json = run(format, Format::Json, octets).map(|(json, _)| json).unwrap_or_default();
    let back = run(Format::Json, format, &json).map(|(back, _)| back);
    assert_eq!(back.as_deref(), Some(octets), "JSON changes a file");
    for other in [Format::HostsTxt, Format::EtcHosts, Format::Rfc606, Format::DhcpdLeases] {
        let Some((written, report)) = run(format, other, octets).filter(|_| other != format) else {
            continue;
        };
        let read = run(other, Format::Json, &written);
        let quarantined = read.map(|(_, again)| again.quarantined).unwrap_or_default();
        let text = written.escape_ascii();
        assert_eq!(quarantined, [], "{} writes what it cannot read: {text}", other.name());
        assert!(report.records_written <= report.records, "{report}");
    }
}

pub(crate) fn hosts_txt(octets: &[u8]) {
    file(Format::HostsTxt, octets);
}

pub(crate) fn rfc606(octets: &[u8]) {
    file(Format::Rfc606, octets);
}

pub(crate) fn etc_hosts(octets: &[u8]) {
    file(Format::EtcHosts, octets);
}

pub(crate) fn bridge_zone(octets: &[u8]) {
    file(Format::Zone, octets);
}

pub(crate) fn dhcpd_leases(octets: &[u8]) {
    file(Format::DhcpdLeases, octets);
}

/// A document that is read is written such that it is read the same.
pub(crate) fn bridge_json(octets: &[u8]) {
    let Some((first, _)) = run(Format::Json, Format::Json, octets) else { return };
    let second = run(Format::Json, Format::Json, &first).map(|(second, _)| second);
    assert_eq!(second.as_ref(), Some(&first), "{}", String::from_utf8_lossy(&first));
}

/// A table with one host, which every question finds.
struct One;

fn one() -> Shown {
    Shown {
        kind: Kind::Host,
        names: vec!["A:\r\n".into()],
        addresses: vec![Address::of_arpanet_number(69)],
        machine: Text::default(),
        system: Text::default(),
        protocols: Vec::new(),
    }
}

impl View for One {
    fn by_name(&self, _: &Text) -> Vec<Shown> {
        vec![one()]
    }

    fn by_address(&self, _: &Address) -> Vec<Shown> {
        vec![one()]
    }

    fn all(&self, take: &mut dyn FnMut(&Shown) -> ControlFlow<()>) -> ControlFlow<()> {
        take(&one())
    }

    fn version(&self) -> String {
        "1".to_owned()
    }
}

/// Every line has an answer of whole lines, whether there is a table or not.
pub(crate) fn hostname_server(octets: &[u8]) {
    for view in [Some(&One as &dyn View), None] {
        let mut text = Vec::new();
        let answered = Question::of(octets).answer(view, &mut |piece| {
            text.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        assert_eq!(answered, ControlFlow::Continue(()));
        assert!(text.ends_with(b"\r\n") && text.is_ascii(), "{}", text.escape_ascii());
    }
}
