//! Properties: what is written is read back, however it is laid out.

use super::load_text;
use crate::zonefile::write;
use crate::{Class, Name, Record, RecordType};
use proptest::prelude::*;
use std::fmt::Write;

fn any_name() -> impl Strategy<Value = Name> {
    let label = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 1..8),
        3 => "[-a-zA-Z0-9_*@$.;\"()\\\\ ]{1,9}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(label, 0..5).prop_map(|labels| {
        let zone: Name = "fleet.example.".parse().expect("a name");
        labels.iter().fold(zone, |name, label| name.prepend(label).expect("short"))
    })
}

fn any_string() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..40).prop_map(|octets| {
        let mut string = vec![octets.len() as u8];
        string.extend(octets);
        string
    })
}

fn any_data() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    let with_name = |rtype: RecordType, octets: usize| {
        (proptest::collection::vec(any::<u8>(), octets), any_name())
            .prop_map(move |(head, name)| (rtype, [&head, name.as_wire()].concat()))
    };
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| (RecordType::A, octets.to_vec())),
        any::<[u8; 16]>().prop_map(|octets| (RecordType::AAAA, octets.to_vec())),
        any::<[bool; 16]>().prop_map(|bits| (RecordType::AAAA, bits.map(u8::from).to_vec())),
        with_name(RecordType::NS, 0),
        with_name(RecordType::CNAME, 0),
        with_name(RecordType::PTR, 0),
        with_name(RecordType::DNAME, 0),
        with_name(RecordType::MX, 2),
        with_name(RecordType::SRV, 6),
        with_name(RecordType(36), 2),
        proptest::collection::vec(any_string(), 1..4)
            .prop_map(|strings| (RecordType::TXT, strings.concat())),
        (any_name(), any_name(), any::<[u8; 20]>()).prop_map(|(mname, rname, numbers)| {
            (RecordType::SOA, [mname.as_wire(), rname.as_wire(), &numbers].concat())
        }),
        any_coded_data(),
        any_coded_data(),
        any_coded_data(),
        proptest::collection::vec(any::<u8>(), 0..300)
            .prop_map(|octets| (RecordType(65_280), octets)),
    ]
}

