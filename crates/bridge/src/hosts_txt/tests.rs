//! Tests of the host tables' codec.

use crate::codec::{Format, Options};
use crate::convert::{Conversion, convert};
use crate::report::Report;
use proptest::prelude::*;

fn through(octets: &[u8]) -> Report {
    let (output, report) =
        convert(Format::HostsTxt, Format::HostsTxt, octets, &Options::default()).expect("accepted");
    assert_eq!(output, octets, "{}", octets.escape_ascii());
    assert_eq!(report.losses, []);
    report
}

fn quirks(report: &Report) -> Vec<(&'static str, u64, u64)> {
    report.quirks.iter().map(|quirk| (quirk.code.code(), quirk.line, quirk.offset)).collect()
}

#[test]
fn oddities_have_line_and_offset() {
    let text = b"BEGIN:\nHOST : 1.2.3.04 : A,b :::\x0c:\r\n; x\nHOST : 1.2.3.4,\n : C :::: ; y\n";
    let report = through(text);
    let expected = [
        ("leading-zero", 2, 14),
        ("lower-case", 2, 27),
        ("form-feed", 2, 32),
        ("carriage-return", 2, 34),
        ("empty-element", 4, 55),
        ("trailing-comment", 5, 66),
    ];
    assert_eq!(quirks(&report), expected);
    assert_eq!((report.records, report.entries), (2, 2));
}

#[test]
fn faults_quarantine_their_entry_alone() {
    let text = b"HOST : 1.328.3.4 : A ::::\nHOST : 36.8.0.11, \nv.40.0.102 : B ::::\nHOST : 1.2.3.4 : C ::::\nHOST : 1.2.3.4 ::::\nHOST\n";
    let report = through(text);
    let found: Vec<_> = report
        .quarantined
        .iter()
        .map(|entry| (entry.code.code(), entry.line, entry.offset, &*entry.value))
        .collect();
    let expected = [
        ("octet-range", 1, 0, "1.328.3.4"),
        ("broken-entry", 2, 26, "v.40.0.102"),
        ("no-name", 5, 89, ""),
        ("broken-entry", 6, 109, ""),
    ];
    assert_eq!(found, expected);
    assert_eq!((report.records, report.entries), (1, 5));
}

#[test]
fn padding_and_endless_lines_pass_through() {
    let report = through(b"HOST : 1.2.3.4 : A ::::\n\0\0\0\0\x1a");
    assert_eq!((report.records, report.entries), (1, 1));
    assert_eq!(report.counts.quirks["nul"], 1);
    assert_eq!(report.counts.quirks["control-z"], 1);

    let options = Options::default();
    let mut conversion = Conversion::new(Format::HostsTxt, Format::HostsTxt, &options)
        .expect("formats that need nothing");
    let (piece, mut total) = (vec![b'x'; 1 << 19], 0);
    for _ in 0..64 {
        total += conversion.push(&piece).expect("accepted").len();
    }
    assert!(total >= 63 << 19, "a line without an end is handed on in pieces: {total}");
    let (rest, report) = conversion.finish().expect("accepted");
    assert_eq!(total + rest.len(), 64 << 19);
    assert_eq!(report.counts.quirks["long-chunk"], 1);
}

#[test]
fn other_dialects_are_read() {
    let (json, report) = convert(
        Format::HostsTxt,
        Format::Json,
        b"NET : UN 7.0.0.0 : CHAOS :\nHOST : CHAOS 177002, 192.5.6.7 : A ::::\n\
          HOST MIT-XX,\t\t[0/44,CHAOS 2420],SERVER,TOPS-20,PDP10,[XX,MITXX]\nNET ARPANET,\t 10\t; Supported\n",
        &Options::default(),
    )
    .expect("accepted");
    let json = String::from_utf8(json).expect("JSON is UTF-8");
    assert_eq!(report.records, 4);
    for part in ["10.0.0.44", "CHAOS", "177002", "MITXX", "SERVER", "10.0.0.0", "2420"] {
        assert!(json.contains(part), "{part} in {json}");
    }
}

proptest! {
    #[test]
    fn any_octets_come_back(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        through(&octets);
    }

    #[test]
    fn pieces_do_not_matter(
        lines in proptest::collection::vec(
            prop_oneof![
                Just("HOST : 1.2.3.4, 5.6.7.8 : A,B : VAX : UNIX : TCP :\n"),
                Just("HOST : 1.2.3.4,\n"), Just(" 5.6.7.8 : C ::::\n"), Just("v.1 : D ::::\n"),
                Just("; note\n"), Just("\n"), Just("NET X, 10\n"), Just("\x00\x0c\r\n"),
                Just("HOST A,[0/44,CHAOS 1],USER,ITS,PDP10,[B]\n"), Just("END:"),
            ], 0..12),
        size in 1usize..40,
    ) {
        let text = lines.concat().into_bytes();
        let report = through(&text);
        let options = Options::default();
        let mut conversion = Conversion::new(Format::HostsTxt, Format::HostsTxt, &options)
            .expect("formats that need nothing");
        let mut output = Vec::new();
        for piece in text.chunks(size) {
            output.extend(conversion.push(piece).expect("accepted"));
        }
        let (rest, in_pieces) = conversion.finish().expect("accepted");
        output.extend(rest);
        prop_assert_eq!(output, text);
        prop_assert_eq!(in_pieces, report);
    }
}
