//! Files of records, as a whole: read, changed, written.

use super::*;
use crate::codec::Layout;
use crate::codes::{FaultCode, LossCode};
use crate::item::{Item, Output, Quirk, Sink};
use crate::record::{self, Address, FieldName, Fields, HostId, Key, Moment};
use proptest::prelude::*;

const MASTER: &str = include_str!("../../../../tests/interop/mainframe/master.cpy");
const MASTER_LAYOUT: &str = include_str!("../../../../tests/interop/mainframe/master.toml");
const CARDS: &str = include_str!("../../../../tests/interop/mainframe/cards.cpy");
const CARDS_LAYOUT: &str = include_str!("../../../../tests/interop/mainframe/cards.toml");

fn options(copybook: &str, layout: &str) -> Options {
    let layout = Layout { copybook: copybook.to_owned(), layout: layout.to_owned() };
    Options { layout: Some(layout), ..Options::default() }
}

#[derive(Default)]
struct Found(Vec<Item>);

impl Sink for Found {
    fn item(&mut self, item: Item) {
        self.0.push(item);
    }

    fn quirk(&mut self, quirk: Quirk) {
        panic!("no quirk is expected: {quirk:?}");
    }
}

fn try_read(format: Format, options: &Options, file: &[u8]) -> Result<Vec<Item>, Refusal> {
    let mut found = Found::default();
    let mut decoder = decoder(format, options)?;
    // In pieces that end anywhere.
    for piece in file.chunks(33) {
        decoder.push(piece, &mut found)?;
    }
    decoder.finish(&mut found)?;
    Ok(found.0)
}

fn read(options: &Options, file: &[u8]) -> Vec<Item> {
    try_read(Format::Copybook, options, file).unwrap_or_else(|refusal| panic!("{refusal}"))
}

fn records(items: &[Item]) -> Vec<record::Record> {
    let record = |item: &Item| match item {
        Item::Record(record) => Some((**record).clone()),
        _ => None,
    };
    items.iter().filter_map(record).collect()
}

fn write_as(format: Format, options: &Options, items: Vec<Item>) -> Output {
    let mut out = Output::default();
    let mut encoder = encoder(format, options).unwrap_or_else(|refusal| panic!("{refusal}"));
    for item in items {
        encoder.push(item, &mut out).expect("accepted");
    }
    encoder.finish(&mut out).unwrap_or_else(|refusal| panic!("{refusal}"));
    out
}

fn write(options: &Options, items: Vec<Item>) -> Output {
    write_as(Format::Copybook, options, items)
}

fn host(name: &str, fields: Fields) -> record::Record {
    let key = Key { kind: record::Kind::Host, name: name.into() };
    record::Record::new(HostId::first_seen("file", &key), key, fields)
}

fn item(record: record::Record) -> Item {
    Item::Record(Box::new(record))
}

fn address(text: &str) -> record::Field<Vec<Address>> {
    record::Field::list(vec![Address::V4(text.parse().expect("an address"))])
}

/// Three hosts of a master, of which one has an umlaut.
fn master() -> Vec<u8> {
    let fields = |text| Fields {
        addresses: address(text),
        machine: record::Field::text(b"VAX-780"),
        expires: record::Field::Value(Moment::Never),
        ..Fields::default()
    };
    let hosts = [("SRI-NIC", "26.0.0.73"), ("MÜNCHEN", "192.0.2.7"), ("1822", "10.1.0.5")];
    let items = hosts.map(|(name, address)| item(host(name, fields(address))));
    let out = write(&options(MASTER, MASTER_LAYOUT), items.into());
    assert_eq!(out.losses, []);
    out.octets
}

#[test]
fn a_master_is_sorted_counted_and_comes_back() {
    let file = master();
    assert_eq!(file.len(), 5 * 80);
    let options = options(MASTER, MASTER_LAYOUT);
    let items = read(&options, &file);
    let found = records(&items);
    let names: Vec<String> = found.iter().map(|record| record.key.name.to_string()).collect();
    assert_eq!(names, ["MÜNCHEN", "SRI-NIC", "1822"], "in the order of EBCDIC");
    assert_eq!(found[1].fields().addresses, address("26.0.0.73"));
    assert_eq!(found[1].fields().expires, record::Field::Value(Moment::Never));
    assert_eq!(found[1].fields().changed, record::Field::Unset);
    assert_eq!(found[2].place, record::Place { line: 4, offset: 240 });
    assert_eq!(&file[80 + 57..80 + 60], b"\x99\x36\x5f", "99365 in COMP-3 without a sign");
    assert_eq!(&file[320..325], b"\xe3\0\0\0\x03", "three details");
    assert_eq!(&file[325..334], b"\0\0\0\0\0\x6c\0\x00\x1f", "hash total 6, generation 1");
    let again = write(&options, items);
    assert_eq!(again.octets, file, "what has not changed is written as it was");
    assert_eq!((again.losses, again.records_written), (vec![], 3));
    let mut file = file;
    // The hash total with a sign that other programs prefer.
    file[330] = 0x6e;
    assert_eq!(write(&options, read(&options, &file)).octets, file);
}

