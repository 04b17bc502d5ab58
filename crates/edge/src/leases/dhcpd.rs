//! The lease file of ISC dhcpd (dhcpd.leases(5)), as it grows. What a lease says is read by the bridge's
//! codec; here is only which of it is whole.

use super::{ENTRY_OCTETS_MAX, Lease, Read};
use einhorn_bridge::codec::Options;
use einhorn_bridge::dhcpd_leases::decoder;
use einhorn_bridge::item::{Item, Quirk, Sink};
use einhorn_bridge::record::{Address, Moment, Record};

/// Ends a lease: dhcpd writes the brace at the beginning of a line.
const END: &[u8] = b"\n}\n";

/// Reads it.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
}

impl Read for Reader {
    fn push(&mut self, octets: &[u8]) -> Vec<Lease> {
        self.rest.extend_from_slice(octets);
        let end = self.rest.windows(END.len()).rposition(|window| window == END);
        let mut found = Found::default();
        if let Some(end) = end {
            let whole: Vec<u8> = self.rest.drain(..end + END.len()).collect();
            let mut decoder = decoder(&Options::default());
            // It refuses no file: what it cannot read is an item of its own.
            let pushed = decoder.push(&whole, &mut found);
            if let Err(refusal) = pushed.and_then(|()| decoder.finish(&mut found).map(drop)) {
                tracing::warn!(%refusal, "leases that cannot be read");
            }
        }
        if self.rest.len() > ENTRY_OCTETS_MAX {
            self.rest.clear();
        }
        found.0
    }
}

#[derive(Default)]
struct Found(Vec<Lease>);

impl Sink for Found {
    fn item(&mut self, item: Item) {
        if let Item::Record(record) = item {
            self.0.extend(lease(&record));
        }
    }

    fn quirk(&mut self, _: Quirk) {}
}

fn lease(record: &Record) -> Option<Lease> {
    let fields = record.fields();
    let Some([Address::V4(address), ..]) = fields.addresses.value().map(Vec::as_slice) else {
        return None;
    };
    let ends_seconds = match fields.expires.value() {
        Some(Moment::At(seconds)) => Some(u64::try_from(*seconds).unwrap_or(0)),
        Some(Moment::Never) | None => None,
    };
    let status = fields.status.value().map(|status| status.lossy());
    Some(Lease {
        address: (*address).into(),
        // One without a name is called by its address, which is no host's name.
        host: Some(record.key.name.lossy().into_owned()),
        ends_seconds,
        is_active: status.is_none_or(|status| status == "active"),
    })
}
