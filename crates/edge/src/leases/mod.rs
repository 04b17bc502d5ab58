//! Leases of a DHCP server become addresses of names: which host has which addresses now, and what of
//! that is still to be told. Pure: files and clocks are the caller's.
//!
//! A name that gets an address has all that its leases say, and nothing else. One that loses its last
//! loses that record alone: what somebody else put there stays.

pub mod dhcpd;
pub mod kea;
pub(crate) mod watch;

use einhorn_wire::writer::{NoRoom, Section, Writer};
use einhorn_wire::{Class, Name, Opcode, RecordType};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Octets of an update that tells of leases: some thousand addresses of one host.
const UPDATE_OCTETS_MAX: usize = 60_000;
/// Octets of an entry that is not whole yet, at most; more is no entry.
const ENTRY_OCTETS_MAX: usize = 1 << 20;

/// A lease, as a server's file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: IpAddr,
    /// What the client is called, if it is called anything.
    pub host: Option<String>,
    /// When it ends, in seconds since 1970; none if it does not.
    pub ends_seconds: Option<u64>,
    /// Whether the client has it.
    pub is_active: bool,
}

/// Reads a file of leases that grows at its end.
pub trait Read {
    /// Takes the next octets of the file; gives the leases that are whole now, in order.
    fn push(&mut self, octets: &[u8]) -> Vec<Lease>;
}

/// What is to be said of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    host: Name,
    is_ipv6: bool,
    /// All addresses that it has.
    addresses: Vec<IpAddr>,
    /// Addresses that it had.
    gone: Vec<IpAddr>,
}

/// A host's addresses of one family.
#[derive(Debug, Default)]
struct Addresses {
    now: BTreeSet<IpAddr>,
    /// What it had and what may still stand in the zone.
    gone: BTreeSet<IpAddr>,
}

/// The leases of one server.
#[derive(Debug)]
pub(crate) struct Table {
    zone: Name,
    ttl: u32,
    held: BTreeMap<IpAddr, (Name, Option<u64>)>,
    hosts: BTreeMap<(String, bool), (Name, Addresses)>,
    /// When leases end.
    ends: BTreeSet<(u64, IpAddr)>,
    /// Hosts of which something is still to be said.
    unsaid: BTreeSet<(String, bool)>,
}

impl Table {
    pub(crate) fn new(zone: Name, ttl: u32) -> Table {
        Table {
            zone,
            ttl,
            held: BTreeMap::new(),
            hosts: BTreeMap::new(),
            ends: BTreeSet::new(),
            unsaid: BTreeSet::new(),
        }
    }

    /// The server has said this.
    pub(crate) fn note(&mut self, lease: &Lease, now_seconds: u64) {
        let name = lease.host.as_deref().and_then(|host| host_name(host, &self.zone));
        let is_over = lease.ends_seconds.is_some_and(|ends| ends <= now_seconds);
        let holder = name.clone().filter(|_| lease.is_active && !is_over);
        if let Some((held_by, ends)) = self.held.remove(&lease.address) {
            if let Some(ends) = ends {
                self.ends.remove(&(ends, lease.address));
            }
            if holder.as_ref() != Some(&held_by) {
                self.lose(&held_by, lease.address);
            }
        } else if let Some(name) = name.filter(|_| holder.is_none()) {
            // It may have ended while nobody looked.
            self.lose(&name, lease.address);
        }
        if let Some(name) = holder {
            if let Some(ends) = lease.ends_seconds {
                self.ends.insert((ends, lease.address));
            }
            self.held.insert(lease.address, (name.clone(), lease.ends_seconds));
            let (key, addresses) = self.host(&name, lease.address);
            addresses.gone.remove(&lease.address);
            if addresses.now.insert(lease.address) {
                self.unsaid.insert(key);
            }
        }
    }

    /// Leases end.
    pub(crate) fn expire(&mut self, now_seconds: u64) {
        while let Some((ends, address)) = self.ends.first().copied()
            && ends <= now_seconds
        {
            self.ends.pop_first();
            if let Some((name, _)) = self.held.remove(&address) {
                self.lose(&name, address);
            }
        }
    }

    /// When the next lease ends, in seconds since 1970.
    pub(crate) fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    fn host(&mut self, name: &Name, address: IpAddr) -> ((String, bool), &mut Addresses) {
        let key = (name.to_string(), address.is_ipv6());
        let known =
            self.hosts.entry(key.clone()).or_insert_with(|| (name.clone(), Addresses::default()));
        (key, &mut known.1)
    }

    fn lose(&mut self, name: &Name, address: IpAddr) {
        let (key, addresses) = self.host(name, address);
        addresses.now.remove(&address);
        addresses.gone.insert(address);
        self.unsaid.insert(key);
    }

    /// Something that is still to be said.
    pub(crate) fn next(&self) -> Option<Change> {
        let key = self.unsaid.first()?;
        let (host, Addresses { now, gone }) = self.hosts.get(key)?;
        let (addresses, gone) = (now.iter().copied().collect(), gone.iter().copied().collect());
        Some(Change { host: host.clone(), is_ipv6: key.1, addresses, gone })
    }

    /// It was said.
    pub(crate) fn said(&mut self, change: &Change) {
        let key = (change.host.to_string(), change.is_ipv6);
        self.unsaid.remove(&key);
        if change.addresses.is_empty() {
            self.hosts.remove(&key);
        } else if let Some((_, addresses)) = self.hosts.get_mut(&key) {
            addresses.gone.clear();
        }
    }

    /// The update that says it.
    pub(crate) fn update(&self, change: &Change) -> Result<Vec<u8>, NoRoom> {
        let mut octets = Vec::new();
        let mut writer = Writer::new(&mut octets, 0, UPDATE_OCTETS_MAX);
        writer.set_request(Opcode::UPDATE);
        writer.question(self.zone.as_wire(), RecordType::SOA, Class::IN)?;
        let rtype = if change.is_ipv6 { RecordType::AAAA } else { RecordType::A };
        let mut write = |class, ttl, data: &[u8]| {
            writer.record(Section::Authority, change.host.as_wire(), rtype, class, ttl, data)
        };
        if !change.addresses.is_empty() {
            write(Class::ANY, 0, &[])?;
        }
        for address in &change.addresses {
            write(Class::IN, self.ttl, &octets_of(*address))?;
        }
        for address in change.gone.iter().filter(|_| change.addresses.is_empty()) {
            write(Class::NONE, 0, &octets_of(*address))?;
        }
        Ok(octets)
    }
}

fn octets_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The name of a host in a zone: what is already a name there, else the first label of whatever it is
/// called; none for what no host can be called (RFC 1123 §2.1).
fn host_name(called: &str, zone: &Name) -> Option<Name> {
    let called = called.trim().trim_end_matches('.').to_ascii_lowercase();
    if called.parse::<IpAddr>().is_ok() {
        return None;
    }
    let is_host = |label: &str| {
        let is_good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(is_good)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let whole: Option<Name> = format!("{called}.").parse().ok();
    if let Some(name) = whole.filter(|name| name.is_at_or_below(zone) && name != zone) {
        let below = name.label_count() - zone.label_count();
        return called.split('.').take(below).all(is_host).then_some(name);
    }
    let label = called.split('.').next().filter(|label| is_host(label))?;
    zone.prepend(label.as_bytes()).ok()
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