#[test]
fn a_change_leaves_the_rest_of_its_record_alone() {
    let mut file = master();
    // Another program's octets, which are not even text.
    file[80 + 67..80 + 73].copy_from_slice(b"\x00\xffabc\x15");
    let options = options(MASTER, MASTER_LAYOUT);
    let mut items = read(&options, &file);
    let Some(Item::Record(record)) = items.get_mut(1) else { panic!("a record: {items:?}") };
    let fields = Fields { addresses: address("192.0.2.8"), ..record.fields().clone() };
    record.set_fields(fields);
    let out = write(&options, items);
    assert_eq!(out.losses, []);
    assert_eq!(out.octets[80 + 67..80 + 73], file[80 + 67..80 + 73]);
    let differing: Vec<usize> =
        (80..320).filter(|at| out.octets[*at] != file[*at]).map(|at| at - 80).collect();
    assert_eq!(differing, [35], "one octet of the address");
    assert_eq!(&out.octets[80 - 71..80 - 68], b"\0\0\x2f", "the next generation");
    let now = records(&read(&options, &out.octets));
    assert_eq!(now[0].fields().addresses, address("192.0.2.8"));
}

#[test]
fn a_fault_in_a_field_quarantines_its_record() {
    let mut file = master();
    file[160 + 58] = 0xab;
    let options = options(MASTER, MASTER_LAYOUT);
    let items = read(&options, &file);
    assert_eq!(records(&items).len(), 2);
    let Item::Quarantined(entry) = &items[2] else { panic!("{:?}", items[2]) };
    assert_eq!(entry.code, FaultCode::BadNumber);
    assert_eq!((entry.place.line, entry.place.offset), (3, 160));
    assert_eq!(entry.name.as_ref().map(ToString::to_string).as_deref(), Some("SRI-NIC"));
    let value = entry.value.to_string();
    assert_eq!(value, "DTL-EXPIRES at octet 58: octet AB is no pair of digits");
    assert_eq!(write(&options, items).octets, file, "it is still there");
}

#[test]
fn a_fault_of_the_file_refuses_it() {
    let options = options(MASTER, MASTER_LAYOUT);
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut file = master();
        change(&mut file);
        match try_read(Format::Copybook, &options, &file) {
            Err(Refusal::Structure { line, offset, reason }) => (line, offset, reason),
            other => panic!("{other:?}"),
        }
    };
    let check = |change: &dyn Fn(&mut Vec<u8>), line, says: &str| {
        let (at, offset, reason) = refused(change);
        assert!(reason.contains(says), "{reason}");
        assert_eq!((at, offset), (line, 80 * (line - 1)), "{reason}");
    };
    check(&|file| file.truncate(399), 5, "ends within a record, after 79");
    check(&|file| file.truncate(320), 5, "no trailer");
    check(&|file| file.clear(), 1, "empty");
    check(&|file| drop(file.drain(..80)), 1, "no header");
    check(&|file| drop(file.drain(80..160)), 4, "count 3, but the file has 2");
    check(&|file| file[84] = 0x4c, 5, "hash total 6, but the file has 8");
    check(&|file| file[333] = 0x2f, 5, "generation 2, but the file has 1");
    check(&|file| file[160] = 0xc5, 3, "neither header nor detail nor trailer");
    check(&|file| file[85] = 0xf9, 3, "out of order");
    check(&|file| file.extend_from_within(80..160), 6, "follows the trailer");
    check(&|file| file[83] = 0x4b, 5, "hash total cannot be known: DTL-NUMBER of detail 1");
}

#[test]
fn names_that_would_collide_when_cut_are_left_out() {
    let options = options(MASTER, MASTER_LAYOUT);
    let names = ["AVERYLONGNAMEFORONE-1", "AVERYLONGNAMEFORONE-2", "SHORT", "ANOTHERLONGNAMEALONE"];
    let out = write(&options, names.map(|name| item(host(name, Fields::default()))).into());
    let codes: Vec<LossCode> = out.losses.iter().map(|loss| loss.code).collect();
    let (cut, collides) = (LossCode::Truncated, LossCode::NameCollides);
    assert_eq!(codes, [cut, cut, cut, collides, collides]);
    assert_eq!(out.records_written, 2);
    let left = records(&read(&options, &out.octets));
    assert_eq!(left[0].key.name, "ANOTHERLONGNAMEA".into());
}

