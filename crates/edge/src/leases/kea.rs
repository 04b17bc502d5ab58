//! The lease files of Kea's memfile backend (CSV with a header, one file for IPv4 and one for IPv6), as
//! they grow. The last line of an address counts.

use super::{ENTRY_OCTETS_MAX, Lease, Read};
use std::net::IpAddr;

/// The state of a lease that a client has.
const STATE_DEFAULT: &str = "0";
/// Leases of addresses; others are of prefixes.
const TYPE_ADDRESS: &str = "0";
/// Lifetime of a lease that does not end.
const FOREVER: u64 = 0xffff_ffff;

/// Where columns are.
#[derive(Debug)]
struct Columns {
    address: usize,
    expire: usize,
    valid_lifetime: usize,
    hostname: usize,
    state: Option<usize>,
    lease_type: Option<usize>,
}

/// Reads them.
#[derive(Debug, Default)]
pub struct Reader {
    rest: Vec<u8>,
    columns: Option<Columns>,
}

impl Read for Reader {
    fn push(&mut self, octets: &[u8]) -> Vec<Lease> {
        self.rest.extend_from_slice(octets);
        let Some(end) = self.rest.iter().rposition(|octet| *octet == b'\n') else {
            if self.rest.len() > ENTRY_OCTETS_MAX {
                self.rest.clear();
            }
            return Vec::new();
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let mut leases = Vec::new();
        for line in whole.split(|octet| *octet == b'\n') {
            let line = String::from_utf8_lossy(line);
            let fields: Vec<&str> = line.trim_end_matches('\r').split(',').collect();
            if fields.first() == Some(&"address") {
                self.columns = Columns::of(&fields);
            } else if let Some(columns) = &self.columns {
                leases.extend(columns.lease(&fields));
            }
        }
        leases
    }
}

impl Columns {
    fn of(header: &[&str]) -> Option<Columns> {
        let at = |name: &str| header.iter().position(|column| *column == name);
        Some(Columns {
            address: at("address")?,
            expire: at("expire")?,
            valid_lifetime: at("valid_lifetime")?,
            hostname: at("hostname")?,
            state: at("state"),
            lease_type: at("lease_type"),
        })
    }

    fn lease(&self, fields: &[&str]) -> Option<Lease> {
        let field = |at: usize| fields.get(at).copied();
        let is = |at: Option<usize>, wanted: &str| at.is_none_or(|at| field(at) == Some(wanted));
        let address: IpAddr = field(self.address)?.parse().ok()?;
        if !is(self.lease_type, TYPE_ADDRESS) {
            return None;
        }
        let lifetime: u64 = field(self.valid_lifetime)?.parse().ok()?;
        let expire: u64 = field(self.expire)?.parse().ok()?;
        let host = field(self.hostname)?.to_owned();
        Some(Lease {
            address,
            host: Some(host).filter(|host| !host.is_empty()),
            ends_seconds: (lifetime != FOREVER).then_some(expire),
            // A lease that is deleted is written once more, with no lifetime.
            is_active: is(self.state, STATE_DEFAULT) && lifetime > 0,
        })
    }
}
