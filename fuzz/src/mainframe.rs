//! What describes the records of mainframes, and the records.

use einhorn_bridge::codec::{Format, Layout, Options};
use einhorn_bridge::copybook::{self, BinarySizes, Plan, SourceForm};
use einhorn_bridge::item::{Item, Output, Quirk, Sink};

/// The copybook of the records, by which targets and corpus are made.
pub const COPYBOOK: &str = "       01 HEAD.
           05 H PIC X. 05 G PIC 9(3). 05 FILLER PIC X(44).
       01 DETAIL.
           05 K PIC X. 05 N PIC X(8).
           05 A PIC 9(12) COMP-3 OCCURS 2.
           05 E PIC 9(5). 05 R PIC S9(4) COMP.
           05 Z PIC S9(5) SIGN LEADING SEPARATE.
           05 Q REDEFINES Z PIC X(6).
           05 FILLER PIC X(12).
       01 TAIL.
           05 T PIC X. 05 C PIC 9(5) COMP-5. 05 S PIC S9(7).
           05 FILLER PIC X(36).
";

/// Their layout.
pub const LAYOUT: &str = r#"
code_page = "273"
records = "fixed"
zone = "Europe/Berlin"
header = { record = "HEAD", when = { field = "H", is = "H" }, generation = "G" }
detail = { record = "DETAIL", when = { field = "K", is = "D" }, sorted_by = "N", revision = "R" }

[trailer]
record = "TAIL"
when = { field = "T", is = "T" }
count = "C"
hash_total = { total = "S", of = "R" }

[[field]]
host = "name"
field = "N"

[[field]]
host = "addresses"
field = "A"
form = "ipv4-digits"

[[field]]
host = "expires"
field = "E"
form = "YYDDD"
"#;

/// The copybook of cards.
pub const CARD_COPYBOOK: &str = "       01 CARD.
           05 ACT PIC X. 05 N PIC X(16). 05 A PIC X(12).
           05 E PIC 9(5). 05 O PIC X(8). 05 FILLER PIC X(26).
           05 REV PIC 9(4). 05 SEQ PIC 9(8).
";

/// Their layout.
pub const CARD_LAYOUT: &str = r#"
code_page = "819"
records = "lines"
detail = { record = "CARD", sequence = "SEQ" }
cards = { action = "ACT", base_revision = "REV" }

[[field]]
host = "name"
field = "N"

[[field]]
host = "addresses"
field = "A"
form = "ipv4-digits"

[[field]]
host = "expires"
field = "E"
form = "YYDDD"

[[field]]
host = "system"
field = "O"
"#;

/// Fields of a copybook that is accepted lie within their records.
pub(crate) fn copybook(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    for form in [SourceForm::Fixed, SourceForm::Free] {
        let records = match copybook::parse("fuzz", text, form, BinarySizes::OneTwoFourEight) {
            Ok(records) => records,
            Err(error) => {
                assert!(error.line > 0 && error.column > 0, "{error}");
                continue;
            }
        };
        for record in records {
            for field in &record.fields {
                let tables = field.tables.iter().map(|(count, stride)| (count - 1) * stride);
                let end = field.offset + tables.sum::<usize>() + field.length;
                assert!(end <= record.length, "{field:?} ends at {end} of {}", record.length);
            }
        }
    }
}

/// A layout is accepted or refused.
pub(crate) fn layout(octets: &[u8]) {
    let Ok(layout) = std::str::from_utf8(octets) else { return };
    for (format, copybook) in [(Format::Copybook, COPYBOOK), (Format::Cards, CARD_COPYBOOK)] {
        let layout = Layout { copybook: copybook.to_owned(), layout: layout.to_owned() };
        if let Err(reason) = Plan::new(format, &layout) {
            assert!(!reason.to_string().is_empty());
        }
    }
}

struct Found(Vec<Item>);

impl Sink for Found {
    fn item(&mut self, item: Item) {
        self.0.push(item);
    }

    fn quirk(&mut self, _: Quirk) {}
}

/// A file that is accepted is written as it was, and its records anew without a loss.
fn file(format: Format, copybook: &str, layout: &str, octets: &[u8]) {
    let layout = Layout { copybook: copybook.to_owned(), layout: layout.to_owned() };
    let options = Options { layout: Some(layout), ..Options::default() };
    let Ok(mut decoder) = copybook::decoder(format, &options) else {
        panic!("the layout is not accepted");
    };
    let mut found = Found(Vec::new());
    let half = octets.len() / 2;
    let read = decoder
        .push(&octets[..half], &mut found)
        .and_then(|()| decoder.push(&octets[half..], &mut found))
        .and_then(|()| decoder.finish(&mut found));
    if read.is_err() {
        return;
    }
    let Ok(mut encoder) = copybook::encoder(format, &options) else {
        panic!("the layout is not accepted");
    };
    let mut out = Output::default();
    let written = found
        .0
        .into_iter()
        .try_for_each(|item| encoder.push(item, &mut out))
        .and_then(|()| encoder.finish(&mut out));
    assert_eq!(written, Ok(()));
    assert_eq!(out.octets, octets, "losses: {:?}", out.losses);
}

/// Records of fixed length.
pub(crate) fn records(octets: &[u8]) {
    file(Format::Copybook, COPYBOOK, LAYOUT, octets);
}

/// The same with their lengths before them.
pub(crate) fn variable(octets: &[u8]) {
    for framing in ["\"rdw\"", "\"gnucobol\""] {
        file(Format::Copybook, COPYBOOK, &LAYOUT.replace("\"fixed\"", framing), octets);
    }
}

/// Cards.
pub(crate) fn cards(octets: &[u8]) {
    file(Format::Cards, CARD_COPYBOOK, CARD_LAYOUT, octets);
}