#[test]
fn what_a_record_cannot_hold_is_declared() {
    let options = options(MASTER, MASTER_LAYOUT);
    let fields = Fields {
        addresses: record::Field::list(vec![
            Address::V6("2001:db8::1".parse().expect("an address")),
            Address::V4("192.0.2.1".parse().expect("an address")),
            Address::V4("192.0.2.2".parse().expect("an address")),
        ]),
        machine: record::Field::text("€".as_bytes()),
        ttl_seconds: record::Field::Value(60),
        // 2001-01-01 12:00 UTC: the day fits, the hour does not.
        changed: record::Field::Value(Moment::At(978_350_400)),
        // 1999-12-31 in Berlin, which means "never" here.
        expires: record::Field::Value(Moment::At(946_594_800)),
        ..Fields::default()
    };
    let out = write(&options, vec![item(host("A", fields)), item(host("日本", Fields::default()))]);
    let said: Vec<(LossCode, FieldName, &str)> =
        out.losses.iter().map(|loss| (loss.code, loss.field, &loss.value[..])).collect();
    assert_eq!(
        said,
        [
            (LossCode::AddressNotHeld, FieldName::Addresses, "2001:db8::1"),
            (LossCode::ValueNotHeld, FieldName::Addresses, "192.0.2.2"),
            (LossCode::ValueNotHeld, FieldName::Machine, "€"),
            (LossCode::FieldNotHeld, FieldName::Ttl, "60"),
            (LossCode::ValueNotHeld, FieldName::Changed, "978350400"),
            (LossCode::ValueNotHeld, FieldName::Expires, "946594800"),
            (LossCode::NameNotHeld, FieldName::Name, "日本"),
        ]
    );
    assert_eq!(out.records_written, 1);
}

#[test]
fn an_address_in_nine_digits_is_declared_lost() {
    let copybook = "       01 R. 05 N PIC X(8). 05 A PIC S9(9) COMP.";
    let layout = |more: &str| {
        format!(
            "code_page = \"1140\"\nrecords = \"rdw\"\n{more}\n[detail]\nrecord = \"R\"\n\
             [[field]]\nhost = \"name\"\nfield = \"N\"\n\
             [[field]]\nhost = \"addresses\"\nfield = \"A\"\nform = \"ipv4-number\"\n"
        )
    };
    for more in ["", "binary = { values = \"octets\" }"] {
        let options = options(copybook, &layout(more));
        let hosts = ["10.1.0.5", "192.0.2.1"]
            .map(|text| item(host("A", Fields { addresses: address(text), ..Fields::default() })));
        let out = write(&options, hosts.into());
        let said: Vec<(LossCode, &str)> =
            out.losses.iter().map(|loss| (loss.code, &loss.value[..])).collect();
        assert_eq!(said, [(LossCode::AddressNotHeld, "192.0.2.1")]);
        assert_eq!(out.octets[..4], [0, 16, 0, 0], "the length counts itself");
        let found = records(&read(&options, &out.octets));
        assert_eq!(found[0].fields().addresses, address("10.1.0.5"));
        assert_eq!(found[1].fields().addresses, record::Field::Unset);
    }
}

#[test]
fn lines_may_be_short_and_tables_of_variable_length_are() {
    let copybook = "       01 R. 05 N PIC X(8). 05 K PIC 99.
           05 NICK PIC X(6) OCCURS 0 TO 3 TIMES DEPENDING ON K.";
    let layout = |records: &str| {
        format!(
            "code_page = \"819\"\nrecords = \"{records}\"\n[detail]\nrecord = \"R\"\n\
             [[field]]\nhost = \"name\"\nfield = \"N\"\n\
             [[field]]\nhost = \"nicknames\"\nfield = \"NICK\"\n"
        )
    };
    let nicknames = record::Field::list(vec!["X".into(), "Y".into()]);
    let hosts = || {
        let fields = Fields { nicknames: nicknames.clone(), ..Fields::default() };
        vec![item(host("A", fields)), item(host("B", Fields::default()))]
    };
    for (records_, file) in [
        ("gnucobol", &b"\0\x16\0\0A       02X     Y     \0\x0a\0\0B       00"[..]),
        ("lines", b"A       02X     Y\nB       00\n"),
    ] {
        let options = options(copybook, &layout(records_));
        let out = write(&options, hosts());
        assert_eq!(out.losses, []);
        assert_eq!(out.octets.escape_ascii().to_string(), file.escape_ascii().to_string());
        if records_ == "lines" {
            continue;
        }
        let found = records(&read(&options, &out.octets));
        assert_eq!(found[0].fields().nicknames, nicknames);
        assert_eq!(found[1].fields().nicknames, record::Field::Unset);
    }
    let fixed = Plan::new(
        Format::Copybook,
        &Layout { copybook: copybook.to_owned(), layout: layout("fixed") },
    );
    assert!(fixed.is_err_and(|error| error.to_string().contains("DEPENDING ON")));
}