/// Data of the types that have fields of their own kind, sound but for an octet, or not at all.
fn any_coded_data() -> impl Strategy<Value = (RecordType, Vec<u8>)> {
    let sound: [(u16, &[u8]); 14] = [
        (22, b"\x47\x00\x05"),
        (29, b"\0\x12\x16\x13\x80\x36\xee\x80\x7f\x6d\xdd\0\0\x98\x97\xac"),
        (37, b"\0\x01\x30\x39\x08abcde"),
        (42, b"\0\x01\x18\x03\xc0\0\x02\0\x02\x20\x84\x20\x01\x0d\xb8"),
        (42, b""),
        (49, b"abcd"),
        (53, b"\x03\x01\x01abc"),
        (55, b"\x02\x02\0\x03ABabc\x01a\0\x02bc\x01d\0"),
        (62, b"\0\0\0\x42\0\x03\0\x04\x60\0\0\x08\x01\x01\x40"),
        (104, b"\0\x0a\0\x14\x4f\xff\xff\x20\xee\x64"),
        (105, b"\0\x0a\x0a\x01\x02\0"),
        (106, b"\0\x0a\x20\x01\x0d\xb8\x11\x40\x10\0"),
        (108, b"\0\0\x5e\0\x53\x2a"),
        (109, b"\0\0\x5e\xef\x10\0\0\x2a"),
    ];
    let changed = (any::<proptest::sample::Index>(), any::<u8>(), any::<bool>());
    let anything = proptest::collection::vec(any::<u8>(), 0..40);
    (proptest::sample::select(sound.to_vec()), changed, anything, 0u8..8).prop_map(
        |((rtype, sound), (at, octet, is_cut), anything, choice)| {
            let mut data = sound.to_vec();
            match choice {
                0 => data = anything,
                1..4 if is_cut => data.truncate(at.index(data.len() + 1)),
                1..4 if !data.is_empty() => {
                    let at = at.index(data.len());
                    data[at] = octet;
                }
                _ => {}
            }
            (RecordType(rtype), data)
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    (any_name(), 0..=u32::MAX >> 1, any_data()).prop_map(|(owner, ttl, (rtype, rdata))| Record {
        owner,
        rtype,
        class: Class::IN,
        ttl,
        rdata: rdata.into(),
    })
}

/// Fields of a record as `write` separates them: at blanks outside quotes.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut quoted, mut escaped) = (false, false);
    for character in line.chars() {
        if character == ' ' && !quoted && !escaped {
            fields.push(std::mem::take(&mut field));
            continue;
        }
        quoted ^= character == '"' && !escaped;
        escaped = character == '\\' && !escaped;
        field.push(character);
    }
    fields.push(field);
    fields
}

/// What may stand between two fields, outside and inside parentheses.
const GAPS: [&str; 4] = [" ", "\t", "  \t ", " () "];
const OPEN_GAPS: [&str; 7] = [" ", "\n", "\r\n\t", " ; \" ) \\\n", "(\n) ", ")(", ";\n;\n\n"];

/// The same record, laid out oddly: `choices` says how, one for each gap.
fn laid_out(record: &Record, choices: &[u8], repeat_owner: bool) -> String {
    let mut text = String::new();
    let mut open = false;
    for (number, field) in fields(&record.to_string()).iter().enumerate() {
        let choice = choices[number % choices.len()] as usize;
        if number > 0 {
            if !open && choice.is_multiple_of(3) {
                text.push('(');
                open = true;
            }
            text.push_str(match open {
                true => OPEN_GAPS[choice % OPEN_GAPS.len()],
                false => GAPS[choice % GAPS.len()],
            });
        }
        match number == 0 && !repeat_owner {
            true => text.push(' '),
            false => text.push_str(field),
        }
    }
    text.push_str(if open { " )" } else { "" });
    text.push_str(["\n", "\r\n", ";x\n", " ; (\n", "\n\n \n;\n"][choices[0] as usize % 5]);
    text
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(records in proptest::collection::vec(any_record(), 0..12)) {
        let mut text = Vec::new();
        let origin: Name = "fleet.example.".parse().expect("a name");
        write(&mut text, &origin, records.iter()).expect("a vector takes all");
        let again = load_text(&text);
        prop_assert!(again.is_ok(), "{again:?}: {}", String::from_utf8_lossy(&text));
        // In octets: names that only differ in case are equal otherwise.
        let wire = |records: &[Record]| -> Vec<Vec<u8>> {
            records.iter().map(|record| record.owner.as_wire().to_vec()).collect()
        };
        prop_assert_eq!(wire(&again.clone().unwrap_or_default()), wire(&records));
        prop_assert_eq!(again, Ok(records));
    }

    #[test]
    fn the_layout_does_not_matter(
        records in proptest::collection::vec((any_record(), proptest::collection::vec(any::<u8>(), 1..12)), 1..8),
    ) {
        let mut text = String::new();
        let mut last: Option<&Name> = None;
        for (record, choices) in &records {
            let same = last.is_some_and(|last| last.as_wire() == record.owner.as_wire());
            let _ = write!(text, "{}", laid_out(record, choices, !same));
            last = Some(&record.owner);
        }
        let again = load_text(&text);
        let records: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
        prop_assert_eq!(again, Ok(records), "{}", text);
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_text(octets);
    }

    #[test]
    fn any_text_of_zone_files_is_read_or_refused(
        text in "([a-c1@$.\"();\\\\ \t\n]|TXT |A |MX |HTTPS |NSEC |LOC |APL |CERT |HIP |CSYNC |NID |EUI48 |N |E |\\$TTL |\\$GENERATE |1-3 |\\\\# ){0,40}",
    ) {
        if let Err(error) = load_text(&text) {
            let place: Vec<&str> = error.splitn(4, ':').collect();
            let number = |index: usize| place.get(index).and_then(|part| part.parse::<usize>().ok());
            prop_assert!(number(1).is_some_and(|line| line > 0 && line <= 1 + text.matches('\n').count()), "{}", error);
            prop_assert!(number(2).is_some_and(|column| column > 0), "{}", error);
        }
    }
}
