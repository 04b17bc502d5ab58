//! Every format to every format, with a host table that has something of all kinds in it.

use einhorn_bridge::codec::{Format, Layout, Options};
use einhorn_bridge::convert::Conversion;
use einhorn_bridge::report::Report;

const TABLE: &[u8] = b"; a comment\n\
    NET : 26.0.0.0 : DDN :\n\
    GATEWAY : 10.0.0.9, 26.0.0.9 : GW : C/30 : CHRYSALIS : IP/GW :\n\
    HOST : 10.0.0.1 : ALPHA,A : VAX : UNIX : TCP/TELNET :\n\
    HOST : 10.0.0.2, CHAOS 3120 : BRAVO : VAX : UNIX : :\n\
    HOST : 1.328.0.1 : ODD : VAX : UNIX : :\n\
    HOST : 10.0.0.4 : A-NAME-THAT-NO-RECORD-OF-THEIRS-HAS-ROOM-FOR : VAX : UNIX : :\n";

fn options(format: Format) -> Options {
    let layout = |copybook: &str, layout: &str| {
        Some(Layout { copybook: copybook.to_owned(), layout: layout.to_owned() })
    };
    let layout = match format {
        Format::Copybook => layout(
            include_str!("../../../tests/interop/mainframe/master.cpy"),
            include_str!("../../../tests/interop/mainframe/master.toml"),
        ),
        Format::Cards => layout(
            include_str!("../../../tests/interop/mainframe/cards.cpy"),
            include_str!("../../../tests/interop/mainframe/cards.toml"),
        ),
        _ => None,
    };
    Options { layout, ..Options::default() }
}

fn run(from: Format, to: Format, octets: &[u8]) -> (Vec<u8>, Report) {
    let what = format!("{} to {}", from.name(), to.name());
    let mut conversion = Conversion::between((from, &options(from)), (to, &options(to)))
        .unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
    let mut output = conversion.push(octets).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
    let (last, report) = conversion.finish().unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
    output.extend(last);
    (output, report)
}

#[test]
fn every_format_becomes_every_format() {
    for from in Format::ALL {
        let (first, made) = run(Format::HostsTxt, from, TABLE);
        assert!(made.records_written >= 3, "{}: {made}", from.name());
        for to in Format::ALL {
            let what = format!("{} to {}", from.name(), to.name());
            let (second, report) = run(from, to, &first);
            if from == to {
                let (one, other) = (first.escape_ascii(), second.escape_ascii());
                assert!(first == second, "{what} is not the same:\n{one}\n{other}");
                assert_eq!(report.losses, [], "{what}");
            }
            // Whatever is left out is declared, and what is written can be read.
            let omitted = report.records.saturating_sub(report.records_written);
            let named = report.losses.iter().filter(|loss| loss.field.name() == "name").count();
            assert!(named as u64 >= omitted, "{what}: {omitted} left out: {report}");
            assert!(report.records_written >= 2, "{what}: {report}");
            let (_, again) = run(to, Format::Json, &second);
            // JSON and a format itself keep what was quarantined; nothing else may be.
            let kept = if [from, to].contains(&Format::Json) || from == to { 1 } else { 0 };
            assert!(again.quarantined.len() <= kept, "{what}: {:?}", again.quarantined);
            // Leases are one for each address, and one host again elsewhere.
            let hosts = if from == Format::DhcpdLeases { 2 } else { report.records_written };
            assert!(again.records >= hosts, "{what}: {report}{again}");
        }
    }
}