#[test]
fn a_layout_that_cannot_be_used_says_why() {
    for (from, to, says) in [
        ("\"273\"", "\"274\"", "274"),
        ("\"DTL-NAME\"", "\"DTL-NAMES\"", "no field DTL-NAMES"),
        ("\"ipv4-digits\"", "\"ipv4-octets\"", "PIC X(4)"),
        ("Europe/Berlin", "Europe/Bonn", "Europe/Bonn"),
        ("host = \"machine\"", "host = \"cpu\"", "host field \"cpu\" is not known"),
        ("\"DTL-SYSTEM\"", "\"DTL-MACHINE\"", "lies where"),
        ("[header]", "[heading]", "heading"),
        ("form = \"YYDDD\"", "form = \"DDDYY\"", "form"),
        ("when = { field = \"DTL-TYPE\", is = \"D\" }", "", "needs `when`"),
        ("host = \"name\"", "host = \"remark\"", "host = \"name\""),
    ] {
        let layout = MASTER_LAYOUT.replacen(from, to, 1);
        assert_ne!(layout, MASTER_LAYOUT, "{from}");
        let options = options(MASTER, &layout);
        match decoder(Format::Copybook, &options).map(|_| ()) {
            Err(Refusal::Layout(reason)) => assert!(reason.contains(says), "{from}: {reason}"),
            other => panic!("{from}: {other:?}"),
        }
    }
}

#[test]
fn cards_say_add_change_clear_and_delete() {
    use crate::cards::{Action, Card, Conflict};
    let base = records(&read(&options(MASTER, MASTER_LAYOUT), &master())).remove(1);
    let mut ours = base.clone();
    ours.set_fields(Fields {
        addresses: address("192.0.2.9"),
        machine: record::Field::Unset,
        ..base.fields().clone()
    });
    let new = host("NEW", Fields { addresses: address("192.0.2.10"), ..Fields::default() });
    let all = |_| true;
    let cards = [
        Card::between(Some(&base), Some(&ours), all).expect("a change"),
        Card::between(None, Some(&new), all).expect("a new host"),
        Card::between(Some(&base), None, all).expect("a host less"),
    ];
    assert_eq!(Card::between(Some(&base), Some(&base), all), None);
    let options = options(CARDS, CARDS_LAYOUT);
    let items = cards.clone().map(|card| item(card.into_record(base.id)));
    let deck = write_as(Format::Cards, &options, items.into());
    assert_eq!(deck.losses, []);
    let page = crate::ebcdic::CodePage::Ccsid273;
    let text: Vec<String> = deck.octets.chunks(80).map(|card| page.decode(card)).collect();
    let card = |action, name, address, machine, revision, sequence| {
        let none = "";
        format!(
            "{action}{name:<16}{none:8}{address:<12}{none:12}{machine:<8}{none:11}{revision:4}\
             {sequence:08}"
        )
    };
    let expected = [
        card("C", "SRI-NIC", "192000002009", "-", "0000", 10),
        card("A", "NEW", "192000002010", "", "", 20),
        card("D", "SRI-NIC", "", "", "0000", 30),
    ];
    assert_eq!(text, expected);
    let found = try_read(Format::Cards, &options, &deck.octets).expect("a deck");
    let found: Vec<Card> = records(&found).iter().map(|r| Card::of(r).expect("a card")).collect();
    assert_eq!(found, cards);
    assert_eq!(found[0].apply(Some(&base)), Ok(Some(ours.fields().clone())));
    assert_eq!(found[1].apply(None), Ok(Some(new.fields().clone())));
    assert_eq!(found[2].apply(Some(&base)), Ok(None));
    assert_eq!(found[1].apply(Some(&base)), Err(Conflict::Exists));
    assert_eq!(found[2].apply(None), Err(Conflict::Missing));
    let stale = Card { action: Action::Change, base_revision: Some(7), ..found[0].clone() };
    assert_eq!(stale.apply(Some(&base)), Err(Conflict::Stale { base: 7, now: 0 }));
    let mut shuffled = deck.octets.clone();
    shuffled.rotate_left(80);
    let refusal = try_read(Format::Cards, &options, &shuffled).expect_err("out of sequence");
    assert!(refusal.to_string().contains("out of sequence"), "{refusal}");
}

