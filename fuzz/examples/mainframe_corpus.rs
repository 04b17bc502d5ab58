//! Writes the corpus of the targets of mainframe records, beside what the example `corpus` writes.

use einhorn_bridge::codec::{Format, Layout, Options};
use einhorn_bridge::copybook;
use einhorn_bridge::item::{Item, Output};
use einhorn_bridge::record::{Address, Field, Fields, HostId, Key, Kind, Moment, Record};
use einhorn_fuzz::{CARD_COPYBOOK, CARD_LAYOUT, COPYBOOK, LAYOUT};
use std::error::Error;
use std::path::Path;

fn write(target: &str, name: &str, octets: &[u8]) -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    Ok(std::fs::write(folder.join(name), octets)?)
}

fn host(name: &str, address: &str) -> Item {
    let key = Key { kind: Kind::Host, name: name.into() };
    let fields = Fields {
        addresses: Field::list(address.parse().map(Address::V4).into_iter().collect()),
        expires: Field::Value(Moment::Never),
        ..Fields::default()
    };
    Item::Record(Box::new(Record::new(HostId::first_seen("corpus", &key), key, fields)))
}

fn main() -> Result<(), Box<dyn Error>> {
    write("copybook", "fixed", COPYBOOK.as_bytes())?;
    let variable = "01 R. 05 N PIC 99. 05 T OCCURS 0 TO 9 DEPENDING ON N. 10 X PIC S9V9 COMP-3.";
    write("copybook", "free", variable.as_bytes())?;
    write("layout", "fixed", LAYOUT.as_bytes())?;
    write("layout", "cards", CARD_LAYOUT.as_bytes())?;
    for (target, format, copybook, layout) in [
        ("mainframe_records", Format::Copybook, COPYBOOK, LAYOUT),
        ("cards", Format::Cards, CARD_COPYBOOK, CARD_LAYOUT),
    ] {
        let layout = Layout { copybook: copybook.to_owned(), layout: layout.to_owned() };
        let options = Options { layout: Some(layout), ..Options::default() };
        let mut out = Output::default();
        let mut encoder = copybook::encoder(format, &options)?;
        encoder.push(host("MIT-AI", "10.2.0.6"), &mut out)?;
        encoder.push(host("SRI-NIC", "26.0.0.73"), &mut out)?;
        encoder.finish(&mut out)?;
        write(target, "two-hosts", &out.octets)?;
    }
    Ok(())
}
