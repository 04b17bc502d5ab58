//! Inputs for what reads mainframe records.

use super::{Anyhow, write};
use einhorn_bridge::codec::{Format, Layout, Options};
use einhorn_bridge::copybook;
use einhorn_bridge::item::{Item, Output};
use einhorn_bridge::record::{Address, Field, Fields, HostId, Key, Kind, Moment, Record};
use einhorn_fuzz::{CARD_COPYBOOK, CARD_LAYOUT, COPYBOOK, LAYOUT};

/// Copybooks, layouts, and a file for each.
pub(super) fn all() -> Anyhow {
    write("copybook", "fixed", COPYBOOK.as_bytes())?;
    let variable = "01 R. 05 N PIC 99. 05 T OCCURS 0 TO 9 DEPENDING ON N. 10 X PIC S9V9 COMP-3.";
    write("copybook", "free", variable.as_bytes())?;
    write("layout", "fixed", LAYOUT.as_bytes())?;
    write("layout", "cards", CARD_LAYOUT.as_bytes())?;
    let host = |name: &str, address: &str| {
        let key = Key { kind: Kind::Host, name: name.into() };
        let fields = Fields {
            addresses: Field::list(address.parse().map(Address::V4).into_iter().collect()),
            expires: Field::Value(Moment::Never),
            ..Fields::default()
        };
        Item::Record(Box::new(Record::new(HostId::first_seen("corpus", &key), key, fields)))
    };
    let framed = |framing: &str| LAYOUT.replace("fixed", framing);
    for (target, name, format, copybook, layout) in [
        ("mainframe_records", "two-hosts", Format::Copybook, COPYBOOK, LAYOUT),
        ("mainframe_variable", "rdw", Format::Copybook, COPYBOOK, &framed("rdw")),
        ("mainframe_variable", "gnucobol", Format::Copybook, COPYBOOK, &framed("gnucobol")),
        ("cards", "two-hosts", Format::Cards, CARD_COPYBOOK, CARD_LAYOUT),
    ] {
        let layout = Layout { copybook: copybook.to_owned(), layout: layout.to_owned() };
        let options = Options { layout: Some(layout), ..Options::default() };
        let mut out = Output::default();
        let mut encoder = copybook::encoder(format, &options)?;
        encoder.push(host("MIT-AI", "10.2.0.6"), &mut out)?;
        encoder.push(host("SRI-NIC", "26.0.0.73"), &mut out)?;
        encoder.finish(&mut out)?;
        write(target, name, &out.octets)?;
    }
    Ok(())
}