fn text_of(length: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[A-ZÄÖÜa-z0-9-]{{1,{length}}}")).expect("a pattern")
}

fn fields() -> impl Strategy<Value = Fields> {
    let some = |length| proptest::option::of(text_of(length));
    let moment = proptest::option::of(0_i64..36_500);
    let addresses = proptest::collection::vec(any::<u32>(), 0..=3);
    (addresses, some(9), some(9), some(7), moment).prop_map(
        |(addresses, nickname, machine, system, days)| {
            let v4 = |number: u32| Address::V4(number.into());
            let list = |text: Option<String>| text.into_iter().map(Into::into).collect();
            let text = |text: Option<String>| {
                text.map_or(record::Field::Unset, |text| record::Field::Value(text.into()))
            };
            Fields {
                addresses: record::Field::list(addresses.into_iter().map(v4).collect()),
                nicknames: record::Field::list(list(nickname)),
                machine: text(machine),
                system: text(system),
                // Midnight in Berlin, or an hour off it.
                expires: days.map_or(record::Field::Unset, |days| {
                    record::Field::Value(Moment::At(days * 86_400 - 3600))
                }),
                ..Fields::default()
            }
        },
    )
}

proptest! {
    #[test]
    fn what_comes_back_is_what_went_but_for_declared_losses(
        hosts in proptest::collection::btree_map(text_of(17), fields(), 0..8),
    ) {
        let options = options(MASTER, MASTER_LAYOUT);
        let items = hosts.iter().map(|(name, fields)| item(host(name, fields.clone()))).collect();
        let out = write(&options, items);
        let found = records(&read(&options, &out.octets));
        prop_assert_eq!(found.len() as u64, out.records_written);
        let lost = |name: &str, field| {
            out.losses.iter().any(|loss| loss.record == name && loss.field == field)
        };
        for (name, fields) in &hosts {
            let same = found.iter().find(|record| record.key.name == name[..].into());
            let Some(record) = same else {
                prop_assert!(lost(name, FieldName::Name), "{} is gone", name);
                continue;
            };
            let now = record.fields();
            for (field, same) in [
                (FieldName::Addresses, now.addresses == fields.addresses),
                (FieldName::Nicknames, now.nicknames == fields.nicknames),
                (FieldName::Machine, now.machine == fields.machine),
                (FieldName::System, now.system == fields.system),
                (FieldName::Expires, now.expires == fields.expires),
            ] {
                prop_assert!(same || lost(name, field), "{} of {}", field.name(), name);
            }
        }
        let again = write(&options, read(&options, &out.octets));
        prop_assert_eq!(again.octets, out.octets);
    }

    #[test]
    fn any_octets_are_a_file_or_not(mut file in proptest::collection::vec(any::<u8>(), 0..400)) {
        let options = options(MASTER, MASTER_LAYOUT);
        // Whatever it says, it says it without going wrong.
        let _ = try_read(Format::Copybook, &options, &file);
        let good = master();
        for (at, octet) in file.iter_mut().enumerate() {
            *octet = if *octet < 3 { *octet } else { good[at] };
        }
        if let Ok(items) = try_read(Format::Copybook, &options, &file) {
            prop_assert_eq!(write(&options, items).octets, file);
        }
    }
}

#[test]
fn other_formats_hold_what_a_master_says() {
    use crate::convert::convert;
    let options = options(MASTER, MASTER_LAYOUT);
    let file = master();
    let (json, report) = convert(Format::Copybook, Format::Json, &file, &options).expect("JSON");
    assert_eq!((report.records, report.generation), (3, Some(1)));
    assert_eq!(report.losses, []);
    let (again, _) = convert(Format::Json, Format::Copybook, &json, &options).expect("a master");
    assert_eq!(again, file);
    let (table, report) =
        convert(Format::Copybook, Format::HostsTxt, &file, &options).expect("a host table");
    let table = String::from_utf8(table).expect("text");
    assert!(table.contains("HOST : 26.0.0.73 : SRI-NIC : VAX-780"), "{table}");
    let expires = report.losses.iter().filter(|loss| loss.field == FieldName::Expires);
    assert_eq!(expires.count(), 3, "a host table has no dates");
    let (back, _) =
        convert(Format::HostsTxt, Format::Copybook, table.as_bytes(), &options).expect("a master");
    assert_eq!(records(&read(&options, &back)).len(), 3);
}
